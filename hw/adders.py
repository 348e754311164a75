"""Constant matrix times vector as a graph of two-input adders, with common sums shared."""

import heapq
import itertools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from .ranges import Range

__all__ = ["AdderGraph", "Op", "Output", "build", "signed_digits"]

# Common sums are looked for among all terms where they have so few pairs, else in blocks of
# columns with so few each: the time grows faster than the number of pairs.
_MAX_PAIRS, _BLOCK_PAIRS = 600_000, 25_000


@dataclass(frozen=True)
class Op:
    """One adder: ``(a << a_shift) + (b << b_shift)``, or minus the second if ``subtract``.

    ``a`` and ``b`` number values: the inputs first, then the operations in order.
    At least one shift is zero.
    """

    a: int
    a_shift: int
    b: int
    b_shift: int
    subtract: bool


@dataclass(frozen=True)
class Output:
    """One row of the product: ``(-value if negate else value) << shift``; zero if no value."""

    value: int | None
    shift: int = 0
    negate: bool = False


@dataclass(frozen=True)
class AdderGraph:
    """Adders that compute a constant matrix-vector product exactly.

    ``ranges`` and ``depths`` belong to the values: inputs (depth 0), then one a operation.
    """

    ranges: tuple[Range, ...]
    depths: tuple[int, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Output, ...]

    @property
    def depth(self) -> int:
        """Adders on the longest path to an output."""
        return max((self.depths[o.value] for o in self.outputs if o.value is not None), default=0)

    def compute(self, x):
        """Outputs ``(n, rows)`` for inputs ``(n, inputs)``, by way of every adder."""
        values = list(np.asarray(x, dtype=np.int64).T)
        for op in self.ops:
            right = values[op.b] << op.b_shift
            values.append((values[op.a] << op.a_shift) + (-right if op.subtract else right))
        zero = np.zeros(len(x), dtype=np.int64)
        rows = []
        for out in self.outputs:
            row = zero if out.value is None else values[out.value] << out.shift
            rows.append(-row if out.negate else row)
        return np.stack(rows, axis=1)


def signed_digits(value: int) -> list[tuple[int, int]]:
    """The non-zero digits of ``value`` in canonical signed-digit form, as ``(shift, sign)``.

    No two neighbouring digits are non-zero, so there are as few as possible: 7 is 8 - 1.
    """
    digits, shift = [], 0
    while value:
        if value & 1:
            sign = 2 - (value & 3)
            digits.append((shift, sign))
            value -= sign
        value >>= 1
        shift += 1
    return digits


def build(weight, ranges) -> AdderGraph:
    """Plan the adders for ``weight`` of shape (rows, inputs) on inputs of the given ranges.

    A zero weight costs nothing and a weight one adder for each signed digit. Sums of two terms
    that several rows share are computed once, the most frequent first; what remains of
    a row becomes a tree of least depth.

    Source: common-subexpression sharing after Hartley, "Subexpression sharing in filters using
    canonic signed digit multipliers", IEEE TCAS-II 43(10), 1996.
    """
    builder = _Builder(list(ranges))
    weight = np.asarray(weight)
    rows = []
    for row in weight:
        terms = set()
        for column in np.flatnonzero(row):
            terms |= {(int(column), *digit) for digit in signed_digits(int(row[column]))}
        rows.append(terms)
    rows = _shared(builder, rows, weight.shape[1])
    outputs = tuple(builder.tree(terms) for terms in rows)
    return AdderGraph(tuple(builder.ranges), tuple(builder.depths), tuple(builder.ops), outputs)


