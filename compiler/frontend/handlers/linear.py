"""Operators that sum up products with constants: each a Linear, the scale behind it exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import Call
from ..functions import Affine, Function
from ..layout import Layout
from ..rational import exact
from ..values import Array, Real, Value, Weight
from ..weights import as_weight, bounded, dense_groups, integer_rows
from .movement import move

__all__ = [
    "Spatial", "channel_sums", "conv", "conv_transpose", "convolve", "gemm", "matmul", "spatial",
]  # fmt: skip

_MAX_WEIGHTS = 1 << 26
_MAX_SIZE = 1 << 14


@dataclass(frozen=True)
class Spatial:
    """Kernel, stride, padding (begin and end) and dilation for each of one or two axes."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    dilation: tuple[int, ...]

    def two(self) -> dict[str, Any]:
        """For the operators of the integer graph: rows and columns."""
        stride, dilation = ((1, *v)[-2:] for v in (self.stride, self.dilation))
        begin, end = ((0, *v)[-2:] for v in (self.begin, self.end))
        return {"stride": stride, "padding": (*begin, *end), "dilation": dilation}


def spatial(call: Call, sizes: Sequence[int], kernel: tuple[int, ...] | None = None) -> Spatial:
    """The attributes of a convolution or a pool over axes of ``sizes``."""
    rank = len(sizes)
    given = call.ints("kernel_shape", kernel)
    if kernel is not None and given != kernel:
        raise CompileError(f"kernel_shape must be that of the weight {kernel}, not {given}")
    ones = (1,) * rank
    stride, dilation = call.ints("strides", ones), call.ints("dilations", ones)
    pads = call.ints("pads", (0,) * 2 * rank)
    if (
        rank not in (1, 2)
        or {len(given), len(stride), len(dilation)} != {rank}
        or (len(pads) != 2 * rank)
    ):
        raise CompileError(
            f"kernel, strides, dilations and pads must be for one axis or two, {rank} here, not "
            f"{given}, {stride}, {dilation} and {pads}"
        )
    if min(*given, *stride, *dilation) < 1 or max(*given, *stride, *dilation, *pads) > _MAX_SIZE:
        raise CompileError(
            f"kernel, strides and dilations must be 1 to {_MAX_SIZE}, not {given}, {stride} "
            f"and {dilation}"
        )
    begin, end = pads[:rank], pads[rank:]
    auto = call.text("auto_pad", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    if auto == "VALID":
        begin = end = (0,) * rank
    elif auto != "NOTSET":
        reach = [(k - 1) * d + 1 for k, d in zip(given, dilation, strict=True)]
        total = [
            max(0, (-(-size // s) - 1) * s + r - size)
            for size, s, r in zip(sizes, stride, reach, strict=True)
        ]
        small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
    if min(*begin, *end) < 0:
        raise CompileError(f"pads must not be negative, not {pads}")
    return Spatial(given, stride, begin, end, dilation)


def conv(call: Call) -> Value:
    """A Linear; the bias is part of the function behind it.

    One axis or two; group, also depthwise with a multiplier; strides, dilations, pads, auto_pad.
    Weights must be quantized constants; scales may differ by output channel, and by whatever else
    as long as all that one output sums up is in a ratio of small integers.
    """
    weight, real = as_weight(call.value(1)), call.real()
    rank = len(real.shape) - 2
    if weight.codes.ndim != rank + 2 or rank not in (1, 2):
        raise CompileError(
            f"input and weight must have 3 axes each or 4, not {real.shape} and {weight.shape}"
        )
    groups = call.integer("group", 1)
    channels, out = real.shape[1], weight.shape[0]
    if groups < 1 or channels % groups or out % groups or weight.shape[1] * groups != channels:
        raise CompileError(
            f"groups must divide input channels ({channels}) and output channels ({out}) and fit "
            f"the weight {weight.shape}, not {groups}"
        )
    sizes = spatial(call, real.shape[2:], tuple(weight.shape[2:]))
    return _bias(call, convolve(call, place.raster(call, real), weight, groups, sizes))


def convolve(call: Call, real: Real, weight: Weight, groups: int, sizes: Spatial) -> Real:
    """The convolution of a tensor with channels first by a weight (out, in / groups, ...)."""
    out, own, *kernel = weight.shape
    bounded((out, own * groups, *kernel), _MAX_WEIGHTS)
    codes, scale = weight.codes, weight.scale
    if groups > 1:
        codes = dense_groups(codes, groups)
        if scale.shape[1] > 1:
            scale = dense_groups(np.broadcast_to(scale, weight.shape), groups)
    lifted = [
        v.reshape(*v.shape[:2], *(1, *v.shape[2:])[-2:]).transpose(0, 2, 3, 1)
        for v in (codes, scale)
    ]
    result = _linear(call, real, lifted[0], lifted[1], sizes.two())
    call.context.weights[result.node] = weight.codes.size
    return result


def _linear(call: Call, real: Real, codes: Array, scale: Array, window: dict[str, Any]) -> Real:
    """``codes * scale`` (out, rows, columns, in) over the positions of ``real``."""
    padded = any(window.get("padding", ()))
    real = place.zero_based(call, real) if padded else place.affine(call, real)
    step = real.function.affine
    assert step is not None
    gains: Any = step.gain if len(set(step.gain)) > 1 else step.gain[:1]
    integers, units = integer_rows(np.ascontiguousarray(codes), scale, gains)
    # A code of 0 may stand for something: it adds the same to every sum, since nothing is padded.
    offsets = [Fraction(0)] * len(codes)
    if any(step.offset):
        offsets = _offsets(codes, scale, step)
    op = ops.Linear(integers, np.zeros(len(codes), dtype=np.int64), **window)
    node = call.context.add(call.name, op, real.node)
    tensor = call.context.tensors[node]
    shape = (1, tensor.channels, *tensor.shape[:2][4 - max(2, len(real.shape)) :])
    if len(real.shape) == 2:
        shape = shape[:2]
    layout = Layout(shape, tensor.shape, by=call.name)
    return Real(node, Function((Affine(tuple(units), tuple(offsets)),)), layout)


def _offsets(codes: Array, scale: Array, step: Affine) -> list[Fraction]:
    """For each row, the sum of weight times the input's offset."""
    offset: Any = step.offset
    flat = codes.reshape(len(codes), -1, codes.shape[-1])
    if scale.size in (1, len(scale)):
        sums = flat.sum(axis=1)
        per_row = scale.reshape(-1)
        channel = offset if len(offset) > 1 else offset * codes.shape[-1]
        result = []
        for r, row in enumerate(sums.tolist()):
            total = sum((o * int(w) for o, w in zip(channel, row, strict=True) if w), Fraction(0))
            result.append(total * per_row[r if len(per_row) > 1 else 0])
        return result
    weighted = codes * scale * np.array(offset, dtype=object)
    return [sum(row.reshape(-1).tolist(), Fraction(0)) for row in weighted]


def _bias(call: Call, real: Real, gain: Fraction = Fraction(1)) -> Real:
    if not call.has(2):
        return real
    bias = exact(call.constant(2)).reshape(-1)
    if bias.size not in (1, real.shape[1]):
        raise CompileError(f"a bias must be one a channel ({real.shape[1]}), not {bias.size}")
    return real.then(Affine((Fraction(1),), tuple(b * gain for b in bias.tolist())))


def conv_transpose(call: Call) -> Value:
    """A Dilate where it strides, then a Linear with the kernel turned round.

    As Conv, and output_padding, output_shape. A Pad crops where pads reach beyond the kernel.
    """
    weight = as_weight(call.value(1))
    real = place.raster(call, call.real())
    rank, groups = len(real.shape) - 2, call.integer("group", 1)
    channels = real.shape[1]
    if (
        weight.codes.ndim != rank + 2
        or groups < 1
        or channels % groups
        or (weight.shape[0] != channels)
    ):
        raise CompileError(
            f"the weight must be (input channels, outputs a group, ...) for {channels} channels "
            f"in {groups} groups, not {weight.shape}"
        )
    sizes = _transposed(call, real.shape[2:], tuple(weight.shape[2:]))
    stride = (1, *sizes.stride)[-2:]
    if stride != (1, 1):
        real = place.zero_based(call, real)
        node = call.context.add(
            f"{call.name}.dilate", ops.Dilate((stride[0], stride[1])), real.node
        )
        size = call.context.tensors[node].shape
        shape = (*real.shape[:2], *size[:2][2 - rank :])
        real = Real(node, real.function, Layout(shape, size))
    edges = tuple(-min(0, e) for e in (*sizes.begin, *sizes.end))
    scale = weight.scale if groups == 1 else np.broadcast_to(weight.scale, weight.shape)
    turned = [_turn(v, groups, rank) for v in (weight.codes, scale)]
    plain = Spatial(
        sizes.kernel,
        (1,) * rank,
        tuple(max(0, e) for e in sizes.begin),
        tuple(max(0, e) for e in sizes.end),
        sizes.dilation,
    )
    if any(edges):
        real = _cropped(call, real, edges, rank)
    return _bias(call, convolve(call, real, Weight(*turned), groups, plain))


def _turn(values: Array, groups: int, rank: int) -> Array:
    """(in, out / groups, ...) as (out, in / groups, ...), turned by 180 degrees."""
    parts = [part.swapaxes(0, 1) for part in np.split(values, groups)]
    return np.concatenate(parts)[(slice(None), slice(None), *[slice(None, None, -1)] * rank)]


def _transposed(call: Call, sizes: Sequence[int], kernel: tuple[int, ...]) -> Spatial:
    """Stride of the input, and padding of the dilated input, where negative padding crops."""
    given = spatial(call, sizes, kernel)
    extra = call.ints("output_padding", (0,) * len(sizes))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, given.dilation, strict=True)]
    full = [
        (n - 1) * s + r + e for n, s, r, e in zip(sizes, given.stride, reach, extra, strict=True)
    ]
    begin, end = list(given.begin), list(given.end)
    auto = call.text("auto_pad", "NOTSET")
    wanted = call.ints("output_shape", ())
    if auto.startswith("SAME") and not wanted:
        wanted = tuple(n * s for n, s in zip(sizes, given.stride, strict=True))
    if wanted:
        total = [f - w for f, w in zip(full, wanted[-len(sizes) :], strict=True)]
        if min(total) < 0:
            raise CompileError(f"output_shape must be at most {full}, not {wanted}")
        upper = auto != "SAME_LOWER" if auto.startswith("SAME") else False
        begin = [t // 2 if upper else t - t // 2 for t in total]
        end = [t - b for t, b in zip(total, begin, strict=True)]
    return Spatial(
        kernel,
        given.stride,
        tuple(r - 1 - b for r, b in zip(reach, begin, strict=True)),
        tuple(r - 1 - b + e for r, b, e in zip(reach, end, extra, strict=True)),
        given.dilation,
    )


def _cropped(call: Call, real: Real, edges: tuple[int, ...], rank: int) -> Real:
    begin, end = (0, *edges[:rank])[-2:], (0, *edges[rank:])[-2:]
    padding = tuple(-e for e in (*begin, *end))
    node = call.context.add(f"{call.name}.crop", ops.Pad(padding), real.node)  # type: ignore[arg-type]
    size = call.context.tensors[node].shape
    return Real(node, real.function, Layout((*real.shape[:2], *size[:2][2 - rank :]), size))


def matmul(call: Call) -> Value:
    """A Linear on the last axis; behind a Flatten its weights take the order of the lanes.

    The other factor must be a quantized constant of two axes, on either side.
    """
    if isinstance(call.value(0), np.ndarray | Weight):
        weight, real = as_weight(call.value(0)), call.real(1)
        if weight.codes.ndim != 2 or len(real.shape) < 3:
            raise CompileError(
                f"a constant on the left must have 2 axes and the activation 3, not {weight.shape} "
                f"and {real.shape}"
            )
        turned = real.moved(real.layout.index().swapaxes(-1, -2), real.layout.by)
        result = _features(call, turned, weight.codes, weight.scale)
        return move(call, lambda array: array.swapaxes(-1, -2), result)
    weight = as_weight(call.value(1))
    codes, scale = weight.codes, weight.scale
    while codes.ndim > 2 and codes.shape[0] == 1:
        codes, scale = codes[0], scale[0]
    if codes.ndim != 2:
        raise CompileError(f"a weight must have 2 axes, not shape {weight.shape}")
    return _features(call, call.real(), codes.T, scale.T)


def gemm(call: Call) -> Value:
    """A Linear, as MatMul.

    alpha, beta, transB. Refused: transA.
    """
    weight = as_weight(call.value(1))
    if call.integer("transA", 0) or weight.codes.ndim != 2 or len(call.real().shape) != 2:
        raise CompileError("transA must be 0, and input and weight must have 2 axes")
    codes, scale = weight.codes, weight.scale
    if not call.integer("transB", 0):
        codes, scale = codes.T, scale.T
    alpha = call.number("alpha", 1.0)
    result = _features(call, call.real(), codes, scale)
    return _bias(call, result.then(Affine((alpha,), (Fraction(0),))), call.number("beta", 1.0))


def _features(call: Call, real: Real, codes: Array, scale: Array) -> Real:
    """``codes * scale`` (out, features) on the last axis of ``real``."""
    features = real.shape[-1]
    if codes.shape[1] != features:
        raise CompileError(f"the weight must be for {features} features, not {codes.shape[1]}")
    real = call.context.settle(real)
    rows = math.prod(real.shape[:-1])
    if rows == 1:
        real = place.flat(call, real)
    positions, channels = real.layout.size[0] * real.layout.size[1], real.layout.channels
    index = real.layout.index().reshape(rows, features)
    lanes = index[0] % channels
    natural = np.arange(positions)[:, None] * channels + lanes
    if rows != positions or not np.array_equal(index, natural):
        raise CompileError(
            f"the last axis of {real.shape} must be the channels, at all positions in order; "
            "flatten or transpose before"
        )
    bounded((len(codes), channels), _MAX_WEIGHTS)
    count = codes.size
    if not np.array_equal(lanes, np.arange(channels)):
        codes, scale = _scatter(codes, lanes, channels), _spread(scale, codes, lanes, channels)
    codes, scale = (v[:, None, None, :] for v in (codes, scale))
    result = _linear(call, real, codes, scale, {})
    call.context.weights[result.node] = count
    layout = Layout((*real.shape[:-1], len(codes)), result.layout.size, "last", call.name)
    if rows == 1 and len(real.shape) == 2:
        layout = Layout((1, len(codes)), result.layout.size, "first", call.name)
    return Real(result.node, result.function, layout)


def _scatter(codes: NDArray[Any], lanes: NDArray[Any], channels: int) -> NDArray[Any]:
    """Columns of a weight where the lanes of its features are."""
    placed = np.zeros((len(codes), channels), dtype=np.int64)
    np.add.at(placed.T, lanes, codes.T)
    return placed


def _spread(scale: Array, codes: Array, lanes: NDArray[Any], channels: int) -> Array:
    if scale.shape[1] == 1:
        return scale
    if len(set(lanes.tolist())) < len(lanes):
        raise CompileError("a feature must not be used twice where scales differ by feature")
    placed = np.full((len(scale), channels), Fraction(1), dtype=object)
    placed[:, lanes] = scale
    return placed


def channel_sums(call: Call, real: Real, factor: Fraction, sizes: Spatial) -> Real:
    """For each channel, the sum under a kernel times ``factor``: pools that overlap or pad."""
    channels, kernel = real.layout.channels, (1, *sizes.kernel)[-2:]
    bounded((channels, *kernel, channels), _MAX_WEIGHTS)
    codes = np.zeros((channels, *kernel, channels), dtype=np.int64)
    codes[np.arange(channels), :, :, np.arange(channels)] = 1
    scale = np.full((1, 1, 1, 1), factor, dtype=object)
    return _linear(call, real, codes, scale, sizes.two())
