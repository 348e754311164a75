"""Exact integer intervals: what a value can be, from which every width is derived."""

from collections.abc import Iterable
from dataclasses import dataclass

from amaranth.hdl import Shape, signed, unsigned

__all__ = ["Range"]


@dataclass(frozen=True)
class Range:
    """The integers ``lo <= value <= hi``.

    Both ends are reachable or at least not excluded: a range never claims less than the truth.

    Raises
    ------
    ValueError
        If ``lo`` is above ``hi``.
    """

    lo: int
    hi: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "lo", int(self.lo))
        object.__setattr__(self, "hi", int(self.hi))
        if self.lo > self.hi:
            raise ValueError(f"Range: lo must not be above hi ({self.hi}), not {self.lo}")

    @classmethod
    def unsigned(cls, bits: int) -> "Range":
        """Everything an unsigned code of ``bits`` bits can hold: ``0 .. 2**bits - 1``."""
        return cls(0, (1 << bits) - 1)

    @classmethod
    def signed(cls, bits: int, *, narrow: bool = False) -> "Range":
        """Two's complement codes of ``bits`` bits; ``narrow`` leaves out the most negative one."""
        return cls(-(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1)

    @classmethod
    def span(cls, ranges: Iterable["Range"]) -> "Range":
        """The smallest range that holds every one of ``ranges`` (at least one)."""
        ranges = list(ranges)
        return cls(min(r.lo for r in ranges), max(r.hi for r in ranges))

    @property
    def shape(self) -> Shape:
        """The narrowest Amaranth shape that holds the range; at least one bit wide."""
        return (signed if self.lo < 0 else unsigned)(self.bits)

    @property
    def bits(self) -> int:
        """Width of :attr:`shape`."""
        if self.lo < 0:
            return max((~self.lo).bit_length(), max(self.hi, 0).bit_length()) + 1
        return max(self.hi.bit_length(), 1)

    @property
    def size(self) -> int:
        """How many integers the range holds."""
        return self.hi - self.lo + 1

    def __contains__(self, value: int) -> bool:
        return self.lo <= value <= self.hi

    def __add__(self, other: "Range") -> "Range":
        return Range(self.lo + other.lo, self.hi + other.hi)

    def __mul__(self, factor: int) -> "Range":
        a, b = self.lo * factor, self.hi * factor
        return Range(min(a, b), max(a, b))