class _Builder:
    """The values and adders so far; a term is ``(value, shift, sign)``."""

    def __init__(self, ranges):
        self.ranges, self.depths, self.ops = ranges, [0] * len(ranges), []
        # What each value is of the inputs, {input: factor}: its exact range follows from this.
        self.forms = [{k: 1} for k in range(len(ranges))]

    def add(self, left, right):
        """A new adder for the sum of two terms; the term that holds it."""
        if left[2] < 0 and right[2] > 0:
            left, right = right, left
        (a, a_shift, sign), (b, b_shift, other) = left, right
        low = min(a_shift, b_shift)
        op = Op(a, a_shift - low, b, b_shift - low, subtract=sign != other)
        form = {k: factor << op.a_shift for k, factor in self.forms[a].items()}
        for k, factor in self.forms[b].items():
            form[k] = form.get(k, 0) + (-factor if op.subtract else factor) * (1 << op.b_shift)
        scaled = [self.ranges[k] * factor for k, factor in form.items()]
        self.ops.append(op)
        self.forms.append(form)
        self.ranges.append(Range(sum(r.lo for r in scaled), sum(r.hi for r in scaled)))
        self.depths.append(max(self.depths[a], self.depths[b]) + 1)
        return len(self.ranges) - 1, low, sign

    def tree(self, terms) -> Output:
        """Sum the terms of one row with the least depth: always the two shallowest first."""
        if not terms:
            return Output(None)
        heap = [self._key(term) for term in terms]
        heapq.heapify(heap)
        while len(heap) > 1:
            left, right = heapq.heappop(heap)[-1], heapq.heappop(heap)[-1]
            heapq.heappush(heap, self._key(self.add(left, right)))
        value, shift, sign = heap[0][-1]
        return Output(value, shift, sign < 0)

    def _key(self, term):
        # Among equals, terms of like shift meet: their sum is the narrowest.
        return self.depths[term[0]], term[1], self.ranges[term[0]].bits, term


def _pattern(left, right):
    """What two terms have in common with their shifted or negated copies."""
    if (right[1], right[0]) < (left[1], left[0]):
        left, right = right, left
    return left[0], right[0], right[1] - left[1], left[2] * right[2]


def _shared(builder, rows, columns):
    """The rows with common sums made values of ``builder``, looked for in blocks of columns."""
    pairs = sum(len(terms) ** 2 // 2 for terms in rows)
    blocks = 1 if pairs <= _MAX_PAIRS else math.isqrt(pairs // _BLOCK_PAIRS) + 1
    edges = np.linspace(0, columns, blocks + 1).astype(int)
    result = [set() for _ in rows]
    for first, last in itertools.pairwise(edges.tolist()):
        block = [{term for term in terms if first <= term[0] < last} for terms in rows]
        _share(builder, block)
        for terms, found in zip(result, block, strict=True):
            terms |= found
    return result


def _share(builder, rows):
    """Replace, while it pays, the pair of terms that occurs most often by one new value."""
    counts = Counter()
    where = {}  # pattern -> rows that may hold it

    def note(pattern, row, by):
        counts[pattern] += by
        if by > 0:
            where.setdefault(pattern, set()).add(row)

    for row, terms in enumerate(rows):
        ordered = sorted(terms)
        for at, left in enumerate(ordered):
            for right in ordered[at + 1 :]:
                note(_pattern(left, right), row, 1)

    def rank(pattern):
        # The most frequent first, then the shallowest, then any fixed order.
        depth = max(builder.depths[pattern[0]], builder.depths[pattern[1]])
        return -counts[pattern], depth, pattern

    heap = [rank(pattern) for pattern, count in counts.items() if count > 1]
    heapq.heapify(heap)
    while heap:
        entry = heapq.heappop(heap)
        pattern = entry[-1]
        if -entry[0] != counts[pattern]:
            if counts[pattern] > 1:
                heapq.heappush(heap, rank(pattern))
            continue
        places = [
            (row, pair) for row in sorted(where[pattern]) for pair in _places(rows[row], pattern)
        ]
        if len(places) < 2:  # overlapping occurrences counted twice
            continue
        a, b, shift, sign = pattern
        value, *_ = builder.add((a, 0, 1), (b, shift, sign))
        touched = set()
        for row, (left, right) in places:
            terms = rows[row]
            for term in (left, right):
                terms.remove(term)
                for other in terms:
                    note(_pattern(term, other), row, -1)
            merged = (value, left[1], left[2])
            for other in terms:
                note(_pattern(merged, other), row, 1)
                touched.add(_pattern(merged, other))
            terms.add(merged)
        for new in sorted(touched):
            if counts[new] > 1:
                heapq.heappush(heap, rank(new))


def _places(terms, pattern):
    """Disjoint pairs of ``terms`` that match ``pattern``."""
    a, b, shift, sign = pattern
    used, found = set(), []
    for left in sorted(terms):
        right = (b, left[1] + shift, left[2] * sign)
        if left[0] != a or left in used or right in used or right == left or right not in terms:
            continue
        used |= {left, right}
        found.append((left, right))
    return found
