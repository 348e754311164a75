"""Exact rules of quantizers and of functions of one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from .rules import Pointwise, Reader, Rule, Spec, Value, pointwise
from .span import Span, decide, real_function

__all__ = ["SCALARS", "exp", "integer_type", "larger", "square_root"]

ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round,
    "HALF_EVEN": round,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": lambda v: math.ceil(v) if v > 0 else math.floor(v),
    "DOWN": lambda v: math.floor(v) if v > 0 else math.ceil(v),
    "ROUND_TO_ZERO": lambda v: math.floor(v) if v > 0 else math.ceil(v),
    "HALF_UP": lambda v: math.floor(v + Fraction(1, 2)) if v > 0 else math.ceil(v - Fraction(1, 2)),
    "HALF_DOWN": lambda v: (
        math.ceil(v - Fraction(1, 2)) if v > 0 else math.floor(v + Fraction(1, 2))
    ),
}


def quant(spec: Spec) -> Rule:
    signed, narrow = (int(spec.attributes[name]) for name in ("signed", "narrow"))
    rule = ROUNDINGS[str(spec.attributes.get("rounding_mode", "ROUND")).upper()]

    def function(x: Value, scale: Fraction, zero: Fraction, bits: Fraction) -> Value:
        y = x / scale + zero if zero else x / scale
        if bits == 1 and signed:
            q = decide(lambda v: 1 if v >= 0 else -1, y)
        else:
            most = 2 ** int(bits - signed) - 1 - (narrow if not signed else 0)
            least = -(2 ** int(bits - 1)) + narrow if signed else 0
            q = decide(lambda v: min(max(rule(v), least), most), y)
        return (q - zero) * scale if zero else q * scale

    return pointwise(spec, function)


def bipolar(spec: Spec) -> Rule:
    return pointwise(spec, lambda x, s: decide(lambda v: 1 if v >= 0 else -1, x) * s)


def trunc(spec: Spec) -> Rule:
    rule = ROUNDINGS[str(spec.attributes.get("rounding_mode", "FLOOR")).upper()]
    signed, narrow = spec.attributes.get("signed", 1), spec.attributes.get("narrow", 0)

    def first(x: Value, s: Fraction, z: Fraction, before: Fraction, after: Fraction) -> Value:
        part = Fraction(2) ** int(before - after)
        return (decide(lambda v: rule(round(v) / part), x / s + z) - z) * s

    def second(x: Value, s: Fraction, z: Fraction, _: Fraction, out: Fraction, b: Fraction) -> Any:
        part = Fraction(2) ** round(math.log2(out / s))
        most = 2 ** int(b - signed) - 1 - (narrow if not signed else 0)
        least = -(2 ** int(b - 1)) + narrow if signed else 0
        q = decide(lambda v: min(max(rule(round(v) / part), least), most), x / s + z)
        return (q - z / part) * out

    return pointwise(spec, second if len(spec.shapes) > 5 else first)


def multi_threshold(spec: Spec) -> Rule:
    layout = spec.attributes.get("data_layout") or {2: "NC", 3: "NWC", 4: "NCHW"}[len(spec.shape())]
    table = [[Fraction(float(t)) for t in row] for row in spec.array(1).tolist()]
    axis = layout.index("C")
    shape = spec.shape()
    rows = np.arange(shape[axis]).reshape(-1, *[1] * (len(shape) - axis - 1))
    row = np.broadcast_to(rows, shape).reshape(-1) if len(table) > 1 else np.zeros(1, int)
    scale, bias = spec.number("out_scale", 1.0), spec.number("out_bias", 0.0)

    class Thresholds(Pointwise):
        def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
            def count(f: int) -> Callable[[Fraction], int]:
                own = table[int(row[f % len(row)])]
                return lambda v: sum(v >= t for t in own)

            return {f: scale * decide(count(f), reader.value(0, f)) + bias for f in flat}

    return Thresholds(shape, {0: np.arange(math.prod(shape))}, lambda: None)


def batch_normalization(spec: Spec) -> Rule:
    epsilon = spec.number("epsilon", 1e-5)

    def function(x: Value, gain: Any, bias: Any, mean: Any, variance: Any) -> Value:
        return (x - mean) * (gain / square_root(variance + epsilon, spec.bits)) + bias

    return pointwise(spec, function, align=1)


def square_root(v: Any, bits: int) -> Any:
    """The square root of a fraction: exact where it is one."""
    if isinstance(v, Span):
        return Span(Span.of(square_root(v.lo, bits)).lo, Span.of(square_root(v.hi, bits)).hi)
    over, under = math.isqrt(v.numerator), math.isqrt(v.denominator)
    if over * over == v.numerator and under * under == v.denominator:
        return Fraction(over, under)
    floor = math.isqrt(v.numerator * v.denominator << 2 * bits)
    return Span(Fraction(floor, v.denominator << bits), Fraction(floor + 1, v.denominator << bits))


def larger(a: Value, b: Value) -> Value:
    """The maximum, also of spans that overlap."""
    if not isinstance(a, Span) and not isinstance(b, Span):
        return max(a, b)
    a, b = Span.of(a), Span.of(b)
    return Span(max(a.lo, b.lo), max(a.hi, b.hi))


def smaller(a: Value, b: Value) -> Value:
    """The minimum, also of spans that overlap."""
    return -larger(-a, -b)


def unary(function: Callable[[Spec, Value], Value]) -> Callable[[Spec], Rule]:
    """A rule for a function of input 0 alone."""

    def make(spec: Spec) -> Rule:
        at = np.arange(math.prod(spec.shape()))
        return Pointwise(spec.shape(), {0: at}, lambda x: function(spec, x))

    return make


def stepwise(function: Callable[[Fraction], int]) -> Callable[[Spec], Rule]:
    """A rule for a step function."""
    return unary(lambda spec, x: Fraction(decide(function, x)))


def elementary(function: Callable[[Any], Any]) -> Callable[[Spec], Rule]:
    """A rule for a function that only rises, in mpmath's interval arithmetic."""
    return unary(lambda spec, x: real_function(function, x, spec.bits))


