"""Functions of one integer: what an ONNX graph does to a code between two roundings.

A function is a chain of steps, each with its own parameters a channel. It can be evaluated in two
ways: on arrays of float64 intervals that are sure to hold the real value, which is fast; and on
one fraction, as an interval of fractions as narrow as wanted, which decides where the first cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import CompileError
from .elementary import KINDS
from .rational import Interval, Number, Root, bounds, multiply

__all__ = ["IDENTITY", "Affine", "Both", "Function", "Step", "Unary"]

Floats = NDArray[np.float64]
Channels = NDArray[np.int64]

# Twice what correctly rounded float64 operations of one step can err, and a little for denormals.
_MARGIN = 2.0**-50
_TINY = 1e-290


class Step(Protocol):
    """One real function of one real number, with parameters that may differ by channel."""

    def floats(self, lo: Floats, hi: Floats, channel: Channels) -> tuple[Floats, Floats]:
        """Bounds of the result for bounds of the argument, element by element."""

    def rational(self, x: Interval, channel: int, bits: int) -> Interval:
        """Bounds of the result of one channel."""

    def trend(self, channel: int) -> int | None:
        """1 where it never falls, -1 where it never rises, 0 where it is constant, else None."""

    def take(self, channels: Channels) -> Step:
        """The step whose channel ``k`` is this one's channel ``channels[k]``."""

    @property
    def parameters(self) -> int:
        """How many channels it tells apart; 1 where all are alike."""


def _pick(values: tuple[Any, ...], channels: Channels) -> tuple[Any, ...]:
    return values if len(values) == 1 else tuple(values[k] for k in channels.tolist())


def _at(values: NDArray[Any], channel: Channels) -> NDArray[Any]:
    return values[channel] if len(values) > 1 else values


@dataclass(frozen=True)
class Affine:
    """``gain * x + offset``, one pair a channel or one for all."""

    gain: tuple[Number, ...]
    offset: tuple[Number, ...]

    def __post_init__(self) -> None:
        count = max(len(self.gain), len(self.offset))
        for name in ("gain", "offset"):
            values = getattr(self, name)
            object.__setattr__(self, name, values * count if len(values) == 1 else values)

    def at(self, channel: int) -> tuple[Number, Number]:
        """Gain and offset of one channel."""
        k = channel if len(self.gain) > 1 else 0
        return self.gain[k], self.offset[k]

    @cached_property
    def rational_only(self) -> bool:
        """Whether every number is a fraction."""
        return not any(isinstance(n, Root) for n in (*self.gain, *self.offset))

    def after(self, first: Affine) -> Affine | None:
        """This step after ``first`` as one step, where that keeps an exact zero exact."""
        if not any(first.offset):
            count = max(len(self.gain), len(first.gain))
            pairs = [(self.at(c), first.at(c)) for c in range(count)]
            return Affine(
                tuple(multiply(g, f) for (g, _), (f, _) in pairs), tuple(o for (_, o), _ in pairs)
            )
        if not self.rational_only or not first.rational_only:
            return None
        count = max(len(self.gain), len(first.gain))
        rational: list[tuple[Any, Any]] = [(self.at(c), first.at(c)) for c in range(count)]
        return Affine(
            tuple(a * g for (a, _), (g, _) in rational),
            tuple(a * o + b for (a, b), (_, o) in rational),
        )

    @cached_property
    def _float_gain(self) -> Floats:
        return np.array([float(g) for g in self.gain])

    @cached_property
    def _float_offset(self) -> Floats:
        return np.array([float(o) for o in self.offset])

    def floats(self, lo: Floats, hi: Floats, channel: Channels) -> tuple[Floats, Floats]:
        gain, offset = _at(self._float_gain, channel), _at(self._float_offset, channel)
        a, b = gain * lo, gain * hi
        margin = (np.maximum(np.abs(a), np.abs(b)) + np.abs(offset)) * _MARGIN + _TINY
        return np.minimum(a, b) + offset - margin, np.maximum(a, b) + offset + margin

    def rational(self, x: Interval, channel: int, bits: int) -> Interval:
        gain, offset = self.at(channel)
        lo, hi = _product(bounds(gain, bits), x)
        low, high = bounds(offset, bits)
        return lo + low, hi + high

    def trend(self, channel: int) -> int | None:
        gain, _ = self.at(channel)
        factor = gain.factor if isinstance(gain, Root) else gain
        return (factor > 0) - (factor < 0)

    def take(self, channels: Channels) -> Affine:
        return Affine(_pick(self.gain, channels), _pick(self.offset, channels))

    @property
    def parameters(self) -> int:
        return len(self.gain)


@dataclass(frozen=True)
class Unary:
    """One of :data:`sqwire.compiler.frontend.elementary.KINDS`, with its parameters."""

    kind: str
    constants: tuple[tuple[Fraction, ...], ...] = ()

    @cached_property
    def _float_constants(self) -> list[Floats]:
        return [np.array([float(v) for v in values]) for values in self.constants]

    def _constants(self, channel: int) -> list[Fraction]:
        return [v[channel] if len(v) > 1 else v[0] for v in self.constants]

    def floats(self, lo: Floats, hi: Floats, channel: Channels) -> tuple[Floats, Floats]:
        kind = KINDS[self.kind]
        constants = [_at(v, channel) for v in self._float_constants]
        a, b = kind.floats(lo, *constants), kind.floats(hi, *constants)
        slack = kind.steepest(*constants) * (hi - lo) if kind.steepest else 0.0
        margin = np.maximum(np.abs(a), np.abs(b)) * (8 * _MARGIN) + slack + _TINY
        return np.minimum(a, b) - margin, np.maximum(a, b) + margin

    def rational(self, x: Interval, channel: int, bits: int) -> Interval:
        kind, constants = KINDS[self.kind], self._constants(channel)
        ends = [kind.rational(end, bits, *constants) for end in dict.fromkeys(x)]
        slack = Fraction(0)
        if kind.steepest:
            slack = Fraction(kind.steepest(*constants)) * (x[1] - x[0])
        return min(lo for lo, _ in ends) - slack, max(hi for _, hi in ends) + slack

    def trend(self, channel: int) -> int | None:
        return KINDS[self.kind].trend(*self._constants(channel))

    def take(self, channels: Channels) -> Unary:
        return Unary(self.kind, tuple(_pick(v, channels) for v in self.constants))

    @property
    def parameters(self) -> int:
        return max((len(v) for v in self.constants), default=1)


