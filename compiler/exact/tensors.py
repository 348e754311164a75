"""Exact rules of what sums over elements, picks among them, or moves them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .matching import MATCHING, linear
from .rules import Gathered, Grouped, Rule, Spec, Value, constant, moved
from .scalars import exp, integer_type, larger

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


def windows(spec: Spec, kernel: tuple[int, ...]) -> tuple[list[int], Callable[..., Any]]:
    """Output sizes of a convolution or pool, and for an output position (tap, position) pairs."""
    given, sizes = spec.attributes, spec.shape()[2:]
    rank = len(sizes)
    strides, dilations = (given.get(k, [1] * rank) for k in ("strides", "dilations"))
    pads = list(given.get("pads", [0] * 2 * rank))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = given.get("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = [0] * 2 * rank
    elif auto.startswith("SAME"):
        total = [
            max(0, (math.ceil(n / s) - 1) * s + r - n)
            for n, s, r in zip(sizes, strides, reach, strict=True)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if auto == "SAME_UPPER" else large + small
    out = []
    for axis in range(rank):
        span = sizes[axis] + pads[axis] + pads[axis + rank] - reach[axis]
        count = span // strides[axis] + 1
        if given.get("ceil_mode", 0):
            count = -(-span // strides[axis]) + 1
            count -= (count - 1) * strides[axis] >= sizes[axis] + pads[axis]
        out.append(count)

    def taps(position: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        found = []
        for tap in itertools.product(*map(range, kernel)):
            at = tuple(
                p * s - b + t * d
                for p, s, b, t, d in zip(position, strides, pads, tap, dilations, strict=False)
            )
            if all(0 <= a < n for a, n in zip(at, sizes, strict=True)):
                found.append((tap, at))
        return found

    return out, taps


def flat(at: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """The flat position of an index."""
    position = 0
    for k, n in zip(at, shape, strict=True):
        position = position * n + k
    return position


def index_of(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index at a flat position."""
    return tuple(int(k) for k in np.unravel_index(position, shape))


def conv(spec: Spec) -> tuple[Rule, ...]:
    """A convolution; a bias is added by :class:`Biased`."""
    x, w = spec.shape(0), spec.shape(1)
    out, taps = windows(spec, tuple(w[2:]))
    groups = spec.attributes.get("group", 1)
    shape = (x[0], w[0], *out)
    part = w[0] // groups

    def group(position: int) -> tuple[list[int], list[int]]:
        frame, channel, *at = index_of(position, shape)
        first = channel // part * w[1]
        left, right = [], []
        for tap, place in taps(tuple(at)):
            for c in range(w[1]):
                left.append(flat((frame, first + c, *place), x))
                right.append(flat((channel, c, *tap), w))
        return left, right

    return (biased(spec, Grouped(shape, group), lambda f: index_of(f, shape)[1]),)


