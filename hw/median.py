"""Median: the middle one of nine neighbours, next to each other or some positions apart."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .pipeline import Pipeline
from .raster import axis
from .window import Window

__all__ = ["Median"]


@dataclass(frozen=True)
class Median:
    """``o[y, x, c]`` is the median of ``x[y + i, x + j, c]`` for i, j = -d, 0, d: the ``dilation``.

    A row (column) outside the frame is replaced by row ``y`` (column ``x``) itself; next to each
    other, that repeats the frame's edges. The windows come from :attr:`window`; what taps hold that
    lie outside the frame is replaced here.

    Shapes: in ``(height * width * group, 9 * lanes)``, tap row, tap column, lane innermost; out
    ``(height * width * group, lanes)``, ``group`` beats a position. Both have one range.

    Timing: one beat a cycle; ``latency_cycles`` is four. The whole pipeline stops while the output
    is held.

    Circuit: each column is sorted; the median of the nine is the median of the largest of the
    lowest, the middle of the middle and the smallest of the highest ones. Three numbers are sorted
    in one cycle by the three comparisons between them.

    Source: Smith, "Implementing median filters in XC4000E FPGAs", Xcell 23 (1996).

    Raises
    ------
    ValueError
        If a size is below one.
    """

    height: int
    width: int
    beat: Beat
    group: int = 1
    dilation: int = 1

    def __post_init__(self):
        for what in ("height", "width", "group", "dilation"):
            if getattr(self, what) < 1:
                raise ValueError(f"Median: {what} must be at least 1, not {getattr(self, what)}")

    @property
    def window(self) -> Window:
        """The sliding window in front: a neighbour in a row is ``group`` times as far in beats."""
        down, along = self.dilation, self.dilation * self.group
        return Window(
            self.height, self.width * self.group, self.beat.lanes, self.beat.range, (3, 3),
            padding=(down, along) * 2, dilation=(down, along), pad_code=self.beat.range.lo,
        )  # fmt: skip

    @property
    def inputs(self):
        return (Beat(self.beat.range, 9 * self.beat.lanes),)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.height * self.width * self.group

    @property
    def beats_out(self) -> int:
        return self.beats_in

    latency_cycles = 4

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_in + 1)

    def compute(self, x):
        x = np.array(x, dtype=np.int64)
        size = self.height, self.width, self.group
        p = x.reshape(len(x), *size, 3, 3, self.beat.lanes)
        far = self.dilation
        p[:, :far, :, :, 0] = p[:, :far, :, :, 1]
        p[:, -far:, :, :, 2] = p[:, -far:, :, :, 1]
        p[:, :, :far, :, :, 0] = p[:, :, :far, :, :, 1]
        p[:, :, -far:, :, :, 2] = p[:, :, -far:, :, :, 1]
        nine = p.reshape(len(x), self.beats_in, 9, self.beat.lanes)
        return np.sort(nine, axis=2)[:, :, 4]

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Median`.

    Members
    -------
    i : ``In(stream)``
        Windows.
    o : ``Out(stream)``
        Their medians.
    """

    def __init__(self, spec: Median):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i], self.o, spec.latency_cycles)

        def register(value, name):
            return pipeline.register(value, spec.beat.range.shape, name)

        def three(values, name):
            """The lowest, the middle and the highest, a cycle later."""
            a, b, c = values
            b_low, c_low, c_under = a > b, a > c, b > c
            lowest = Mux(c_low & c_under, c, Mux(b_low, b, a))
            middle = Mux(c_low ^ c_under, c, Mux(b_low ^ c_low, a, b))
            highest = Mux(c_low | c_under, Mux(b_low, a, b), c)
            return [
                register(value, f"{what}_{name}")
                for what, value in (("low", lowest), ("middle", middle), ("high", highest))
            ]

        top, left, bottom, right = self._edges(m, pipeline.take)
        for lane in range(spec.beat.lanes):
            # Cycle 1: the middle instead of what lies outside, first of rows, then of columns.
            taps = [
                [self.i.payload[(i * 3 + j) * spec.beat.lanes + lane] for j in range(3)]
                for i in range(3)
            ]
            rows = [
                [Mux(top, b, a) for a, b in zip(taps[0], taps[1], strict=True)],
                taps[1],
                [Mux(bottom, b, c) for b, c in zip(taps[1], taps[2], strict=True)],
            ]
            rows = [[Mux(left, b, a), b, Mux(right, b, c)] for a, b, c in rows]
            columns = [
                [register(rows[i][j], f"tap_{i}_{j}_{lane}") for i in range(3)] for j in range(3)
            ]
            # Cycles 2 to 4: columns; lowest, middle and highest ones of them; the median of these.
            columns = [three(column, f"{j}_{lane}") for j, column in enumerate(columns)]
            lowest, middle, highest = zip(*columns, strict=True)
            parts = [
                three(lowest, f"lowest_{lane}")[2],
                three(middle, f"middle_{lane}")[1],
                three(highest, f"highest_{lane}")[0],
            ]
            m.d.comb += self.o.payload[lane].eq(three(parts, f"nine_{lane}")[1])
        return m

    def _edges(self, m, step):
        """Whether the next window reaches beyond the top, the left, the bottom, the right."""
        spec = self.spec
        width, height = spec.width * spec.group, spec.height
        side, far = min(width, spec.dilation * spec.group), min(height, spec.dilation)
        left, row_ends = axis(m, step, width, 0, 1, side, name="left")
        right, _ = axis(m, step, width, width - side, 1, side, name="right")
        row = step & row_ends
        top, _ = axis(m, row, height, 0, 1, far, name="top")
        bottom, _ = axis(m, row, height, height - far, 1, far, name="bottom")
        return top, left, bottom, right
