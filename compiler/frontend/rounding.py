"""Quantizers: real numbers in, integer codes out, by every rule QONNX has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .functions import Affine, Channels, Floats

__all__ = ["MODES", "Counting", "Quantizer", "Rounding"]

_MARGIN = 2.0**-50
_HALF = Fraction(1, 2)


class Quantizer(Protocol):
    """A step function that never falls: real numbers in, codes out, and what the codes mean."""

    @property
    def value(self) -> Affine:
        """The real number that a code stands for."""

    def decide(
        self, lo: Floats, hi: Floats, channel: Channels
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Codes of the numbers between ``lo`` and ``hi``, and where they are all the same."""

    def code(self, x: Fraction, channel: int) -> int:
        """The code of exactly ``x``."""

    @property
    def parameters(self) -> int:
        """How many channels it tells apart; 1 where all are alike."""


@dataclass(frozen=True)
class Mode:
    """A rule of rounding, on float64 arrays and on fractions."""

    floats: Callable[[Any], Any]
    exactly: Callable[[Fraction], int]


def _away(rule: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The rule of ``rule`` for numbers above 0, mirrored below."""
    return lambda x: np.sign(x) * rule(np.abs(x))


def _mirrored(rule: Callable[[Fraction], int]) -> Callable[[Fraction], int]:
    return lambda x: rule(x) if x >= 0 else -rule(-x)


_HALF_EVEN = Mode(np.rint, round)
_DOWN = Mode(np.fix, math.trunc)

MODES: Mapping[str, Mode] = {
    "ROUND": _HALF_EVEN,
    "HALF_EVEN": _HALF_EVEN,
    "CEIL": Mode(np.ceil, math.ceil),
    "FLOOR": Mode(np.floor, math.floor),
    "UP": Mode(_away(np.ceil), _mirrored(math.ceil)),
    "DOWN": _DOWN,
    "ROUND_TO_ZERO": _DOWN,
    "HALF_UP": Mode(_away(lambda x: np.floor(x + 0.5)), _mirrored(lambda x: math.floor(x + _HALF))),
    "HALF_DOWN": Mode(_away(lambda x: np.ceil(x - 0.5)), _mirrored(lambda x: math.ceil(x - _HALF))),
}
"""The rounding modes of qonnx 1.0, by the names it gives them."""


@dataclass(frozen=True)
class Rounding:
    """``clip(mode(x / scale + zero), lo, hi) - origin``.

    With ``shift``, ``x / scale + zero`` is first rounded half to even and divided by
    ``2 ** shift``: QONNX's ``Trunc``. All are tuples with one entry, or one a channel. ``value``
    says which real number a code stands for.
    """

    scale: tuple[Fraction, ...]
    zero: tuple[Fraction, ...]
    lo: tuple[int, ...]
    hi: tuple[int, ...]
    origin: tuple[int, ...]
    value: Affine
    mode: str = "ROUND"
    shift: int | None = None

    @property
    def parameters(self) -> int:
        return max(len(getattr(self, f)) for f in ("scale", "zero", "lo", "hi", "origin"))

    @property
    def plain(self) -> bool:
        """Whether it is ``clip(round_half_even(x / scale), lo, hi)``, alike in all channels."""
        even = MODES[self.mode] is MODES["ROUND"] and self.shift is None
        return even and self.parameters == 1 and not any(self.zero) and not any(self.origin)

    @cached_property
    def _arrays(self) -> list[Floats]:
        fields = (self.scale, self.zero, self.lo, self.hi, self.origin)
        return [np.array([float(v) for v in field]) for field in fields]

    def decide(
        self, lo: Floats, hi: Floats, channel: Channels
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        scale, zero, least, most, origin = (a[channel] if len(a) > 1 else a for a in self._arrays)
        ends = []
        for end, sign in ((lo, -1), (hi, 1)):
            with np.errstate(all="ignore"):
                y = end / scale
                y = y + zero + sign * _MARGIN * (np.abs(y) + np.abs(zero))
                if self.shift is not None:
                    y = np.rint(y) / 2.0**self.shift
                ends.append(np.clip(MODES[self.mode].floats(y), least, most))
        decided = ends[0] == ends[1]
        return (np.where(decided, ends[0], 0) - origin).astype(np.int64), decided

    def code(self, x: Fraction, channel: int) -> int:
        scale, zero, least, most, origin = (
            v[channel if len(v) > 1 else 0]
            for v in (self.scale, self.zero, self.lo, self.hi, self.origin)
        )
        y = x / scale + zero
        if self.shift is not None:
            y = round(y) / Fraction(2) ** self.shift
        return int(min(max(MODES[self.mode].exactly(y), least), most) - origin)


@dataclass(frozen=True)
class Counting:
    """``first + (how many of a channel's thresholds are <= x)``: MultiThreshold, and a sign."""

    thresholds: tuple[tuple[Fraction, ...], ...]
    """For each channel (or for all) in rising order."""
    first: int
    value: Affine

    @property
    def parameters(self) -> int:
        return len(self.thresholds)

    @cached_property
    def _array(self) -> Floats:
        return np.array([[float(t) for t in row] for row in self.thresholds])

    def decide(
        self, lo: Floats, hi: Floats, channel: Channels
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        low, high = np.empty(lo.shape, np.int64), np.empty(lo.shape, np.int64)
        channel = channel if self.parameters > 1 else np.zeros_like(channel)
        lo, hi = lo - np.abs(lo) * _MARGIN, hi + np.abs(hi) * _MARGIN
        for k in np.unique(channel):
            at = channel == k
            low[at] = np.searchsorted(self._array[k], lo[at], side="right")
            high[at] = np.searchsorted(self._array[k], hi[at], side="right")
        return low + self.first, (low == high) & ~np.isnan(lo) & ~np.isnan(hi)

    def code(self, x: Fraction, channel: int) -> int:
        row = self.thresholds[channel if self.parameters > 1 else 0]
        return self.first + sum(t <= x for t in row)
