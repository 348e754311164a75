"""Where elements lie: flat positions, and what a kernel covers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .rules import Spec

__all__ = ["flat", "index_of", "windows"]


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