@dataclass(frozen=True)
class Both:
    """The sum or the product of two functions of the same number."""

    kind: Literal["add", "mul"]
    left: tuple[Step, ...]
    right: tuple[Step, ...]

    def floats(self, lo: Floats, hi: Floats, channel: Channels) -> tuple[Floats, Floats]:
        a, b = _floats(self.left, lo, hi, channel), _floats(self.right, lo, hi, channel)
        if self.kind == "add":
            low, high = a[0] + b[0], a[1] + b[1]
        else:
            corners = [x * y for x in a for y in b]
            low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
        margin = (np.maximum(np.abs(low), np.abs(high))) * _MARGIN + _TINY
        return low - margin, high + margin

    def rational(self, x: Interval, channel: int, bits: int) -> Interval:
        a, b = _rational(self.left, x, channel, bits), _rational(self.right, x, channel, bits)
        if self.kind == "add":
            return a[0] + b[0], a[1] + b[1]
        return _product(a, b)

    def trend(self, channel: int) -> int | None:
        trends = {_trend(self.left, channel), _trend(self.right, channel)} - {0}
        if self.kind == "add" and len(trends) < 2:
            return trends.pop() if trends else 0
        return None

    def take(self, channels: Channels) -> Both:
        left, right = (tuple(s.take(channels) for s in side) for side in (self.left, self.right))
        return Both(self.kind, left, right)

    @property
    def parameters(self) -> int:
        return max((step.parameters for step in (*self.left, *self.right)), default=1)


def _product(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in dict.fromkeys(a) for y in dict.fromkeys(b)]
    return min(corners), max(corners)


def _floats(
    steps: tuple[Step, ...], lo: Floats, hi: Floats, channel: Channels
) -> tuple[Floats, Floats]:
    for step in steps:
        lo, hi = step.floats(lo, hi, channel)
    return lo, hi


def _rational(steps: tuple[Step, ...], x: Interval, channel: int, bits: int) -> Interval:
    for step in steps:
        x = step.rational(x, channel, bits)
    return x


def _trend(steps: tuple[Step, ...], channel: int) -> int | None:
    total: int | None = 1
    for step in steps:
        trend = step.trend(channel)
        if trend == 0:
            return 0
        total = None if trend is None or total is None else total * trend
    return total


@dataclass(frozen=True)
class Function:
    """Steps one after the other; none is the identity."""

    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Function:
        """The function with one more step."""
        if isinstance(step, Affine) and self.steps and isinstance(self.steps[-1], Affine):
            merged = step.after(self.steps[-1])
            if merged is not None:
                return Function((*self.steps[:-1], merged))
        return Function((*self.steps, step))

    def floats(self, x: Floats, channel: Channels) -> tuple[Floats, Floats]:
        """Float64 bounds of the values at ``x``, which is exact."""
        with np.errstate(all="ignore"):
            return _floats(self.steps, x, x, channel)

    def rational(self, x: Fraction, channel: int, bits: int) -> Interval:
        """Bounds of the value at ``x``, about ``bits`` good bits where it is irrational."""
        return _rational(self.steps, (x, x), channel, bits)

    def trend(self, channel: int) -> int | None:
        """Of the whole function in one channel, see :meth:`Step.trend`."""
        return _trend(self.steps, channel)

    def take(self, channels: Channels) -> Function:
        """The function whose channel ``k`` is this one's channel ``channels[k]``."""
        return Function(tuple(step.take(channels) for step in self.steps))

    @property
    def parameters(self) -> int:
        """How many channels it tells apart; 1 where all are alike."""
        return max((step.parameters for step in self.steps), default=1)

    @property
    def affine(self) -> Affine | None:
        """The function as one affine step, if it is one."""
        if not self.steps:
            return Affine((Fraction(1),), (Fraction(0),))
        if len(self.steps) == 1 and isinstance(self.steps[0], Affine):
            return self.steps[0]
        return None

    def line(self, channel: int) -> tuple[float, float] | None:
        """Gain and offset of one channel, nearest floats, if the function is a straight line."""
        if not all(isinstance(step, Affine) for step in self.steps):
            return None
        start, end = (self.rational(Fraction(x), channel, 256) for x in range(2))
        offset = sum(start) / 2
        try:
            return float(sum(end) / 2 - offset), float(offset)
        except OverflowError:
            raise CompileError(
                "gain and offset must be finite in float64, and are not; check the scales"
            ) from None

    def scales(self) -> str:
        """The scale, or where scales differ from which to which, for a message."""
        lines = [self.line(c) for c in range(self.parameters)]
        gains = sorted({abs(line[0]) for line in lines if line is not None})
        if not gains:
            return "of a curve"
        return f"{gains[0]:g}" if len(gains) == 1 else f"{gains[0]:g} .. {gains[-1]:g}"


IDENTITY = Function()
