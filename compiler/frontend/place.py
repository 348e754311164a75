"""Tensors as operators want them: plain codes, at positions in raster order, without an offset.

Each function gives back its tensor unchanged where that is so already, and otherwise adds the
nodes that make it so, once for all who ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import wraps

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.steps import Steps

from .. import ops
from ..errors import CompileError
from .context import Call
from .functions import Affine, Function
from .layout import Layout
from .rational import gcd
from .values import Real

__all__ = ["affine", "channels_first", "channels_last", "flat", "raster", "zero_based"]

Int = NDArray[np.int64]

# A grid finer than this, or over more values, is not worth a table.
_MAX_LEVEL = 1 << 20
_MAX_VALUES = 1 << 16


def _once(place: Callable[[Call, Real], Real]) -> Callable[[Call, Real], Real]:
    """Remember what was made of a tensor (the same object) in this graph."""

    @wraps(place)
    def wrapped(call: Call, real: Real) -> Real:
        key = (place.__name__, id(real))
        if key not in call.context.placed:
            call.context.placed[key] = (real, place(call, real))
        return call.context.placed[key][1]

    return wrapped


@_once
def affine(call: Call, real: Real) -> Real:
    """The tensor as codes with a rational scale and offset a channel."""
    real = call.context.settle(real)
    step = real.function.affine
    if step is not None and step.rational_only:
        return real
    return _on_grid(call, real, "an activation must be quantized before it is computed with")


@_once
def zero_based(call: Call, real: Real) -> Real:
    """The tensor as codes with a rational scale a channel and no offset: 0 means 0."""
    real = affine(call, real)
    step = real.function.affine
    assert step is not None
    if not any(step.offset):
        return real
    return _on_grid(call, real, "0 must be one of the values that codes stand for")


def _on_grid(call: Call, real: Real, rule: str) -> Real:
    """Every value the tensor can have as a multiple of one number, by a table."""
    ranges = call.tensor(real).ranges
    if sum(r.size for r in set(ranges)) > _MAX_VALUES:
        raise CompileError(f"{rule}; put a Quant before it")
    values: dict[tuple[int, int, int], list[Fraction]] = {}
    keys = [(c if real.function.parameters > 1 else 0, r.lo, r.hi) for c, r in enumerate(ranges)]
    for key in dict.fromkeys(keys):
        channel, lo, hi = key
        bounds = [real.function.rational(Fraction(x), channel, 64) for x in range(lo, hi + 1)]
        if any(low != high for low, high in bounds) or len(values) > _MAX_VALUES:
            raise CompileError(f"{rule}; put a Quant before it")
        values[key] = [low for low, _ in bounds]
    unit = gcd(v for column in values.values() for v in column) or Fraction(1)
    if max(abs(v) for column in values.values() for v in column) > unit * _MAX_LEVEL:
        raise CompileError(f"{rule}, and its values have no common scale; put a Quant before it")
    tables = {
        key: Steps.tabulate(key[1], np.array([int(v / unit) for v in column], dtype=np.int64))
        for key, column in values.items()
    }
    op = ops.Staircase(tuple(tables[key] for key in keys))
    node = call.context.add(f"{call.name}.in", op, real.node)
    return replace(real, node=node, function=Function((Affine((unit,), (Fraction(0),)),)))


@_once
def raster(call: Call, real: Real) -> Real:
    """The tensor with channels first, at positions that are those of its integer tensor."""
    real = call.context.settle(real)
    shape, size = real.shape, real.layout.size
    if real.layout.first and (1, 1, *shape[2:])[-2:] == size[:2]:
        return real
    if not 2 <= len(shape) <= 4 or shape[0] != 1:
        raise CompileError(f"a tensor must have 2 to 4 axes and the batch first, not shape {shape}")
    height, width = (1, 1, *shape[2:])[-2:]
    index = real.layout.index().reshape(shape[1], height, width).transpose(1, 2, 0)
    node, channels = _move(call, real, index.astype(np.int64))
    layout = Layout(shape, (height, width, shape[1]))
    return Real(node, real.function.take(channels), layout)


@_once
def flat(call: Call, real: Real) -> Real:
    """The tensor at one position, its elements in the order that costs nothing."""
    real = call.context.settle(real)
    height, width, channels = real.layout.size
    if height * width == 1:
        return real
    node = call.context.add(real.layout.by or f"{call.name}.flat", ops.Flatten(), real.node)
    lanes = np.tile(np.arange(channels), height * width)
    index = real.layout.index()
    layout = Layout(real.shape, (1, 1, height * width * channels), index)
    return Real(node, real.function.take(lanes), layout)


def channels_first(real: Real) -> Real:
    """The tensor with its last axis behind the batch axis."""
    shape = (real.shape[0], real.shape[-1], *real.shape[1:-1])
    if real.layout.last:
        return replace(real, layout=replace(real.layout, shape=shape, order="first"))
    return real.moved(np.moveaxis(real.layout.index(), -1, 1), real.layout.by)


def channels_last(real: Real) -> Real:
    """The tensor with the axis behind the batch axis last."""
    shape = (real.shape[0], *real.shape[2:], real.shape[1])
    if real.layout.first:
        return replace(real, layout=replace(real.layout, shape=shape, order="last"))
    return real.moved(np.moveaxis(real.layout.index(), 1, -1), real.layout.by)


def _move(call: Call, real: Real, index: Int) -> tuple[str, Int]:
    """The node that has element ``index[r, c, ch]`` of ``real``'s tensor at (r, c, ch).

    Also, for each channel of it, the channel of ``real``'s tensor it comes from.
    """
    name = real.layout.by or f"{call.name}.in"
    for attempt in (_select, _flatten, _repeat, _to_space, _gather):
        found = attempt(real.layout.size, index)
        if found is None:
            continue
        chain, channels = found
        _same_function(real.function, channels)
        node = real.node
        for op in chain:
            node = call.context.add(name, op, node)
        return node, channels[0]
    who = f' as "{real.layout.by}" moves them' if real.layout.by else ""
    raise CompileError(
        f"elements of the tensor {real.layout.size} (height, width, channels) must stay in raster "
        f"order when they become {index.shape}{who}; a circuit would have to store the frame"
    )


def _same_function(function: Function, channels: Int) -> None:
    """Channels that become one must mean the same: ``channels`` is (variants, channels)."""
    first = function.take(channels[0])
    if any(function.take(row) != first for row in channels[1:]):
        raise CompileError(
            "channels that become positions of one channel must have the same scale and offset; "
            "quantize before with one scale"
        )


Found = tuple[list[ops.Op], Int] | None


def _kept(channels: Int, count: int) -> list[ops.Op]:
    if np.array_equal(channels, np.arange(count)):
        return []
    return [ops.Select(tuple(channels.tolist()))]


def _select(size: tuple[int, int, int], index: Int) -> Found:
    """Other channels at the same positions."""
    position, channel = np.divmod(index, size[2])
    natural = np.arange(size[0] * size[1]).reshape(size[0], size[1], 1)
    if (
        index.shape[:2] != size[:2]
        or (position != natural).any()
        or (channel != channel[0, 0]).any()
    ):
        return None
    return _kept(channel[0, 0], size[2]), channel[:1, 0]


def _flatten(size: tuple[int, int, int], index: Int) -> Found:
    """Elements of all positions as channels of one."""
    if index.shape[:2] != (1, 1):
        return None
    return [ops.Flatten(), *_kept(index[0, 0], int(np.prod(size)))], index[0] % size[2]


def _repeat(size: tuple[int, int, int], index: Int) -> Found:
    """Each position several times."""
    factor = (index.shape[0] // size[0], index.shape[1] // size[1])
    if min(factor) < 1 or factor == (1, 1):
        return None
    small = index[:: factor[0], :: factor[1]]
    if not np.array_equal(small.repeat(factor[0], 0).repeat(factor[1], 1), index):
        return None
    selected = _select(size, small)
    return selected and ([*selected[0], ops.Resize(factor)], selected[1])


def _to_space(size: tuple[int, int, int], index: Int) -> Found:
    """Blocks of channels as positions."""
    block = index.shape[0] // size[0]
    if block < 2 or index.shape[:2] != (size[0] * block, size[1] * block):
        return None
    count = index.shape[2]
    blocks = index.reshape(size[0], block, size[1], block, count).transpose(0, 2, 1, 3, 4)
    selected = _select(size, blocks.reshape(*size[:2], -1))
    if selected is None:
        return None
    order = selected[1].reshape(block * block, count)
    crd = np.arange(block * block * count).reshape(count, -1).T
    if size[2] == order.size and np.array_equal(order, crd):
        return [ops.DepthToSpace(block, "CRD")], order
    return [*selected[0], ops.DepthToSpace(block, "DCR")], order


def _gather(size: tuple[int, int, int], index: Int) -> Found:
    """From each position's neighbourhood one element a channel: crops, strides, space to depth."""
    height, width, count = index.shape
    position, channel = np.divmod(index, size[2])
    row, column = np.divmod(position, size[1])
    stride = [
        max(1, int(at[-1, -1, 0] - at[0, 0, 0]) // max(1, n - 1))
        for at, n in ((row, height), (column, width))
    ]
    down, right = row[0, 0], column[0, 0]
    grid_row = np.arange(height)[:, None, None] * stride[0] + down
    grid_column = np.arange(width)[None, :, None] * stride[1] + right
    regular = (row == grid_row) & (column == grid_column) & (channel == channel[0, 0])
    if not regular.all():
        return None
    top, left = int(down.min()), int(right.min())
    kernel = (int(down.max()) - top + 1, int(right.max()) - left + 1)
    if kernel[0] * kernel[1] * count * size[2] > _MAX_LEVEL * 8:
        return None
    bottom = size[0] - top - (height - 1) * stride[0] - kernel[0]
    after = size[1] - left - (width - 1) * stride[1] - kernel[1]
    chain: list[ops.Op] = []
    if any((top, left, bottom, after)):
        chain.append(ops.Pad((-top, -left, -bottom, -after)))
    if kernel == (1, 1) and stride == [1, 1]:
        return [*chain, *_kept(channel[0, 0], size[2])], channel[:1, 0]
    weight = np.zeros((count, *kernel, size[2]), dtype=np.int64)
    weight[np.arange(count), down - top, right - left, channel[0, 0]] = 1
    linear = ops.Linear(weight, np.zeros(count, dtype=np.int64), (stride[0], stride[1]))
    return [*chain, linear], channel[:1, 0]
