"""Exact rules of sums of products: convolutions and matrices, on real numbers and integers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from .places import flat, index_of, windows
from .rules import Grouped, Rule, Spec, Value
from .scalars import integer_type

__all__ = ["PRODUCTS"]


def conv(spec: Spec) -> tuple[Rule, ...]:
    """A convolution; a bias is added by :class:`Biased`."""
    x, w = spec.shape(0), spec.shape(1)
    out, taps = windows(spec, tuple(w[2:]))
    groups = spec.attributes.get("group", 1)
    shape = (x[0], w[0], *out)
    part = w[0] // groups

    def group(position: int) -> tuple[list[int], list[int]]:
        frame, channel, *at = index_of(position, shape)
        first = channel // part * w[1]
        left, right = [], []
        for tap, place in taps(tuple(at)):
            for c in range(w[1]):
                left.append(flat((frame, first + c, *place), x))
                right.append(flat((channel, c, *tap), w))
        return left, right

    return (biased(spec, Grouped(shape, group), lambda f: index_of(f, shape)[1]),)


def conv_transpose(spec: Spec) -> tuple[Rule, ...]:
    x, w = spec.shape(0), spec.shape(1)
    given, rank = spec.attributes, len(x) - 2
    groups = given.get("group", 1)
    strides, dilations = (given.get(k, [1] * rank) for k in ("strides", "dilations"))
    extra, pads = given.get("output_padding", [0] * rank), given.get("pads", [0] * 2 * rank)
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(x[2:], strides, w[2:], dilations, extra, strict=True)
    ]
    auto, wanted = given.get("auto_pad", "NOTSET"), given.get("output_shape")
    if auto.startswith("SAME") and not wanted:
        wanted = [n * s for n, s in zip(x[2:], strides, strict=True)]
    if wanted:
        total = [f - n for f, n in zip(full, wanted, strict=True)]
        half, rest = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = half + rest if auto == "SAME_UPPER" else rest + half
    out = [f - pads[a] - pads[a + rank] for a, f in enumerate(full)]
    shape = (x[0], w[1] * groups, *out)
    inputs = x[1] // groups

    def group(position: int) -> tuple[list[int], list[int]]:
        frame, channel, *at = index_of(position, shape)
        first = channel // w[1] * inputs
        left, right = [], []
        for tap in itertools.product(*map(range, w[2:])):
            place = [(a + pads[k] - t * dilations[k], strides[k]) for k, (a, t) in
                     enumerate(zip(at, tap, strict=True))]  # fmt: skip
            if any(p % s or not 0 <= p // s < n for (p, s), n in zip(place, x[2:], strict=True)):
                continue
            for c in range(first, first + inputs):
                left.append(flat((frame, c, *(p // s for p, s in place)), x))
                right.append(flat((c, channel % w[1], *tap), w))
        return left, right

    return (biased(spec, Grouped(shape, group), lambda f: index_of(f, shape)[1]),)


def biased(spec: Spec, rule: Grouped, channel: Callable[[int], int], gain: Any = 1) -> Rule:
    """``rule`` and a bias from input 2, if there is one."""
    if not spec.has(2):
        return rule
    bias = spec.array(2).reshape(-1)

    class Biased(Grouped):
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            sums = super().compute(flat, reader)
            return {f: v + gain * bias[channel(f) % len(bias)] for f, v in sums.items()}

    return Biased(rule.shape, rule.group)


def matmul(spec: Spec) -> Rule:
    a, b = spec.shape(0), spec.shape(1)
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    shape = (*batch, a[-2], b[-1])
    left, right = (
        np.broadcast_to(np.arange(math.prod(own)).reshape(own), (*batch, *own[-2:]))
        for own in (a, b)
    )

    def group(position: int) -> tuple[list[int], list[int]]:
        *first, row, column = index_of(position, shape)
        own: Any = tuple(first)
        return left[own][row].tolist(), right[own][:, column].tolist()

    return Grouped(shape, group)


def gemm(spec: Spec) -> Rule:
    a, b = (np.arange(math.prod(spec.shape(k))).reshape(spec.shape(k)) for k in range(2))
    a = a.T if spec.attributes.get("transA", 0) else a
    b = b.T if spec.attributes.get("transB", 0) else b
    alpha, beta = spec.number("alpha", 1.0), spec.number("beta", 1.0)
    shape = (a.shape[0], b.shape[1])

    class Scaled(Grouped):
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            return {f: v * alpha for f, v in super().compute(flat, reader).items()}

    def group(position: int) -> tuple[list[int], list[int]]:
        row, column = divmod(position, shape[1])
        return a[row].tolist(), b[:, column].tolist()

    rule = Scaled(shape, group)
    if not spec.has(2):
        return rule
    bias = np.broadcast_to(spec.array(2), shape).reshape(-1)

    class Biased(Scaled):
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            return {f: v + beta * bias[f] for f, v in super().compute(flat, reader).items()}

    return Biased(shape, group)


def shifted(spec: Spec, rule: Grouped, places: tuple[int, int, int, int]) -> Rule:
    """``rule`` on integers less their zero points: x, its zero, w and its zero (one a row)."""
    x, x_zero, w, w_zero = places
    start = spec.array(x_zero).reshape(-1)[0] if spec.has(x_zero) else Fraction(0)
    rows = spec.array(w_zero).reshape(-1) if spec.has(w_zero) else [Fraction(0)]
    columns = spec.node.kind.endswith(("MatMul", "MatMulInteger"))
    size = spec.shape(w)[-1] if columns else math.prod(spec.shape(w)[1:])

    class Shifted(Grouped):
        def needs(self, flat: Any) -> Any:
            groups = [self.group(f) for f in flat.tolist()]
            yield x, np.array([a for left, _ in groups for a in left], dtype=np.int64)
            yield w, np.array([b for _, right in groups for b in right], dtype=np.int64)

        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            result = {}
            for f in flat:
                total: Value = Fraction(0)
                for a, b in zip(*self.group(f), strict=True):
                    row = (b % size if columns else b // size) % len(rows)
                    total += (reader.value(x, a) - start) * (reader.value(w, b) - rows[row])
                result[f] = total
            return result

    return Shifted(rule.shape, rule.group)


def inner(spec: Spec, places: tuple[int, int]) -> Spec:
    """The node as if inputs ``places`` were its only ones."""
    return replace(
        spec, shapes=[spec.shapes[k] for k in places], array=lambda k: spec.array(places[k])
    )


def conv_integer(spec: Spec) -> Rule:
    (rule,) = conv(inner(spec, (0, 1)))
    assert isinstance(rule, Grouped)
    return shifted(spec, rule, (0, 2, 1, 3))


def matmul_integer(spec: Spec) -> Rule:
    rule = matmul(inner(spec, (0, 1)))
    assert isinstance(rule, Grouped)
    return shifted(spec, rule, (0, 2, 1, 3))


def qlinear(spec: Spec) -> Rule:
    """QLinearConv and QLinearMatMul."""
    convolution = spec.node.kind == "QLinearConv"
    rule: Any = conv(inner(spec, (0, 3)))[0] if convolution else matmul(inner(spec, (0, 3)))
    rule = shifted(spec, rule, (0, 2, 3, 5))
    (scale,), (out,), (zero,) = (spec.array(k).reshape(-1) for k in (1, 6, 7))
    own, bias = spec.array(4).reshape(-1), spec.array(8).reshape(-1) if spec.has(8) else None
    lo, hi = integer_type(spec, 7)

    class Requantized(type(rule)):  # type: ignore[misc]
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            result = {}
            for f, total in super().compute(flat, reader).items():
                channel = index_of(f, self.shape)[1 if convolution else -1]
                total += bias[channel] if bias is not None else 0
                y = total * scale * own[channel % len(own)] / out
                result[f] = Fraction(min(max(round(y) + int(zero), lo), hi))
            return result

    return Requantized(rule.shape, rule.group)


PRODUCTS: Mapping[str, Callable[[Spec], Any]] = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "QLinearConv": qlinear,
    "QLinearMatMul": qlinear,
}
"""Each operator by name."""
