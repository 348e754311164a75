"""One port or several: what they are called, and how their values are passed about.

A thing with one port calls it ``i`` and takes or gives one array; one with several calls them
``i0``, ``i1``, ... and takes or gives a tuple.
"""

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["as_tuple", "names", "one_or_all"]

T = TypeVar("T")


def names(name: str, count: int) -> tuple[str, ...]:
    """What ``count`` ports are called: ``name``, or ``name0``, ``name1``, ..."""
    return (name,) if count == 1 else tuple(f"{name}{number}" for number in range(count))


def one_or_all(values: Sequence[T]) -> T | tuple[T, ...]:
    """The value where there is one, a tuple where there are several."""
    return values[0] if len(values) == 1 else tuple(values)


def as_tuple(values: T | tuple[T, ...]) -> tuple[T, ...]:
    """The inverse of :func:`one_or_all`."""
    return values if isinstance(values, tuple) else (values,)
