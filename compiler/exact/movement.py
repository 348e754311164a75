"""Exact rules of what moves elements: shapes, slices, concatenation, padding, nearest resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .matching import linear
from .rules import Gathered, Rule, Spec, constant, moved

__all__ = ["MOVEMENT"]


def reshape(spec: Spec) -> Rule:
    wanted, shape = spec.ints(1, "shape"), spec.shape()
    sizes = [shape[k] if n == 0 else n for k, n in enumerate(wanted)]
    return moved(spec, lambda a: a.reshape(sizes))


def flatten(spec: Spec) -> Rule:
    axis = spec.attributes.get("axis", 1) % (len(spec.shape()) + 1)
    size = math.prod(spec.shape()[:axis])
    return moved(spec, lambda a: a.reshape(size, -1))


def squeeze(spec: Spec) -> Rule:
    ones = [k for k, n in enumerate(spec.shape()) if n == 1]
    axes = tuple(spec.ints(1, "axes", ones))
    return moved(spec, lambda a: np.squeeze(a, axes))


def unsqueeze(spec: Spec) -> Rule:
    return moved(spec, lambda a: np.expand_dims(a, tuple(spec.ints(1, "axes"))))


def transpose(spec: Spec) -> Rule:
    return moved(spec, lambda a: a.transpose(spec.attributes.get("perm")))


def slice_(spec: Spec) -> Rule:
    if spec.has(1):
        starts, ends = spec.ints(1, ""), spec.ints(2, "")
    else:
        starts, ends = spec.attributes["starts"], spec.attributes["ends"]
    axes = spec.ints(3, "axes", range(len(starts)))
    steps = spec.ints(4, "steps", [1] * len(starts))

    def mover(a: NDArray[Any]) -> NDArray[Any]:
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            size = a.shape[axis]
            stop = None if step < 0 and end < -size else end
            a = np.moveaxis(np.moveaxis(a, axis, 0)[start:stop:step], 0, axis)
        return a

    return moved(spec, mover)


def split(spec: Spec) -> tuple[Rule, ...]:
    axis = spec.attributes.get("axis", 0)
    size, count = spec.shape()[axis], len(spec.node.outputs)
    part = -(-size // count)
    sizes = spec.ints(1, "split", [min(part, size - k * part) for k in range(count)])
    ends = np.cumsum(sizes)

    def part_of(first: int, last: int) -> Rule:
        return moved(spec, lambda a: np.take(a, range(first, last), axis))

    return tuple(part_of(e - n, e) for n, e in zip(sizes, ends.tolist(), strict=True))


def gather(spec: Spec) -> Rule:
    index = spec.array(1).astype(np.int64)
    return moved(spec, lambda a: np.take(a, index, axis=spec.attributes.get("axis", 0)))


def concat(spec: Spec) -> Rule:
    start, parts = 0, []
    for shape in spec.shapes:
        assert shape is not None
        parts.append(start + np.arange(math.prod(shape)).reshape(shape))
        start += math.prod(shape)
    where = np.concatenate(parts, axis=spec.attributes["axis"])
    return Gathered(where.shape, where.reshape(-1), tuple(p.size for p in parts))


def pad(spec: Spec) -> Rule:
    pads, rank = spec.ints(1, "pads"), len(spec.shape())
    value = spec.array(2).reshape(-1)[0] if spec.has(2) else spec.number("value", 0.0)
    axes = spec.ints(3, "", range(rank)) if spec.has(3) else list(range(rank))
    edges = [(0, 0)] * rank
    for k, axis in enumerate(axes):
        edges[axis] = (pads[k], pads[k + len(axes)])

    def mover(a: NDArray[Any]) -> NDArray[Any]:
        a = np.pad(a, [(max(0, b), max(0, e)) for b, e in edges], constant_values=-1)
        cut = tuple(
            slice(max(0, -b), n - max(0, -e)) for (b, e), n in zip(edges, a.shape, strict=True)
        )
        return a[cut]

    rule = moved(spec, mover)
    return Gathered(rule.shape, rule.where, rule.sizes, value)


def depth_to_space(spec: Spec) -> Rule:
    (n, c, h, w), b = spec.shape(), spec.attributes["blocksize"]

    def mover(a: NDArray[Any]) -> NDArray[Any]:
        if spec.attributes.get("mode", "DCR") == "DCR":
            a = a.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            a = a.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
        return a.reshape(n, c // b**2, h * b, w * b)

    return moved(spec, mover)


def space_to_depth(spec: Spec) -> Rule:
    (n, c, h, w), b = spec.shape(), spec.attributes["blocksize"]
    return moved(
        spec,
        lambda a: (
            a.reshape(n, c, h // b, b, w // b, b)
            .transpose(0, 3, 5, 1, 2, 4)
            .reshape(n, c * b * b, h // b, w // b)
        ),
    )


def resize(spec: Spec) -> Rule:
    old = spec.node.kind == "Upsample" or len(spec.shapes) < 3
    mode = spec.attributes.get(
        "coordinate_transformation_mode", "asymmetric" if old else "half_pixel"
    )
    nearest = spec.attributes.get("nearest_mode", "floor" if old else "round_prefer_floor")
    shape = spec.shape()
    if spec.has(3):
        sizes = spec.ints(3, "")
        scales = [Fraction(m, n) for m, n in zip(sizes, shape, strict=True)]
    else:
        k = 1 if old else 2
        given = spec.array(k).reshape(-1) if spec.has(k) else spec.attributes["scales"]
        scales = [Fraction(s) for s in given]
        sizes = [math.floor(n * s) for n, s in zip(shape, scales, strict=True)]
    if spec.attributes.get("mode", "nearest") == "linear":
        return linear(spec, int(scales[-1]))
    half = Fraction(1, 2)

    def source(x: int, n: int, m: int, scale: Fraction) -> int:
        match mode:
            case "asymmetric":
                at = x / scale
            case "align_corners":
                at = Fraction(x * (n - 1), m - 1) if m > 1 else Fraction(0)
            case "tf_half_pixel_for_nn":
                at = (x + half) / scale
            case "half_pixel_symmetric":
                at = Fraction(n, 2) * (1 - Fraction(m) / (scale * n)) + (x + half) / scale - half
            case "pytorch_half_pixel" if m == 1:
                at = Fraction(0)
            case _:
                at = (x + half) / scale - half
        rule = {
            "floor": math.floor,
            "ceil": math.ceil,
            "round_prefer_floor": lambda v: math.ceil(v - half),
            "round_prefer_ceil": lambda v: math.floor(v + half),
        }[nearest]
        return min(max(rule(at), 0), n - 1)

    places = [
        [source(x, n, m, s) for x in range(m)] for n, m, s in zip(shape, sizes, scales, strict=True)
    ]
    return moved(spec, lambda a: a[np.ix_(*places)])


def expand(spec: Spec) -> Rule:
    shape = np.broadcast_shapes(spec.shape(), tuple(spec.ints(1, "")))
    return moved(spec, lambda a: np.broadcast_to(a, shape))


def fixed(spec: Spec) -> Rule:
    """A Constant node."""
    return constant(next(v for k, v in spec.attributes.items() if k.startswith("value")))


MOVEMENT: Mapping[str, Callable[[Spec], Any]] = {
    "Concat": concat,
    "Constant": fixed,
    "DepthToSpace": depth_to_space,
    "Dropout": lambda spec: moved(spec, lambda a: a),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Pad": pad,
    "Reshape": reshape,
    "Resize": resize,
    "Shape": lambda spec: constant(np.array(spec.shape())),
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": lambda spec: moved(spec, lambda a: np.tile(a, spec.ints(1, ""))),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
}
"""Each operator by name."""
