"""Constants as integer weights: one scale an output channel, the rest in the integers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompileError
from .rational import gcd
from .values import Array, Value, Weight

__all__ = ["as_weight", "integer_rows"]

Int = NDArray[np.int64]

# What a constant without a quantizer may need to count as quantized, and a factor between scales.
_MAX_CODE = 1 << 15
_MAX_FACTOR = 1 << 12


def as_weight(value: Value | None, what: str = "a weight") -> Weight:
    """A constant as codes and scale; plain numbers must be small multiples of one number.

    Raises
    ------
    CompileError
        If it is no constant, or not quantized.
    """
    if isinstance(value, Weight):
        return value
    if not isinstance(value, np.ndarray):
        raise CompileError(f"{what} must be a constant, not an activation")
    if value.dtype.kind in "iub":
        return Weight(value.astype(np.int64), np.full((1,) * value.ndim, Fraction(1), dtype=object))
    if value.dtype == object:
        unit = gcd(v for v in value.reshape(-1) if isinstance(v, Fraction)) or Fraction(1)
        ratios = [
            v / unit if isinstance(v, Fraction) else Fraction(1, 2) for v in value.reshape(-1)
        ]
        fits = all(r.denominator == 1 and abs(r) <= _MAX_CODE for r in ratios)
        codes = np.array([int(r) for r in ratios], dtype=np.int64).reshape(value.shape)
    else:
        values = value.astype(np.float64)
        if not np.isfinite(values).all():
            raise CompileError(f"{what} must be finite, not NaN or infinite; check the export")
        unit = _dyadic_unit(values)
        scaled = values / float(unit)
        fits = bool((np.abs(scaled) <= _MAX_CODE).all())
        codes = scaled.astype(np.int64) if fits else np.zeros(values.shape, np.int64)
    if not fits:
        raise CompileError(
            f"{what} must be quantized: its values have no common scale; put a Quant before it"
        )
    return Weight(codes, np.full((1,) * value.ndim, unit, dtype=object))


def _dyadic_unit(values: NDArray[np.float64]) -> Fraction:
    """The largest power of two of which all are multiples, none below 2**-200."""
    nonzero = values[values != 0]
    if not nonzero.size:
        return Fraction(1)
    mantissa, exponent = np.frexp(nonzero)
    whole = (mantissa * 2.0**53).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64))
    return Fraction(2) ** max(-200, int((exponent - 53 + trailing).min()))


def integer_rows(
    codes: Int, scale: Array, gains: tuple[Fraction, ...]
) -> tuple[Int, list[Fraction]]:
    """Integer weights and a scale a row, for ``codes * scale`` on inputs with gains a channel.

    ``codes`` is (rows, ..., channels), ``scale`` broadcasts to it, ``gains`` is one, or one a
    channel: row ``r`` of the result times its scale is ``codes[r] * scale[r] * gains``.

    Raises
    ------
    CompileError
        If scales within one row have no ratio of small integers.
    """
    rows = len(codes)
    whole = np.array(gains, dtype=object) * scale
    column = whole.reshape(len(whole), -1)
    if column.shape[1] == 1:
        return codes, [column[r if len(whole) > 1 else 0, 0] for r in range(rows)]
    result, units = np.zeros_like(codes), []
    for r in range(rows):
        own = np.broadcast_to(whole[r if len(whole) > 1 else 0], codes[r].shape)
        used = codes[r] != 0
        distinct: list[Any] = list(dict.fromkeys(own[used].tolist()))
        unit = gcd(distinct) or Fraction(1)
        factors = {value: int(value / unit) for value in distinct}
        if max(map(abs, factors.values()), default=0) > _MAX_FACTOR:
            few = sorted(map(float, distinct))
            raise CompileError(
                f"what one output sums up must have scales in a ratio of small integers, not "
                f"{few[0]:g} and {few[-1]:g}; quantize with one scale"
            )
        result[r][used] = codes[r][used] * [factors[value] for value in own[used].tolist()]
        units.append(unit)
    return result, units


def dense_groups(codes: Array, groups: int) -> Array:
    """(out, in / groups, ...) as (out, in, ...): zeros where a group sees no input."""
    out, own = codes.shape[:2]
    result = np.zeros((out, own * groups, *codes.shape[2:]), dtype=codes.dtype)
    if codes.dtype == object:
        result[...] = Fraction(0)
    part = out // groups
    for group in range(groups):
        rows, columns = (
            slice(group * part, (group + 1) * part),
            slice(group * own, (group + 1) * own),
        )
        result[rows, columns] = codes[rows]
    return result


def bounded(shape: tuple[int, ...], most: int) -> None:
    """Refuse a weight of a size that no circuit will ever hold."""
    if math.prod(shape) > most:
        raise CompileError(f"a weight must have at most {most} elements, not shape {shape}")
