"""What weights cost: all the bits that must be stored, and all the bits that are multiplied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOAT_BITS", "Storage", "storage"]

Int = NDArray[np.int64]

FLOAT_BITS = 32
_GAPS = range(1, 17)


@dataclass(frozen=True)
class Storage:
    """Bits of one weight tensor in each format; sign, mask or gaps, and code table included."""

    formats: Mapping[str, int]

    @property
    def best(self) -> str:
        """The format that takes least."""
        return min(self.formats, key=lambda name: self.formats[name])

    @property
    def bits(self) -> int:
        """Bits in the best format."""
        return self.formats[self.best]


def storage(codes: Int, bits: int) -> Storage:
    """Bits that the weight ``codes`` take, each of ``bits`` bits with its sign.

    ==========  =================================================================================
    dense       ``bits`` for every weight
    bitmask     one bit for every weight, ``bits`` for every nonzero one
    runs        for every nonzero weight ``bits`` and the count of zeros before it in ``r`` bits; a
                longer gap takes entries of its own; the best ``r`` of 1..16
    entropy     an arithmetic coder with the frequencies of this tensor: ``sum -log2(f)`` rounded up
                and two more bits, and 32 bits with a code for every distinct code
    ==========  =================================================================================

    Weights lie in the order of their array. No weights take no bits, and neither do those of a
    tensor of zeros only: that it is one says the width 0 of its layer.
    """
    flat = codes.reshape(-1)
    if not flat.any():
        return Storage({"none": 0})
    where = np.flatnonzero(flat)
    gaps = np.diff(where, prepend=-1) - 1
    runs = min(int((len(where) + (gaps >> r).sum()) * (r + bits)) for r in _GAPS)
    _, counts = np.unique(flat, return_counts=True)
    ideal = float(-(counts * np.log2(counts / flat.size)).sum())
    return Storage(
        {
            "dense": flat.size * bits,
            "bitmask": flat.size + len(where) * bits,
            "runs": runs,
            "entropy": math.ceil(ideal) + 2 + len(counts) * (32 + bits),
        }
    )
