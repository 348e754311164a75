"""Counts through a split program and hands its words out; stands still where it is told to."""

from amaranth.hdl import Cat, Module, Mux, Signal
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
        value_bits, lanes = spec.multiply.value_bits, program.layout.lanes
        if program.place_bits is None:
            columns = [*values.T, *program.places.T, *ends.astype(int).T]
            place_bits = program.tap_bits + program.local_bits
            widths = [value_bits] * lanes + [place_bits] * lanes + [1] * lanes
        else:
            columns = [*values.T, *program.rises.T]
            widths = [value_bits] * lanes + [program.place_bits] * lanes
        held = program_rom(m, spec.fetch_store, pack(columns, widths), counter)
        valid = pipe(m, self.running, spec.fetch_cycles, "valid", reset_less=False)
        at = 0
        fields = []
        for width in widths:
            fields.append(held[at : at + width])
            at += width
        for lane in range(lanes):
            if program.place_bits is None:
                value, place, end = fields[lane::lanes]
            else:
                value, rise = fields[lane::lanes]
                place, end = self._around(m, rise, valid, lane)
            m.d.comb += [
                self.local[lane].eq(place[: program.local_bits]),
                self.tap[lane].eq(place[program.local_bits :]),
                self.value[lane].eq(pipe(m, value, LineBuffer.DELAY, f"value_{lane}")),
                self.ends[lane].eq(pipe(m, end, LineBuffer.DELAY, f"ends_{lane}")),
            ]
        return m

    def _around(self, m, rise, valid, lane):
        """The place, and whether the next one is around the circle: then a row ends."""
        program = self.spec.program
        bits, taps = program.local_bits, len(program.taps)
        first = int(program.places[0, lane])
        place = Signal(program.tap_bits + bits, name=f"place_{lane}", init=first)
        following = Signal(range(2 * taps << bits), name=f"following_{lane}")
        around = Signal(name=f"around_{lane}")
        tap = following[bits:]
        m.d.comb += [following.eq(place + rise), around.eq(tap >= taps)]
        with m.If(valid):
            m.d.sync += place.eq(Cat(following[:bits], Mux(around, tap - taps, tap)))
        return place, around
