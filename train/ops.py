"""The steps of a frozen network: integer codes in, integer codes out, and what can come out.

Tensors are float32 holding integers, (frames, channels, height, width) or (frames, channels,
length). Sums stay below 2^24 in magnitude, so float32 gives them exactly, up to the error of fast
convolution kernels, which rounding removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .exact import Chain
from .functions import Relu

__all__ = [
    "ACC_LIMIT",
    "AddCodes",
    "Bounds",
    "Concat",
    "Conv",
    "FullyConnected",
    "Logits",
    "MaxPool",
    "Op",
    "Quantize",
    "Staircase",
    "SumPool",
    "Upsample",
]

Int = NDArray[np.int64]
Single = NDArray[np.float32]

ACC_LIMIT = 1 << 24
"""Float32 holds every integer below this one, so sums of products below it are exact."""


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest code of each channel (of each feature once flattened), exactly."""

    low: Int
    high: Int

    @property
    def magnitude(self) -> int:
        """The largest magnitude of any channel."""
        return int(max(np.abs(self.low).max(), np.abs(self.high).max()))

    def flat(self, features: int) -> Bounds:
        """One pair a feature: channels outermost, as ``Flatten`` lays them out."""
        positions = features // len(self.low)
        return Bounds(np.repeat(self.low, positions), np.repeat(self.high, positions))


class Op(Protocol):
    """One step on tensors of integer codes."""

    def __call__(self, *inputs: Tensor) -> Tensor: ...

    def bounds(self, *inputs: Bounds) -> Bounds:
        """What can come out."""


@dataclass(frozen=True)
class Quantize:
    """Input ``x``: ``clamp(round_half_even(x / scale), low, high)``; ``scale`` is a float32.

    ``shape`` is that of a frame. The quotient of two float32 is never so close to a tie that
    float64 would miss it.
    """

    shape: tuple[int, ...]
    bits: int
    signed: bool = False
    scale: float = 1.0

    @property
    def low(self) -> int:
        """The smallest code."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest code."""
        return self.low + 2**self.bits - 1

    def __call__(self, *inputs: Tensor) -> Tensor:
        return (inputs[0].double() / self.scale).round().clamp(self.low, self.high).float()

    def bounds(self, *inputs: Bounds) -> Bounds:
        channels = self.shape[0]
        return Bounds(np.full(channels, self.low), np.full(channels, self.high))


