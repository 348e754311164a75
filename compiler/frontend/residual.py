"""Sums of two activations whose scales have no simple ratio, quantized: small factors, proved.

What is quantized is a function of two codes ``a`` and ``b``. For each value of ``b`` the exact
staircase in ``a`` is known, so it is known for every pair of codes on which side of each step
it lies. The circuit adds ``p * a + q * b`` and compares with integer thresholds; the smallest
``p`` and ``q`` are searched for which thresholds exist that put every pair on its side. If there
are some, the circuit computes the same function, on all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

from .. import ops
from ..errors import CompileError
from .context import Call
from .functions import Affine, Floats, Function
from .rational import Number, Root, multiply
from .rounding import Quantizer
from .staircase import staircases
from .values import Real

__all__ = ["quantize_sum"]

Int = NDArray[np.int64]

_MAX_VALUES = 1 << 10
_MAX_FACTOR = 1 << 16
_MAX_SIDES = 1 << 22
_ONE, _ZERO = (Fraction(1),), (Fraction(0),)


@dataclass(frozen=True)
class _Operand:
    """One side of the sum, turned so that the code rises with its own: ``sign`` says how."""

    real: Real
    sign: Int
    ranges: tuple[Range, ...]
    function: Function


def quantize_sum(call: Call, real: Real, quantizer: Quantizer) -> Real:
    """The codes of ``quantizer(function(left + right))``.

    Raises
    ------
    CompileError
        If there are no such factors, with the scales of both sides.
    """
    assert real.terms is not None
    sides = [_operand(call, side, real.function) for side in (real.terms.left, real.terms.right)]
    many, few = sorted(sides, key=lambda s: -max(r.size for r in s.ranges))
    count = max(r.size for r in few.ranges)
    if count > _MAX_VALUES:
        raise _refusal(real, f"the smaller one has {count} codes, more than {_MAX_VALUES}")
    bounds, levels = _boundaries(real, many, few, quantizer)
    pairs = [_factors(real, many, few, bounds, c) for c in range(len(many.ranges))]
    uniform = _uniform(pairs, bounds, many, few)
    if uniform is not None:
        pairs = [uniform] * len(pairs)
    nodes, factors = _added(call, real, many, few, pairs)
    node = call.context.add(real.terms.name, ops.Add(factors), *nodes)
    steps = tuple(
        _steps(bounds[c], levels[c], many.ranges[c], few.ranges[c], pair)
        for c, pair in enumerate(pairs)
    )
    node = call.context.add(call.name, ops.Staircase(steps), node)
    return Real(node, Function((quantizer.value,)), real.layout)


def _operand(call: Call, real: Real, outer: Function) -> _Operand:
    ranges = call.tensor(real).ranges
    sign = []
    for c in range(len(ranges)):
        own, then = real.function.trend(c), outer.trend(c)
        if own is None or then is None:
            raise CompileError(
                "what is quantized behind a sum of different scales must only rise or only fall; "
                "quantize both with one scale"
            )
        sign.append(-1 if own * then < 0 else 1)
    turned = tuple(r * s for r, s in zip(ranges, sign, strict=True))
    turn = Affine(tuple(Fraction(s) for s in sign), _ZERO)
    function = Function((turn,))
    for step in real.function.steps:
        function = function.then(step)
    return _Operand(real, np.array(sign), turned, function)


def _boundaries(
    real: Real, many: _Operand, few: _Operand, quantizer: Quantizer
) -> tuple[list[Int], list[Int]]:
    """For each channel, where each code begins, and the codes.

    ``bounds[c][k, j]`` is the smallest ``a`` with a code of at least ``levels[c][k + 1]`` when
    ``b`` is the j-th value of its range; one above the range of ``a`` if there is none.
    """
    ranges = list(zip(many.ranges, few.ranges, many.sign.tolist(), few.sign.tolist(), strict=True))
    parts = (many.function, few.function, real.function, quantizer)
    differ = max(part.parameters for part in parts) > 1
    keys = [(c if differ else 0, *own) for c, own in enumerate(ranges)]
    found: dict[tuple[object, ...], tuple[Int, Int]] = {}
    for c, key in enumerate(keys):
        if key not in found:
            found[key] = _channel(real, many, few, quantizer, c)
            if found[key][0].size * len(set(keys)) > _MAX_SIDES:
                raise _refusal(real, "there are too many pairs of codes")
    return [found[key][0] for key in keys], [found[key][1] for key in keys]


def _channel(
    real: Real, many: _Operand, few: _Operand, quantizer: Quantizer, channel: int
) -> tuple[Int, Int]:
    """:func:`_boundaries` of one channel; the values of ``b`` take the place of channels."""
    own, other = many.ranges[channel], few.ranges[channel]
    count = other.size
    parts = [_summands(few.function, code, channel) for code in range(other.lo, other.hi + 1)]
    same = np.full(count, channel)
    function = many.function.take(same)
    for k in range(max(map(len, parts))):
        offset = tuple(p[k] if k < len(p) else Fraction(0) for p in parts)
        function = function.then(Affine(_ONE, offset))
    for step in real.function.take(same).steps:
        function = function.then(step)
    tables = staircases(function, [own] * count, _Alike(quantizer, channel))
    codes = np.unique(np.concatenate([steps.levels for steps in tables]))
    if codes.size * count > _MAX_SIDES:
        raise _refusal(real, "there are too many pairs of codes")
    bounds = np.empty((codes.size - 1, count), dtype=np.int64)
    for j, steps in enumerate(tables):
        starts = np.concatenate([[own.lo], steps.thresholds, [own.hi + 1]])
        bounds[:, j] = starts[np.searchsorted(steps.levels, codes[1:], side="left")]
    return bounds, codes


@dataclass(frozen=True)
class _Alike:
    """A quantizer whose every channel is one channel of another."""

    quantizer: Quantizer
    channel: int

    parameters = 1

    @property
    def value(self) -> Affine:
        return self.quantizer.value

    def decide(self, lo: Floats, hi: Floats, channel: Int) -> tuple[Int, NDArray[np.bool_]]:
        return self.quantizer.decide(lo, hi, np.full_like(channel, self.channel))

    def code(self, x: Fraction, channel: int) -> int:
        return self.quantizer.code(x, self.channel)


def _summands(function: Function, code: int, channel: int) -> list[Number]:
    """Numbers that add up to the value of a function of one code."""
    value: list[Number] = [Fraction(code)]
    for step in function.steps:
        if isinstance(step, Affine):
            gain, offset = step.at(channel)
            value = [multiply(v, gain) for v in value] + [offset]
            rational = sum((v for v in value if isinstance(v, Fraction)), Fraction(0))
            value = [rational, *(v for v in value if isinstance(v, Root))]
        else:
            lo, hi = step.rational((value[0], value[0]), channel, 64)  # type: ignore[arg-type]
            if len(value) > 1 or lo != hi:
                raise CompileError(
                    "one side of a sum of different scales must have rational values; "
                    "quantize it before"
                )
            value = [lo]
    return value


def _fits(bounds: Int, a: Range, b: Range, pair: tuple[int, int]) -> tuple[bool, Int]:
    """Whether ``p * a + q * b`` tells the codes apart; for each code, where it begins."""
    p, q = pair
    shift = q * np.arange(b.lo, b.hi + 1)
    below = np.where(bounds > a.lo, p * (bounds - 1) + shift, np.iinfo(np.int64).min)
    reach = np.where(bounds <= a.hi, p * bounds + shift, np.iinfo(np.int64).max)
    begin = reach.min(axis=1)
    return bool((below.max(axis=1) < begin).all()), begin


def _ratios(ratio: Fraction) -> Iterator[tuple[int, int]]:
    """Pairs ``(p, q)`` of rising size whose ``q / p`` comes ever closer to ``ratio``."""
    p, q, last_p, last_q = 0, 1, 1, 0
    while True:
        whole = ratio.numerator // ratio.denominator
        for k in range(1 if p else max(1, whole), whole + 1) if whole < 64 else [whole]:
            yield last_p + k * p, last_q + k * q
        last_p, last_q, p, q = p, q, last_p + whole * p, last_q + whole * q
        ratio -= whole
        if not ratio or p > _MAX_FACTOR or q > _MAX_FACTOR:
            return
        ratio = 1 / ratio


def _slope(operand: _Operand, channel: int) -> Fraction:
    """How much the middle of the range changes with one code, nearly enough."""
    own = operand.ranges[channel]
    if own.lo == own.hi:
        return Fraction(0)
    low, high = (operand.function.rational(Fraction(x), channel, 128) for x in (own.lo, own.hi))
    return abs(high[0] + high[1] - low[0] - low[1]) / (2 * (own.hi - own.lo))


def _factors(
    real: Real, many: _Operand, few: _Operand, bounds: list[Int], channel: int
) -> tuple[int, int]:
    """The smallest factors found for one channel."""
    a, b = many.ranges[channel], few.ranges[channel]
    slopes = [_slope(side, channel) for side in (many, few)]
    if not bounds[channel].size or not all(slopes):
        candidates: Iterator[tuple[int, int]] = iter([(1, 1), (1, 0), (0, 1), (a.size, 1)])
    else:
        candidates = _ratios(slopes[1] / slopes[0])
    for pair in candidates:
        if max(pair) <= _MAX_FACTOR and _fits(bounds[channel], a, b, pair)[0]:
            return pair
    raise _refusal(real, f"factors up to {_MAX_FACTOR} do not bring them together")


def _uniform(
    pairs: list[tuple[int, int]], bounds: list[Int], many: _Operand, few: _Operand
) -> tuple[int, int] | None:
    """One pair that fits all channels, if one of those found does."""
    if len({*many.sign.tolist()}) > 1 or len({*few.sign.tolist()}) > 1:
        return None
    for pair in sorted(set(pairs), reverse=True):
        fits = (
            _fits(own, a, b, pair)[0]
            for own, a, b in zip(bounds, many.ranges, few.ranges, strict=True)
        )
        if all(fits):
            return pair
    return None


def _added(
    call: Call, real: Real, many: _Operand, few: _Operand, pairs: list[tuple[int, int]]
) -> tuple[list[str], tuple[int, int]]:
    """The nodes to add up and their factors; where these differ by channel, after a Linear."""
    assert real.terms is not None
    nodes, factors = [], []
    for side, column in zip((many, few), zip(*pairs, strict=True), strict=True):
        own = side.sign * np.array(column)
        if len(set(own.tolist())) == 1:
            nodes.append(side.real.node)
            factors.append(int(own[0]))
            continue
        weight = np.diag(own).astype(np.int64)[:, None, None, :]
        op = ops.Linear(weight, np.zeros(len(own), dtype=np.int64))
        nodes.append(call.context.add(f"{real.terms.name}.scale", op, side.real.node))
        factors.append(1)
    return nodes, (factors[0], factors[1])


def _steps(bounds: Int, levels: Int, a: Range, b: Range, pair: tuple[int, int]) -> Steps:
    """The staircase in ``p * a + q * b``."""
    _, begin = _fits(bounds, a, b, pair)
    always = int((bounds <= a.lo).all(axis=1).sum())
    begin, levels = begin[always:], levels[always:]
    last = np.append(begin[1:] > begin[:-1], True)[: len(begin)]
    return Steps(begin[last], np.concatenate([levels[:1], levels[1:][last]]))


def _refusal(real: Real, why: str) -> CompileError:
    assert real.terms is not None
    left, right = (side.function.scales() for side in (real.terms.left, real.terms.right))
    return CompileError(
        f'the scales of both inputs of "{real.terms.name}" must be brought together exactly, and '
        f"{left} and {right} cannot: {why}; quantize both with one scale"
    )
