"""What counters, sums and comparisons become in an ECP5, by width: what features count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqwire.hw.delay import MEMORY_FROM, delay_stores
from sqwire.hw.folded.memory import Store, lut_memory

__all__ = ["Delay", "bits_of", "compared_bits", "last_zeros", "sums", "table_luts"]

# Yosys makes carry cells of wider sums, gates of these.
_GATES = 4


def bits_of(size: int) -> int:
    """Bits of a counter of so many values."""
    return (size - 1).bit_length()


def compared_bits(bits: int, constant: int) -> int:
    """Bits of the subtraction that tells whether a number of ``bits`` is at least a constant.

    Bits below the lowest one of the constant do not matter. 0 where there is no subtraction:
    some high bits tell, or the answer is always the same.
    """
    if constant <= 0 or constant & (constant - 1) == 0:
        return 0
    return bits - last_zeros(constant)


def last_zeros(value: int) -> int:
    """Zeros below the lowest one; none of 0."""
    return (value & -value).bit_length() - 1 if value else 0


def sums(widths: Iterable[int], stores: Iterable[Store] = ()) -> dict[str, float]:
    """LUT sites of sums and differences so wide, and of memories; bits of the narrow ones.

    A carry cell is two sites and does two bits.
    """
    widths = list(widths)
    return {
        "sites": sum(width + width % 2 for width in widths if width > _GATES) + lut_memory(stores),
        "narrow_bits": sum(width for width in widths if width <= _GATES),
    }


def table_luts(bits: int) -> int:
    """LUTs of any function of so many bits, at most."""
    return max(1, 2 ** (bits - 3) - 1) if bits else 0


@dataclass(frozen=True)
class Delay:
    """A :func:`sqwire.hw.delay.delay`: without its address counters."""

    length: int
    bits: int

    @property
    def pointer_bits(self) -> int:
        """Bits of each of the two addresses."""
        return bits_of(self.length) if self.length >= MEMORY_FROM else 0

    @property
    def registers(self) -> int:
        """Flip-flops; the word behind a block RAM is in it."""
        stores = delay_stores("", self.length, self.bits)
        if not stores:
            return self.length * self.bits
        return self.bits if stores[0].kind == "lut" else 0
