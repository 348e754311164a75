"""The program of a folded layer whose lanes each have inputs of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.folded.layout import Layout
from sqwire.hw.folded.program import Program

__all__ = ["split"]

Int = NDArray[np.int64]

# A program with narrower addresses may be longer by this.
_LONGER = 1.01


def split(
    place: Int, value: Int, shape: tuple[int, int, int, int], lanes: int, lanes_in: int
) -> Program:
    """A split program for the nonzero ``value`` at ``place`` (products, 4) of weights of ``shape``.

    Input channels are shared out so that all lanes have equally much to do. Places are stored as
    differences if that makes the program smaller; where one is too far a lane idles.
    """
    outputs, _, columns, inputs = shape
    bank = _banks(np.bincount(place[:, 3], minlength=inputs), lanes)
    lane = np.repeat(np.arange(lanes)[:, None], outputs, axis=1)
    layout = Layout(lanes, lanes, bank, lane, lanes_in, 1)
    at = place[:, 1] * columns + place[:, 2]
    taps = np.unique(at) if len(at) else np.zeros(1, np.int64)
    local_bits = max(layout.locals - 1, 0).bit_length()
    where = np.searchsorted(taps, at) << local_bits | layout.local[place[:, 3]]
    own = [
        _ordered(place[mine, 0], where[mine], value[mine])
        for mine in (bank[place[:, 3]] == k for k in range(lanes))
    ]
    own = _fill(own, outputs)

    shortest = max(len(row) for row, _, _ in own)
    bits, around = (len(taps) - 1).bit_length() + local_bits, len(taps) << local_bits
    circles = [_circle(row, where, around) for row, where, _ in own]
    place_bits, size = None, shortest * (bits + 1)  # and whether a row ends
    for tried in range(1, bits + 1):
        cycles = max(int(_steps(*circle, (1 << tried) - 1)[1].sum()) for circle in circles)
        if cycles <= _LONGER * shortest and cycles * tried < size:
            place_bits, size = tried, cycles * tried
    if place_bits is not None:
        own = [_within_reach(*part, (1 << place_bits) - 1, around) for part in own]

    cycles = max(len(row) for row, _, _ in own)
    fields = {name: np.zeros((cycles, lanes), np.int32) for name in ("row", "where", "value")}
    for k, part in enumerate(own):
        for name, column in zip(fields, part, strict=True):
            fields[name][: len(column), k] = column
        # What is left at the end belongs to the last row and goes nowhere.
        for name in ("row", "where"):
            fields[name][len(part[0]) :, k] = fields[name][len(part[0]) - 1, k]
    tap, local = fields["where"] >> local_bits, fields["where"] & (1 << local_bits) - 1
    return Program(
        layout, columns, tuple(taps.tolist()), np.zeros((cycles, 1), np.int16), tap, local,
        fields["row"], fields["value"], split=True, place_bits=place_bits,
    )  # fmt: skip


def _banks(counts: Int, lanes: int) -> Int:
    """A bank for each input, another for each of ``lanes`` in a row, all with equally much to do.

    The inputs with most products go first, each group of them to the lanes with least so far.
    """
    bank = np.zeros(len(counts), np.int64)
    load = np.zeros(lanes, np.int64)
    groups = [np.arange(k, min(k + lanes, len(counts))) for k in range(0, len(counts), lanes)]
    for group in sorted(groups, key=lambda group: -int(np.ptp(counts[group]))):
        most = group[np.argsort(-counts[group], kind="stable")]
        least = np.argsort(load, kind="stable")[: len(group)]
        bank[most] = least
        load[least] += counts[most]
    return bank


def _ordered(row: Int, where: Int, value: Int) -> tuple[Int, Int, Int]:
    """Products in the order of rows and places; where there is none, one of value 0."""
    if not len(row):
        zero = np.zeros(1, np.int64)
        return zero, zero, zero
    order = np.lexsort((where, row))
    return row[order], where[order], value[order]


def _fill(own: list[tuple[Int, Int, Int]], outputs: int) -> list[tuple[Int, Int, Int]]:
    """Rows without products, written where there is time to spare: each at least in one lane.

    A lane that has no row lets that of the others pass, which needs a longer queue.
    """
    longest = max(outputs, *(len(row) for row, _, _ in own))
    missing = [np.setdiff1d(np.arange(outputs), row) for row, _, _ in own]
    nowhere = set.intersection(*(set(rows.tolist()) for rows in missing))
    filled: list[tuple[Int, Int, Int]] = []
    for (row, where, value), rows in zip(own, missing, strict=True):
        spare = max(0, longest - len(row))
        chosen = rows[np.linspace(0, len(rows) - 1, min(spare, len(rows))).astype(np.int64)]
        rest = np.array(sorted(nowhere - set(chosen.tolist())), np.int64)
        if len(filled) < len(own) - 1:
            nowhere -= set(chosen.tolist())
            rest = rest[:0]
        added = np.union1d(chosen, rest).astype(np.int64)
        zeros = np.zeros(len(added), np.int64)
        both = zip((row, where, value), (added, zeros, zeros), strict=True)
        filled.append(_ordered(*(np.append(old, new) for old, new in both)))
    return filled


def _circle(row: Int, where: Int, around: int) -> tuple[Int, int]:
    """Places of all rows in a line, and where that ends: a row is once ``around``."""
    turn = np.cumsum(np.append(0, row[1:] != row[:-1]))
    return where + around * turn, around * (int(turn[-1]) + 1)


def _steps(line: Int, end: int, most: int) -> tuple[Int, Int]:
    """``line`` from one of the first ``most`` places on, and the cycles from each to the next.

    Behind the last place comes the first one again, in steps of ``most`` at most.
    """
    if line[0] >= most:
        line = np.append(line[0] % most, line)
    return line, np.maximum(-(-np.diff(line, append=end + line[0]) // most), 1)


def _within_reach(row: Int, where: Int, value: Int, most: int, around: int) -> tuple[Int, Int, Int]:
    """The same with idle cycles, so that the next place is at most ``most`` beyond each.

    A row ends where places come ``around``: the last row in the last cycle, not before.
    """
    line, end = _circle(row, where, around)
    line, steps = _steps(line, end, most)
    value = np.append(np.zeros(len(line) - len(value), np.int64), value)
    index = np.repeat(np.arange(len(line)), steps)
    # The first of the steps from a product is the product itself, those behind it idle.
    behind = np.arange(len(index)) - (np.cumsum(steps) - steps)[index]
    line = np.minimum(line[index] + behind * most, end - 1)
    return np.unique(row)[line // around], line % around, np.where(behind, 0, value[index])
