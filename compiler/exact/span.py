"""Numbers known to lie between two fractions, and arithmetic on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath

__all__ = ["Span", "Undecided", "decide", "real_function"]


class Undecided(ArithmeticError):
    """Two numbers could not be told apart with the bits allowed."""


@dataclass(frozen=True)
class Span:
    """A real number from ``lo`` to ``hi``."""

    lo: Fraction
    hi: Fraction

    @property
    def middle(self) -> Fraction:
        """The middle."""
        return (self.lo + self.hi) / 2

    @staticmethod
    def of(value: Any) -> Span:
        """A span, which may be a point."""
        return value if isinstance(value, Span) else Span(Fraction(value), Fraction(value))

    def __add__(self, other: Any) -> Span:
        other = Span.of(other)
        return Span(self.lo + other.lo, self.hi + other.hi)

    __radd__ = __add__

    def __neg__(self) -> Span:
        return Span(-self.hi, -self.lo)

    def __sub__(self, other: Any) -> Span:
        return self + -Span.of(other)

    def __rsub__(self, other: Any) -> Span:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if other == 0:
            return Fraction(0)
        other = Span.of(other)
        ends = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Span(min(ends), max(ends))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        other = Span.of(other)
        if other.lo <= 0 <= other.hi:
            raise Undecided("division by a number that may be 0")
        return self * Span(1 / other.hi, 1 / other.lo)

    def __rtruediv__(self, other: Any) -> Any:
        return Span.of(other) / self

    def _compare(self, other: Any) -> int:
        other = Span.of(other)
        if self.lo > other.hi:
            return 1
        if self.hi < other.lo:
            return -1
        raise Undecided(f"{float(self.lo)!r} against {float(other.lo)!r}")

    def __lt__(self, other: Any) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._compare(other) < 0

    def __gt__(self, other: Any) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._compare(other) > 0

    def __abs__(self) -> Any:
        return self if self > 0 else -self


def decide(function: Callable[[Fraction], int], value: Any) -> int:
    """A step function of a number; its steps must not lie within the span."""
    if not isinstance(value, Span):
        return function(value)
    low, high = function(value.lo), function(value.hi)
    if low != high:
        raise Undecided(f"a step at {float(value.lo)!r}")
    return low


def real_function(function: Callable[[Any], Any], value: Any, bits: int) -> Span:
    """An elementary function that only rises, by mpmath's interval arithmetic."""
    span = Span.of(value)
    old = mpmath.iv.prec
    mpmath.iv.prec = bits + 64
    try:
        ends = [
            function(mpmath.iv.mpf(end.numerator) / end.denominator) for end in (span.lo, span.hi)
        ]
        return Span(_fraction(ends[0]._mpi_[0]), _fraction(ends[1]._mpi_[1]))
    finally:
        mpmath.iv.prec = old


def _fraction(end: Any) -> Fraction:
    sign, mantissa, exponent, _ = end
    return Fraction(-mantissa if sign else mantissa) * Fraction(2) ** exponent
