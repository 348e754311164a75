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
        return _sums(self.weight.reshape(*self.weight.shape[:2], -1), low, high)


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


@dataclass(frozen=True)
class Staircase:
    """``code = clamp(round_half_even(gain * acc + bias), low, high)``, in float64."""

    steps: tuple[Step, ...]
    relu: bool
    bits: int

    @property
    def gain(self) -> Float:
        """One a channel."""
        return np.array([step.gain for step in self.steps], dtype=np.float32)

    @property
    def bias(self) -> Float:
        """One a channel."""
        return np.array([step.bias for step in self.steps], dtype=np.float32)

    @property
    def plain(self) -> bool:
        """Whether it only clamps: gain 1 and bias 0 in every channel."""
        return bool((self.gain == 1).all() and (self.bias == 0).all())

    def __call__(self, *inputs: Tensor) -> Tensor:
        gain, bias = (torch.tensor(v).double()[:, None, None] for v in (self.gain, self.bias))
        value = inputs[0].double() * gain + bias
        return value.round().clamp(self.steps[0].low, self.steps[0].high).float()

    def bounds(self, *inputs: Bounds) -> Bounds:
        # Monotone, so the ends of the interval give the ends of the codes.
        ends = np.stack([inputs[0].low, inputs[0].high], axis=1)
        codes = np.stack([s(e) for s, e in zip(self.steps, ends, strict=True)])
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
class MaxPool:
    """The largest code under a square window that moves by its own size."""

    kernel: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        return functional.max_pool2d(inputs[0], self.kernel)

    def bounds(self, *inputs: Bounds) -> Bounds:
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Logits:
    """``y = gain * acc + bias`` in float32: what the host makes of the last accumulators."""

    gain: np.float32
    bias: Float

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0].flatten(1) * torch.tensor(self.gain) + torch.tensor(self.bias)

    def bounds(self, *inputs: Bounds) -> Bounds:
        return inputs[0]


@dataclass(frozen=True)
class Node:
    """An operation, the names of the nodes it reads, and what can come out of it."""

    op: Op
    inputs: tuple[str, ...]
    bounds: Bounds


@dataclass(frozen=True)
class Frozen:
    """A trained network as integers: the function that the exported file defines.

    ``frozen(x)`` takes images (frames, channels, height, width), real numbers as the ONNX graph
    takes them, and gives ``y`` float32 (frames, classes): gain and bias on the last accumulators.

    Every accumulator is below 2^24 in magnitude, so float32 sums are exact; staircases are
    evaluated in float64, and :func:`sqwire.train.check` proves that enough.
    """

    nodes: Mapping[str, Node]

    @property
    def input(self) -> Quantize:
        """The first node."""
        op = next(iter(self.nodes.values())).op
        assert isinstance(op, Quantize)
        return op

    def __call__(self, x: NDArray[np.generic]) -> Float:
        *_, y = self._run(x).values()
        return y.numpy()

    def trace(self, x: NDArray[np.generic]) -> dict[str, Int]:
        """The codes after every node, int64 (frames, channels, height, width).

        Named as the nodes of the exported graph: ``conv1`` is an accumulator, ``conv1.act`` the
        codes made of it; without the input and the logits.
        """
        *codes, _ = list(self._run(x).items())[1:]
        return {name: value.numpy().astype(np.int64) for name, value in codes}

    def _run(self, x: NDArray[np.generic]) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, node in self.nodes.items():
                if node.inputs:
                    values[name] = node.op(*(values[i] for i in node.inputs))
                else:
                    values[name] = node.op(torch.tensor(np.asarray(x, dtype=np.float32)))
        return values


def _sums(weight: Int, low: Int, high: Int) -> Bounds:
    """Exact interval of ``sum over i, t of weight[o, i, t] * x[i, t]`` for independent ``x``."""
    up, down = np.maximum(weight, 0).sum(2), np.minimum(weight, 0).sum(2)
    return Bounds(up @ low + down @ high, up @ high + down @ low)