def conv_transpose(spec: Spec) -> tuple[Rule, ...]:
    x, w = spec.shape(0), spec.shape(1)
    given, rank = spec.attributes, len(x) - 2
    groups = given.get("group", 1)
    strides, dilations = (given.get(k, [1] * rank) for k in ("strides", "dilations"))
    extra, pads = given.get("output_padding", [0] * rank), given.get("pads", [0] * 2 * rank)
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(x[2:], strides, w[2:], dilations, extra, strict=True)
    ]
    auto, wanted = given.get("auto_pad", "NOTSET"), given.get("output_shape")
    if auto.startswith("SAME") and not wanted:
        wanted = [n * s for n, s in zip(x[2:], strides, strict=True)]
    if wanted:
        total = [f - n for f, n in zip(full, wanted, strict=True)]
        half, rest = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = half + rest if auto == "SAME_UPPER" else rest + half
    out = [f - pads[a] - pads[a + rank] for a, f in enumerate(full)]
    shape = (x[0], w[1] * groups, *out)
    inputs = x[1] // groups

    def group(position: int) -> tuple[list[int], list[int]]:
        frame, channel, *at = index_of(position, shape)
        first = channel // w[1] * inputs
        left, right = [], []
        for tap in itertools.product(*map(range, w[2:])):
            place = [(a + pads[k] - t * dilations[k], strides[k]) for k, (a, t) in
                     enumerate(zip(at, tap, strict=True))]  # fmt: skip
            if any(p % s or not 0 <= p // s < n for (p, s), n in zip(place, x[2:], strict=True)):
                continue
            for c in range(first, first + inputs):
                left.append(flat((frame, c, *(p // s for p, s in place)), x))
                right.append(flat((c, channel % w[1], *tap), w))
        return left, right

    return (biased(spec, Grouped(shape, group), lambda f: index_of(f, shape)[1]),)


def biased(spec: Spec, rule: Grouped, channel: Callable[[int], int], gain: Any = 1) -> Rule:
    """``rule`` and a bias from input 2, if there is one."""
    if not spec.has(2):
        return rule
    bias = spec.array(2).reshape(-1)

    class Biased(Grouped):
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            sums = super().compute(flat, reader)
            return {f: v + gain * bias[channel(f) % len(bias)] for f, v in sums.items()}

    return Biased(rule.shape, rule.group)


def matmul(spec: Spec) -> Rule:
    a, b = spec.shape(0), spec.shape(1)
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    shape = (*batch, a[-2], b[-1])
    left, right = (
        np.broadcast_to(np.arange(math.prod(own)).reshape(own), (*batch, *own[-2:]))
        for own in (a, b)
    )

    def group(position: int) -> tuple[list[int], list[int]]:
        *first, row, column = index_of(position, shape)
        own: Any = tuple(first)
        return left[own][row].tolist(), right[own][:, column].tolist()

    return Grouped(shape, group)


def gemm(spec: Spec) -> Rule:
    a, b = (np.arange(math.prod(spec.shape(k))).reshape(spec.shape(k)) for k in range(2))
    a = a.T if spec.attributes.get("transA", 0) else a
    b = b.T if spec.attributes.get("transB", 0) else b
    alpha, beta = spec.number("alpha", 1.0), spec.number("beta", 1.0)
    shape = (a.shape[0], b.shape[1])

    class Scaled(Grouped):
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            return {f: v * alpha for f, v in super().compute(flat, reader).items()}

    def group(position: int) -> tuple[list[int], list[int]]:
        row, column = divmod(position, shape[1])
        return a[row].tolist(), b[:, column].tolist()

    rule = Scaled(shape, group)
    if not spec.has(2):
        return rule
    bias = np.broadcast_to(spec.array(2), shape).reshape(-1)

    class Biased(Scaled):
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            return {f: v + beta * bias[f] for f, v in super().compute(flat, reader).items()}

    return Biased(shape, group)


def shifted(spec: Spec, rule: Grouped, places: tuple[int, int, int, int]) -> Rule:
    """``rule`` on integers less their zero points: x, its zero, w and its zero (one a row)."""
    x, x_zero, w, w_zero = places
    start = spec.array(x_zero).reshape(-1)[0] if spec.has(x_zero) else Fraction(0)
    rows = spec.array(w_zero).reshape(-1) if spec.has(w_zero) else [Fraction(0)]
    columns = spec.node.kind.endswith(("MatMul", "MatMulInteger"))
    size = spec.shape(w)[-1] if columns else math.prod(spec.shape(w)[1:])

    class Shifted(Grouped):
        def needs(self, flat: Any) -> Any:
            groups = [self.group(f) for f in flat.tolist()]
            yield x, np.array([a for left, _ in groups for a in left], dtype=np.int64)
            yield w, np.array([b for _, right in groups for b in right], dtype=np.int64)

        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            result = {}
            for f in flat:
                total: Value = Fraction(0)
                for a, b in zip(*self.group(f), strict=True):
                    row = (b % size if columns else b // size) % len(rows)
                    total += (reader.value(x, a) - start) * (reader.value(w, b) - rows[row])
                result[f] = total
            return result

    return Shifted(rule.shape, rule.group)


def inner(spec: Spec, places: tuple[int, int]) -> Spec:
    """The node as if inputs ``places`` were its only ones."""
    return replace(
        spec, shapes=[spec.shapes[k] for k in places], array=lambda k: spec.array(places[k])
    )


def conv_integer(spec: Spec) -> Rule:
    (rule,) = conv(inner(spec, (0, 1)))
    assert isinstance(rule, Grouped)
    return shifted(spec, rule, (0, 2, 1, 3))


def matmul_integer(spec: Spec) -> Rule:
    rule = matmul(inner(spec, (0, 1)))
    assert isinstance(rule, Grouped)
    return shifted(spec, rule, (0, 2, 1, 3))


def qlinear(spec: Spec) -> Rule:
    """QLinearConv and QLinearMatMul."""
    convolution = spec.node.kind == "QLinearConv"
    rule: Any = conv(inner(spec, (0, 3)))[0] if convolution else matmul(inner(spec, (0, 3)))
    rule = shifted(spec, rule, (0, 2, 3, 5))
    (scale,), (out,), (zero,) = (spec.array(k).reshape(-1) for k in (1, 6, 7))
    own, bias = spec.array(4).reshape(-1), spec.array(8).reshape(-1) if spec.has(8) else None
    lo, hi = integer_type(spec, 7)

    class Requantized(type(rule)):  # type: ignore[misc]
        def compute(self, flat: Any, reader: Any) -> dict[int, Value]:
            result = {}
            for f, total in super().compute(flat, reader).items():
                channel = index_of(f, self.shape)[1 if convolution else -1]
                total += bias[channel] if bias is not None else 0
                y = total * scale * own[channel % len(own)] / out
                result[f] = Fraction(min(max(round(y) + int(zero), lo), hi))
            return result

    return Requantized(rule.shape, rule.group)


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


TENSORS: Mapping[str, Callable[[Spec], Any]] = {
    "ArgMax": arg_max,
    "AveragePool": pool(mean),
    "Concat": concat,
    "Constant": fixed,
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Dropout": lambda spec: moved(spec, lambda a: a),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": reduced(mean),
    "GlobalMaxPool": reduced(largest),
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "MaxPool": pool(largest),
    "Pad": pad,
    "QLinearConv": qlinear,
    "QLinearMatMul": qlinear,
    "QuantAvgPool2d": quant_avg_pool,
    "ReduceMax": reduced(largest),
    "ReduceMean": reduced(mean),
    "ReduceSum": reduced(lambda values: sum(values, Fraction(0))),
    "Reshape": reshape,
    "Resize": resize,
    "Shape": lambda spec: constant(np.array(spec.shape())),
    "Slice": slice_,
    "Softmax": softmax,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": lambda spec: moved(spec, lambda a: np.tile(a, spec.ints(1, ""))),
    "TopK": top_k,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
    **MATCHING,
}
"""Each operator by name."""