def exp(x: Value, bits: int) -> Value:
    return Fraction(1) if x == 0 else real_function(mpmath.iv.exp, x, bits)


def sigmoid(spec: Spec, x: Value) -> Value:
    return 1 / (1 + exp(-x, spec.bits))


def tanh(spec: Spec, x: Value) -> Value:
    return 1 - 2 / (exp(2 * x, spec.bits) + 1)


def erf(spec: Spec, x: Value) -> Value:
    if x == 0:
        return Fraction(0)
    ends = []
    for end, sign in ((Span.of(x).lo, -1), (Span.of(x).hi, 1)):
        with mpmath.workprec(spec.bits + 64):
            value = mpmath.erf(mpmath.mpf(end.numerator) / end.denominator)
            minus, mantissa, exponent, _ = value._mpf_
        found = Fraction(-mantissa if minus else mantissa) * Fraction(2) ** exponent
        ends.append(found + sign * Fraction(1, 1 << spec.bits))
    return Span(*ends)


def softplus(spec: Spec, x: Value) -> Value:
    return real_function(mpmath.iv.log, 1 + exp(x, spec.bits), spec.bits)


def branch(x: Value, below: Callable[[Value], Value], above: Callable[[Value], Value]) -> Value:
    """``below`` for numbers under 0, ``above`` for others; both meet at 0."""
    if isinstance(x, Span) and x.lo < 0 < x.hi:
        parts = [Span.of(below(Span(x.lo, Fraction(0)))), Span.of(above(Span(Fraction(0), x.hi)))]
        return Span(min(p.lo for p in parts), max(p.hi for p in parts))
    under = x.hi <= 0 and x.lo < 0 if isinstance(x, Span) else x < 0
    return below(x) if under else above(x)


def elu(spec: Spec, x: Value, alpha: Fraction, over: Fraction = Fraction(1)) -> Value:
    return branch(x, lambda v: alpha * (exp(v / over, spec.bits) - 1), lambda v: v)


def hard_sigmoid(x: Value, alpha: Fraction, beta: Fraction) -> Value:
    return smaller(larger(alpha * x + beta, Fraction(0)), Fraction(1))


def clip(spec: Spec) -> Rule:
    ends = [None, None]
    for k, name in ((1, "min"), (2, "max")):
        if spec.has(k):
            ends[k - 1] = spec.array(k).reshape(-1)[0]
        elif name in spec.attributes:
            ends[k - 1] = spec.number(name, 0)  # type: ignore[call-overload]

    def function(_: Spec, x: Value) -> Value:
        x = x if ends[0] is None else larger(x, ends[0])
        return x if ends[1] is None else smaller(x, ends[1])

    return unary(function)(spec)


def power(spec: Spec) -> Rule:
    def function(x: Value, exponent: Fraction) -> Value:
        if exponent == Fraction(1, 2):
            return square_root(x, spec.bits)
        result: Value = Fraction(1)
        for _ in range(int(exponent)):
            result = result * x
        return result

    return pointwise(spec, function)


