"""The circuit of a split program: each lane has inputs of its own and a part of each output."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .feed import Feed
from .gather import Gather
from .linebuffer import LineBuffer
from .memory import pipe
from .part import Part
from .walk import Walk

__all__ = ["Split"]


class Split(wiring.Component):
    """Hardware of a :class:`Folded` with a split program.

    A lane reads one bank only, so nothing is turned; it goes from row to row, so its accumulator
    is one register; and what lanes have summed meets in short queues, whose depth follows from
    the program. Where the sink does not keep up these fill, and the program stands still.

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
        pace = spec.apart_cycles if spec.apart_cycles > program.cycles else 0
        m.submodules.walk = walk = Walk(spec.raster, spec.slots, spec.fetch_cycles, pace)
        m.submodules.feed = feed = Feed(spec)
        m.submodules.buffer = buffer = LineBuffer(spec)
        m.submodules.gather = gather = Gather(spec)
        start = Signal()
        m.d.comb += [
            self.i.ready.eq(walk.room),
            buffer.data.eq(self.i.payload),
            buffer.write.eq(self.i.valid & self.i.ready),
            start.eq(feed.idle & walk.ready),
            feed.start.eq(start),
            walk.start.eq(start),
            walk.finish.eq(feed.last),
        ]
        buffer.follow(m, walk)
        for name in ("tap", "local"):
            for a, b in zip(getattr(buffer, name), getattr(feed, name), strict=True):
                m.d.comb += a.eq(b)

        write = pipe(m, feed.running, spec.compute_cycles, "running", reset_less=False)
        m.submodules.multiply = products = Module()
        built = spec.multiply.build(products, list(buffer.x), list(feed.value))
        lanes = []
        for number, (product, carry) in enumerate(built):
            m.submodules[f"lane_{number}"] = lane = Part(spec, product, carry)
            ends = pipe(m, feed.ends[number], spec.multiply.latency_cycles, f"ends_{number}")
            if carry is not None:
                m.d.comb += lane.carry.eq(carry)
            m.d.comb += [
                lane.product.eq(product),
                lane.ends.eq(ends),
                lane.write.eq(write),
                lane.taken.eq(gather.taken[number]),
                gather.part[number].eq(lane.first),
            ]
            lanes.append(lane)
        go = Signal(init=1)
        m.d.sync += go.eq(~Cat(lane.full for lane in lanes).any())
        m.d.comb += [
            feed.go.eq(go),
            gather.some.eq(Cat(lane.some for lane in lanes)),
            self.o.valid.eq(gather.o.valid),
            self.o.payload.eq(gather.o.payload),
            gather.o.ready.eq(self.o.ready),
        ]
        return m
