"""Operators of the integer graph that look at a kernel of positions at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqwire.hw.arrays import frozen
from sqwire.hw.dot import Dot
from sqwire.hw.maxpool import MaxPool as MaxPoolHw
from sqwire.hw.ranges import Range
from sqwire.hw.sumpool import SumPool as SumPoolHw
from sqwire.hw.window import Window

from .movement import Pad
from .tensor import Chain, Int, Tensor

__all__ = ["Linear", "MaxPool", "SumPool", "beside"]


def beside(size: int, kernel: int, stride: int) -> bool:
    """Whether kernels along an axis of ``size`` stand side by side, or there is just one."""
    return stride == kernel or (size - kernel < stride and size < 2 * kernel)


def _window(op: Linear | MaxPool, tensor: Tensor, code: int) -> tuple[Chain, Window]:
    """The sliding window of ``op`` over ``tensor``, where padded positions hold ``code``.

    The hardware's window pads on the way as far as a kernel usually needs it. Where that is not
    enough, padding is a stage of its own in front: the chain.
    """

    def window(tensor: Tensor, padding: tuple[int, int, int, int]) -> Window:
        return Window(
            height=tensor.height,
            width=tensor.width,
            channels=tensor.channels,
            range=tensor.range,
            kernel=op.kernel,
            stride=op.stride,
            padding=padding,
            dilation=op.dilation,
            pad_code=code,
        )

    try:
        return (), window(tensor, op.padding)
    except ValueError:
        if not any(op.padding):
            raise
    pad = Pad(op.padding, code)
    return pad.lower(tensor), window(pad.infer(tensor), (0, 0, 0, 0))


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
        _, window, dot = self._parts(*inputs)
        return Tensor(window.out_height, window.out_width, dot.row_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        pad, window, dot = self._parts(*inputs)
        trivial = window.taps == 1 and window.stride == (1, 1) and not any(window.padding)
        return (*pad, ("dot", dot)) if trivial else (*pad, ("window", window), ("dot", dot))

    def _parts(self, tensor: Tensor) -> tuple[Chain, Window, Dot]:
        if self.weight.shape[3] != tensor.channels:
            raise ValueError(
                f"input channels must be {self.weight.shape[3]}, not {tensor.channels}"
            )
        pad, window = _window(self, tensor, 0)
        zero = Range(0, 0)
        ranges = list(tensor.ranges)
        if any(self.padding):
            ranges = [Range.span([r, zero]) for r in ranges]
        lanes = []
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                lanes += ranges if (i, j) in window.offsets else [zero] * tensor.channels
        flat = self.weight.reshape(len(self.weight), -1)
        return pad, window, Dot(flat, self.bias, tuple(lanes), window.beats_out)


@dataclass(frozen=True)
class MaxPool:
    """The largest code under the kernel, for each channel; padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        _, window = self._parts(tensor)
        return Tensor(window.out_height, window.out_width, tensor.ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        pad, window = self._parts(tensor)
        pool = MaxPoolHw(tensor.channels, window.taps, window.out_range, window.beats_out)
        return (*pad, ("window", window), ("maxpool", pool))

    def _parts(self, tensor: Tensor) -> tuple[Chain, Window]:
        for axis, size in enumerate(("height", "width")):
            reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            before, after = self.padding[axis], self.padding[axis + 2]
            if max(before, after) >= reach:
                raise ValueError(
                    f"padding of the {size} must be less than the kernel reaches ({reach}), "
                    f"not {max(before, after)}: the maximum of nothing is not a number"
                )
            first = np.arange(-before, tensor.shape[axis] + after - reach + 1, self.stride[axis])
            taps = first[:, None] + self.dilation[axis] * np.arange(self.kernel[axis])
            if not ((taps >= 0) & (taps < tensor.shape[axis])).any(axis=1).all():
                raise ValueError(
                    f"each window must see a part of the {size}, and not all does with padding "
                    f"{before} and {after} and dilation {self.dilation[axis]}: the maximum of "
                    "nothing is not a number"
                )
        return _window(self, tensor, tensor.range.lo)


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
