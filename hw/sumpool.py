"""Sum pooling: the sum of each channel over windows that do not overlap."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .delay import delay, delay_stores
from .folded.memory import Store
from .ranges import Range
from .raster import windows

__all__ = ["SumPool"]


@dataclass(frozen=True)
class SumPool:
    """``o[r, c, ch] = sum over i < kh, j < kw of x[r * kh + i, c * kw + j, ch]``.

    The windows stand side by side (stride = kernel). Rows and columns behind the last whole
    window are taken and ignored. A kernel as large as the frame is global pooling. The mean's
    division belongs to the staircase that follows.

    Shapes: in ``(height * width, channels)``, out ``(out_height * out_width, channels)`` with
    ``out_height = height // kh``, ``out_width = width // kw``. Output range: ``range * (kh * kw)``.

    Timing: one input beat a cycle; an output is valid one cycle after the last position of its
    window. No input is taken while an output waits.

    Circuit: one adder a channel, and one sum for each window of a row in the making: they wait
    in a chain that moves on by one whenever a window's row begins, so the oldest sum is always
    the one that the window which begins wants back. No line of the frame is stored.

    Raises
    ------
    ValueError
        If a size is below one or the kernel is larger than the frame.
    """

    height: int
    width: int
    channels: int
    range: Range
    kernel: tuple[int, int]

    def __post_init__(self):
        for what in ("height", "width", "channels"):
            if getattr(self, what) < 1:
                raise ValueError(f"SumPool: {what} must be at least 1, not {getattr(self, what)}")
        if not (1 <= self.kernel[0] <= self.height and 1 <= self.kernel[1] <= self.width):
            raise ValueError(
                f"SumPool: kernel must be from (1, 1) to the frame "
                f"({self.height}, {self.width}), not {self.kernel}"
            )

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self.height // self.kernel[0]

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self.width // self.kernel[1]

    @property
    def inputs(self):
        return (Beat(self.range, self.channels),)

    @property
    def outputs(self):
        return (Beat(self.range * (self.kernel[0] * self.kernel[1]), self.channels),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.out_height * self.out_width

    latency_cycles = 1

    @property
    def stores(self) -> tuple[Store, ...]:
        """The memory of sums in the making, as synthesis makes it."""
        return delay_stores("waiting", self.out_width - 1, self.outputs[0].bits)

    def needs(self) -> np.ndarray:
        kh, kw = self.kernel
        last_row = np.arange(self.out_height)[:, None] * kh + kh - 1
        last_column = np.arange(self.out_width)[None, :] * kw + kw - 1
        return (last_row * self.width + last_column + 1).reshape(-1)

    def compute(self, x):
        kh, kw = self.kernel
        x = np.asarray(x, dtype=np.int64).reshape(-1, self.height, self.width, self.channels)
        x = x[:, : self.out_height * kh, : self.out_width * kw]
        x = x.reshape(len(x), self.out_height, kh, self.out_width, kw, self.channels)
        return x.sum(axis=(2, 4)).reshape(len(x), self.beats_out, self.channels)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`SumPool`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order, all channels of one position a beat.
    o : ``Out(stream)``
        Sums in raster order of the output.
    """

    def __init__(self, spec: SumPool):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        output = spec.outputs[0]
        advance, take, inside, begins = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(advance & self.i.valid),
        ]
        column = windows(m, take, spec.width, spec.kernel[1], name="column")
        row = windows(m, take & column.end, spec.height, spec.kernel[0], name="row")
        m.d.comb += [
            inside.eq(row.inside & column.inside),
            begins.eq(take & inside & column.first),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i.valid & inside & row.last & column.last)

        # The newest sum is also the output: it stands still while the output waits.
        newest = Signal(output.layout, reset_less=True)
        oldest = Signal(output.layout)
        waiting = delay(m, begins, newest.as_value(), spec.out_width - 1, name="waiting")
        m.d.comb += [
            oldest.as_value().eq(waiting),
            self.o.payload.eq(newest),
        ]
        for channel in range(spec.channels):
            so_far = Signal(output.range.shape, name=f"so_far_{channel}")
            with m.If(~column.first):
                m.d.comb += so_far.eq(newest[channel])
            with m.Elif(~row.first):
                m.d.comb += so_far.eq(oldest[channel])
            with m.If(take & inside):
                m.d.sync += newest[channel].eq(so_far + self.i.payload[channel])
        return m
