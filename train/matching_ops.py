"""Steps of a frozen network that compares two pictures; see :mod:`sqwire.train.matching`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from . import matching
from .ops import Bounds

__all__ = [
    "Bilinear",
    "Channels",
    "Consistency",
    "CostVolume",
    "Median",
    "PadCrop",
    "SubpixelArgMax",
]


@dataclass(frozen=True)
class Channels:
    """Channels ``start`` to ``stop - 1`` of a tensor."""

    start: int
    stop: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0][:, self.start : self.stop]

    def bounds(self, *inputs: Bounds) -> Bounds:
        part = slice(self.start, self.stop)
        return Bounds(inputs[0].low[part], inputs[0].high[part])


@dataclass(frozen=True)
class Consistency:
    """Whether the disparities of both views, in ``parts`` of a position, say the same."""

    parts: int
    tolerance: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        left, right = inputs
        return matching.consistency(left, right, self.parts, self.tolerance)

    def bounds(self, *inputs: Bounds) -> Bounds:
        return Bounds(np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64))


@dataclass(frozen=True)
class CostVolume:
    """Sums over channels of ``|left - right|`` or ``left * right`` for each shift."""

    shifts: int
    form: str

    def __call__(self, *inputs: Tensor) -> Tensor:
        result: Tensor = matching.CostVolume(self.shifts, self.form)(*inputs)
        return result.round()

    def bounds(self, *inputs: Bounds) -> Bounds:
        left, right = inputs
        # Left of the frame the right picture is 0.
        low, high = np.minimum(right.low, 0), np.maximum(right.high, 0)
        if self.form == "difference":
            most = np.maximum(left.high - low, high - left.low).sum()
            least = np.maximum(np.maximum(left.low - high, low - left.high), 0).sum()
        else:
            corners = np.stack([a * b for a in (left.low, left.high) for b in (low, high)])
            least, most = corners.min(0).sum(), corners.max(0).sum()
        return Bounds(np.full(self.shifts, least), np.full(self.shifts, most))


@dataclass(frozen=True)
class SubpixelArgMax:
    """The place of the largest channel in ``parts`` of a channel."""

    parts: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        return matching.subpixel(inputs[0], self.parts)

    def bounds(self, *inputs: Bounds) -> Bounds:
        last = self.parts * (len(inputs[0].low) - 1)
        return Bounds(np.zeros(1, dtype=np.int64), np.array([last], dtype=np.int64))


@dataclass(frozen=True)
class Median:
    """The median of each channel over 3x3 positions that are ``dilation`` apart."""

    dilation: int = 1

    def __call__(self, *inputs: Tensor) -> Tensor:
        return matching.median(inputs[0], self.dilation)

    def bounds(self, *inputs: Bounds) -> Bounds:
        return inputs[0]


@dataclass(frozen=True)
class Bilinear:
    """``factor^2`` times the frame upsampled; the mean is left to scales."""

    factor: int

    @property
    def taps(self) -> int:
        """What the sums are times the mean."""
        return self.factor**2

    def __call__(self, *inputs: Tensor) -> Tensor:
        return matching.bilinear(inputs[0], self.factor)

    def bounds(self, *inputs: Bounds) -> Bounds:
        return Bounds(inputs[0].low * self.taps, inputs[0].high * self.taps)


@dataclass(frozen=True)
class PadCrop:
    """Zeros at (top, left, bottom, right), or less of the frame where negative."""

    edges: tuple[int, int, int, int]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return matching.pad_crop(inputs[0], self.edges)

    def bounds(self, *inputs: Bounds) -> Bounds:
        if max(self.edges) <= 0:
            return inputs[0]
        return Bounds(np.minimum(inputs[0].low, 0), np.maximum(inputs[0].high, 0))
