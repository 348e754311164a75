"""The staircase between an accumulator and the next code, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .functions import Affine, Function, LeakyRelu, Relu
from .functions import Clip as ClipFunction

__all__ = ["Chain", "settle"]

Int = NDArray[np.int64]
Double = NDArray[np.float64]

# Where float64 is closer to a tie than this, fractions decide.
_NEAR_TIE = 1e-6
# Two float32 roundings, of the product and of the sum, move a value by less than 2^-24 of its
# terms each; four times that covers any order of evaluation, fused multiply-add included.
_FLOAT32_ERROR = 2.0**-22
# More accumulators than this lie too densely to keep all of them off the ties.
_MAX_SETTLED = 1 << 20
_SIMPLE = (Relu, LeakyRelu, ClipFunction)


@dataclass(frozen=True, eq=False)
class Chain:
    """``code = clamp(round_half_even(f_n(... f_1(acc))), low, high)``, channel by channel.

    ``functions`` are taken at their word: the real-number function of their float32 constants
    is the truth. Arrays are int64 (channels, count).
    """

    functions: tuple[Function, ...]
    low: int
    high: int

    def __call__(self, acc: Int) -> Int:
        """The exact codes of accumulators below 2^24: fractions decide near a tie."""
        value = self.double(acc.astype(np.float64))
        codes = np.rint(value)
        open_ = (value > self.low - 1) & (value < self.high + 1)
        for channel, k in np.argwhere(open_ & (_tie_distance(value) < _NEAR_TIE)):
            codes[channel, k] = round(self.exact(int(acc[channel, k]), int(channel)))
        return np.clip(codes, self.low, self.high).astype(np.int64)

    def double(self, value: Double) -> Double:
        """All functions in float64, before rounding."""
        for function in self.functions:
            value = function.double(value)
        return value

    def exact(self, acc: int, channel: int) -> Fraction:
        """All functions on one accumulator, before rounding."""
        value = Fraction(acc)
        for function in self.functions:
            value = function.exact(value, channel)
        return value

    def doubtful(self, acc: Int) -> NDArray[np.int64]:
        """For each channel, how many accumulators a float32 runtime might give another code."""
        value = acc.astype(np.float64)
        terms, effort = np.ones_like(value), 1.0
        for function in self.functions:
            after = function.double(value)
            if isinstance(function, Affine):
                bias = np.abs(function.bias.astype(np.float64))[:, None]
                slope = np.abs(function.gain.astype(np.float64))[:, None]
                terms = slope * terms + np.abs(after) + 2 * bias + 1
            elif not isinstance(function, _SIMPLE):
                # Steps of a few more roundings, by functions whose slope is below 1.2.
                terms, effort = 1.2 * terms + np.abs(after), 4.0
            value = after
        open_ = (value > self.low - 1) & (value < self.high + 1)
        near = _tie_distance(value) <= effort * _FLOAT32_ERROR * terms
        count: NDArray[np.int64] = (open_ & near).sum(axis=1)
        return count

    def channel(self, k: int) -> Chain:
        """The chain of one channel."""
        parts = [f.channel(k) if isinstance(f, Affine) else f for f in self.functions]
        return replace(self, functions=tuple(parts))


def settle(chain: Chain, reach: Sequence[tuple[int, int]], *, tries: int = 64) -> Chain:
    """``chain`` with the biases of its last affine function moved as little as needed to keep
    every accumulator within ``reach`` (low, high of each channel) off the ties.

    Runtimes that compute in float32 then give the exact codes too. The move is a few millionths
    of a code; where no try succeeds, or more than 2^20 accumulators lie too densely, the channel
    stays as it is.
    """
    affine = [k for k, f in enumerate(chain.functions) if isinstance(f, Affine)]
    if not affine:
        return chain
    last = chain.functions[affine[-1]]
    assert isinstance(last, Affine)
    bias = last.bias.copy()
    for k, (low, high) in enumerate(reach):
        if high - low >= _MAX_SETTLED:
            continue
        bias[k] = _settled(chain.channel(k), affine[-1], low, high, tries)
    if np.array_equal(bias, last.bias):
        return chain
    parts = list(chain.functions)
    parts[affine[-1]] = Affine(last.gain, bias)
    return replace(chain, functions=tuple(parts))


def _settled(alone: Chain, where: int, low: int, high: int, tries: int) -> np.float32:
    """The bias of one channel's affine function number ``where``, moved off the ties."""
    acc = np.arange(low, high + 1)[None]
    last = alone.functions[where]
    assert isinstance(last, Affine)
    if not alone.doubtful(acc)[0]:
        return last.bias[0]
    unit = 4 * _FLOAT32_ERROR * (abs(float(last.bias[0])) + alone.high - alone.low + 1)
    for k in range(1, tries + 1):
        for offset in (k * unit, -k * unit):
            moved = Affine(last.gain, np.array([last.bias[0] + offset], dtype=np.float32))
            parts = (*alone.functions[:where], moved, *alone.functions[where + 1 :])
            if not replace(alone, functions=parts).doubtful(acc)[0]:
                return moved.bias[0]
    return last.bias[0]


def _tie_distance(value: Double) -> Double:
    return np.abs(value - np.floor(value) - 0.5)
