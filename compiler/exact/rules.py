"""What a rule is: which elements of its inputs an output element needs, and what it makes of them.

Deliberately plain and apart from the frontend; see :mod:`sqwire.compiler.exact`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Gathered", "Grouped", "Index", "Pointwise", "Reader", "Rule", "Spec", "Value", "constant",
    "moved", "pointwise",
]  # fmt: skip

Index = NDArray[np.int64]
Value = Any


class Reader(Protocol):
    """The values of a node's inputs."""

    def value(self, k: int, flat: int) -> Value:
        """One element of input ``k``."""

    def dot(self, a: int, left: Sequence[int], b: int, right: Sequence[int]) -> Value:
        """The sum of products of elements of two inputs."""


@dataclass(frozen=True)
class Spec:
    """One node of the file: attributes, shapes of its inputs, and their values where constant."""

    node: Any
    attributes: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...] | None]
    array: Callable[[int], NDArray[Any]]
    bits: int
    dtype: Callable[[int], str] = lambda _: ""
    """The integer type of an input that the file holds, or nothing."""

    def shape(self, k: int = 0) -> tuple[int, ...]:
        """Shape of input ``k``."""
        shape = self.shapes[k]
        assert shape is not None
        return shape

    def has(self, k: int) -> bool:
        """Whether input ``k`` is given."""
        return k < len(self.shapes) and self.shapes[k] is not None

    def number(self, name: str, default: float) -> Fraction:
        """A float attribute as the float32 it is."""
        return Fraction(float(np.float32(self.attributes.get(name, default))))

    def ints(self, k: int, name: str, default: Iterable[int] | None = None) -> list[int]:
        """Integers from input ``k`` or, in older files, from an attribute."""
        if self.has(k):
            return [int(v) for v in self.array(k).reshape(-1)]
        value = self.attributes.get(name, default)
        assert value is not None
        return [int(v) for v in value]


class Rule(Protocol):
    """How elements of one output come about."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        """For elements ``flat``, which elements of which inputs."""

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        """Their values."""


@dataclass(frozen=True)
class Pointwise:
    """``function`` of one element of each input, found by ``maps``."""

    shape: tuple[int, ...]
    maps: Mapping[int, Index]
    function: Callable[..., Value]

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        return [(k, at[flat]) for k, at in self.maps.items()]

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        maps = list(self.maps.items())
        return {f: self.function(*(reader.value(k, int(at[f])) for k, at in maps)) for f in flat}


@dataclass(frozen=True)
class Gathered:
    """Element ``f`` is element ``where[f]`` of the inputs one after the other; -1 is ``fill``."""

    shape: tuple[int, ...]
    where: Index
    sizes: tuple[int, ...]
    fill: Value = Fraction(0)

    def _split(self, flat: Index) -> Iterable[tuple[int, Index, Index]]:
        start = 0
        at = self.where[flat]
        for k, size in enumerate(self.sizes):
            own = (at >= start) & (at < start + size)
            yield k, flat[own], at[own] - start
            start += size

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        return [(k, at) for k, _, at in self._split(flat)]

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        result = dict.fromkeys(flat, self.fill)
        for k, own, at in self._split(np.array(flat, dtype=np.int64)):
            result.update(
                (f, reader.value(k, a)) for f, a in zip(own.tolist(), at.tolist(), strict=True)
            )
        return result


@dataclass(frozen=True)
class Grouped:
    """``combine`` of a group of elements of input 0; ``weights`` of input 1 beside them, if any."""

    shape: tuple[int, ...]
    group: Callable[[int], tuple[list[int], list[int]]]
    combine: Callable[[list[Value]], Value] | None = None

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        groups = [self.group(f) for f in flat.tolist()]
        yield 0, np.array([a for left, _ in groups for a in left], dtype=np.int64)
        if self.combine is None:
            yield 1, np.array([b for _, right in groups for b in right], dtype=np.int64)

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        result = {}
        for f in flat:
            left, right = self.group(f)
            if self.combine is None:
                result[f] = reader.dot(0, left, 1, right)
            else:
                result[f] = self.combine([reader.value(0, a) for a in left])
        return result


def pointwise(spec: Spec, function: Callable[..., Value], align: int | None = None) -> Pointwise:
    """A function of inputs that broadcast; one-dimensional ones along axis ``align`` if given."""
    used = [k for k in range(len(spec.shapes)) if spec.has(k)]
    lifted = {}
    for k in used:
        own = spec.shape(k)
        if align is not None and k and len(own) == 1 and own[0] > 1:
            own = (*own, *(1,) * (len(spec.shape()) - align % len(spec.shape()) - 1))
        lifted[k] = own
    shape = np.broadcast_shapes(*lifted.values())
    maps = {
        k: np.broadcast_to(np.arange(math.prod(own)).reshape(own), shape).reshape(-1)
        for k, own in lifted.items()
    }
    return Pointwise(shape, maps, function)


def moved(spec: Spec, mover: Callable[[NDArray[Any]], NDArray[Any]]) -> Gathered:
    """Elements of input 0 elsewhere."""
    size = math.prod(spec.shape())
    where = mover(np.arange(size).reshape(spec.shape()))
    return Gathered(where.shape, where.reshape(-1), (size,))


@dataclass(frozen=True)
class Fixed:
    """Values that depend on nothing."""

    shape: tuple[int, ...]
    flat: tuple[Any, ...]

    def needs(self, flat: Index) -> Iterable[tuple[int, Index]]:
        return []

    def compute(self, flat: Sequence[int], reader: Reader) -> dict[int, Value]:
        return {f: Fraction(self.flat[f]) for f in flat}


def constant(values: Any) -> Fixed:
    """An array that depends on nothing."""
    array = np.asarray(values)
    return Fixed(array.shape, tuple(array.reshape(-1).tolist()))
