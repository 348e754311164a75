"""Exact real numbers: fractions, square roots of fractions, and intervals that hold the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompileError

__all__ = ["Interval", "Number", "Root", "bounds", "divide", "exact", "gcd", "multiply", "root"]

Interval = tuple[Fraction, Fraction]
"""A lower and an upper bound of a real number; both are the number where it is rational."""


@dataclass(frozen=True)
class Root:
    """The irrational number ``factor * sqrt(radicand)``; make it with :func:`root`."""

    factor: Fraction
    radicand: Fraction

    def __float__(self) -> float:
        lo, hi = bounds(self, 64)
        return float((lo + hi) / 2)


Number = Fraction | Root
"""A constant of the network: what a file can hold, and the square roots batch norms take."""


def root(factor: Fraction, radicand: Fraction) -> Number:
    """``factor * sqrt(radicand)``, a fraction where it is one.

    Raises
    ------
    CompileError
        If the radicand is negative.
    """
    if radicand < 0:
        raise CompileError(f"a square root must be of a positive number, not {float(radicand):g}")
    over, under = math.isqrt(radicand.numerator), math.isqrt(radicand.denominator)
    if over * over == radicand.numerator and under * under == radicand.denominator:
        return factor * Fraction(over, under)
    return Root(factor, radicand) if factor else Fraction(0)


def multiply(a: Number, b: Number) -> Number:
    """The exact product."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a * b
    (p, r), (q, s) = _parts(a), _parts(b)
    return root(p * q, r * s)


def divide(a: Number, b: Number) -> Number:
    """The exact quotient.

    Raises
    ------
    CompileError
        If the divisor is zero.
    """
    factor, radicand = _parts(b)
    if not factor:
        raise CompileError("a divisor must not be zero")
    return multiply(a, root(1 / (factor * radicand), radicand))


def _parts(number: Number) -> tuple[Fraction, Fraction]:
    if isinstance(number, Root):
        return number.factor, number.radicand
    return number, Fraction(1)


def bounds(number: Number, bits: int) -> Interval:
    """An interval of about ``bits`` good bits that holds the number."""
    if isinstance(number, Fraction):
        return number, number
    over, under = number.radicand.numerator, number.radicand.denominator
    shift = max(0, bits - (over * under).bit_length() // 2)
    floor = math.isqrt(over * under << 2 * shift)
    ends = (number.factor * Fraction(floor + k, under << shift) for k in range(2))
    lo, hi = sorted(ends)
    return lo, hi


def gcd(numbers: Iterable[Fraction]) -> Fraction:
    """The largest fraction of which all are integer multiples; 0 if all are 0."""
    over, under = 0, 1
    for number in numbers:
        over = math.gcd(over * number.denominator, number.numerator * under)
        under *= number.denominator
        shared = math.gcd(over, under)
        over, under = over // shared, under // shared
    return Fraction(over, under)


def exact(values: NDArray[Any]) -> NDArray[Any]:
    """The exact values of an array of numbers, as an array of :data:`Number`.

    Raises
    ------
    CompileError
        If one of them is not finite.
    """
    values = np.asarray(values)
    if values.dtype == object:
        return values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise CompileError("constants must be finite, not NaN or infinite; check the export")
    if values.dtype.kind not in "fiub":
        raise CompileError(f"constants must be numbers, not {values.dtype}")
    result = np.empty(values.shape, dtype=object)
    flat = result.reshape(-1)
    for at, value in enumerate(values.reshape(-1).tolist()):
        flat[at] = Fraction(value)
    return result
