"""Exact rules of our own operators, and of linear upsampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .rules import Grouped, Index, Reader, Rule, Spec, Value
from .span import Span, decide

__all__ = ["MATCHING", "linear"]


@dataclass(frozen=True)
class _Cost:
    """Each element from the channels of one position in both inputs; -1 is outside."""

    shape: tuple[int, ...]
    pairs: Callable[[int], list[tuple[int, int]]]
    form: str

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        pairs = [pair for f in flat.tolist() for pair in self.pairs(f)]
        for k in (0, 1):
            yield k, np.array([pair[k] for pair in pairs if pair[k] >= 0], dtype=np.int64)

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        result = {}
        for f in flat:
            total: Value = Fraction(0)
            for a, b in self.pairs(f):
                left = reader.value(0, a)
                right = reader.value(1, b) if b >= 0 else Fraction(0)
                total += left * right if self.form == "product" else abs(left - right)
            result[f] = total
        return result


def cost_volume(spec: Spec) -> Rule:
    _, channels, height, width = spec.shape()
    shape = (1, int(spec.attributes["shifts"]), height, width)
    form = spec.attributes.get("form", b"difference")
    text = form.decode() if isinstance(form, bytes) else str(form)

    def pairs(f: int) -> list[tuple[int, int]]:
        d, place = divmod(f, height * width)
        inside = place % width >= d
        ats = [c * height * width + place for c in range(channels)]
        return [(at, at - d if inside else -1) for at in ats]

    return _Cost(shape, pairs, text)


@dataclass(frozen=True)
class _Records:
    """Number and channels of the first positions that reach a limit, by channel."""

    shape: tuple[int, ...]
    positions: int
    limits: Sequence[tuple[int, Fraction]]

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        # Which position it is nobody knows before: all of the channels tested and asked for.
        asked = {c - 1 for c in (flat // self.shape[3]).tolist() if c > 0}
        every = asked | {c for c, _ in self.limits}
        starts = np.array(sorted(every), dtype=np.int64)[:, None] * self.positions
        yield 0, (starts + np.arange(self.positions)).reshape(-1)

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        found = [
            at
            for at in range(self.positions)
            if any(reader.value(0, c * self.positions + at) >= t for c, t in self.limits)
        ]
        result = {}
        for f in flat:
            channel, number = divmod(f, self.shape[3])
            if number >= len(found):
                result[f] = Fraction(0 if channel else -1)
            elif channel == 0:
                result[f] = Fraction(found[number])
            else:
                result[f] = reader.value(0, (channel - 1) * self.positions + found[number])
        return result


def candidates(spec: Spec) -> Rule:
    _, channels, height, width = spec.shape()
    tested, given = spec.attributes["channels"], spec.attributes["thresholds"]
    limits = [(int(c), Fraction(t)) for c, t in zip(tested, given, strict=True)]
    shape = (1, 1 + channels, 1, int(spec.attributes["count"]))
    return _Records(shape, height * width, limits)


@dataclass(frozen=True)
class _Same:
    """Whether a disparity and that of the place it leads to are near each other."""

    shape: tuple[int, ...]
    parts: Fraction
    tolerance: Fraction

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        yield 0, flat
        # Where it leads to nobody knows before: the row up to there.
        width = self.shape[3]
        starts = flat - flat % width
        rows = [np.arange(a, b + 1) for a, b in zip(starts, flat, strict=True)]
        yield 1, np.concatenate([np.zeros(0, dtype=np.int64), *rows])

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        result = {}
        for f in flat:
            left = reader.value(0, f)
            shift = decide(math.floor, left / self.parts + Fraction(1, 2))
            near = shift <= f % self.shape[3]
            if near:
                near = abs(left - reader.value(1, f - shift)) <= self.tolerance
            result[f] = Fraction(int(near))
        return result


def consistency(spec: Spec) -> Rule:
    return _Same(spec.shape(), spec.number("parts", 1.0), spec.number("tolerance", 1.0))


def subpixel(spec: Spec) -> Rule:
    _, channels, height, width = spec.shape()
    parts = int(spec.attributes["parts"])

    def combine(values: list[Value]) -> Value:
        best = 0
        for k in range(1, len(values)):
            if values[k] > values[best]:
                best = k
        if best in (0, len(values) - 1):
            return Fraction(parts * best)
        a, b, c = values[best - 1 : best + 2]
        curve = 2 * (2 * b - a - c)
        if curve == 0:
            return Fraction(parts * best)
        rounded = decide(math.floor, parts * (c - a) / curve + Fraction(1, 2))
        return Fraction(parts * best + rounded)

    size = height * width
    return Grouped(
        (1, 1, height, width), lambda f: ([c * size + f for c in range(channels)], []), combine
    )


def median(spec: Spec) -> Rule:
    shape = spec.shape()
    height, width = shape[2:]
    far = int(spec.attributes.get("dilation", 1))

    def near(at: int, size: int) -> list[int]:
        return [k if 0 <= k < size else at for k in (at - far, at, at + far)]

    def around(f: int) -> tuple[list[int], list[int]]:
        c, at = divmod(f, height * width)
        y, x = divmod(at, width)
        rows, columns = near(y, height), near(x, width)
        return [(c * height + r) * width + q for r in rows for q in columns], []

    def middle(nine: list[Value]) -> Value:
        if not any(isinstance(v, Span) for v in nine):
            return sorted(nine)[4]
        # It only rises with each of them, so its ends are those of the medians of ends.
        spans = [Span.of(v) for v in nine]
        return Span(sorted(s.lo for s in spans)[4], sorted(s.hi for s in spans)[4])

    return Grouped(shape, around, middle)


def linear(spec: Spec, factor: int) -> Rule:
    """Upsampling by a factor, linear and asymmetric."""
    n, channels, height, width = spec.shape()
    shape = (n, channels, height * factor, width * factor)

    def corners(f: int) -> tuple[list[int], list[int]]:
        c, at = divmod(f, shape[2] * shape[3])
        (y, i), (x, j) = (divmod(v, factor) for v in divmod(at, shape[3]))
        rows, columns = (y, min(y + 1, height - 1)), (x, min(x + 1, width - 1))
        places = [(c * height + r) * width + q for r in rows for q in columns]
        # Each place as often as it counts, so that the mean is the result.
        often = [a * b for a in (factor - i, i) for b in (factor - j, j)]
        return [p for p, k in zip(places, often, strict=True) for _ in range(k)], []

    return Grouped(shape, corners, lambda values: sum(values, Fraction(0)) / len(values))


MATCHING: Mapping[str, Callable[[Spec], Rule]] = {
    "Candidates": candidates,
    "Consistency": consistency,
    "CostVolume": cost_volume,
    "Median": median,
    "SubpixelArgMax": subpixel,
}
"""Each operator by name."""
