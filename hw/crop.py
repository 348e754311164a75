"""Crop: the middle of a frame, or some of its rows and columns."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .raster import axis

__all__ = ["Crop"]


@dataclass(frozen=True)
class Crop:
    """``o[r, c, ch] = x[r * sh + top, c * sw + left, ch]``: ``edges`` = (top, left, bottom, right)
    are cut, and of what is left ``stride - 1`` rows (columns) are dropped behind each that stays.

    Shapes: in ``(height * width, lanes)``, out ``(out_height * out_width, lanes)``, where both
    beats are ``beat``.

    Timing: one input beat a cycle, no latency: positions that are cut off are taken at once
    and the others pass.

    Raises
    ------
    ValueError
        If a size or a stride is below one, an edge negative, or nothing is left.
    """

    height: int
    width: int
    beat: Beat
    edges: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)

    def __post_init__(self):
        if min(self.height, self.width) < 1:
            raise ValueError(f"Crop: frame must be at least 1x1, not {self.height}x{self.width}")
        if min(self.stride) < 1:
            raise ValueError(f"Crop: stride must be at least 1, not {self.stride}")
        if min(self.edges) < 0:
            raise ValueError(f"Crop: edges must not be negative, not {self.edges}")
        if min(self.out_height, self.out_width) < 1:
            raise ValueError(
                f"Crop: edges {self.edges} must leave something of the frame "
                f"({self.height}x{self.width})"
            )

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return -(-(self.height - self.edges[0] - self.edges[2]) // self.stride[0])

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return -(-(self.width - self.edges[1] - self.edges[3]) // self.stride[1])

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.out_height * self.out_width

    latency_cycles = 0

    def needs(self) -> np.ndarray:
        rows = np.arange(self.out_height)[:, None] * self.stride[0] + self.edges[0]
        columns = np.arange(self.out_width)[None, :] * self.stride[1] + self.edges[1]
        return (rows * self.width + columns + 1).reshape(-1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        frames = x.reshape(len(x), self.height, self.width, self.beat.lanes)
        top, left, bottom, right = self.edges
        rows = slice(top, self.height - bottom, self.stride[0])
        kept = frames[:, rows, left : self.width - right : self.stride[1]]
        return kept.reshape(len(x), self.beats_out, self.beat.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Crop`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order.
    o : ``Out(stream)``
        Those that stay, in raster order.
    """

    def __init__(self, spec: Crop):
        self.spec = spec
        super().__init__({"i": In(spec.beat.signature), "o": Out(spec.beat.signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        take, kept = Signal(), Signal()
        (top, left, _, _), (down, along) = spec.edges, spec.stride
        column, row_ends = axis(m, take, spec.width, left, along, spec.out_width, name="column")
        row, _ = axis(m, take & row_ends, spec.height, top, down, spec.out_height, name="row")
        m.d.comb += [
            kept.eq(row & column),
            self.o.valid.eq(self.i.valid & kept),
            self.i.ready.eq(self.o.ready | ~kept),
            take.eq(self.i.valid & self.i.ready),
            self.o.payload.eq(self.i.payload),
        ]
        return m
