"""The staircase between an accumulator and the next code, in exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["Step", "settle"]

Int = NDArray[np.int64]

# Where float64 is closer to a tie than this, fractions decide.
_NEAR_TIE = 1e-6
# Two float32 roundings, of the product and of the sum, move a value by less than 2^-24 of its
# terms each; four times that covers any order of evaluation, fused multiply-add included.
_FLOAT32_ERROR = 2.0**-22
# More accumulators than this lie too densely to keep all of them off the ties.
_MAX_SETTLED = 1 << 20


@dataclass(frozen=True)
class Step:
    """One channel: ``code = clamp(round_half_even(gain * acc + bias), low, high)``.

    ``gain`` and ``bias`` are float32 and taken at their word: the real-number function of them
    is the truth. A ReLU before the rounding changes nothing where ``low`` is 0.

    Raises
    ------
    ValueError
        If gain or bias is not finite.
    """

    gain: np.float32
    bias: np.float32
    low: int
    high: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.gain) and np.isfinite(self.bias)):
            raise ValueError(
                f"Staircase: gain and bias must be finite, not {self.gain} and {self.bias}; "
                "the training diverged, lower the learning rate"
            )

    def __call__(self, acc: Int) -> Int:
        """The exact codes of accumulators below 2^24: fractions decide near a tie."""
        value = self._float64(acc)
        codes = np.rint(value)
        for k in np.flatnonzero(_tie_distance(value) < _NEAR_TIE):
            codes[k] = round(Fraction(float(self.gain)) * int(acc[k]) + Fraction(float(self.bias)))
        return np.clip(codes, self.low, self.high).astype(np.int64)

    def doubtful(self, acc: Int) -> int:
        """How many of the accumulators a float32 runtime might give another code."""
        value = self._float64(acc)
        terms = np.abs(value - float(self.bias)) + abs(float(self.bias))
        open_ = (value > self.low - 1) & (value < self.high + 1)
        return int((open_ & (_tie_distance(value) <= _FLOAT32_ERROR * (terms + 1))).sum())

    def _float64(self, acc: Int) -> NDArray[np.float64]:
        return acc * np.float64(self.gain) + np.float64(self.bias)


def settle(step: Step, acc: Int, *, tries: int = 64) -> Step:
    """``step`` with its bias moved as little as needed to keep every ``acc`` off the ties.

    Runtimes that compute in float32 then give the exact codes too. The move is a few millionths
    of a code; where no try succeeds, the step stays as it is.
    """
    if len(acc) > _MAX_SETTLED or not step.doubtful(acc):
        return step
    unit = 4 * _FLOAT32_ERROR * (abs(float(step.bias)) + step.high - step.low + 1)
    for k in range(1, tries + 1):
        for offset in (k * unit, -k * unit):
            moved = replace(step, bias=np.float32(step.bias + offset))
            if not moved.doubtful(acc):
                return moved
    return step


def _tie_distance(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(value - np.floor(value) - 0.5)
