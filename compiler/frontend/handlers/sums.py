"""Sums of two activations, at whatever scales they have."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import Call
from ..functions import Affine, Both, Function
from ..values import Real, Refused

__all__ = ["add", "both_computed", "combined", "same_codes"]

# Larger factors make adders wider than they are worth.
_MAX_FACTOR = 1 << 16


def both_computed(call: Call) -> bool:
    """Whether both inputs are activations."""
    return all(isinstance(call.value(k), Real | Refused) for k in range(2))


def same_codes(left: Real, right: Real) -> bool:
    """Whether both are functions of the same codes, element by element."""
    return left.node == right.node and (
        left.layout is right.layout
        or (left.shape == right.shape and np.array_equal(left.layout.index(), right.layout.index()))
    )


def combined(kind: Literal["add", "mul"], left: Real, right: Real) -> Real:
    """The sum or the product of two functions of the same codes."""
    a, b = left.function.affine, right.function.affine
    if kind == "add" and a is not None and b is not None and a.rational_only and b.rational_only:
        count = max(len(a.gain), len(b.gain))
        pairs: list[tuple[Any, Any]] = [(a.at(c), b.at(c)) for c in range(count)]
        step = Affine(tuple(p[0] + q[0] for p, q in pairs), tuple(p[1] + q[1] for p, q in pairs))
        return replace(left, function=Function((step,)))
    both = Both(kind, left.function.steps, right.function.steps)
    return replace(left, function=Function((both,)))


def add(call: Call, left: Real, right: Real) -> Real:
    """The sum of two activations: one node, with integer factors where scales differ."""
    if same_codes(left, right):
        return combined("add", left, right)
    if left.shape != right.shape:
        raise CompileError(
            f"both activations must have the same shape, not {left.shape} and {right.shape}"
        )
    alike = any(all(getattr(r.layout, k) for r in (left, right)) for k in ("first", "last"))
    if not alike or left.layout.size != right.layout.size:
        left, right = place.raster(call, left), place.raster(call, right)
    left, right = place.affine(call, left), place.affine(call, right)
    a, b = left.function.affine, right.function.affine
    assert a is not None and b is not None
    count = max(len(a.gain), len(b.gain))
    pairs: list[tuple[Any, Any]] = [(a.at(c), b.at(c)) for c in range(count)]
    ratios = {p[0] / q[0] for p, q in pairs if q[0]}
    ratio = ratios.pop() if len(ratios) == 1 else Fraction(0)
    if not ratio or max(abs(ratio.numerator), ratio.denominator) > _MAX_FACTOR:
        raise CompileError(
            f"the scales of both inputs must have one ratio of small integers, not "
            f"{_scales(a)} and {_scales(b)}; quantize both with one scale"
        )
    factors = (ratio.numerator, ratio.denominator)
    node = call.context.add(call.name, ops.Add(factors), left.node, right.node)
    step = Affine(
        tuple(p[0] / ratio.numerator for p, _ in pairs), tuple(p[1] + q[1] for p, q in pairs)
    )
    return Real(node, Function((step,)), replace(left.layout, by=call.name))


def _scales(step: Affine) -> str:
    gains = sorted({float(g) for g in step.gain})
    return f"{gains[0]:g}" if len(gains) == 1 else f"{gains[0]:g} .. {gains[-1]:g}"
