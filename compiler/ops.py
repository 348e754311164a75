"""The operators of the integer graph: what each makes of its tensors, and of which hardware.

An operator is a frozen description without sizes; given the tensors it works on, ``infer`` says
what comes out and ``lower`` gives the chain of hardware operators (:mod:`sqwire.hw`) that does it.
The arithmetic lives there and nowhere else: running the graph runs the ``compute`` of that chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.add import Add as AddHw
from sqwire.hw.arrays import frozen
from sqwire.hw.beat import Beat
from sqwire.hw.dot import Dot
from sqwire.hw.flatten import Flatten as FlattenHw
from sqwire.hw.maxpool import MaxPool as MaxPoolHw
from sqwire.hw.ranges import Range
from sqwire.hw.staircase import Staircase as StaircaseHw
from sqwire.hw.steps import Steps
from sqwire.hw.sumpool import SumPool as SumPoolHw
from sqwire.hw.window import Window

__all__ = ["Add", "Flatten", "Linear", "MaxPool", "Op", "Staircase", "SumPool", "Tensor"]

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Tensor:
    """Integers of shape (height, width, channels), with what each channel can be."""

    height: int
    width: int
    ranges: tuple[Range, ...]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.ranges)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def positions(self) -> int:
        """Beats a frame when one position is one beat."""
        return self.height * self.width

    @property
    def range(self) -> Range:
        """What any channel can be."""
        return Range.span(self.ranges)


Chain = tuple[tuple[str, Any], ...]
"""Hardware operators in order, each with the suffix that names it within its node."""


class Op(Protocol):
    """What the compiler asks of an operator."""

    def infer(self, *inputs: Tensor) -> Tensor:
        """The output for these inputs; ValueError if they do not fit."""

    def lower(self, *inputs: Tensor) -> Chain:
        """The hardware operators; the first takes the inputs, each other the one before."""


def _window(op: Linear | MaxPool, tensor: Tensor, kernel: tuple[int, int], pad: int) -> Window:
    return Window(
        height=tensor.height,
        width=tensor.width,
        channels=tensor.channels,
        range=tensor.range,
        kernel=kernel,
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        pad_code=pad,
    )


@dataclass(frozen=True, eq=False)
class Linear:
    """A fixed integer map applied at each position: convolution, fully connected, any sparse map.

    ``weight`` has shape (out channels, kernel rows, kernel columns, in channels), ``bias``
    (out channels). ``padding`` is (top, left, bottom, right) and padded positions hold code 0.
    """

    weight: Int
    bias: Int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen(self.weight))
        object.__setattr__(self, "bias", frozen(self.bias))
        if self.weight.ndim != 4:
            raise ValueError(f"weight must be (out, rows, columns, in), not {self.weight.shape}")

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.weight.shape[1], self.weight.shape[2]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        window, dot = self._parts(tensor)
        return Tensor(window.out_height, window.out_width, dot.row_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        window, dot = self._parts(*inputs)
        trivial = window.taps == 1 and window.stride == (1, 1) and not any(window.padding)
        return (("dot", dot),) if trivial else (("window", window), ("dot", dot))

    def _parts(self, tensor: Tensor) -> tuple[Window, Dot]:
        if self.weight.shape[3] != tensor.channels:
            raise ValueError(
                f"input channels must be {self.weight.shape[3]}, not {tensor.channels}"
            )
        window = _window(self, tensor, self.kernel, 0)
        zero = Range(0, 0)
        lanes = []
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                if (i, j) not in window.offsets:
                    lanes += [zero] * tensor.channels
                elif any(self.padding):
                    lanes += [Range.span([r, zero]) for r in tensor.ranges]
                else:
                    lanes += tensor.ranges
        flat = self.weight.reshape(len(self.weight), -1)
        return window, Dot(flat, self.bias, tuple(lanes), window.beats_out)


@dataclass(frozen=True, eq=False)
class Staircase:
    """A function of one integer for each channel, see :class:`sqwire.hw.staircase.Staircase`."""

    steps: tuple[Steps, ...]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(tensor.height, tensor.width, self._hw(tensor).out_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("staircase", self._hw(*inputs)),)

    def _hw(self, tensor: Tensor) -> StaircaseHw:
        if len(self.steps) != tensor.channels:
            raise ValueError(f"channels must be {len(self.steps)}, not {tensor.channels}")
        return StaircaseHw(self.steps, tensor.ranges, tensor.positions)


@dataclass(frozen=True)
class MaxPool:
    """The largest code under the kernel, for each channel; padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        window = _window(self, tensor, self.kernel, tensor.range.lo)
        return Tensor(window.out_height, window.out_width, tensor.ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        window = _window(self, tensor, self.kernel, tensor.range.lo)
        pool = MaxPoolHw(tensor.channels, window.taps, window.out_range, window.beats_out)
        return (("window", window), ("maxpool", pool))


@dataclass(frozen=True)
class SumPool:
    """The sum under kernels that do not overlap; incomplete ones at the edges are dropped."""

    kernel: tuple[int, int]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        count = self.kernel[0] * self.kernel[1]
        self._hw(tensor)
        return Tensor(
            tensor.height // self.kernel[0],
            tensor.width // self.kernel[1],
            tuple(r * count for r in tensor.ranges),
        )

    def lower(self, *inputs: Tensor) -> Chain:
        return (("sumpool", self._hw(*inputs)),)

    def _hw(self, tensor: Tensor) -> SumPoolHw:
        return SumPoolHw(tensor.height, tensor.width, tensor.channels, tensor.range, self.kernel)


@dataclass(frozen=True)
class Add:
    """The sum of two tensors of one shape, position by position."""

    def infer(self, *inputs: Tensor) -> Tensor:
        left, right = inputs
        if left.shape != right.shape:
            raise ValueError(f"both shapes must be equal, not {left.shape} and {right.shape}")
        return Tensor(left.height, left.width, (left.range + right.range,) * left.channels)

    def lower(self, *inputs: Tensor) -> Chain:
        left, right = (Beat(tensor.range, tensor.channels) for tensor in inputs)
        return (("add", AddHw(left, right, inputs[0].positions)),)


@dataclass(frozen=True)
class Flatten:
    """All positions side by side as channels of one: row, column, channel innermost."""

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(1, 1, tensor.ranges * tensor.positions)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        beat = Beat(tensor.range, tensor.channels)
        return (("flatten", FlattenHw(beat, tensor.positions)),)
