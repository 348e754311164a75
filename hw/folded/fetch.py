"""Counts through the program and hands its words out: addresses first, values when they are due."""

import numpy as np
from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .linebuffer import LineBuffer
from .memory import pipe
from .rom import pack, program_rom

__all__ = ["Fetch"]


class Fetch(wiring.Component):
    """One word a cycle while a position runs.

    The part for the lanes lies in a memory of its own and is read later, when codes arrive.

    Members
    -------
    start : ``In(1)``
        The next cycle is the first of a position. Only where ``idle``.
    idle : ``Out(1)``
        No position runs in the next cycle unless it is started now.
    running, last : ``Out(1)``
        A position runs, and this is its last cycle.
    rotation, tap, local : ``Out``
        ``fetch_cycles`` later, by ring and by bank.
    value, row, starts : ``Out``
        Four cycles after these, by lane; ``starts`` by ring, where rows count from 0 again.
    """

    def __init__(self, spec):
        self.spec = spec
        program, layout = spec.program, spec.program.layout
        banks = 1 if program.dense else layout.lanes
        rings = 1 if program.dense else layout.rings
        row_bits = program.row_bits if program.dense else program.stored_row_bits
        super().__init__(
            {
                "start": In(1),
                "idle": Out(1),
                "running": Out(1),
                "last": Out(1),
                "rotation": Out(program.rotation_bits).array(rings),
                "tap": Out(program.tap_bits).array(banks),
                "local": Out(program.local_bits).array(banks),
                "value": Out(spec.multiply.value_bits).array(layout.lanes),
                "row": Out(row_bits).array(layout.lanes),
                "starts": Out(1).array(layout.rings),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        layout = program.layout
        counter = Signal(range(program.cycles))
        following = Signal.like(counter)
        ending = Signal(init=program.cycles == 1)  # the counter is at its end
        m.d.comb += [
            self.last.eq(self.running & ending),
            self.idle.eq(~self.running | ending),
            following.eq(Mux(self.idle, 0, counter + 1)),
        ]
        m.d.sync += [counter.eq(following), ending.eq(following == program.cycles - 1)]
        with m.If(self.idle):
            m.d.sync += self.running.eq(self.start)

        row = self._dense(m) if program.dense else self._addresses(m, counter)

        # The part for the lanes.
        ahead = spec.execute_store.read_cycles
        later = pipe(m, counter, spec.fetch_cycles + LineBuffer.DELAY - ahead, "counter")
        values = spec.multiply.encode(program.value)
        value_bits = spec.multiply.value_bits
        rows = program.row if program.delta_bits is None else program.deltas
        row_bits = 0 if program.dense else program.stored_row_bits
        words = pack([*values.T, *rows.T], [value_bits] * layout.lanes + [row_bits] * layout.lanes)
        held = program_rom(m, spec.execute_store, words, later)
        for lane in range(layout.lanes):
            m.d.comb += self.value[lane].eq(held[lane * value_bits : (lane + 1) * value_bits])
            if program.dense:
                m.d.comb += self.row[lane].eq(row)
            else:
                first = layout.lanes * value_bits + lane * row_bits
                m.d.comb += self.row[lane].eq(held[first : first + row_bits])
        return m

    def _addresses(self, m, counter):
        spec, program = self.spec, self.spec.program
        layout = program.layout
        # What lane i of a ring reads, by the bank (i + rotation) % ring.
        lanes = np.arange(layout.lanes)
        turned = np.repeat(program.rotation, layout.ring, axis=1)
        reader = lanes - lanes % layout.ring + (lanes % layout.ring - turned) % layout.ring
        columns = [
            *program.rotation.T,
            *program.tap_codes[np.take_along_axis(program.tap, reader, 1)].T,
            *np.take_along_axis(program.local, reader, 1).T,
        ]
        fields = [*self.rotation, *self.tap, *self.local]
        words = pack(columns, [len(f) for f in fields])
        held = program_rom(m, spec.fetch_store, words, counter)
        if spec.fetch_store.width:
            m.d.comb += Cat(fields).eq(held)
        if program.delta_bits is not None:
            first = pipe(
                m, ~self.running | self.last, spec.fetch_cycles + LineBuffer.DELAY + 1, "first"
            )
            for ring, rotation in enumerate(self.rotation):
                now = pipe(m, rotation, LineBuffer.DELAY, f"rotation_{ring}")
                before = pipe(m, now, 1, f"rotation_before_{ring}")
                m.d.comb += self.starts[ring].eq(first | (now != before))
        return None

    def _dense(self, m):
        """Counters in place of addresses: row fastest, then place, tap, rotation."""
        spec, program = self.spec, self.spec.program
        layout = program.layout
        sizes = (layout.rows, layout.locals, len(program.taps), layout.turns)
        step, counters = self.running, []
        for size in sizes:
            counter = Signal(range(size), name=f"dense_{len(counters)}")
            last = counter == size - 1
            with m.If(step):
                m.d.sync += counter.eq(Mux(last, 0, counter + 1))
            counters.append(counter)
            step = step & last
        row, local, tap, rotation = counters
        stored = Signal(program.tap_bits)
        m.d.comb += stored.eq(Array(program.tap_codes.tolist())[tap])
        m.d.comb += [
            self.local[0].eq(pipe(m, local, spec.fetch_cycles, "local")),
            self.tap[0].eq(pipe(m, stored, spec.fetch_cycles, "tap")),
            self.rotation[0].eq(pipe(m, rotation, spec.fetch_cycles, "rotation")),
        ]
        return pipe(m, row, spec.fetch_cycles + LineBuffer.DELAY, "row")
