"""What stands at the end of a network: the largest output, and what is left to the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import Call
from ..functions import IDENTITY, Unary
from ..layout import Layout
from ..values import Real, Refused, Value

__all__ = ["arg_max", "softmax", "top_k"]

# They rise strictly, so that what is largest stays largest.
_STRICT = ("Sigmoid", "Tanh", "Erf", "Exp", "Softplus", "Softsign", "Log")


def softmax(tail: str) -> Callable[[Call], Value]:
    """The handler of a softmax over channels."""

    def handler(call: Call) -> Value:
        """Nothing: the host computes it from the accumulators delivered.

        Over channels; nothing but an ArgMax may follow.
        """
        real = call.real()
        rank = len(real.shape)
        axis = call.integer("axis", -1) % rank
        single = real.layout.size[:2] == (1, 1)
        if axis != _channel_axis(real) and not (single and axis == rank - 1 == 1):
            raise CompileError(f"axis must be that of the channels, not {axis} of {real.shape}")
        return replace(real, tail=tail)

    return handler


def _channel_axis(real: Real) -> int:
    return 1 if real.layout.first or len(real.shape) == 2 else len(real.shape) - 1


def arg_max(call: Call) -> Value:
    """An ArgMax where all channels have one scale and offset, else the host does it.

    Over channels; keepdims, select_last_index. A Softmax or Sigmoid before it is left out.
    """
    real = call.real(tail=True)
    axis, keep = call.integer("axis", 0), bool(call.integer("keepdims", 1))
    last = bool(call.integer("select_last_index", 0))
    return _arg_max(call, real, axis, keep, last)


def top_k(call: Call) -> tuple[Value, Value]:
    """As ArgMax.

    k must be 1, and only the indices may be used.
    """
    if call.integers(1) != (1,) or not call.integer("largest", 1):
        raise CompileError("k must be 1 and the largest be asked for; the host can sort the rest")
    real = call.real(tail=True)
    found = _arg_max(call, real, call.integer("axis", -1), True, False)
    return Refused(found.shape, "of TopK only the indices are computed"), found


def _arg_max(call: Call, real: Real, axis: int, keep: bool, last: bool) -> Real:
    rank = len(real.shape)
    if axis % rank != _channel_axis(real):
        raise CompileError(f"axis must be that of the channels, not {axis} of {real.shape}")
    if real.tail not in ("", "Softmax", "LogSoftmax"):
        raise CompileError(f"nothing may follow a {real.tail}, which the host computes")
    channels_last = axis % rank != 1
    real = replace(real, tail="")
    if channels_last:
        real = place.channels_first(real)
    real = place.raster(call, real)
    steps = real.function.steps
    while steps and isinstance(steps[-1], Unary) and steps[-1].kind in _STRICT:
        steps = steps[:-1]  # what rises strictly does not change who is largest
    real = place.affine(call, replace(real, function=replace(real.function, steps=steps)))
    step: Any = real.function.affine
    shape = (1, 1, *real.shape[2:]) if keep else (1, *real.shape[2:])
    if channels_last and keep:
        shape = (1, *real.shape[2:], 1)
    if len(set(zip(step.gain, step.offset, strict=True))) == 1 and step.gain[0] > 0:
        node = call.context.add(call.name, ops.ArgMax(last), real.node)
        size = call.context.tensors[node].shape
        index = np.arange(size[0] * size[1], dtype=np.int32).reshape(shape)
        layout = Layout(shape, size, by=call.name)
        return Real(node, IDENTITY, layout.moved(index, call.name) if shape else layout)
    if last:
        raise CompileError("select_last_index must be 0 where channels have different scales")
    return replace(real, layout=replace(real.layout, shape=shape), tail="ArgMax")
