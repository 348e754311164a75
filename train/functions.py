"""Functions of one real number that may stand between an accumulator and the next code.

Each is a frozen dataclass with the same four answers: ``double`` in float64 on arrays
(channels, ...), ``exact`` on one fraction, whether it commutes with positive factors
(``homogeneous``), and ``scaled``: the function ``f'`` with ``f'(v / s) = f(v) / s`` where it does.
Constants are float32 and taken at their word.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Affine", "Clip", "Function", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Silu"]

Double = NDArray[np.float64]
Single = NDArray[np.float32]

_DIGITS = 60
# Beyond it a sigmoid is 0 or 1 to more digits than decide anything.
_SATURATED = 200


class Function(Protocol):
    """What every function here answers."""

    @property
    def homogeneous(self) -> bool: ...

    def double(self, v: Double) -> Double: ...

    def exact(self, v: Fraction, channel: int) -> Fraction: ...

    def scaled(self, s: float) -> Function: ...


@dataclass(frozen=True, eq=False)
class Affine:
    """``gain * v + bias``, one float32 each a channel.

    Raises
    ------
    ValueError
        If a constant is not finite.
    """

    gain: Single
    bias: Single
    homogeneous = False

    def __post_init__(self) -> None:
        for constants in (self.gain, self.bias):
            if not np.isfinite(constants).all():
                wrong = constants[~np.isfinite(constants)][0]
                raise ValueError(
                    f"Staircase: gain and bias must be finite, not {wrong}; "
                    "the training diverged, lower the learning rate"
                )

    def double(self, v: Double) -> Double:
        shape = (-1,) + (1,) * (v.ndim - 1)
        return v * self.gain.astype(np.float64).reshape(shape) + self.bias.astype(
            np.float64
        ).reshape(shape)

    def exact(self, v: Fraction, channel: int) -> Fraction:
        return v * Fraction(float(self.gain[channel])) + Fraction(float(self.bias[channel]))

    def scaled(self, s: float) -> Affine:
        raise TypeError("an affine function takes its scale as a factor")

    def channel(self, k: int) -> Affine:
        """The function of one channel."""
        return Affine(self.gain[k : k + 1], self.bias[k : k + 1])


@dataclass(frozen=True)
class Relu:
    """``max(v, 0)``."""

    homogeneous = True

    def double(self, v: Double) -> Double:
        return np.maximum(v, 0)

    def exact(self, v: Fraction, channel: int) -> Fraction:
        return max(v, Fraction(0))

    def scaled(self, s: float) -> Relu:
        return self


@dataclass(frozen=True)
class LeakyRelu:
    """``v`` where positive, else ``slope * v``; ``slope`` is a float32 from 0 to 1."""

    slope: float
    homogeneous = True

    def double(self, v: Double) -> Double:
        return np.where(v < 0, v * self.slope, v)

    def exact(self, v: Fraction, channel: int) -> Fraction:
        return v * Fraction(self.slope) if v < 0 else v

    def scaled(self, s: float) -> LeakyRelu:
        return self


@dataclass(frozen=True)
class Clip:
    """``clamp(v, low, high)``, both float32; ReLU6 is ``Clip(0, 6)``."""

    low: float
    high: float
    homogeneous = True

    def double(self, v: Double) -> Double:
        return np.clip(v, self.low, self.high)

    def exact(self, v: Fraction, channel: int) -> Fraction:
        return min(max(v, Fraction(self.low)), Fraction(self.high))

    def scaled(self, s: float) -> Clip:
        return Clip(float(np.float32(self.low / s)), float(np.float32(self.high / s)))


@dataclass(frozen=True)
class HardSwish:
    """``v * clamp(v / 6 + 1/2, 0, 1)``; falls to -3/8 at -3/2."""

    homogeneous = False
    dip = -1.5

    def double(self, v: Double) -> Double:
        return v * np.clip(v / 6 + 0.5, 0, 1)

    def exact(self, v: Fraction, channel: int) -> Fraction:
        return v * min(max(v / 6 + Fraction(1, 2), Fraction(0)), Fraction(1))

    def scaled(self, s: float) -> HardSwish:
        raise TypeError("HardSwish does not commute with factors")


@dataclass(frozen=True)
class Sigmoid:
    """``1 / (1 + exp(-v))``; exact to 60 digits."""

    homogeneous = False

    def double(self, v: Double) -> Double:
        return 1 / (1 + np.exp(-np.clip(v, -700, 700)))

    def exact(self, v: Fraction, channel: int) -> Fraction:
        if abs(v) > _SATURATED:
            return Fraction(int(v > 0))
        with localcontext() as context:
            context.prec = _DIGITS
            power = (-Decimal(v.numerator) / Decimal(v.denominator)).exp()
            return Fraction(1 / (1 + power))

    def scaled(self, s: float) -> Sigmoid:
        raise TypeError("Sigmoid does not commute with factors")


@dataclass(frozen=True)
class Silu:
    """``v / (1 + exp(-v))``; exact to 60 digits; falls to -0.2785 at -1.2785."""

    homogeneous = False
    dip = -1.2785

    def double(self, v: Double) -> Double:
        return v * Sigmoid().double(v)

    def exact(self, v: Fraction, channel: int) -> Fraction:
        return v * Sigmoid().exact(v, channel)

    def scaled(self, s: float) -> Silu:
        raise TypeError("SiLU does not commute with factors")
