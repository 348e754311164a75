"""Where the floats end: a real function and a quantizer become integer steps.

Every reachable code is accounted for. Where the function only rises or only falls, each step is
found by bisection; where it does not, every code is evaluated. Float64 intervals decide where they
can, fractions where they cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

from ..errors import CompileError
from .functions import IDENTITY, Function
from .rounding import Quantizer

__all__ = ["code_of", "constants", "float_steps", "staircases"]

Int = NDArray[np.int64]

# Beyond these a staircase is refused: evaluations, and steps in all channels together.
_MAX_EVALUATIONS = 1 << 25
_MAX_STEPS = 1 << 22
_CHUNK = 1 << 19

# Irrational values are narrowed to so many bits; what is a tie until then, is taken to be one.
_MOST_BITS = 2048

_LARGEST_FLOAT32 = 0x7F7FFFFF
"""The order number of the largest finite float32; see :func:`_float32`."""


@dataclass(frozen=True)
class _Item:
    """One channel to be tabulated, on the integers from ``lo`` to ``hi``."""

    channel: int
    lo: int
    hi: int


@dataclass(frozen=True)
class _Coder:
    """From domain integers to codes: what they stand for, the function, the quantizer."""

    function: Function
    quantizer: Quantizer
    real: Callable[[Int], NDArray[np.float64]]

    def __call__(self, x: Int, channel: Int) -> Int:
        exact = self.real(x)
        codes, decided = self.quantizer.decide(*self.function.floats(exact, channel), channel)
        for k in np.flatnonzero(~decided):
            value = Fraction(float(exact[k]))
            codes[k] = code_of(self.function, self.quantizer, value, int(channel[k]))
        return codes


def code_of(function: Function, quantizer: Quantizer, x: Fraction, channel: int) -> int:
    """The code of ``function(x)``, exactly."""
    bits = 64
    while True:
        lo, hi = function.rational(x, channel, bits)
        low, high = quantizer.code(lo, channel), quantizer.code(hi, channel)
        if low == high:
            return low
        if bits >= _MOST_BITS:
            return quantizer.code(_simplest(lo, hi), channel)
        bits *= 2


def _simplest(lo: Fraction, hi: Fraction) -> Fraction:
    """The fraction of the smallest denominator from ``lo`` to ``hi``."""
    floor = lo.numerator // lo.denominator
    if floor == lo:
        return lo
    if floor + 1 <= hi:
        return Fraction(floor + 1)
    return floor + 1 / _simplest(1 / (hi - floor), 1 / (lo - floor))


def staircases(
    function: Function, ranges: Sequence[Range], quantizer: Quantizer
) -> tuple[Steps, ...]:
    """The quantized function of every channel, on every code the channel can have.

    Raises
    ------
    CompileError
        If a channel has too many reachable codes, or there would be too many steps.
    """
    many = max(function.parameters, quantizer.parameters) > 1
    keys = [_Item(c if many else 0, r.lo, r.hi) for c, r in enumerate(ranges)]
    items = list(dict.fromkeys(keys))
    bound = max(max(abs(item.lo), abs(item.hi)) for item in items)
    if bound >= 1 << 53:
        raise CompileError(
            f"an accumulator must have at most 53 bits, not reach {bound}; use fewer bits"
        )
    coder = _Coder(function, quantizer, lambda x: x.astype(np.float64))
    found: dict[_Item, Steps] = {}
    rising, rest = _split(coder, items)
    for item, thresholds, levels in _bisect(coder, rising):
        found[item] = Steps(thresholds, levels)
    total = sum(item.hi - item.lo + 1 for item in rest)
    if total > _MAX_EVALUATIONS:
        raise CompileError(
            f"a function that rises and falls must have at most {_MAX_EVALUATIONS} reachable "
            f"values in all channels together, not {total}; use fewer bits"
        )
    for item in rest:
        found[item] = _tabulate(coder, item)
    return tuple(found[key] for key in keys)


def float_steps(
    function: Function, quantizer: Quantizer, channels: int
) -> tuple[tuple[NDArray[np.float32], Int], ...]:
    """For each channel (or one for all), the float32 numbers where the code changes, and levels.

    ``levels[k]`` is the code of ``x`` where ``k`` is how many thresholds are ``<= x``: what a host
    needs to quantize the network's input exactly.
    """
    many = max(function.parameters, quantizer.parameters) > 1
    items = [_Item(c, -_LARGEST_FLOAT32, _LARGEST_FLOAT32) for c in range(channels if many else 1)]
    coder = _Coder(function, quantizer, _float32)
    rising, rest = _split(coder, items)
    if rest:
        raise CompileError(
            "what comes before the input's quantizer must only rise or only fall; "
            "do it before the network"
        )
    return tuple(
        (_float32(t).astype(np.float32), levels) for _, t, levels in _bisect(coder, rising)
    )


def constants(values: NDArray[Any], channel: Int, quantizer: Quantizer) -> Int:
    """Codes of an array of finite floats (or of exact numbers), element by element."""
    flat, channel = values.reshape(-1), channel.reshape(-1)
    if values.dtype != object:
        coder = _Coder(IDENTITY, quantizer, lambda at: flat[at].astype(np.float64))
        return coder(np.arange(flat.size), channel).reshape(values.shape)
    codes = [quantizer.code(x, c) for x, c in zip(flat.tolist(), channel.tolist(), strict=True)]
    return np.array(codes, dtype=np.int64).reshape(values.shape)


def _float32(order: Int) -> NDArray[np.float64]:
    """The ``order``-th float32 above 0, or below it: neighbours have neighbouring orders."""
    magnitude = np.abs(order).astype(np.uint32).view(np.float32).astype(np.float64)
    return np.where(order < 0, -magnitude, magnitude)


def _split(coder: _Coder, items: list[_Item]) -> tuple[list[_Item], list[_Item]]:
    """The items to bisect, and those where evaluating every value is the only way, or cheaper."""
    trends = [coder.function.trend(item.channel) for item in items]
    channel = np.array([item.channel for item in items], dtype=np.int64)
    ends = [
        coder(np.array([getattr(item, end) for item in items], dtype=np.int64), channel)
        for end in ("lo", "hi")
    ]
    bisect: list[_Item] = []
    rest: list[_Item] = []
    for item, trend, rise in zip(items, trends, np.abs(ends[1] - ends[0]).tolist(), strict=True):
        size = item.hi - item.lo + 1
        (bisect if trend is not None and 16 * rise <= size else rest).append(item)
    return bisect, rest


def _bisect(coder: _Coder, items: list[_Item]) -> list[tuple[_Item, Int, Int]]:
    """Thresholds and levels of items that only rise or only fall."""
    if not items:
        return []
    channel = np.array([item.channel for item in items], dtype=np.int64)
    lo = np.array([item.lo for item in items], dtype=np.int64)
    hi = np.array([item.hi for item in items], dtype=np.int64)
    sign = np.array([-1 if coder.function.trend(item.channel) == -1 else 1 for item in items])
    first, last = sign * coder(lo, channel), sign * coder(hi, channel)
    steps = last - first
    if steps.sum() > _MAX_STEPS:
        raise CompileError(
            f"a staircase must have at most {_MAX_STEPS} steps, not {int(steps.sum())}; "
            "use fewer bits"
        )
    # One search for each code: the smallest x whose code is no smaller. left < x <= right.
    of = np.repeat(np.arange(len(items)), steps)
    start = np.repeat(np.cumsum(steps) - steps, steps)
    code = first[of] + 1 + np.arange(len(of)) - start
    left, right = lo[of], hi[of]
    while len(active := np.flatnonzero(right - left > 1)):
        for at in range(0, len(active), _CHUNK):
            part = active[at : at + _CHUNK]
            middle = left[part] + (right[part] - left[part]) // 2
            reached = sign[of[part]] * coder(middle, channel[of[part]]) >= code[part]
            right[part] = np.where(reached, middle, right[part])
            left[part] = np.where(reached, left[part], middle)
    result = []
    for k, own in enumerate(np.split(right, np.cumsum(steps)[:-1])):
        thresholds, count = np.unique(own, return_counts=True)
        levels = sign[k] * (first[k] + np.concatenate([[0], np.cumsum(count)]))
        result.append((items[k], thresholds, levels))
    return result


def _tabulate(coder: _Coder, item: _Item) -> Steps:
    parts = []
    for start in range(item.lo, item.hi + 1, _CHUNK):
        x = np.arange(start, min(start + _CHUNK, item.hi + 1), dtype=np.int64)
        parts.append(coder(x, np.full(len(x), item.channel, dtype=np.int64)))
    return Steps.tabulate(item.lo, np.concatenate(parts))
