"""Our own operators, of networks that compare two pictures."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import MAX_CHANNELS, Call
from ..functions import IDENTITY, Affine, Function
from ..layout import Layout
from ..values import Real, Value

__all__ = ["consistency", "cost_volume", "linear_resize", "median", "subpixel_arg_max"]

_LARGEST_FACTOR = 16


def cost_volume(call: Call) -> Value:
    """A CostVolume.

    shifts, form ("difference" or "product"). Both inputs must have one shape, one scale for all
    channels and no offset; with "difference" the same one.
    """
    shifts = call.integer("shifts")
    form = call.text("form", "difference", "difference", "product")
    if not 1 <= shifts <= MAX_CHANNELS:
        raise CompileError(f"shifts must be 1 to {MAX_CHANNELS}, not {shifts}")
    left, right = (place.zero_based(call, place.raster(call, call.real(k))) for k in (0, 1))
    if left.shape != right.shape or len(left.shape) != 4:
        raise CompileError(f"both pictures must have one shape, not {left.shape}, {right.shape}")
    gains = [_gain(call, real) for real in (left, right)]
    if form == "difference" and (gains[0] != gains[1] or gains[0] <= 0):
        raise CompileError(
            f"both pictures must have the same scale, not {gains[0]} and {gains[1]}; use one "
            "quantizer's scale for both"
        )
    op = ops.CostVolume(shifts, form)
    node = call.context.add(call.name, op, left.node, right.node)
    gain = gains[0] if form == "difference" else gains[0] * gains[1]
    return _made(call, node, Function((Affine((gain,), (Fraction(0),)),)))


def consistency(call: Call) -> Value:
    """A Consistency.

    parts, tolerance. Both inputs must have one channel, no offset and the same scale, of which
    parts is 2, 4, ... 64 times as much.
    """
    left, right = (place.zero_based(call, place.raster(call, call.real(k))) for k in (0, 1))
    gains = [_gain(call, real) for real in (left, right)]
    if gains[0] != gains[1] or gains[0] <= 0:
        raise CompileError(f"both inputs must have the same scale, not {gains[0]} and {gains[1]}")
    parts, tolerance = (call.number(name, 1.0) / gains[0] for name in ("parts", "tolerance"))
    if parts.denominator != 1:
        raise CompileError(f"parts must be a whole number of the inputs' scale, not {parts} of it")
    try:
        op = ops.Consistency(int(parts), math.floor(tolerance))
        node = call.context.add(call.name, op, left.node, right.node)
    except ValueError as error:
        raise CompileError(str(error)) from error
    return _made(call, node, IDENTITY)


def subpixel_arg_max(call: Call) -> Value:
    """A SubpixelArgMax.

    parts, even. All channels must have one scale above 0 and one offset, which change nothing.
    """
    parts = call.integer("parts")
    real = place.affine(call, place.raster(call, call.real()))
    step: Any = real.function.affine
    if len(set(zip(step.gain, step.offset, strict=True))) != 1 or step.gain[0] <= 0:
        raise CompileError("all channels must have one scale and offset; quantize them alike")
    try:
        op = ops.SubpixelArgMax(parts)
        node = call.context.add(call.name, op, real.node)
    except ValueError as error:
        raise CompileError(str(error)) from error
    return _made(call, node, IDENTITY)


def median(call: Call) -> Value:
    """A Median.

    dilation, 1 if not given. Each channel has its own scale and offset, which change nothing.
    """
    real = place.affine(call, place.raster(call, call.real()))
    if len(real.shape) != 4:
        raise CompileError(f"input must have four axes, not shape {real.shape}")
    try:
        node = call.context.add(call.name, ops.Median(call.integer("dilation", 1)), real.node)
    except ValueError as error:
        raise CompileError(str(error)) from error
    return _made(call, node, real.function)


def linear_resize(call: Call, real: Real, scales: list[Fraction]) -> Real:
    """A Bilinear for a Resize of mode linear; sums are left to the scale."""
    factor = scales[-1]
    if (
        len(scales) != 4
        or scales[:3] != [1, 1, factor]
        or factor.denominator != 1
        or not 2 <= factor <= _LARGEST_FACTOR
    ):
        raise CompileError(
            f"linear upsampling must be by one whole factor (2 to {_LARGEST_FACTOR}) both ways, "
            f"not by {[str(s) for s in scales]}"
        )
    real = place.affine(call, place.raster(call, real))
    step: Any = real.function.affine
    node = call.context.add(call.name, ops.Bilinear(int(factor)), real.node)
    gain = tuple(g / factor**2 for g in step.gain)
    return _made(call, node, Function((Affine(gain, step.offset),)))


def _gain(call: Call, real: Real) -> Fraction:
    """The scale that all channels share."""
    step: Any = real.function.affine
    if len(set(step.gain)) != 1:
        raise CompileError("all channels must have one scale; use one for the tensor")
    gain: Fraction = step.gain[0]
    return gain


def _made(call: Call, node: str, function: Function) -> Real:
    height, width, channels = call.context.tensors[node].shape
    return Real(
        node,
        function,
        Layout((1, channels, height, width), (height, width, channels), by=call.name),
    )
