"""Weights as sums of signed powers of two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["digits"]

Int = NDArray[np.int64]


def digits(values: Int) -> tuple[Int, Int]:
    """The nonadjacent form of each of ``values``: the fewest signed powers of two that sum to it.

    Returns
    -------
    index, digit
        ``values[k]`` is the sum of ``digit`` where ``index == k``.
    """
    rest = np.asarray(values, dtype=np.int64).copy()
    found: list[tuple[Int, Int]] = []
    place = 0
    while rest.any():
        odd = rest & 1
        # Of an odd rest the digit is +1 or -1, whichever leaves a multiple of four.
        digit = np.where(odd, 2 - (rest & 3), 0)
        where = np.flatnonzero(digit)
        found.append((where, digit[where] << place))
        rest = (rest - digit) >> 1
        place += 1
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    index, digit = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(index, kind="stable")
    return index[order], digit[order]
