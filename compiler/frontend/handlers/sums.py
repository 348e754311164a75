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
from ..functions import IDENTITY, Affine, Both, Function
from ..values import Real, Refused, Terms

__all__ = ["add", "both_computed", "combined", "same_codes"]

# With larger factors smaller ones that do as well are searched for.
_MAX_FACTOR = 1 << 8


def both_computed(call: Call) -> bool:
    """Whether both inputs are activations."""
    return all(isinstance(call.value(k), Real | Refused) for k in range(2))


def same_codes(left: Real, right: Real) -> bool:
    """Whether both are functions of the same codes, element by element."""
    return (
        left.node == right.node
        and left.terms is right.terms
        and (
            left.layout is right.layout
            or (
                left.shape == right.shape
                and np.array_equal(left.layout.index(), right.layout.index())
            )
        )
    )


def combined(kind: Literal["add", "mul"], left: Real, right: Real) -> Real:
    """The sum or the product of two functions of the same codes."""
    a, b = left.function.affine, right.function.affine
    if kind == "add" and a is not None and b is not None and a.rational_only and b.rational_only:
        both = pairs(a, b)
        step = Affine(tuple(p[0] + q[0] for p, q in both), tuple(p[1] + q[1] for p, q in both))
        return replace(left, function=Function((step,)))
    whole = Both(kind, left.function.steps, right.function.steps)
    return replace(left, function=Function((whole,)))


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
    left, right = call.context.settle(left), call.context.settle(right)
    a, b = left.function.affine, right.function.affine
    ratio = None if a is None or b is None else _ratio(a, b)
    if ratio is None or max(abs(ratio.numerator), ratio.denominator) > _MAX_FACTOR:
        # Not one pair of small factors: which ones are good enough, the quantizer will tell.
        return replace(left, function=IDENTITY, terms=Terms(call.name, left, right))
    assert a is not None and b is not None
    factors = (ratio.numerator, ratio.denominator)
    node = call.context.add(call.name, ops.Add(factors), left.node, right.node)
    step = Affine(
        tuple(p[0] / ratio.numerator for p, _ in pairs(a, b)),
        tuple(p[1] + q[1] for p, q in pairs(a, b)),
    )
    return Real(node, Function((step,)), replace(left.layout, by=call.name))


def pairs(a: Affine, b: Affine) -> list[tuple[Any, Any]]:
    """Gain and offset of both, channel by channel."""
    return [(a.at(c), b.at(c)) for c in range(max(len(a.gain), len(b.gain)))]


def _ratio(a: Affine, b: Affine) -> Fraction | None:
    """The ratio of the gains, if it is the same in every channel and not 0."""
    if not a.rational_only or not b.rational_only:
        return None
    ratios = {p[0] / q[0] if q[0] else None for p, q in pairs(a, b)}
    ratio = ratios.pop() if len(ratios) == 1 else None
    return ratio or None
