"""The circuit of a folded layer: line buffer, program, lanes, collection."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .collect import Collect
from .fetch import Fetch
from .lane import Lane
from .linebuffer import LineBuffer
from .memory import pipe
from .walk import Walk

__all__ = ["Circuit"]


class Circuit(wiring.Component):
    """Hardware of a :class:`Folded`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        Channels of positions.
    """

    def __init__(self, spec):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        layout = program.layout
        m.submodules.walk = walk = Walk(
            spec.raster, spec.slots, spec.fetch_cycles, spec.pace_cycles
        )
        m.submodules.fetch = fetch = Fetch(spec)
        m.submodules.buffer = buffer = LineBuffer(spec)
        m.submodules.collect = collect = Collect(spec)
        settled = Signal()
        m.d.comb += [
            self.i.ready.eq(walk.room & settled),
            buffer.data.eq(self.i.payload),
            buffer.write.eq(self.i.valid & self.i.ready),
        ]
        buffer.follow(m, walk)

        # After a reset accumulators hold rubbish, unless they have never been used: a position
        # of zeros, whose result is dropped, tells the collector from where they go on. Nothing is
        # taken before that, so that cycles counted from the first beat are always the same.
        used, known, warming = Signal(reset_less=True), Signal(), Signal()
        free = Signal(range(-1, spec.buffers), init=spec.buffers - 1)  # the sign says if any
        start, warm = Signal(), Signal()
        m.d.comb += [
            settled.eq(known | ~used),
            warm.eq(used & ~known & ~warming & fetch.idle),
            start.eq(fetch.idle & walk.ready & (free >= 0) & settled & ~warming),
            fetch.start.eq(start | warm),
            walk.start.eq(start),
            walk.finish.eq(fetch.last & ~buffer.blank),
        ]
        m.d.sync += free.eq(free + collect.freed - fetch.start)
        with m.If(start):
            m.d.sync += [used.eq(1), known.eq(1), buffer.blank.eq(0)]
        with m.If(warm):
            m.d.sync += [warming.eq(1), buffer.blank.eq(1)]
        with m.If(warming & collect.freed):
            # The difference of the last beat is taken before a position could give the next.
            m.d.sync += [warming.eq(0), known.eq(1)]
        m.d.comb += collect.drop.eq(warming)

        for name in ("rotation", "tap", "local"):
            for a, b in zip(getattr(buffer, name), getattr(fetch, name), strict=True):
                m.d.comb += a.eq(b)

        # The cycle in which products are added, and which position they belong to.
        cycles = spec.compute_cycles
        running = pipe(m, fetch.running, cycles, "running", reset_less=False)
        last = pipe(m, fetch.last, cycles - 2, "last", reset_less=False)
        ended = pipe(m, last, 2, "ended", reset_less=False)
        position = Signal(spec.buffer_bits)
        with m.If(ended):
            m.d.sync += position.eq(position + 1)
        m.d.comb += collect.done.eq(last)
        m.submodules.multiply = products = Module()
        built = spec.multiply.build(products, list(buffer.x), list(fetch.value))
        for number, (product, carry) in enumerate(built):
            lane = Lane(spec, product, carry)
            m.submodules[f"lane_{number}"] = lane
            if carry is not None:
                m.d.comb += lane.carry.eq(carry)
            m.d.comb += [
                lane.product.eq(product),
                lane.row.eq(fetch.row[number]),
                lane.starts.eq(fetch.starts[number // layout.ring]),
                lane.write.eq(running),
                lane.buffer.eq(position),
                lane.show_row.eq(collect.show_row),
                lane.show_buffer.eq(collect.show_buffer),
                lane.show.eq(collect.show[number]),
            ]
            for part, shown in enumerate(lane.shown):
                m.d.comb += collect.shown[number * spec.done_parts + part].eq(shown)
        m.d.comb += [
            self.o.valid.eq(collect.o.valid),
            self.o.payload.eq(collect.o.payload),
            collect.o.ready.eq(self.o.ready),
        ]
        return m
