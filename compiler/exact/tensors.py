"""Exact rules of what combines elements or picks among them; and the table of all that is no
function of single elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from .matching import MATCHING
from .movement import MOVEMENT
from .places import flat, index_of, windows
from .products import PRODUCTS
from .rules import Grouped, Rule, Spec, Value
from .scalars import exp, larger

__all__ = ["TENSORS"]


def reduced(combine: Callable[[list[Value]], Value]) -> Callable[[Spec], Rule]:
    """A rule that combines all elements along some axes."""

    def make(spec: Spec) -> Rule:
        shape = spec.shape()
        every = range(2 if spec.node.kind.startswith("Global") else 0, len(shape))
        axes = sorted(axis % len(shape) for axis in spec.ints(1, "axes", every))
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        index = np.arange(math.prod(shape)).reshape(shape).transpose(*kept, *axes)
        index = index.reshape(math.prod(shape[axis] for axis in kept), -1)
        out = tuple(1 if axis in axes else shape[axis] for axis in range(len(shape)))
        if not spec.attributes.get("keepdims", 1):
            out = tuple(shape[axis] for axis in kept)
        return Grouped(out, lambda f: (index[f].tolist(), []), combine)

    return make


def mean(values: list[Value]) -> Value:
    return sum(values, Fraction(0)) / len(values)


def largest(values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = larger(result, value)
    return result


def arg_max(spec: Spec) -> Rule:
    shape = spec.shape()
    axis = spec.attributes.get("axis", 0 if spec.node.kind == "ArgMax" else -1) % len(shape)
    last = spec.attributes.get("select_last_index", 0)
    index = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), axis, -1)
    index = index.reshape(-1, shape[axis])
    keep = spec.attributes.get("keepdims", 1)
    out = (*shape[:axis], *((1,) if keep else ()), *shape[axis + 1 :])

    def combine(values: list[Value]) -> Value:
        best = 0
        for k in range(1, len(values)):
            if values[k] > values[best] or (last and values[k] == values[best]):
                best = k
        return Fraction(best)

    return Grouped(out, lambda f: (index[f].tolist(), []), combine)


def pool(combine: Callable[[list[Value]], Value]) -> Callable[[Spec], Rule]:
    """A rule for a pool over windows."""

    def make(spec: Spec) -> Rule:
        x, kernel = spec.shape(), tuple(spec.attributes["kernel_shape"])
        out, taps = windows(spec, kernel)
        shape = (*x[:2], *out)

        def group(position: int) -> tuple[list[int], list[int]]:
            frame, channel, *at = index_of(position, shape)
            return [flat((frame, channel, *place), x) for _, place in taps(tuple(at))], []

        if spec.attributes.get("count_include_pad", 0):
            whole = math.prod(kernel)
            return Grouped(shape, group, lambda values: sum(values, Fraction(0)) / whole)
        return Grouped(shape, group, combine)

    return make


def quant_avg_pool(spec: Spec) -> Rule:
    given = spec.attributes
    kernel, stride = given["kernel"], given["stride"]
    last = given.get("data_layout", "NCHW") == "NHWC"
    most = (2 ** given["ibits"] - 1) * kernel**2
    part = 2 ** max(0, most.bit_length() - given["obits"])
    x = spec.shape()
    index = np.arange(math.prod(x)).reshape(x)
    index = index.transpose(0, 3, 1, 2) if last else index
    size = [(n - kernel) // stride + 1 for n in index.shape[2:]]
    shape = (index.shape[0], *size, index.shape[1]) if last else (*index.shape[:2], *size)

    def group(position: int) -> tuple[list[int], list[int]]:
        at = index_of(position, shape)
        frame, channel, row, column = (at[0], at[3], at[1], at[2]) if last else at
        block = index[frame, channel, row * stride :, column * stride :][:kernel, :kernel]
        return block.reshape(-1).tolist(), []

    return Grouped(shape, group, lambda v: Fraction(math.floor(sum(v, Fraction(0)) / part)))


def softmax(spec: Spec) -> Rule:
    shape = spec.shape()
    axis = spec.attributes.get("axis", -1) % len(shape)
    every = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), axis, -1)
    every = np.broadcast_to(every[..., None, :], (*every.shape, shape[axis]))
    group = np.moveaxis(every, -2, axis).reshape(-1, shape[axis])

    def combine(values: list[Value]) -> Value:
        powers = [exp(v, spec.bits) for v in values[1:]]
        return exp(values[0], spec.bits) / sum(powers, Fraction(0))

    return Grouped(shape, lambda f: ([f, *group[f].tolist()], []), combine)


def top_k(spec: Spec) -> tuple[Rule, Rule]:
    found = arg_max(spec)
    assert isinstance(found, Grouped)
    return Grouped(found.shape, found.group, largest), found


TENSORS: Mapping[str, Callable[[Spec], Any]] = {
    "ArgMax": arg_max,
    "AveragePool": pool(mean),
    "GlobalAveragePool": reduced(mean),
    "GlobalMaxPool": reduced(largest),
    "MaxPool": pool(largest),
    "QuantAvgPool2d": quant_avg_pool,
    "ReduceMax": reduced(largest),
    "ReduceMean": reduced(mean),
    "ReduceSum": reduced(lambda values: sum(values, Fraction(0))),
    "Softmax": softmax,
    "TopK": top_k,
    **PRODUCTS,
    **MOVEMENT,
    **MATCHING,
}
"""Each operator by name."""
