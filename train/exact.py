"""The staircase between an accumulator and the next code, in exact arithmetic.

``code = clamp(round_half_even(relu(gain * acc + bias)), low, high)``, with ``gain`` and ``bias``
float32 numbers that are taken at their word: the real-number function of them is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["Step", "settle"]

# Two float32 roundings (of the product and of the sum) move a value by less than 2^-24 of the
# terms each; four times that covers any order of evaluation, fused multiply-add included.
_FLOAT32 = 2.0**-22
_NEAR_TIE = 1e-6


@dataclass(frozen=True)
class Step:
    """The staircase of one channel."""

    gain: np.float32
    bias: np.float32
    low: int
    high: int

    def __call__(self, acc: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes of accumulators, exactly: fractions decide where float64 is near a tie.

        The ReLU needs no step of its own: where it acts, ``low`` is 0 and the clamp does it.
        """
        value = acc * np.float64(self.gain) + np.float64(self.bias)
        codes = np.rint(value)
        for k in np.flatnonzero(self._tie_distance(value) < _NEAR_TIE):
            exact = Fraction(float(self.gain)) * int(acc[k]) + Fraction(float(self.bias))
            codes[k] = round(exact)
        return np.clip(codes, self.low, self.high).astype(np.int64)

    def ties(self, acc: NDArray[np.int64]) -> int:
        """How many of the accumulators a float32 runtime may round to another code."""
        value = acc * np.float64(self.gain) + np.float64(self.bias)
        terms = np.abs(acc * np.float64(self.gain)) + abs(float(self.bias)) + 1
        inside = (value > self.low - 1) & (value < self.high + 1)
        return int((inside & (self._tie_distance(value) <= _FLOAT32 * terms)).sum())

    @staticmethod
    def _tie_distance(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(value - np.floor(value) - 0.5)


def settle(step: Step, acc: NDArray[np.int64], *, tries: int = 64) -> Step:
    """The step with its bias moved, by as little as possible, off all ties of ``acc``.

    Then float32 runtimes give the exact codes too. The move is a few millionths of a code; where
    the accumulators lie too densely for any bias, the step stays as it is.
    """
    if not step.ties(acc):
        return step
    unit = 4 * _FLOAT32 * (abs(float(step.bias)) + step.high - step.low + 1)
    for k in range(1, tries + 1):
        for offset in (k * unit, -k * unit):
            moved = Step(step.gain, np.float32(step.bias + offset), step.low, step.high)
            if not moved.ties(acc):
                return moved
    return step
