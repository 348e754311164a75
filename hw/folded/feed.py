"""Counts through a split program and hands its words out; stands still where it is told to."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .linebuffer import LineBuffer
from .memory import pipe
from .rom import pack, program_rom

__all__ = ["Feed"]


class Feed(wiring.Component):
    """One word a cycle while a position runs and ``go``.

    Members
    -------
    go : ``In(1)``
        Without it the counter stands still, and what comes in its place is not ``running``.
    start : ``In(1)``
        The next cycle is the first of a position. Only where ``idle``.
    idle : ``Out(1)``
        No position runs in the next cycle unless it is started now.
    running, last : ``Out(1)``
        There is a word in this cycle, and it is the last of its position.
    tap, local : ``Out``
        ``fetch_cycles`` later, by bank, which is by lane.
    value, ends : ``Out``
        Four cycles after these, by lane; whether the row of the lane ends.
    """

    def __init__(self, spec):
        self.spec = spec
        program, lanes = spec.program, spec.program.layout.lanes
        super().__init__(
            {
                "go": In(1),
                "start": In(1),
                "idle": Out(1),
                "running": Out(1),
                "last": Out(1),
                "tap": Out(program.tap_bits).array(lanes),
                "local": Out(program.local_bits).array(lanes),
                "value": Out(spec.multiply.value_bits).array(lanes),
                "ends": Out(1).array(lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        counter, busy = Signal(range(program.cycles)), Signal()
        ending = Signal(init=program.cycles == 1)  # the counter is at its end
        following = Signal.like(counter)
        m.d.comb += [
            self.running.eq(busy & self.go),
            self.last.eq(self.running & ending),
            self.idle.eq(~busy | self.last),
            following.eq(Mux(self.idle, 0, counter + 1)),
        ]
        with m.If(self.idle):
            m.d.sync += busy.eq(self.start)
        with m.If(self.idle | self.go):
            m.d.sync += [counter.eq(following), ending.eq(following == program.cycles - 1)]

        values, ends = spec.multiply.encode(program.value), program.ends
        if program.place_bits is None:
            place_bits = program.tap_bits + program.local_bits
            places = program.tap << program.local_bits | program.local
        else:
            place_bits, places = program.place_bits, program.rises
        value_bits, lanes = spec.multiply.value_bits, program.layout.lanes
        columns = [*values.T, *ends.astype(int).T, *places.T]
        widths = [value_bits] * lanes + [1] * lanes + [place_bits] * lanes
        held = program_rom(m, spec.fetch_store, pack(columns, widths), counter)
        read_cycles = spec.fetch_store.read_cycles
        valid = pipe(m, self.running, read_cycles, "valid", reset_less=False)
        late = spec.fetch_cycles - read_cycles + LineBuffer.DELAY
        at = 0
        fields = []
        for width in widths:
            fields.append(held[at : at + width])
            at += width
        for lane in range(lanes):
            value, end, place = fields[lane::lanes]
            if program.place_bits is not None:
                place = self._add(m, place, end, valid, lane)
            m.d.comb += [
                self.local[lane].eq(place[: program.local_bits]),
                self.tap[lane].eq(place[program.local_bits :]),
                self.value[lane].eq(pipe(m, value, late, f"value_{lane}")),
                self.ends[lane].eq(pipe(m, end, late, f"ends_{lane}")),
            ]
        return m

    def _add(self, m, rise, end, valid, lane):
        """The place, a cycle later: so much beyond the one before, or beyond 0 in a new row."""
        program = self.spec.program
        first = Signal(init=1, name=f"first_{lane}")
        place = Signal(program.tap_bits + program.local_bits, name=f"place_{lane}", reset_less=True)
        with m.If(valid):
            m.d.sync += [first.eq(end), place.eq(Mux(first, 0, place) + rise)]
        return place
