"""Goes over the output positions: where each one begins in the line buffer, and when it may."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .memory import pipe
from .raster import Raster
from .slots import around

__all__ = ["Walk"]


class Walk(wiring.Component):
    """Positions of ``raster`` over a line buffer of ``slots`` positions.

    From start to start it takes ``pace`` cycles at least.

    Members
    -------
    written : ``In(1)``
        A position has been written; the last of a frame if ``whole`` too.
    start : ``In(1)``
        The next position starts: in the next cycle ``slot`` is where its base lies.
    finish : ``In(1)``
        The last cycle of a position. The buffer reads its last word ``delay + 1`` cycles later, and
        writes a beat two cycles after it has come: room comes ``delay`` cycles late.
    room : ``Out(1)``
        Another position may be written.
    ready : ``Out(1)``
        What the next position needs has been written, and it is time for it.
    outside_rows, outside_columns : ``Out``
        Two cycles after ``slot``: which rows and columns of the kernel are in the padding.
    """

    OUTSIDE = 2  # cycles from ``slot`` to what is in the padding

    def __init__(self, raster: Raster, slots: int, delay: int, pace: int = 0):
        self.raster, self.slots, self.delay, self.pace = raster, slots, delay, pace
        super().__init__(
            {
                "written": In(1),
                "whole": In(1),
                "start": In(1),
                "finish": In(1),
                "room": Out(1),
                "ready": Out(1),
                "slot": Out(range(slots)),
                "outside_rows": Out(raster.kernel[0]),
                "outside_columns": Out(raster.kernel[1]),
            }
        )

    def elaborate(self, platform):
        m = Module()
        raster, slots = self.raster, self.slots
        row, last_row, next_row = _counter(raster.out_height, "row")
        column, last_column, next_column = _counter(raster.out_width, "column")
        most = max(raster.steps)
        step = Signal(range(most + 1))

        def chosen(steps):
            return Mux(last_column, Mux(last_row, steps[2], steps[1]), steps[0])

        m.d.comb += step.eq(chosen(raster.steps))

        # Where the next position begins. Counters tell by their sign what is asked of them: how
        # many positions are written beyond what the next one needs; how many places are wanting
        # beyond what there is, as the one that runs sees it; how many frames are written whole
        # beyond the one whose last output position has been started.
        following = Signal(range(slots), init=-raster.lead % slots)
        limit = slots + raster.lead + most + 1
        ahead = Signal(range(-raster.reach - most, limit), init=raster.lead - raster.reach)
        wanting = Signal(range(-slots - most, limit), init=raster.lead - slots)
        frames = Signal(range(-2, slots // raster.inputs + 1), init=-1)
        taken = Signal.like(step)
        freed, moved = Signal.like(step), Signal.like(step)
        m.d.comb += [
            moved.eq(Mux(self.start, step, 0)),
            freed.eq(Mux(self.finish, taken, 0)),
            self.ready.eq(((ahead >= 0) | (frames >= 0)) & self._paced(m)),
            self.room.eq(wanting < 0),
        ]
        m.d.sync += [
            ahead.eq(ahead + self.written - moved),
            wanting.eq(
                wanting + self.written - pipe(m, freed, self.delay, "freed", reset_less=False)
            ),
            frames.eq(frames + self.whole - (self.start & last_row & last_column)),
        ]
        run_row, run_column = Signal.like(row), Signal.like(column)
        moves = [steps % slots for steps in raster.steps]  # it may go around more than once
        with m.If(self.start):
            m.d.sync += [
                self.slot.eq(following),
                following.eq(around(following + chosen(moves), slots)),
                taken.eq(step),
                run_row.eq(row),
                run_column.eq(column),
                column.eq(next_column),
            ]
            with m.If(last_column):
                m.d.sync += row.eq(next_row)

        # Cycle 1: compared. Cycle 2: the same, next to the banks.
        for axis, (index, out) in enumerate(
            ((run_row, self.outside_rows), (run_column, self.outside_columns))
        ):
            bits = [self._outside(m, axis, index, k) for k in range(raster.kernel[axis])]
            m.d.sync += out.eq(Cat(bits))
        return m

    def _paced(self, m):
        """Whether enough cycles have gone by since the last start."""
        if self.pace < 2:
            return Const(1)
        wait = Signal(range(-1, self.pace), init=-1)  # its sign says if there is none
        paced = wait < 0
        m.d.sync += wait.eq(Mux(self.start, self.pace - 2, Mux(paced, wait, wait - 1)))
        return paced

    def _outside(self, m, axis, index, place):
        lowest, highest = self.raster.outside(axis, place)
        count = (self.raster.out_height, self.raster.out_width)[axis]
        conditions = []
        if lowest > 0:
            conditions.append(index < lowest)
        if highest < count - 1:
            conditions.append(index > highest)
        if not conditions:
            return Const(0)
        bit = Signal(name=f"outside_{axis}_{place}")
        m.d.sync += bit.eq(conditions[0] if len(conditions) == 1 else conditions[0] | conditions[1])
        return bit


def _counter(count, name):
    """A signal that counts, whether it is at its end, and what comes next."""
    index = Signal(range(count), name=name)
    last = index == count - 1
    return index, last, Mux(last, 0, index + 1)
