"""Operators that only move elements: shapes, axes, slices. No circuit until somebody computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import MAX_ELEMENTS, Call
from ..functions import Affine, Function
from ..layout import Layout
from ..values import Array, Real, Refused, Value, Weight

__all__ = [
    "concat", "depth_to_space", "dropout", "expand", "flatten", "gather", "identity", "move",
    "pad", "reshape", "shape", "slice_", "space_to_depth", "split", "squeeze", "tile",
    "transpose", "unsqueeze",
]  # fmt: skip

Mover = Callable[[Array], Array]


def move(call: Call, mover: Mover, value: Value | None = None) -> Value:
    """A value with its elements moved; ``mover`` does it to an array of any type."""
    value = call.value(0) if value is None else value
    if isinstance(value, np.ndarray):
        return np.asarray(mover(value))
    if isinstance(value, Weight):
        if value.scale.size == 1:
            codes = mover(value.codes)
            return Weight(codes, value.scale.reshape((1,) * codes.ndim))
        return Weight(mover(value.codes), mover(np.broadcast_to(value.scale, value.shape)))
    if not isinstance(value, Real):
        value = call.real(tail=True)
    return value.moved(mover(value.layout.index()), call.name)


def _reshaped(call: Call, shape: tuple[int, ...]) -> Value:
    value = call.value(0)
    if isinstance(value, Real):
        if math.prod(shape) != math.prod(value.shape):
            raise CompileError(f"shape {shape} must hold the {value.shape} elements of the input")
        return replace(value, layout=value.layout.reshaped(shape, call.name))
    return move(call, lambda array: array.reshape(shape))


def _shape_of(call: Call) -> tuple[int, ...]:
    value = call.value(0)
    if isinstance(value, np.ndarray | Weight):
        return value.shape
    return call.real(tail=True).shape


def _axes(axes: Sequence[int], rank: int) -> list[int]:
    if any(not -rank <= axis < rank for axis in axes):
        raise CompileError(f"axes must be among the {rank} of the tensor, not {list(axes)}")
    return [axis % rank for axis in axes]


def identity(call: Call) -> Value:
    """Nothing."""
    value = call.value(0)
    return call.real(tail=True) if value is None or isinstance(value, Refused) else value


def dropout(call: Call) -> Value:
    """Nothing; the mask is not there."""
    return identity(call)


def shape(call: Call) -> Value:
    """A constant."""
    whole = _shape_of(call)
    first, last = call.integer("start", 0), call.integer("end", len(whole))
    return np.array(whole[slice(first, last)], dtype=np.int64)


def flatten(call: Call) -> Value:
    """Nothing where there is one position; else all positions side by side, as lanes."""
    whole = _shape_of(call)
    axis = call.integer("axis", 1)
    if not -len(whole) <= axis <= len(whole):
        raise CompileError(f"axis must be within the {len(whole)} of the tensor, not {axis}")
    axis = axis + len(whole) if axis < 0 else axis
    return _reshaped(call, (math.prod(whole[:axis]), math.prod(whole[axis:])))


def reshape(call: Call) -> Value:
    """As Flatten where it flattens; with a Transpose, DepthToSpace where it is one."""
    whole = _shape_of(call)
    wanted = list(call.integers(1) if call.has(1) else call.ints("shape"))
    if not call.integer("allowzero", 0):
        wanted = [whole[k] if n == 0 and k < len(whole) else n for k, n in enumerate(wanted)]
    if min(wanted, default=1) < -1 or wanted.count(-1) > 1 or 0 in wanted:
        raise CompileError(f"shape must have positive sizes and at most one -1, not {wanted}")
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        if math.prod(whole) % rest:
            raise CompileError(f"shape {wanted} must hold the {whole} elements of the input")
        wanted[wanted.index(-1)] = math.prod(whole) // rest
    return _reshaped(call, tuple(wanted))


def squeeze(call: Call) -> Value:
    """Nothing."""
    whole = _shape_of(call)
    given = call.integers(1) if call.has(1) else call.ints("axes", ())
    axes = _axes(given, len(whole)) or [k for k, n in enumerate(whole) if n == 1]
    if any(whole[axis] != 1 for axis in axes):
        raise CompileError(f"axes {list(axes)} must be of size 1 in {whole}")
    return _reshaped(call, tuple(n for k, n in enumerate(whole) if k not in axes))


def unsqueeze(call: Call) -> Value:
    """Nothing."""
    whole = list(_shape_of(call))
    given = call.integers(1) if call.has(1) else call.ints("axes")
    for axis in sorted(_axes(given, len(whole) + len(given))):
        whole.insert(axis, 1)
    return _reshaped(call, tuple(whole))


def transpose(call: Call) -> Value:
    """Nothing where channels go from first to last or back, or where another undoes it.

    Positions must stay in raster order.
    """
    rank = len(_shape_of(call))
    perm = call.ints("perm", tuple(reversed(range(rank))))
    if sorted(perm) != list(range(rank)):
        raise CompileError(f"perm must be an order of the {rank} axes, not {list(perm)}")
    return move(call, lambda array: array.transpose(perm))


def slice_(call: Call) -> Value:
    """Some channels (Select: wires) or a part of the frame (Pad with negative edges, Linear)."""
    whole = _shape_of(call)
    if call.has(1):
        starts, ends = call.integers(1), call.integers(2)
        axes = call.integers(3) if call.has(3) else tuple(range(len(starts)))
        steps = call.integers(4) if call.has(4) else (1,) * len(starts)
    else:
        starts, ends = call.ints("starts"), call.ints("ends")
        axes, steps = call.ints("axes", tuple(range(len(starts)))), (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise CompileError("starts, ends, axes and steps must be one for each axis, steps not 0")
    cut = [slice(None)] * len(whole)
    for axis, start, end, step in zip(_axes(axes, len(whole)), starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -whole[axis] else end
        cut[axis] = slice(start, stop, step)
    return move(call, lambda array: _filled(array[tuple(cut)]))


def _filled(array: Array) -> Array:
    if not array.size:
        raise CompileError("nothing must not be all that is left")
    return array


def split(call: Call) -> tuple[Value, ...]:
    """Some channels each (Select: wires)."""
    whole = _shape_of(call)
    (axis,) = _axes((call.integer("axis", 0),), len(whole))
    if call.has(1):
        sizes = call.integers(1)
    else:
        part = -(-whole[axis] // max(1, call.integer("num_outputs", call.outputs)))
        equal = tuple(min(part, whole[axis] - at) for at in range(0, whole[axis], max(1, part)))
        sizes = call.ints("split", equal)
    if sum(sizes) != whole[axis] or min(sizes, default=0) < 1 or len(sizes) > MAX_OUTPUTS:
        raise CompileError(f"parts must add up to {whole[axis]}, not {list(sizes)}")
    ends = np.cumsum(sizes)
    index = [(slice(None),) * axis + (slice(e - n, e),) for e, n in zip(ends, sizes, strict=True)]
    return tuple(move(call, lambda array, at=at: array[at]) for at in index)  # type: ignore[misc]


MAX_OUTPUTS = 1 << 12


def gather(call: Call) -> Value:
    """Some channels (Select: wires).

    The indices must be constant.
    """
    whole = _shape_of(call)
    (axis,) = _axes((call.integer("axis", 0),), len(whole))
    index = call.constant(1)
    if index.dtype.kind not in "iu" or index.size * math.prod(whole) > MAX_ELEMENTS * whole[axis]:
        raise CompileError(f"indices must be integers, and not so many: {index.size}")
    if index.size and not -whole[axis] <= index.min() <= index.max() < whole[axis]:
        raise CompileError(f"indices must be within {whole[axis]}, not {index.reshape(-1)[:9]}")
    return move(call, lambda array: _filled(np.take(array, index, axis=axis)))


def expand(call: Call) -> Value:
    """A constant; of an activation only where it repeats positions (Resize)."""
    target = np.broadcast_shapes(_shape_of(call), call.integers(1))
    if math.prod(target) > MAX_ELEMENTS:
        raise CompileError(f"shape must have at most {MAX_ELEMENTS} elements, not {target}")
    return move(call, lambda array: np.broadcast_to(array, target).copy())


def tile(call: Call) -> Value:
    """A constant; of an activation only where it repeats positions (Resize)."""
    repeats, whole = call.integers(1), _shape_of(call)
    if len(repeats) != len(whole) or math.prod(repeats) * math.prod(whole) > MAX_ELEMENTS:
        raise CompileError(f"repeats must be one an axis, and not so many: {repeats}")
    return move(call, lambda array: _filled(np.tile(array, repeats)))


def depth_to_space(call: Call) -> Value:
    """DepthToSpace, in both modes."""
    whole, block = _blocks(call)
    mode = call.text("mode", "DCR", "DCR", "CRD")
    if whole[1] % block**2:
        raise CompileError(f"blocksize must divide the channels ({whole[1]}) twice, not {block}")
    count = whole[1] // block**2
    size = (whole[0], count, *(n * block for n in whole[2:]))
    split = (block, block, count) if mode == "DCR" else (count, block, block)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    parts = (whole[0], *split, *whole[2:])
    return move(call, lambda a: a.reshape(parts).transpose(order).reshape(size))


def space_to_depth(call: Call) -> Value:
    """A Linear whose kernel picks one element a channel."""
    whole, block = _blocks(call)
    if whole[2] % block or whole[3] % block:
        raise CompileError(f"blocksize must divide the positions {whole[2:]}, not {block}")
    split = (whole[0], whole[1], whole[2] // block, block, whole[3] // block, block)
    size = (whole[0], whole[1] * block**2, whole[2] // block, whole[3] // block)
    return move(call, lambda a: a.reshape(split).transpose(0, 3, 5, 1, 2, 4).reshape(size))


def _blocks(call: Call) -> tuple[tuple[int, ...], int]:
    whole, block = _shape_of(call), call.integer("blocksize")
    if len(whole) != 4 or not 1 <= block <= 64:
        raise CompileError(f"input must have 4 axes and blocksize be 1 to 64, not {whole}, {block}")
    return whole, block


def concat(call: Call) -> Value:
    """A Concat of channels, each with its own scale.

    Wires where all parts come from the same codes. Refused: an axis of positions.
    """
    parts: list[Any] = [call.value(k) for k in range(len(call.inputs))]
    if all(isinstance(part, np.ndarray) for part in parts):
        (axis,) = _axes((call.integer("axis"),), parts[0].ndim)
        return np.concatenate(parts, axis=axis)
    if all(isinstance(part, Weight) for part in parts):
        whole = [np.broadcast_to(part.scale, part.shape) for part in parts]
        (axis,) = _axes((call.integer("axis"),), parts[0].codes.ndim)
        codes = np.concatenate([part.codes for part in parts], axis=axis)
        return Weight(codes, np.concatenate(whole, axis=axis))
    reals = [call.real(k) for k in range(len(parts))]
    rank = len(reals[0].shape)
    (axis,) = _axes((call.integer("axis"),), rank)
    if len({real.node for real in reals}) == 1 and len({real.function for real in reals}) == 1:
        whole = [real.layout.index() for real in reals]
        return reals[0].moved(np.concatenate(whole, axis=axis), call.name)
    last = axis == rank - 1 and rank > 2 and all(r.layout.last for r in reals)
    if axis != 1 and not last:
        raise CompileError(f"axis must be that of the channels, not {axis}")
    return _concat(call, reals, last)


def _concat(call: Call, reals: list[Real], last: bool) -> Real:
    if not last:
        reals = [place.raster(call, real) for real in reals]
    else:
        reals = [call.context.settle(real) for real in reals]
    height, width, _ = reals[0].layout.size
    if any(real.layout.size[:2] != (height, width) for real in reals):
        sizes = " and ".join(str(real.shape) for real in reals)
        raise CompileError(f"all inputs must have the same positions, not {sizes}")
    steps = [place.affine(call, real) for real in reals]
    pairs: list[tuple[Any, Any]] = [
        step.function.affine.at(c)  # type: ignore[union-attr]
        for step in steps
        for c in range(step.layout.channels)
    ]
    node = call.context.add(call.name, ops.Concat(), *(step.node for step in steps))
    shape = list(reals[0].shape)
    shape[-1 if last else 1] = len(pairs)
    order: Any = "last" if last else "first"
    layout = Layout(tuple(shape), (height, width, len(pairs)), order, call.name)
    gains, offsets = zip(*pairs, strict=True)
    return Real(node, Function((Affine(gains, offsets),)), layout)


def pad(call: Call) -> Value:
    """A Pad with the code of the padding value; negative pads crop.

    The value must be one that codes stand for. Refused: modes other than constant.
    """
    whole = _shape_of(call)
    pads = call.integers(1) if call.has(1) else call.ints("pads")
    if call.has(3):
        axes = _axes(call.integers(3), len(whole))
        ends = {axis: (pads[k], pads[k + len(axes)]) for k, axis in enumerate(axes)}
        pads = tuple(ends.get(k, (0, 0))[e] for e in range(2) for k in range(len(whole)))
    if len(pads) != 2 * len(whole) or max(map(abs, pads)) > 1 << 16:
        raise CompileError(f"pads must be two an axis, not {list(pads)}")
    call.text("mode", "constant", "constant")
    value = call.scalar(2) if call.has(2) else call.number("value", 0.0)
    if isinstance(call.value(0), np.ndarray) or not any(pads):
        edges = list(zip(pads[: len(whole)], pads[len(whole) :], strict=True))
        if not any(pads):
            return identity(call)
        return move(call, lambda a: np.pad(a, edges, constant_values=float(value)))
    before, after = list(pads[: len(whole)]), list(pads[len(whole) :])
    last = len(whole) > 2 and bool(before[1] or after[1])
    real = call.real()
    if last:
        real = place.channels_first(real)
        before, after = ([p[0], p[-1], *p[1:-1]] for p in (before, after))
    if any(before[:2]) or any(after[:2]):
        raise CompileError(f"only positions can be padded, not batch or channels: {list(pads)}")
    real, code = _code(call, place.raster(call, real), value)
    top, left = (0, 0, *before[2:])[-2:]
    bottom, right = (0, 0, *after[2:])[-2:]
    node = call.context.add(call.name, ops.Pad((top, left, bottom, right), code), real.node)
    size = call.context.tensors[node].shape
    shape = (*real.shape[:2], *size[:2][4 - len(whole) :])
    result = replace(real, node=node, layout=Layout(shape, size, by=call.name))
    return place.channels_last(result) if last else result


def _code(call: Call, real: Real, value: Any) -> tuple[Real, int]:
    """The tensor as codes among which one stands for ``value`` in every channel; that code."""
    for based in (False, True):
        found = place.zero_based(call, real) if based else real
        step = found.function.affine
        if step is None or not step.rational_only:
            continue
        pairs: Any = [step.at(c) for c in range(len(step.gain))]
        codes = {(value - offset) / gain if gain else Fraction(1, 2) for gain, offset in pairs}
        if len(codes) == 1 and next(iter(codes)).denominator == 1:
            return found, int(codes.pop())
    raise CompileError(
        f"{float(value):g} must be one of the values that codes stand for; put a Quant before it"
    )
