"""Operators on frames that :mod:`calibrate` measures without ports, as real networks have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from calibrate_grid import steps

from sqwire.hw.beat import Beat
from sqwire.hw.concat import Concat
from sqwire.hw.crop import Crop
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.pool import Pool
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.pad import Pad
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.hw.staircase import Staircase
from sqwire.hw.sumpool import SumPool
from sqwire.hw.width import Pack, Unpack
from sqwire.hw.window import Window

__all__ = ["frames"]


def frames() -> Iterator[Any]:
    """All of them."""
    yield from windows()
    yield from pools()
    yield from pads()
    yield from functions()
    yield from whole()
    yield from narrow()


def windows() -> Iterator[Window]:
    """Sliding windows: of first layers, with strides, of one row, of all rows, far apart."""
    for channels, bits, height, width, kernel, stride, padding, dilation in (
        (4, 4, 16, 16, (3, 3), 1, (1, 1), 1), (16, 4, 32, 32, (3, 3), 1, (1, 1), 1),
        (8, 2, 64, 64, (3, 3), 2, (1, 1), 1), (3, 8, 224, 224, (7, 7), 2, (3, 3), 1),
        (1, 8, 450, 450, (3, 3), 1, (1, 1), 1), (4, 4, 12, 12, (5, 5), 1, (2, 2), 1),
        (32, 4, 8, 8, (3, 3), 1, (1, 1), 1), (2, 8, 320, 320, (3, 3), 2, (1, 1), 1),
        (1, 4, 8, 8, (3, 3), 1, (1, 1), 1), (3, 8, 32, 32, (3, 3), 1, (1, 1), 1),
        (16, 2, 28, 28, (3, 3), 1, (1, 1), 1), (64, 4, 14, 14, (3, 3), 1, (1, 1), 1),
        (8, 4, 56, 56, (2, 2), 2, (0, 0), 1), (3, 8, 416, 416, (3, 3), 1, (1, 1), 1),
        (12, 4, 94, 311, (3, 3), 1, (1, 1), 1), (1, 8, 28, 28, (5, 5), 1, (2, 2), 1),
        (16, 4, 112, 112, (3, 3), 2, (1, 1), 1), (8, 4, 56, 56, (1, 1), 2, (0, 0), 1),
        (4, 4, 40, 101, (1, 9), 1, (0, 4), 1), (6, 3, 40, 60, (3, 3), 1, (2, 2), 2),
        (2, 4, 20, 10, (10, 4), 2, (0, 0), 1), (24, 4, 56, 56, (3, 3), 2, (1, 1), 1),
        (10, 4, 7, 7, (7, 7), 1, (0, 0), 1), (3, 8, 96, 96, (5, 5), 2, (2, 2), 1),
    ):  # fmt: skip
        code, steps, far = Range(0, 2**bits - 1), (stride, stride), (dilation, dilation)
        yield Window(height, width, channels, code, kernel, steps, padding * 2, far)


def pools() -> Iterator[Any]:
    """Pools: overlapping ones, side by side, and what they compare or add."""
    for size, channels, lanes, bits, kernel, stride, pace in (
        (16, 16, 1, 4, 3, 2, 0), (56, 64, 2, 4, 3, 2, 0), (14, 32, 1, 2, 2, 1, 0),
        (32, 64, 4, 4, 3, 1, 0), (112, 64, 8, 4, 3, 2, 0), (13, 512, 1, 4, 2, 1, 0),
        (28, 8, 1, 8, 3, 2, 0), (20, 32, 2, 6, 5, 1, 0), (112, 64, 4, 4, 3, 2, 400),
        (13, 256, 2, 4, 3, 2, 3000), (27, 96, 4, 8, 3, 2, 800), (8, 16, 2, 3, 3, 2, 0),
        (13, 128, 4, 4, 5, 1, 2000), (13, 128, 8, 4, 9, 1, 2000), (35, 32, 1, 4, 3, 1, 700),
        (64, 16, 8, 4, 3, 2, 30),
    ):  # fmt: skip
        side = ((kernel - 1) // 2,) * 4
        yield Pool(size, size, channels, Range(0, 2**bits - 1), (kernel, kernel), (stride, stride),
                   side, lanes=lanes, pace_cycles=pace)  # fmt: skip
    for width, channels, lanes, slots in (
        (258, 64, 4, 640), (258, 32, 1, 768), (130, 64, 2, 320), (620, 16, 1, 1536),
    ):  # fmt: skip
        yield Pool(20, width, channels, Range(0, 15), (3, 3), (2, 2), (1,) * 4, lanes=lanes,
                   slots=slots)  # fmt: skip
    for channels, taps, bits in (
        (4, 4, 4), (16, 9, 4), (8, 4, 8), (2, 9, 8), (32, 4, 2), (24, 4, 4), (4, 9, 2), (6, 9, 6),
        (12, 4, 3),
    ):  # fmt: skip
        yield MaxPool(channels, taps, Range(0, 2**bits - 1))
    for size, channels, bits, kernel in (
        (8, 16, 4, 2), (7, 64, 4, 7), (32, 4, 8, 2), (56, 16, 4, 4), (4, 10, 6, 4), (28, 8, 4, 2),
        (8, 32, 4, 8), (96, 4, 8, 2),
    ):  # fmt: skip
        yield SumPool(size, size, channels, Range(0, 2**bits - 1), (kernel, kernel))


def pads() -> Iterator[Any]:
    """Frames made larger and smaller, and what is repeated or put together."""
    for height, width, lanes, bits, sides, stride, group in (
        (16, 16, 4, 4, (1, 2, 3, 4), 1, 1), (450, 450, 1, 4, (1, 2, 3, 4), 1, 1),
        (100, 100, 16, 4, (1, 2, 3, 4), 1, 1), (64, 64, 2, 4, (1, 2, 3, 4), 1, 1),
        (8, 8, 8, 4, (1, 1, 1, 1), 1, 1), (32, 32, 3, 8, (2, 2, 2, 2), 1, 1),
        (14, 14 * 64, 1, 4, (1, 64, 1, 64), 1, 1), (56, 56 * 16, 4, 4, (1, 16, 1, 16), 1, 1),
        (28, 28, 8, 2, (0, 0, 1, 1), 1, 1), (16, 16, 2, 4, (0, 0, 0, 0), 2, 8),
        (13, 13, 32, 4, (0, 0, 0, 0), 2, 1), (13, 13 * 128, 2, 4, (0, 0, 1, 128), 1, 1),
    ):  # fmt: skip
        beat = Beat(Range(0, 2**bits - 1), lanes)
        yield Pad(height, width, beat, sides, (stride, stride), group=group)
    for height, width, lanes, edges, strides in (
        (16, 16, 4, (1, 2, 3, 4), (1, 1)), (450, 450, 1, (1, 2, 3, 4), (1, 1)),
        (100, 100, 16, (1, 2, 3, 4), (1, 1)), (64, 64, 2, (1, 2, 3, 4), (1, 1)),
        (12_544, 64, 1, (0, 0, 0, 32), (1, 1)), (784, 16, 2, (0, 8, 0, 4), (1, 1)),
        (64, 8, 8, (0, 2, 0, 0), (1, 1)), (56, 56, 8, (0, 0, 0, 0), (2, 2)),
    ):  # fmt: skip
        yield Crop(height, width, Beat(Range(0, 15), lanes), edges, strides)
    for width, channels, bits, factor in (
        (8, 16, 4, 2), (52, 4, 4, 2), (16, 1, 8, 2), (28, 8, 2, 2), (13, 32, 4, 2), (26, 8, 4, 4),
        (100, 2, 8, 2), (40, 12, 3, 2),
    ):  # fmt: skip
        yield Resize(width, width, Beat(Range(0, 2**bits - 1), channels), (factor, factor))


def functions() -> Iterator[Any]:
    """Functions of one integer, at once and one after the other."""
    rng = np.random.default_rng(5)
    for channels, most, bits in (
        (8, 60, 4), (16, 500, 4), (4, 4000, 4), (32, 200, 4), (16, 100, 2), (8, 1000, 3),
        (10, 30, 4), (4, 300, 6), (24, 40, 2), (32, 120, 4), (3, 2000, 8), (12, 700, 4), (8, 15, 3),
    ):  # fmt: skip
        ranges = (Range(-most, most),) * channels
        yield Staircase(steps(rng, ranges, bits), ranges)
    for multiply in (True, False):
        for channels, lanes, most, bits in (
            (64, 1, 500, 4), (32, 2, 2000, 4), (128, 1, 60, 4), (16, 1, 8000, 4), (512, 2, 300, 4),
            (64, 4, 900, 4), (256, 1, 4000, 4), (48, 2, 100, 4),
            (128, 2, 700, 2), (24, 1, 400, 8),
        ):  # fmt: skip
            ranges = (Range(-most, most),) * channels
            yield Functions(steps(rng, ranges, bits), ranges, lanes, 4, multiply)


def whole() -> Iterator[Any]:
    """Positions taken apart and put together."""
    for lanes, bits, factor in (
        (1, 4, 4), (2, 8, 8), (1, 4, 64), (4, 4, 4), (1, 8, 16), (1, 4, 2), (2, 4, 32), (8, 4, 3),
        (4, 2, 12),
    ):  # fmt: skip
        beat = Beat(Range(0, 2**bits - 1), lanes)
        yield Pack(beat, factor, 8 * factor)
        yield Unpack(beat, factor, 8 * factor)


def narrow() -> Iterator[Any]:
    """Tensors side by side, or channel by channel."""
    for lanes, ways in (
        (4, 2), (16, 3), (1, 2), (8, 4), (32, 2), (4, 5), (2, 3), (1, 8),
    ):  # fmt: skip
        yield Concat((Beat(Range(0, 15), lanes),) * ways)
    for lanes, bits, counts in (
        (4, 4, (4, 4)), (16, 4, (16, 16, 16)), (1, 4, (1, 1)), (8, 4, (8, 8, 8, 8)),
        (1, 4, (64, 64)), (2, 4, (32, 16)), (4, 8, (5, 9, 2)), (1, 8, (128, 256)),
    ):  # fmt: skip
        yield Interleave((Beat(Range(0, 2**bits - 1), lanes),) * len(counts), counts)
