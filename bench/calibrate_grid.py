"""The operators that :mod:`calibrate` measures; weights and functions random, seeds fixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sqwire.compiler.schedule import schedule
from sqwire.hw.add import Add
from sqwire.hw.beat import Beat
from sqwire.hw.candidates import Candidates
from sqwire.hw.consistency import Consistency
from sqwire.hw.dot import Dot
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.upsample import Upsample
from sqwire.hw.median import Median
from sqwire.hw.ranges import Range
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.steps import Steps

__all__ = ["grid", "serial", "steps"]


def steps(rng: np.random.Generator, ranges: tuple[Range, ...], bits: int = 4) -> tuple[Steps, ...]:
    """Rising functions onto so many bits."""
    made = []
    for own in ranges:
        acc = np.arange(own.lo, own.hi + 1)
        slope = rng.uniform(1.25, 2.5) * 2**bits
        levels = np.clip(np.rint(acc * slope / own.size), 0, 2**bits - 1)
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
    for size, channels, lanes, bits, kernel in (
        (16, 64, 1, 4, 2), (8, 64, 1, 4, 8), (28, 32, 2, 8, 2), (7, 512, 1, 4, 7),
        (56, 64, 4, 4, 2), (32, 16, 1, 2, 2), (14, 256, 1, 8, 7), (64, 64, 1, 6, 4),
    ):  # fmt: skip
        for largest in (True, False):
            code = Range(0, 2**bits - 1)
            yield Reduce(size, size, channels, code, (kernel, kernel), lanes, largest)
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
    yield from buffers(rng)


def buffers(rng: np.random.Generator) -> Iterator[Folded]:
    """Engines whose line buffers hold no power of two of positions."""
    for lanes, outputs, channels, width, slots, by_input in (
        (1, 16, 32, 258, 640, False), (4, 32, 64, 258, 640, False), (8, 32, 64, 258, 768, False),
        (16, 64, 64, 258, 640, False), (2, 32, 16, 620, 1536, False), (4, 32, 32, 311, 896, False),
        (8, 64, 128, 66, 160, False), (16, 64, 128, 66, 192, False), (2, 32, 64, 258, 640, True),
        (4, 64, 64, 258, 768, True), (8, 64, 128, 66, 160, True), (4, 48, 96, 130, 320, True),
    ):  # fmt: skip
        weight = weights(rng, (outputs, 3, 3, channels), 4, 0.95)
        parts = {"parts": lanes, "by_input": True} if by_input else {}
        program = schedule(weight, lanes, min(lanes, 8), **parts)
        raw = Folded(
            12, width, Range(0, 15), weight, program, padding=(1,) * 4, multiplier="dsp",
            slots=slots,
        )  # fmt: skip
        yield replace(raw, steps=steps(rng, raw.sum_ranges))


def split(weight: Any, lanes: int, size: int, kind: str, rng: np.random.Generator) -> Folded:
    """An engine whose lanes have inputs of their own."""
    program = schedule(weight, lanes, lanes, parts=lanes, by_input=True, in_digits=kind == "digit")
    layer = Folded(
        size, size, Range(0, 15), weight, program, padding=(weight.shape[1] // 2,) * 4,
        multiplier=kind,
    )  # fmt: skip
    return replace(layer, steps=steps(rng, layer.sum_ranges))


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
