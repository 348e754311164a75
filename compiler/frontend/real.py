"""Real-valued tensors as exact functions of integer codes: where the floats end.

Between two roundings an ONNX graph works on real numbers. Here such a tensor is the integer node
it comes from and, for each channel, a chain of steps that turns its code into the real value.
Constants are exact fractions, so chains compose without rounding; when a quantizer ends
the chain, the whole function is evaluated on every reachable code and becomes a staircase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

from ..errors import CompileError

__all__ = ["Affine", "Quantizer", "Real", "Relu", "exact", "quantize", "steps"]

# Beyond this many reachable values a staircase is not tabulated.
_MAX_REACHABLE = 1 << 24


@dataclass(frozen=True)
class Affine:
    """``gain * x + offset``, one pair a channel or one for all."""

    gain: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]

    def after(self, first: Affine) -> Affine:
        """This step after ``first``, as one step."""
        count = max(len(self.gain), len(first.gain))
        pairs = [(self.at(c), first.at(c)) for c in range(count)]
        return Affine(
            tuple(a * g for (a, _), (g, _) in pairs),
            tuple(a * o + b for (a, b), (_, o) in pairs),
        )

    def at(self, channel: int) -> tuple[Fraction, Fraction]:
        """Gain and offset of one channel."""
        k = channel if len(self.gain) > 1 else 0
        return self.gain[k], self.offset[k]


@dataclass(frozen=True)
class Relu:
    """``max(x, 0)``."""


@dataclass(frozen=True)
class Real:
    """``chain`` applied to the codes of the graph node ``node``.

    ``order``, if given, says for each feature of a flattened tensor, in ONNX order, which channel
    of ``node`` holds it.
    """

    node: str
    chain: tuple[Affine | Relu, ...]
    order: tuple[int, ...] | None = None

    def then(self, step: Affine | Relu) -> Real:
        """The tensor after one more step."""
        if isinstance(step, Affine) and self.chain and isinstance(self.chain[-1], Affine):
            return replace(self, chain=(*self.chain[:-1], step.after(self.chain[-1])))
        return replace(self, chain=(*self.chain, step))

    @property
    def affine(self) -> Affine | None:
        """The chain, if it is one affine step."""
        if len(self.chain) == 1 and isinstance(self.chain[0], Affine):
            return self.chain[0]
        return None

    @property
    def scale(self) -> Fraction | None:
        """The scale, if the value is just ``scale * code`` with one positive scale for all."""
        affine = self.affine
        if affine is None or any(affine.offset) or len(set(affine.gain)) != 1:
            return None
        return affine.gain[0] if affine.gain[0] > 0 else None


@dataclass(frozen=True)
class Quantizer:
    """``clip(round_half_even(x / scale), lo, hi)``, with one scale, or one a channel."""

    scale: tuple[Fraction, ...]
    range: Range
    rounding: Literal["ROUND"] = "ROUND"


def exact(values: NDArray[np.floating]) -> tuple[Fraction, ...]:
    """The exact values of floats.

    Raises
    ------
    CompileError
        If one of them is not finite.
    """
    flat = [float(v) for v in np.asarray(values).reshape(-1)]
    if not np.isfinite(flat).all():
        raise CompileError("constants must be finite, not NaN or infinite; check the export")
    return tuple(Fraction(v) for v in flat)


def quantize(x: NDArray[np.floating], scale: Fraction, domain: Range) -> NDArray[np.int64]:
    """Codes of constants, exactly: ``clip(round_half_even(x / scale), lo, hi)``."""
    flat = np.asarray(x, dtype=np.float64).reshape(-1)
    codes = _round(
        flat / float(scale), np.abs(flat) / float(scale), lambda k: Fraction(float(flat[k])) / scale
    )
    return np.clip(codes, domain.lo, domain.hi).astype(np.int64).reshape(np.shape(x))


def steps(
    chain: Sequence[Affine | Relu], channel: int, domain: Range, quantizer: Quantizer
) -> Steps:
    """The quantized chain of one channel, evaluated on every code of ``domain``.

    Float64 decides where it is far enough from a tie, exact fractions where it is not.
    """
    if domain.size > _MAX_REACHABLE:
        raise CompileError(
            f"an accumulator may reach at most {_MAX_REACHABLE} values, not {domain.size}; "
            "use fewer bits"
        )
    scale = quantizer.scale[channel if len(quantizer.scale) > 1 else 0]
    x = np.arange(domain.lo, domain.hi + 1, dtype=np.float64)
    value, magnitude = x, np.abs(x)
    for step in chain:
        if isinstance(step, Relu):
            value = np.maximum(value, 0)
        else:
            gain, offset = (float(f) for f in step.at(channel))
            value = gain * value + offset
            magnitude = abs(gain) * magnitude + abs(offset)

    def precisely(k: int) -> Fraction:
        result = Fraction(domain.lo + k)
        for step in chain:
            if isinstance(step, Relu):
                result = max(result, Fraction(0))
            else:
                gain, offset = step.at(channel)
                result = gain * result + offset
        return result / scale

    codes = _round(value / float(scale), magnitude / float(scale), precisely)
    codes = np.clip(codes, quantizer.range.lo, quantizer.range.hi)
    return Steps.tabulate(domain.lo, codes.astype(np.int64))


def _round(
    value: NDArray[np.float64],
    magnitude: NDArray[np.float64],
    precisely: Callable[[int], Fraction],
) -> NDArray[np.float64]:
    """Round half to even; where float64 may be on the wrong side of a tie, ask ``precisely``.

    ``magnitude`` bounds the terms that ``value`` was summed from, so a few units in the last
    place of it bound the error of ``value``.
    """
    codes = np.rint(value)
    near = np.abs(value - np.floor(value) - 0.5) <= 1e-13 * (magnitude + 1)
    for k in np.flatnonzero(near):
        codes[k] = round(precisely(int(k)))
    return codes
