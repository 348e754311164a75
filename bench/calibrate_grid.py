"""The operators that :mod:`calibrate` measures; weights and functions random, seeds fixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sqwire.compiler.schedule import schedule
from sqwire.hw.add import Add
from sqwire.hw.argmax import ArgMax
from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.buffer import Buffer
from sqwire.hw.candidates import Candidates
from sqwire.hw.concat import Concat
from sqwire.hw.consistency import Consistency
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.dot import Dot
from sqwire.hw.folded.argmax import ArgMax as FoldedArgMax
from sqwire.hw.folded.costvolume import CostVolume as FoldedCostVolume
from sqwire.hw.folded.depthtospace import DepthToSpace as FoldedDepthToSpace
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.subpixel import SubpixelArgMax as FoldedSubpixelArgMax
from sqwire.hw.folded.upsample import Upsample
from sqwire.hw.fork import Fork
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.median import Median
from sqwire.hw.pace import Pace
from sqwire.hw.pad import Pad
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.staircase import Staircase
from sqwire.hw.steps import Steps
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.hw.sumpool import SumPool
from sqwire.hw.width import Pack, Unpack
from sqwire.hw.window import Window

__all__ = ["grid", "of_frames", "serial", "small"]


def steps(rng: np.random.Generator, ranges: tuple[Range, ...]) -> tuple[Steps, ...]:
    """Rising functions onto 4 bits."""
    made = []
    for own in ranges:
        acc = np.arange(own.lo, own.hi + 1)
        levels = np.clip(np.rint(acc * rng.uniform(20, 40) / own.size), 0, 15)
        made.append(Steps.tabulate(own.lo, levels.astype(np.int64)))
    return tuple(made)


def weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int, zeros: float) -> Any:
    most = 2 ** (bits - 1) - 1
    return rng.integers(-most, most + 1, shape) * (rng.random(shape) >= zeros)


def grid() -> Iterator[Any]:
    """The operators."""
    rng = np.random.default_rng(0)
    for lanes, channels, kernel, bits, zeros in (
        (4, 16, 3, 4, 0.0), (8, 32, 3, 4, 0.9), (16, 32, 1, 4, 0.5), (2, 16, 3, 4, 0.5),
        (8, 16, 3, 2, 0.0), (16, 64, 3, 4, 0.95), (32, 64, 1, 3, 0.0), (4, 64, 3, 4, 0.98),
    ):  # fmt: skip
        weight = weights(rng, (channels, kernel, kernel, channels), bits, zeros)
        code = Range(0, 2**bits - 1)
        for kind in ("lut", "dsp", "digit"):
            program = schedule(weight, lanes, min(lanes, 8), in_digits=kind == "digit")
            raw = Folded(12, 12, code, weight, program, padding=(kernel // 2,) * 4, multiplier=kind)
            yield Folded(
                12, 12, code, weight, program, padding=(kernel // 2,) * 4, multiplier=kind,
                steps=steps(rng, raw.sum_ranges),
            )  # fmt: skip
    for lanes, outputs, channels, kernel, zeros, size in (
        (1, 64, 64, 1, 0.98, 28), (2, 64, 64, 3, 0.99, 28), (4, 64, 64, 3, 0.99, 56),
        (2, 256, 256, 3, 0.99, 14), (4, 128, 128, 3, 0.99, 28), (1, 128, 64, 3, 0.98, 28),
        (4, 16, 32, 3, 0.8, 14), (8, 64, 128, 3, 0.98, 14), (2, 512, 256, 3, 0.995, 7),
        (4, 300, 512, 1, 0.98, 7), (2, 24, 24, 5, 0.7, 14), (8, 32, 32, 3, 0.9, 14),
    ):  # fmt: skip
        weight = weights(rng, (outputs, kernel, kernel, channels), 4, zeros)
        for kind in ("lut", "dsp", "digit"):
            yield split(weight, lanes, size, kind, rng)
    for lanes, ring, outputs, channels, kernel, bits in (
        (16, 8, 32, 32, 3, 4), (24, 8, 48, 16, 3, 4), (64, 8, 64, 64, 1, 3), (12, 4, 24, 32, 3, 4),
    ):  # fmt: skip
        weight = weights(rng, (outputs, kernel, kernel, channels), bits, 0.0)
        for kind in ("lut", "dsp"):
            program = schedule(weight, lanes, ring, dense=True)
            raw = Folded(
                12, 12, Range(0, 2**bits - 1), weight, program, padding=(kernel // 2,) * 4,
                multiplier=kind,
            )  # fmt: skip
            yield replace(raw, steps=steps(rng, raw.sum_ranges))
    for rows, inputs, bits, zeros in (
        (8, 27, 4, 0.0), (16, 144, 4, 0.9), (16, 64, 4, 0.5), (32, 32, 2, 0.3), (10, 64, 4, 0.8),
        (48, 147, 4, 0.8),
    ):  # fmt: skip
        yield Dot(weights(rng, (rows, inputs), bits, zeros), np.zeros(rows, np.int64),
                  (Range(0, 15),) * inputs)  # fmt: skip
    for channels, most in ((8, 60), (16, 500), (4, 4000), (32, 200)):
        ranges = (Range(-most, most),) * channels
        yield Staircase(steps(rng, ranges), ranges)
    for channels, lanes, most in (
        (64, 1, 500), (32, 2, 2000), (128, 1, 60), (16, 1, 8000), (512, 2, 300), (64, 4, 900),
        (256, 1, 4000), (48, 2, 100),
    ):  # fmt: skip
        ranges = (Range(-most, most),) * channels
        for multiply in (True, False):
            yield Functions(steps(rng, ranges), ranges, lanes, 4, multiply)
    for size, channels, lanes, bits, kernel in (
        (16, 64, 1, 4, 2), (8, 64, 1, 4, 8), (28, 32, 2, 8, 2), (7, 512, 1, 4, 7),
        (56, 64, 4, 4, 2), (32, 16, 1, 2, 2), (14, 256, 1, 8, 7), (64, 64, 1, 6, 4),
    ):  # fmt: skip
        for largest in (True, False):
            code = Range(0, 2**bits - 1)
            yield Reduce(size, size, channels, code, (kernel, kernel), lanes, largest)
    for size, channels, lanes, bits, kernel, stride in (
        (16, 16, 1, 4, 3, 2), (56, 64, 2, 4, 3, 2), (14, 32, 1, 2, 2, 1), (32, 64, 4, 4, 3, 1),
        (112, 64, 8, 4, 3, 2), (13, 512, 1, 4, 2, 1), (28, 8, 1, 8, 3, 2), (20, 32, 2, 6, 5, 1),
    ):  # fmt: skip
        side = ((kernel - 1) // 2,) * 4
        yield Pool(size, size, channels, Range(0, 2**bits - 1), (kernel, kernel), (stride, stride),
                   side, lanes=lanes)  # fmt: skip
    for width, beats, lanes, bits in (
        (13, 128, 1, 4), (26, 64, 2, 4), (8, 16, 1, 8), (7, 32, 4, 2), (4, 8, 1, 4),
    ):  # fmt: skip
        yield Upsample(width, width, Beat(Range(0, 2**bits - 1), lanes), beats, (2, 2))
    for lanes, bits in ((1, 10), (4, 4), (2, 8), (1, 16)):
        yield Median(94, 311, Beat(Range(0, 2**bits - 1), lanes))
    for positions, channels, bits, count in (
        (1200, 8, 16, 64),
        (300, 25, 14, 16),
        (192, 6, 12, 32),
    ):
        yield Candidates(Beat(Range.signed(bits), channels), positions, count, (4,), (100,))
    for width, most, parts in ((311, 752, 16), (450, 2496, 32), (64, 500, 16)):
        yield Consistency(94, width, Range(0, most), Range(0, most), parts, parts)
    for channels, bits in ((8, 4), (32, 6)):
        yield Add(((Range(0, 2**bits - 1),) * channels,) * 2, (1, 1))


def split(weight: Any, lanes: int, size: int, kind: str, rng: np.random.Generator) -> Folded:
    """An engine whose lanes have inputs of their own."""
    program = schedule(weight, lanes, lanes, parts=lanes, by_input=True, in_digits=kind == "digit")
    layer = Folded(
        size, size, Range(0, 15), weight, program, padding=(weight.shape[1] // 2,) * 4,
        multiplier=kind,
    )  # fmt: skip
    return replace(layer, steps=steps(rng, layer.sum_ranges))


def small() -> Iterator[Any]:
    """Operators that only hold, convert, spread, compare or upsample beats."""
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
    for lanes, bits, factor in ((1, 4, 4), (2, 8, 8), (1, 4, 64), (4, 4, 4), (1, 8, 16)):
        beat = Beat(Range(0, 2**bits - 1), lanes)
        yield Pack(beat, factor, 8 * factor)
        yield Unpack(beat, factor, 8 * factor)
    for ways in (2, 3, 5, 4):
        yield Fork(Beat(Range(0, 15), 4), ways, 16)
    for lanes in (1, 4, 32, 12):
        yield Buffer(Beat(Range(0, 15), lanes))
    for lanes, depth in (
        (1, 12), (8, 40), (1, 300), (2, 100), (16, 2), (4, 1000), (8, 20), (3, 64), (8, 5000),
    ):  # fmt: skip
        yield Queue(Beat(Range(0, 15), lanes), depth)


def serial() -> Iterator[SerialDot]:
    """Dot products a few bits at a time."""
    rng = np.random.default_rng(3)
    for rows, lanes, zeros, bits, digit_bits in (
        (16, 144, 0.8, 4, 1), (24, 216, 0.8, 4, 2), (32, 288, 0.9, 4, 1), (64, 147, 0.8, 8, 1),
        (16, 36, 0.5, 4, 2), (40, 360, 0.95, 4, 1), (10, 64, 0.6, 4, 1), (48, 100, 0.7, 2, 1),
        (24, 72, 0.7, 4, 2), (8, 27, 0.2, 8, 1), (32, 144, 0.9, 4, 2), (20, 90, 0.5, 3, 1),
    ):  # fmt: skip
        weight = rng.integers(-7, 8, (rows, lanes)) * (rng.random((rows, lanes)) >= zeros)
        ranges = (Range(0, 2**bits - 1),) * lanes
        yield SerialDot(Dot(weight, np.zeros(rows, int), ranges, 16), digit_bits)


def of_frames() -> Iterator[Any]:
    """Operators that keep a part of a frame, or choose from what they see."""
    for channels, bits, width, kernel, stride in (
        (4, 4, 16, 3, 1), (16, 4, 32, 3, 1), (8, 2, 64, 3, 2), (3, 8, 224, 7, 2),
        (1, 8, 450, 3, 1), (4, 4, 12, 5, 1), (32, 4, 8, 3, 1), (2, 8, 320, 3, 2),
    ):  # fmt: skip
        code, sides = Range(0, 2**bits - 1), (kernel // 2,) * 4
        yield Window(width, width, channels, code, (kernel, kernel), (stride, stride), sides)
    for channels, taps, bits in ((4, 4, 4), (16, 9, 4), (8, 4, 8), (2, 9, 8), (32, 4, 2)):
        yield MaxPool(channels, taps, Range(0, 2**bits - 1))
    for size, channels, bits, kernel in (
        (8, 16, 4, 2), (7, 64, 4, 7), (32, 4, 8, 2), (56, 16, 4, 4), (4, 10, 6, 4)
    ):  # fmt: skip
        yield SumPool(size, size, channels, Range(0, 2**bits - 1), (kernel, kernel))
    for width, channels, bits in ((8, 16, 4), (52, 4, 4), (16, 1, 8), (28, 8, 2)):
        yield Resize(width, width, Beat(Range(0, 2**bits - 1), channels), (2, 2))
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
    for lanes, ways in ((4, 2), (16, 3), (1, 2), (8, 4)):
        parts = (Beat(Range(0, 15), lanes),) * ways
        yield Concat(parts)
        yield Interleave(parts, (lanes,) * ways)
    for width, lanes in ((16, 4), (450, 1), (100, 16), (64, 2)):
        yield Crop(width, width, Beat(Range(0, 15), lanes), (1, 2, 3, 4))
        yield Pad(width, width, Beat(Range(0, 15), lanes), (1, 2, 3, 4))
