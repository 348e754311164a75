"""The elementary functions of ONNX, once in float64 and once as intervals of fractions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from ..errors import CompileError
from .rational import Interval, bounds, root

__all__ = ["KINDS", "Kind"]

# Beyond it functions that saturate have done so, and exponentials are refused.
_LARGE = 1 << 16


@dataclass(frozen=True)
class Kind:
    """One function: on float64 arrays, on one fraction, and how it rises.

    ``steepest`` bounds its slope; needed only where it neither rises nor falls throughout.
    """

    floats: Callable[..., Any]
    rational: Callable[..., Interval]
    trend: Callable[..., int | None] = lambda *_: 1
    steepest: Callable[..., Any] | None = None


def _point(function: Callable[..., Any]) -> Callable[..., Interval]:
    """A function with rational values as one with intervals."""

    def rational(x: Fraction, bits: int, *constants: Fraction) -> Interval:
        value = Fraction(function(x, *constants))
        return value, value

    return rational


def _enclose(function: Callable[[Any], Any], x: Fraction, bits: int) -> Interval:
    """Bounds of an mpmath function that errs by a few units in the last place."""
    if abs(x) > _LARGE:
        raise CompileError(
            f"the argument of an exponential must lie within {_LARGE}, not reach {float(x):.3g}; "
            "clip it"
        )
    with mpmath.workprec(bits + 32 + max(0, x.numerator.bit_length() - x.denominator.bit_length())):
        value = function(mpmath.mpf(x.numerator) / x.denominator)
        sign, mantissa, exponent, _ = value._mpf_
    result = Fraction(-mantissa if sign else mantissa) * Fraction(2) ** exponent
    error = abs(result) / (1 << bits) + Fraction(1, 1 << 4 * bits)
    return result - error, result + error


def _saturating(
    function: Callable[[Any], Any], low: int, high: int, zero: Fraction | None
) -> Callable[..., Interval]:
    """A function that rises from ``low`` to ``high``, and is rational only at 0, if there."""

    def rational(x: Fraction, bits: int) -> Interval:
        if x == 0 and zero is not None:
            return zero, zero
        if abs(x) > _LARGE:
            end, inside = Fraction(high if x > 0 else low), Fraction(1, 1 << bits)
            return (end - inside, end) if x > 0 else (end, end + inside)
        return _enclose(function, x, bits)

    return rational


def _exp(x: Fraction, bits: int) -> Interval:
    return (Fraction(1), Fraction(1)) if x == 0 else _enclose(mpmath.exp, x, bits)


def _log(x: Fraction, bits: int) -> Interval:
    if x <= 0:
        raise CompileError(f"a logarithm must be of a positive number, not {float(x):g}")
    return (Fraction(0), Fraction(0)) if x == 1 else _enclose(mpmath.log, x, bits)


def _softplus(x: Fraction, bits: int) -> Interval:
    if abs(x) > _LARGE:
        return max(x, Fraction(0)), max(x, Fraction(0)) + Fraction(1, 1 << bits)
    return _enclose(lambda v: mpmath.log1p(mpmath.exp(v)), x, bits)


def _elu(x: Fraction, bits: int, alpha: Fraction, over: Fraction = Fraction(1)) -> Interval:
    """``alpha * (exp(x / over) - 1)`` below 0, ``x`` above."""
    if x >= 0:
        return x, x
    if x < -_LARGE * over:
        ends = [-alpha, -alpha * (1 - Fraction(1, 1 << bits))]
    else:
        ends = [alpha * end for end in _enclose(mpmath.expm1, x / over, bits)]
    return min(ends), max(ends)


def _erf(x: Any) -> Any:
    return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)


KINDS: Mapping[str, Kind] = {
    "AtLeast": Kind(np.maximum, _point(max)),
    "AtMost": Kind(np.minimum, _point(min)),
    "Leaky": Kind(
        lambda x, slope: np.where(x < 0, slope * x, x),
        _point(lambda x, slope: slope * x if x < 0 else x),
        lambda slope: 1 if slope >= 0 else None,
        lambda slope: abs(slope) + 1,
    ),
    "Abs": Kind(np.abs, _point(abs), lambda: None, lambda: 1),
    "Sign": Kind(np.sign, _point(lambda x: (x > 0) - (x < 0))),
    "Floor": Kind(np.floor, _point(math.floor)),
    "Ceil": Kind(np.ceil, _point(math.ceil)),
    "Round": Kind(np.rint, _point(round)),
    "Fix": Kind(np.fix, _point(math.trunc)),
    "Above": Kind(
        lambda x, least: np.where(x > least, x, 0.0),
        _point(lambda x, least: x if x > least else 0),
        lambda least: 1 if least >= 0 else None,
        lambda least: 1,
    ),
    "Softsign": Kind(lambda x: x / (1 + np.abs(x)), _point(lambda x: x / (1 + abs(x)))),
    "Sqrt": Kind(np.sqrt, lambda x, bits: bounds(root(Fraction(1), x), bits)),
    "Exp": Kind(np.exp, _exp),
    "Log": Kind(np.log, _log),
    "Sigmoid": Kind(
        lambda x: 1 / (1 + np.exp(-x)),
        _saturating(lambda v: 1 / (1 + mpmath.exp(-v)), 0, 1, Fraction(1, 2)),
    ),
    "Tanh": Kind(np.tanh, _saturating(mpmath.tanh, -1, 1, Fraction(0))),
    "Erf": Kind(_erf, _saturating(mpmath.erf, -1, 1, Fraction(0))),
    "Softplus": Kind(lambda x: np.logaddexp(0, x), _softplus),
    "Elu": Kind(
        lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
        _elu,
        lambda alpha: 1 if alpha >= 0 else None,
        lambda alpha: abs(alpha) + 1,
    ),
    "Celu": Kind(
        lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x),
        lambda x, bits, alpha: _elu(x, bits, alpha, alpha),
    ),
}
"""Each elementary function by name. Every function of ONNX here is a chain of these."""