@dataclass(frozen=True, eq=False)
class Conv:
    """``acc = round(conv(codes))`` with integer ``weight`` (out, in / groups, *kernel).

    ``transposed``: weight is (in, out / groups, *kernel). One or two axes; settings have one
    entry an axis.
    """

    weight: Int
    bits: int
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    def __call__(self, *inputs: Tensor) -> Tensor:
        weight = torch.tensor(self.weight, dtype=torch.float32)
        axes = self.weight.ndim - 2
        if self.transposed:
            turned = functional.conv_transpose1d if axes == 1 else functional.conv_transpose2d
            return turned(
                inputs[0], weight, None, self.stride, self.padding, self.output_padding,
                self.groups, self.dilation,
            ).round()  # fmt: skip
        straight: Any = functional.conv1d if axes == 1 else functional.conv2d
        acc: Tensor = straight(
            inputs[0], weight, None, self.stride, self.padding, self.dilation, self.groups
        )
        return acc.round()

    @property
    def by_output(self) -> Int:
        """Weights as (groups, out / groups, in / groups, taps), whichever way round they lie."""
        first, second = self.weight.shape[:2]
        grouped = self.weight.reshape(self.groups, first // self.groups, second, -1)
        return grouped.transpose(0, 2, 1, 3) if self.transposed else grouped

    def bounds(self, *inputs: Bounds) -> Bounds:
        low, high = inputs[0].low, inputs[0].high
        # Where taps fall outside the frame, or between its positions, they meet a zero.
        if self.transposed or any(self.padding):
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        lows, highs = low.reshape(self.groups, -1), high.reshape(self.groups, -1)
        parts = [_sums(w, lo, hi) for w, lo, hi in zip(self.by_output, lows, highs, strict=True)]
        return Bounds(
            np.concatenate([p.low for p in parts]), np.concatenate([p.high for p in parts])
        )


@dataclass(frozen=True, eq=False)
class FullyConnected:
    """``acc = weight @ flatten(codes)`` with integer ``weight`` (out, features)."""

    weight: Int
    bits: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        weight = torch.tensor(self.weight, dtype=torch.float32)
        return functional.linear(inputs[0].flatten(1), weight).round()[:, :, None, None]

    def bounds(self, *inputs: Bounds) -> Bounds:
        flat = inputs[0].flat(self.weight.shape[1])
        return _sums(self.weight[:, :, None], flat.low, flat.high)


@dataclass(frozen=True, eq=False)
class Staircase:
    """What makes the next code of an accumulator, see :class:`sqwire.train.exact.Chain`.

    Computed in float64; :func:`sqwire.train.check` proves that enough on every reachable
    accumulator.
    """

    chain: Chain
    bits: int
    signed: bool

    @property
    def plain(self) -> bool:
        """Whether it does nothing but clamp."""
        return all(isinstance(f, Relu) for f in self.chain.functions) and self.chain.low == 0

    def __call__(self, *inputs: Tensor) -> Tensor:
        acc = inputs[0].transpose(0, 1).double().numpy()
        codes = np.clip(np.rint(self.chain.double(acc)), self.chain.low, self.chain.high)
        return torch.tensor(codes, dtype=torch.float32).transpose(0, 1).contiguous()

    def bounds(self, *inputs: Bounds) -> Bounds:
        """Each channel's extremes: those of the ends, or all codes where the function dips."""
        if any(hasattr(f, "dip") for f in self.chain.functions):
            every = np.ones_like(inputs[0].low)
            return Bounds(every * self.chain.low, every * self.chain.high)
        ends = np.stack([inputs[0].low, inputs[0].high], axis=1)
        codes = self.chain(ends)
        return Bounds(codes.min(axis=1), codes.max(axis=1))


@dataclass(frozen=True)
class AddCodes:
    """The sum of two tensors of codes."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0] + inputs[1]

    def bounds(self, *inputs: Bounds) -> Bounds:
        left, right = inputs
        return Bounds(left.low + right.low, left.high + right.high)


@dataclass(frozen=True)
class Concat:
    """Channels one after the other."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=1)

    def bounds(self, *inputs: Bounds) -> Bounds:
        lows, highs = [b.low for b in inputs], [b.high for b in inputs]
        return Bounds(np.concatenate(lows), np.concatenate(highs))


@dataclass(frozen=True)
class MaxPool:
    """The largest code under a window; padding never wins."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        pool: Any = functional.max_pool1d if len(self.kernel) == 1 else functional.max_pool2d
        result: Tensor = pool(inputs[0], self.kernel, self.stride, self.padding)
        return result

    def bounds(self, *inputs: Bounds) -> Bounds:
        return inputs[0]


@dataclass(frozen=True)
class SumPool:
    """The sum under a window, of the whole frame where ``whole``; the mean is left to scales."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    whole: bool = False

    @property
    def taps(self) -> int:
        """How many codes are summed."""
        return int(np.prod(self.kernel))

    def __call__(self, *inputs: Tensor) -> Tensor:
        pool: Any = functional.avg_pool1d if len(self.kernel) == 1 else functional.avg_pool2d
        result: Tensor = pool(inputs[0].double(), self.kernel, self.stride) * self.taps
        return result.round().float()

    def bounds(self, *inputs: Bounds) -> Bounds:
        return Bounds(inputs[0].low * self.taps, inputs[0].high * self.taps)


@dataclass(frozen=True)
class Upsample:
    """Every position repeated ``factor`` times along each axis."""

    factor: tuple[int, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        x = inputs[0]
        for axis, times in enumerate(self.factor):
            x = x.repeat_interleave(times, dim=2 + axis)
        return x

    def bounds(self, *inputs: Bounds) -> Bounds:
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Logits:
    """``y = gain * acc + bias`` in float32: what the host makes of an output's accumulators."""

    gain: Single
    bias: Single

    def __call__(self, *inputs: Tensor) -> Tensor:
        x = inputs[0]
        shape = (-1,) + (1,) * (x.ndim - 2)
        y = x * torch.tensor(self.gain).reshape(shape) + torch.tensor(self.bias).reshape(shape)
        return y

    def bounds(self, *inputs: Bounds) -> Bounds:
        return inputs[0]


def _sums(weight: Int, low: Int, high: Int) -> Bounds:
    """Exact interval of ``sum over i, t of weight[o, i, t] * x[i, t]`` for independent ``x``."""
    up, down = np.maximum(weight, 0).sum(2), np.minimum(weight, 0).sum(2)
    return Bounds(up @ low + down @ high, up @ high + down @ low)


def largest_sum(weight: Int, inputs: Sequence[Bounds]) -> int:
    """``max over outputs of sum |weight|, times max |x|``; weight (groups, out, in, taps)."""
    return int(np.abs(weight).sum((2, 3)).max()) * inputs[0].magnitude