def integer_type(spec: Spec, k: int) -> tuple[int, int]:
    """Smallest and largest integer of the type of a zero point."""
    name = spec.dtype(k) or "uint8"
    bits = int(name.removeprefix("u").removeprefix("int"))
    return (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def quantize_linear(spec: Spec) -> Rule:
    lo, hi = integer_type(spec, 2)

    def function(x: Value, scale: Fraction, zero: Fraction = Fraction(0)) -> Value:
        return Fraction(decide(lambda v: min(max(round(v) + int(zero), lo), hi), x / scale))

    return pointwise(spec, function, align=int(spec.attributes.get("axis", 1)))


def dequantize_linear(spec: Spec) -> Rule:
    def function(x: Value, scale: Fraction, zero: Fraction = Fraction(0)) -> Value:
        return (x - zero) * scale

    return pointwise(spec, function, align=int(spec.attributes.get("axis", 1)))


def prelu(spec: Spec) -> Rule:
    return pointwise(spec, lambda x, slope: branch(x, lambda v: v * slope, lambda v: v))


def cast(spec: Spec) -> Rule:
    whole = spec.attributes["to"] not in (1, 11)
    return (stepwise(math.trunc) if whole else unary(lambda _, x: x))(spec)


def many(function: Callable[[Value, Value], Value]) -> Callable[[Spec], Rule]:
    """A rule for any number of inputs, two by two."""

    def fold(*values: Value) -> Value:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return lambda spec: pointwise(spec, fold)


SCALARS: Mapping[str, Callable[[Spec], Rule]] = {
    "Abs": unary(lambda _, x: larger(x, -x)),
    "Add": many(lambda a, b: a + b),
    "BatchNormalization": batch_normalization,
    "BipolarQuant": bipolar,
    "Cast": cast,
    "Ceil": stepwise(math.ceil),
    "Celu": unary(lambda s, x: elu(s, x, s.number("alpha", 1.0), s.number("alpha", 1.0))),
    "Clip": clip,
    "DequantizeLinear": dequantize_linear,
    "Div": many(lambda a, b: a / b),
    "Elu": unary(lambda s, x: elu(s, x, s.number("alpha", 1.0))),
    "Erf": unary(erf),
    "Exp": unary(lambda s, x: exp(x, s.bits)),
    "Floor": stepwise(math.floor),
    "Gelu": unary(lambda s, x: x * (1 + erf(s, x * square_root(Fraction(1, 2), s.bits))) / 2),
    "HardSigmoid": unary(
        lambda s, x: hard_sigmoid(x, s.number("alpha", 0.2), s.number("beta", 0.5))
    ),
    "HardSwish": unary(lambda s, x: x * hard_sigmoid(x, Fraction(1, 6), Fraction(1, 2))),
    "Identity": unary(lambda _, x: x),
    "IntQuant": quant,
    "LeakyRelu": unary(lambda s, x: branch(x, lambda v: v * s.number("alpha", 0.01), lambda v: v)),
    "Log": elementary(mpmath.iv.log),
    "Max": many(larger),
    "Min": many(smaller),
    "Mish": unary(lambda s, x: x * tanh(s, softplus(s, x))),
    "Mul": many(lambda a, b: a * b),
    "MultiThreshold": multi_threshold,
    "Neg": unary(lambda _, x: -x),
    "PRelu": prelu,
    "Pow": power,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
    "Relu": unary(lambda _, x: larger(x, Fraction(0))),
    "Round": stepwise(round),
    "Selu": unary(
        lambda s, x: (
            s.number("gamma", 1.05070102214813232421875)
            * elu(s, x, s.number("alpha", 1.67326319217681884765625))
        )
    ),
    "Sigmoid": unary(sigmoid),
    "Sign": stepwise(lambda v: (v > 0) - (v < 0)),
    "Softplus": unary(softplus),
    "Softsign": unary(lambda _, x: x / (1 + larger(x, -x))),
    "Sqrt": unary(lambda s, x: square_root(x, s.bits)),
    "Sub": many(lambda a, b: a - b),
    "Sum": many(lambda a, b: a + b),
    "Swish": unary(lambda s, x: x * sigmoid(s, s.number("alpha", 1.0) * x)),
    "Tanh": unary(tanh),
    "ThresholdedRelu": unary(
        lambda s, x: x if decide(lambda v: int(v > s.number("alpha", 1.0)), x) else Fraction(0)
    ),
    "Trunc": trunc,
}
"""Each operator by name."""
