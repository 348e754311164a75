"""Pad: a frame with constants around it, and between its positions."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .ranges import Range
from .raster import axis

__all__ = ["Pad"]


@dataclass(frozen=True)
class Pad:
    """``o[top + r * sh, left + c * sw, ch] = x[r, c, ch]``, and ``code`` everywhere else.

    ``padding`` is (top, left, bottom, right) in positions of the output; ``stride`` (sh, sw)
    is the distance at which neighbours of the input stand in the output.

    Shapes: in ``(height * width * group, lanes)`` of ``beat``, out ``(out_height * out_width *
    group, lanes)``, where a position is ``group`` beats, one if it has all channels side by side,
    with ``out_height = top + (height - 1) * sh + 1 + bottom`` and columns alike. The output's
    range is that of the input, widened to hold ``code`` where there is one.

    Timing: one output beat a cycle; an output is valid one cycle after the input beat it
    shows. A frame begins when its first beat is there; constants behind a beat need not wait
    for the next one. One beat is stored.

    Raises
    ------
    ValueError
        If a size, a stride or ``group`` is below one or a padding is negative.
    """

    height: int
    width: int
    beat: Beat
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    stride: tuple[int, int] = (1, 1)
    code: int = 0
    group: int = 1

    def __post_init__(self):
        if self.group < 1:
            raise ValueError(f"Pad: group must be at least 1, not {self.group}")
        if min(self.height, self.width) < 1:
            raise ValueError(f"Pad: frame must be at least 1x1, not {self.height}x{self.width}")
        if min(self.padding) < 0:
            raise ValueError(f"Pad: padding must not be negative, not {self.padding}")
        if min(self.stride) < 1:
            raise ValueError(f"Pad: stride must be at least 1, not {self.stride}")

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self.padding[0] + (self.height - 1) * self.stride[0] + 1 + self.padding[2]

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self.padding[1] + (self.width - 1) * self.stride[1] + 1 + self.padding[3]

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        if self.beats_out == self.beats_in:
            return (self.beat,)
        code = Range(self.code, self.code)
        return (Beat(Range.span([self.beat.range, code]), self.beat.lanes),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width * self.group

    @property
    def beats_out(self) -> int:
        return self.out_height * self.out_width * self.group

    latency_cycles = 1

    def needs(self) -> np.ndarray:
        shows = np.zeros((self.out_height, self.out_width), dtype=np.int64)
        shows[self._places] = 1
        return np.maximum(shows.reshape(-1).repeat(self.group).cumsum(), 1)

    @property
    def _places(self):
        """The rows and columns of the output that show an input."""
        return tuple(
            slice(first, first + (size - 1) * stride + 1, stride)
            for first, size, stride in zip(
                self.padding, (self.height, self.width), self.stride, strict=False
            )
        )

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        channels = self.group * self.beat.lanes
        out = np.full((len(x), self.out_height, self.out_width, channels), self.code, np.int64)
        out[:, *self._places] = x.reshape(len(x), self.height, self.width, channels)
        return out.reshape(len(x), self.beats_out, self.beat.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Pad`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order.
    o : ``Out(stream)``
        Positions of the larger frame, in raster order.
    """

    def __init__(self, spec: Pad):
        self.spec = spec
        super().__init__({"i": In(spec.beat.signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        held = Signal(spec.beat.layout, reset_less=True)
        full = Signal()  # `held` is a beat that has not been shown
        begun = Signal()  # the output stands behind the first position of a frame
        step, shows = Signal(), Signal()
        (sh, sw), (top, left, _, _) = spec.stride, spec.padding
        whole = step  # a position has been shown
        if spec.group > 1:
            beat = Signal(range(spec.group))
            last = beat == spec.group - 1
            whole = step & last
            with m.If(step):
                m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        column, row_ends = axis(m, whole, spec.out_width, left, sw, spec.width, name="column")
        row, ends = axis(m, whole & row_ends, spec.out_height, top, sh, spec.height, name="row")
        m.d.comb += [
            shows.eq(row & column),
            # Constants in front of the first beat wait for it: no frame comes unasked.
            self.o.valid.eq(full | (begun & ~shows)),
            step.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(~full | (step & shows)),
        ]
        with m.If(step):
            m.d.sync += begun.eq(~(whole & row_ends & ends))
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), held.eq(self.i.payload)]
        for lane in range(spec.beat.lanes):
            m.d.comb += self.o.payload[lane].eq(Mux(shows, held[lane], spec.code))
        return m
