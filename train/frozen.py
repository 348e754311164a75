"""The frozen network: integer codes everywhere, the numbers that the circuit computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .exact import Step

__all__ = [
    "ACC_LIMIT",
    "AddCodes",
    "Bounds",
    "Conv",
    "Frozen",
    "FullyConnected",
    "Logits",
    "MaxPool",
    "Node",
    "Op",
    "Quantize",
    "Staircase",
]

Int = NDArray[np.int64]
Float = NDArray[np.float32]

ACC_LIMIT = 1 << 24
"""Float32 holds every integer below this one, so sums of products below it are exact."""


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest code of each channel (of each feature once flattened), exactly."""

    low: Int
    high: Int

    def flat(self, features: int) -> Bounds:
        """One pair a feature: channels outermost, as ``Flatten`` lays them out."""
        positions = features // len(self.low)
        return Bounds(np.repeat(self.low, positions), np.repeat(self.high, positions))


class Op(Protocol):
    """One step on tensors of integer codes (frames, channels, height, width)."""

    def __call__(self, *inputs: Tensor) -> Tensor: ...

    def bounds(self, *inputs: Bounds) -> Bounds:
        """What can come out."""


@dataclass(frozen=True)
class Quantize:
    """Input ``x``: ``clamp(round_half_even(x), 0, 2^bits - 1)``."""

    shape: tuple[int, int, int]
    bits: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0].round().clamp(0, 2**self.bits - 1)

    def bounds(self, *inputs: Bounds) -> Bounds:
        channels = self.shape[0]
        high = np.full(channels, 2**self.bits - 1, dtype=np.int64)
        return Bounds(np.zeros(channels, dtype=np.int64), high)


@dataclass(frozen=True, eq=False)
class Conv:
    """``acc = round(conv(codes))`` with integer ``weight`` (out, in, rows, columns)."""

    weight: Int
    bits: int
    stride: int
    padding: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        weight = torch.tensor(self.weight, dtype=torch.float32)
        acc = functional.conv2d(inputs[0], weight, stride=self.stride, padding=self.padding)
        return acc.round()

    def bounds(self, *inputs: Bounds) -> Bounds:
        low, high = inputs[0].low, inputs[0].high
        if self.padding:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        return _product(self.weight.sum((2, 3)) * 0, self.weight, low, high)


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
        return _product(self.weight, self.weight[:, :, None, None], flat.low, flat.high)
