"""Pools: the largest code under a kernel, or the sum of the codes."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import Call
from ..functions import Affine, Function
from ..layout import Layout
from ..rounding import Rounding
from ..values import Real, Value
from .linear import Spatial, channel_sums, spatial
from .movement import move
from .quantizers import quantize

__all__ = [
    "average_pool", "global_average_pool", "global_max_pool", "max_pool", "quant_avg_pool",
    "reduce_max", "reduce_mean", "reduce_sum",
]  # fmt: skip


def max_pool(call: Call) -> Value:
    """A MaxPool, also of accumulators before they are quantized.

    One axis or two; strides, dilations, pads, auto_pad, ceil_mode. Where a larger code means a
    smaller value, a Linear turns signs before.
    """
    real = place.raster(call, call.real())
    if call.outputs > 1 and call.integer("storage_order", 0):
        raise CompileError("storage_order must be 0; indices are not computed")
    sizes = spatial(call, real.shape[2:])
    if call.integer("ceil_mode", 0):
        sizes = _ceiled(real, sizes)
    return _max_pool(call, real, sizes)


def global_max_pool(call: Call) -> Value:
    """A MaxPool over the whole frame."""
    real = place.raster(call, call.real())
    return _max_pool(call, real, _whole(real))


def _max_pool(call: Call, real: Real, sizes: Spatial) -> Real:
    real = _rising(call, real)
    two = sizes.two()
    kernel: Any = (1, *sizes.kernel)[-2:]
    node = call.context.add(call.name, ops.MaxPool(kernel, **two), real.node)
    return _replaced(call, real, node, real.function)


def _replaced(call: Call, real: Real, node: str, function: Function) -> Real:
    """The tensor that ``node`` makes of ``real``, of the same rank."""
    size = call.context.tensors[node].shape
    shape = (*real.shape[:2], *size[:2][4 - len(real.shape) :])
    return Real(node, function, Layout(shape, size, by=call.name))


def _rising(call: Call, real: Real) -> Real:
    """The tensor as codes of which a larger one never means a smaller value."""
    channels = real.layout.channels
    trends = [real.function.trend(c) for c in range(min(channels, real.function.parameters))]
    if None in trends:
        return _rising(call, place.affine(call, real))
    signs = np.array([-1 if trend == -1 else 1 for trend in trends])
    if (signs == 1).all():
        return real
    signs = np.resize(signs, channels)
    weight = np.diag(signs).astype(np.int64)[:, None, None, :]
    op = ops.Linear(weight, np.zeros(channels, dtype=np.int64))
    node = call.context.add(f"{call.name}.sign", op, real.node)
    turn = Affine(tuple(Fraction(int(s)) for s in signs), (Fraction(0),))
    steps = real.function.steps
    function = Function((turn,))
    for step in steps:
        function = function.then(step)
    return replace(real, node=node, function=function)


def _ceiled(real: Real, sizes: Spatial) -> Spatial:
    """``sizes`` with so much padding at the end that no position is left out."""
    end = []
    for n, k, s, b, e, d in zip(
        real.shape[2:], sizes.kernel, sizes.stride, sizes.begin, sizes.end, sizes.dilation,
        strict=True,
    ):  # fmt: skip
        reach = (k - 1) * d + 1
        count = -(-(n + b + e - reach) // s) + 1
        if (count - 1) * s >= n + b:  # a window must not start behind the frame
            count -= 1
        end.append(max(e, (count - 1) * s + reach - n - b))
    return replace(sizes, end=tuple(end))


def _whole(real: Real) -> Spatial:
    rank = len(real.shape) - 2
    if rank < 1:
        raise CompileError(f"input must have positions, not shape {real.shape}")
    ones, none = (1,) * rank, (0,) * rank
    return Spatial(real.shape[2:], ones, none, none, ones)


def average_pool(call: Call) -> Value:
    """A SumPool where kernels do not overlap, else a Linear; the division is part of the scale.

    Refused where the divisor would differ by position: padding with count_include_pad 0, and
    ceil_mode where it makes a difference.
    """
    real = place.raster(call, call.real())
    sizes = spatial(call, real.shape[2:])
    if call.integer("ceil_mode", 0) and _ceiled(real, sizes).end != sizes.end:
        raise CompileError("ceil_mode must be 0 where it makes a difference; crop or pad before")
    if any((*sizes.begin, *sizes.end)) and not call.integer("count_include_pad", 0):
        raise CompileError(
            f"count_include_pad must be 1 where there is padding, not 0 with {sizes.begin} and "
            f"{sizes.end}: the divisor would differ by position"
        )
    return _sum_pool(call, real, sizes, Fraction(1, math.prod(sizes.kernel)))


def global_average_pool(call: Call) -> Value:
    """A SumPool over the whole frame; the division is part of the scale."""
    real = place.raster(call, call.real())
    sizes = _whole(real)
    return _sum_pool(call, real, sizes, Fraction(1, math.prod(sizes.kernel)))


def _sum_pool(call: Call, real: Real, sizes: Spatial, factor: Fraction) -> Real:
    own: Any = (1, *sizes.kernel)[-2:]
    two = sizes.two()
    reach = all(k <= n for k, n in zip(own, real.layout.size, strict=False))
    steps_over = two["stride"] == own or own == real.layout.size[:2]
    if not reach or any(two["padding"]) or not steps_over or two["dilation"] != (1, 1):
        return channel_sums(call, real, factor, sizes)
    real = place.affine(call, real)
    step: Any = real.function.affine
    node = call.context.add(call.name, ops.SumPool(own), real.node)
    count = math.prod(own) * factor
    gains, offsets = tuple(g * factor for g in step.gain), tuple(o * count for o in step.offset)
    return _replaced(call, real, node, Function((Affine(gains, offsets),)))


def quant_avg_pool(call: Call) -> Value:
    """A SumPool (or a Linear) and a Staircase that shifts, named after the node and ".shift"."""
    last = call.text("data_layout", "NCHW", "NCHW", "NHWC") == "NHWC"
    kernel, stride = call.integer("kernel"), call.integer("stride")
    before, after = call.integer("ibits"), call.integer("obits")
    if min(kernel, stride, before, after) < 1 or max(kernel, stride) > 1 << 12 or before > 32:
        raise CompileError("kernel, stride, ibits and obits must be positive and small")
    real = place.channels_first(call.real()) if last else call.real()
    real = place.raster(call, real)
    two, none = (kernel, kernel), (0, 0)
    sizes = Spatial(two, (stride, stride), none, none, (1, 1))
    total = _sum_pool(call, real, sizes, Fraction(1))
    shift = max(0, ((2**before - 1) * kernel**2).bit_length() - after)
    one, zero = (Fraction(1),), (Fraction(0),)
    most = 1 << 52
    rule = Rounding(
        one, zero, (-most,), (most,), (0,), Affine(one, zero), mode="FLOOR", shift=shift
    )
    result = quantize(call.renamed("shift"), total, rule)
    return place.channels_last(result) if last else result


def _reduced(call: Call) -> tuple[Real, bool]:
    """Input 0 with channels first, its positions to be reduced; and whether channels came last."""
    real = call.real()
    rank = len(real.shape)
    given = call.integers(1) if call.has(1) else call.ints("axes", tuple(range(2, rank)))
    axes = sorted(axis % rank for axis in given)
    last = real.layout.last and axes == list(range(1, rank - 1))
    if not last and axes != list(range(2, rank)) or rank < 3:
        raise CompileError(f"axes must be those of the positions, not {list(given)}")
    real = place.channels_first(real) if last else real
    return place.raster(call, real), last


def _kept(call: Call, real: Real, last: bool) -> Value:
    """The result with the axes it should have."""
    shape = real.shape
    if not call.integer("keepdims", 1):
        return move(call, lambda array: array.reshape(shape[:2]), real)
    return place.channels_last(real) if last else real


def reduce_mean(call: Call) -> Value:
    """As GlobalAveragePool.

    The axes must be all of the positions.
    """
    real, last = _reduced(call)
    sizes = _whole(real)
    return _kept(call, _sum_pool(call, real, sizes, Fraction(1, math.prod(sizes.kernel))), last)


def reduce_sum(call: Call) -> Value:
    """A SumPool.

    The axes must be all of the positions.
    """
    real, last = _reduced(call)
    return _kept(call, _sum_pool(call, real, _whole(real), Fraction(1)), last)


def reduce_max(call: Call) -> Value:
    """A MaxPool.

    The axes must be all of the positions.
    """
    real, last = _reduced(call)
    return _kept(call, _max_pool(call, real, _whole(real)), last)
