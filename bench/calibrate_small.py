"""Operators that :mod:`calibrate` measures without ports, beside those of calibrate_frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqwire.hw.argmax import ArgMax
from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.buffer import Buffer
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.folded.argmax import ArgMax as FoldedArgMax
from sqwire.hw.folded.costvolume import CostVolume as FoldedCostVolume
from sqwire.hw.folded.depthtospace import DepthToSpace as FoldedDepthToSpace
from sqwire.hw.folded.subpixel import SubpixelArgMax as FoldedSubpixelArgMax
from sqwire.hw.fork import Fork
from sqwire.hw.pace import Pace
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.subpixel import SubpixelArgMax

__all__ = ["small"]


def small() -> Iterator[Any]:
    """Operators that only hold, convert, spread, compare, choose or upsample beats."""
    for channels, bits, shifts, form in (
        (2, 4, 4, "difference"), (8, 4, 8, "difference"), (4, 2, 12, "product"),
        (4, 4, 6, "difference"), (2, 4, 8, "product"), (16, 2, 16, "difference"),
        (8, 3, 4, "product"), (6, 3, 10, "difference"),
    ):  # fmt: skip
        ranges = (Range(0, 2**bits - 1),) * channels
        yield CostVolume(8, 32, ranges, ranges, shifts, form)
    for channels, bits, shifts, lanes, form in (
        (2, 4, 8, 1, "difference"), (12, 4, 40, 4, "difference"), (8, 4, 16, 2, "difference"),
        (12, 4, 40, 2, "difference"), (4, 2, 16, 4, "product"), (6, 3, 16, 4, "difference"),
        (16, 4, 48, 8, "difference"), (4, 4, 32, 4, "difference"), (16, 2, 32, 2, "difference"),
        (8, 2, 16, 2, "product"), (4, 4, 48, 8, "difference"), (12, 4, 48, 4, "difference"),
    ):  # fmt: skip
        ranges = (Range(0, 2**bits - 1),) * channels
        yield FoldedCostVolume(CostVolume(8, 64, ranges, ranges, shifts, form), lanes)
    for lanes, bits, parts in (
        (4, 6, 16), (16, 8, 16), (8, 10, 8), (12, 8, 16), (24, 6, 4), (8, 4, 32)
    ):  # fmt: skip
        yield SubpixelArgMax(Beat(Range(0, 2**bits - 1), lanes), parts)
    for channels, bits, parts, lanes in (
        (8, 6, 16, 1), (16, 8, 16, 2), (40, 12, 16, 4), (32, 6, 16, 4), (24, 10, 4, 1),
        (48, 12, 16, 8), (12, 8, 8, 2), (40, 11, 16, 4), (16, 12, 32, 1),
    ):  # fmt: skip
        whole = SubpixelArgMax(Beat(Range(0, 2**bits - 1), channels), parts, beats=64)
        yield FoldedSubpixelArgMax(whole, lanes)
    for width, lanes, bits, factor in (
        (16, 1, 6, 2), (80, 2, 8, 4), (32, 4, 4, 2), (40, 1, 8, 4), (600, 1, 8, 2), (20, 8, 4, 4)
    ):  # fmt: skip
        beat = Beat(Range(0, 2**bits - 1), lanes)
        yield BilinearRows(8, width, beat, factor)
        yield BilinearColumns(8, width, beat, factor)
    for cycles, beats in ((900, 100), (50_000, 784), (3000, 64), (200_000, 12_544)):
        yield Pace(Beat(Range(0, 15), 2), cycles, beats)
    for ways in (2, 3, 5, 4):
        yield Fork(Beat(Range(0, 15), 4), ways, 16)
    for lanes in (1, 4, 32, 12):
        yield Buffer(Beat(Range(0, 15), lanes))
    for lanes, depth in (
        (1, 12), (8, 40), (1, 300), (2, 100), (16, 2), (4, 1000), (8, 20), (3, 64), (8, 5000),
    ):  # fmt: skip
        yield Queue(Beat(Range(0, 15), lanes), depth)
    for width, channels, bits, block in (
        (8, 16, 4, 2),
        (64, 4, 8, 2),
        (16, 9, 4, 3),
        (32, 8, 2, 2),
    ):
        yield DepthToSpace(width, width, Beat(Range(0, 2**bits - 1), channels), block)
    for width, channels, bits, lanes in ((64, 64, 4, 1), (16, 16, 8, 2), (128, 4, 4, 1)):
        yield FoldedDepthToSpace(width, width, channels, Range(0, 2**bits - 1), 2, lanes)
    for lanes, bits in ((10, 8), (4, 12), (16, 6), (35, 10), (3, 4)):
        yield ArgMax(Beat(Range(0, 2**bits - 1), lanes))
    for channels, bits in ((10, 8), (1000, 11), (100, 12), (16, 6)):
        yield FoldedArgMax(Range(0, 2**bits - 1), channels)
