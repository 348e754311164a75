"""The program of a folded layer from its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.folded.layout import Layout
from sqwire.hw.folded.program import Program

from .digits import digits
from .search import Search
from .split import split

__all__ = ["schedule"]

Int = NDArray[np.int64]

# A program with differences of rows may be longer by this, since it is narrower.
_LONGER = 1.01


def schedule(
    weight: Int,
    lanes: int,
    ring: int,
    *,
    parts: int = 1,
    lanes_in: int = 1,
    lanes_out: int = 1,
    in_digits: bool = False,
    dense: bool | None = None,
    by_input: bool = False,
) -> Program:
    """The program for ``weight`` (out, kernel rows, kernel columns, in) on ``lanes`` lanes.

    Parameters
    ----------
    ring
        Lanes that share banks, a power of two: a smaller ring is easier to fill and has no large
        rotator, a larger one has fewer channels a bank and so shorter addresses.
    parts
        In how many lanes each output is summed; two where outputs are few or uneven.
    lanes_in, lanes_out
        Channels a beat of the input and of the output.
    in_digits
        Whether the program holds signed powers of two in place of weights.
    dense
        Whether it holds zeros too, and no addresses; None: if it takes hardly longer. Its parts
        are whole rings, and each has as many of the banks.
    by_input
        Whether each lane has inputs of its own and a part of each output: a split program.

    Raises
    ------
    ValueError
        If the counts do not divide as :class:`sqwire.hw.folded.layout.Layout` wants.
    """
    weight = np.asarray(weight)
    if weight.ndim != 4 or not weight.size:
        raise ValueError(f"schedule: weight must be (out, rows, columns, in), not {weight.shape}")
    place = np.argwhere(weight)
    value = weight[tuple(place.T)].astype(np.int64)
    if in_digits:
        index, value = digits(value)
        place = place[index]
    if by_input:
        if not lanes == ring == parts or lanes_out > 1:
            raise ValueError(
                f"schedule: by_input needs ring and parts like lanes ({lanes}) and lanes_out 1, "
                f"not {ring}, {parts} and {lanes_out}"
            )
        return split(place, value, weight.shape, lanes, lanes_in)
    output, channel = place[:, 0], place[:, 3]
    at = place[:, 1] * weight.shape[2] + place[:, 2]
    taps = np.unique(at) if len(at) else np.zeros(1, np.int64)
    tap = np.searchsorted(taps, at)

    once = not in_digits or len(np.unique(place, axis=0)) == len(place)
    kernel = _Kernel(weight.shape[2], tuple(taps.tolist()))
    if dense and not once:
        raise ValueError("schedule: dense must have one product a weight, and digits are more")
    if dense:
        layout = _in_order(weight.shape, lanes, ring, parts, lanes_in, lanes_out)
        return _dense(layout, kernel, output, channel, tap, value)

    counts = np.zeros((weight.shape[0], weight.shape[3]), np.int64)
    np.add.at(counts, (output, channel), 1)
    search = Search(counts, lanes, ring, parts, lanes_in, lanes_out)
    search.run()
    layout = Layout(lanes, ring, search.bank, search.lane, lanes_in, lanes_out)
    part = _parts(output, layout.bank[channel], search.share)
    products = _Products.of(layout, part, output, channel, tap, value)
    longest = np.prod((ring, len(taps), layout.locals, layout.rows))
    if dense is None and once and parts == 1 and longest <= _LONGER * products.cycles():
        layout = _in_order(weight.shape, lanes, ring, parts, lanes_in, lanes_out)
        return _dense(layout, kernel, output, channel, tap, value)
    return _sparse(layout, kernel, products)


def _parts(output: Int, bank: Int, share: Int) -> Int:
    """The part of each product, so that as many of each output and bank are in it as planned."""
    parts, _, ring = share.shape
    if parts == 1:
        return np.zeros(len(output), np.int64)
    key = output * ring + bank
    rank = _rank(key)
    ends = share.cumsum(axis=0).reshape(parts, -1)
    return np.asarray((rank[None] >= ends[:, key]).sum(axis=0), dtype=np.int64)


def _rank(key: Int) -> Int:
    """For each element, how many before it have the same key."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(key) else key
    lengths = np.diff(np.append(first, len(key)))
    rank = np.empty(len(key), np.int64)
    rank[order] = np.arange(len(key)) - np.repeat(first, lengths)
    return rank


@dataclass(frozen=True)
class _Kernel:
    """Its columns, and its places that have any weight."""

    columns: int
    taps: tuple[int, ...]


@dataclass
class _Products:
    """All products of a layer, and those of value 0 that are only there to write a row."""

    layout: Layout
    lane: Int
    rotation: Int
    row: Int
    tap: Int
    local: Int
    value: Int

    @classmethod
    def of(
        cls, layout: Layout, part: Int, output: Int, channel: Int, tap: Int, value: Int
    ) -> _Products:
        lane = layout.lane[part, output]
        rotation = (layout.bank[channel] - lane) % layout.ring
        row, local = layout.row[output], layout.local[channel]
        products = cls(layout, lane, rotation, row, tap, local, value)
        products._write_all()
        return products

    def _write_all(self) -> None:
        """Write each row of each lane at least once, in a rotation with time to spare."""
        layout = self.layout
        written = np.zeros((layout.lanes, layout.rows), bool)
        written[self.lane, self.row] = True
        missing = np.argwhere(~written & (layout.output_at >= 0))
        if not len(missing):
            return
        cells = np.bincount(
            self.lane * layout.ring + self.rotation, minlength=layout.lanes * layout.ring
        ).reshape(layout.rings, layout.ring, layout.ring)
        added = []
        for lane, row in missing.tolist():
            ring, place = divmod(lane, layout.ring)
            slack = cells[ring].max(axis=0) - cells[ring, place]
            rotation = int(slack.argmax())
            cells[ring, place, rotation] += 1
            added.append((lane, rotation, row, 0, 0, 0))
        for name, column in zip(
            ("lane", "rotation", "row", "tap", "local", "value"), np.array(added).T, strict=True
        ):
            setattr(self, name, np.concatenate([getattr(self, name), column]))

    def sort(self) -> None:
        """By lane, rotation and row."""
        order = np.lexsort((self.local, self.tap, self.row, self.rotation, self.lane))
        for name in ("lane", "rotation", "row", "tap", "local", "value"):
            setattr(self, name, getattr(self, name)[order])

    @property
    def cell(self) -> Int:
        """Lane and rotation as one number."""
        return self.lane * self.layout.ring + self.rotation

    def lengths(self, counts: Int | None = None) -> Int:
        """(rings, ring): cycles at each rotation, where products count ``counts`` each."""
        layout = self.layout
        size = layout.lanes * layout.ring
        each = np.bincount(self.cell, counts, size).astype(np.int64)
        return each.reshape(layout.rings, layout.ring, layout.ring).max(axis=1)

    def cycles(self) -> int:
        """Length of the program, if rows are stored as they are."""
        return int(self.lengths().sum(axis=1).max())

    def steps(self, most: int) -> Int:
        """Cycles that each product takes (sorted) if a row rises by at most ``most`` a cycle."""
        cell = self.cell
        first = np.append(True, cell[1:] != cell[:-1])
        rise = self.row - np.where(first, 0, np.append(0, self.row[:-1]))
        return np.maximum(-(-rise // most), 1)


def _sparse(layout: Layout, kernel: _Kernel, products: _Products) -> Program:
    products.sort()
    row_bits = max(layout.rows - 1, 0).bit_length()
    best: tuple[int, int | None, Int] = (0, None, np.ones_like(products.row))
    shortest = products.cycles()
    # What else a lane stores matters little: fewer bits win as long as the program stays short.
    for delta_bits in range(1, row_bits):
        steps = products.steps((1 << delta_bits) - 1)
        if products.lengths(steps).sum(axis=1).max() <= _LONGER * shortest:
            best = (0, delta_bits, steps)
            break
    _, delta, steps = best
    lengths = products.lengths(steps)
    cycles = max(int(lengths.sum(axis=1).max()), 1)

    # When each product runs: after those before it in its lane and rotation.
    cell = products.cell
    before = np.cumsum(steps) - steps
    first = np.flatnonzero(np.append(True, cell[1:] != cell[:-1]))
    sizes = np.diff(np.append(first, len(cell)))
    within = before - np.repeat(before[first], sizes) + steps - 1
    starts = np.cumsum(lengths, axis=1) - lengths
    when = starts[products.lane // layout.ring, products.rotation] + within

    rotation = np.zeros((cycles, layout.rings), np.int16)
    for ring, ends in enumerate(np.cumsum(lengths, axis=1)):
        # What is left at the end belongs to the last rotation that is used.
        last = int(np.flatnonzero(lengths[ring]).max(initial=0))
        turns = np.minimum(np.searchsorted(ends, np.arange(cycles), side="right"), last)
        rotation[:, ring] = turns
    fields = {
        name: np.zeros((cycles, layout.lanes), np.int32)
        for name in ("tap", "local", "row", "value")
    }
    for name, array in fields.items():
        array[when, products.lane] = getattr(products, name)
    _fill_rows(fields["row"], rotation, layout, when, products, delta)
    return Program(layout, kernel.columns, kernel.taps, rotation, delta_bits=delta, **fields)  # type: ignore[arg-type]


def _fill_rows(
    row: NDArray[np.int32], rotation: NDArray[np.int16], layout: Layout,
    when: Int, products: _Products, delta_bits: int | None,
) -> None:  # fmt: skip
    """Idle cycles go on towards the row of the next product, so that rows rise as they may."""
    if delta_bits is None:
        return
    most = (1 << delta_bits) - 1
    known = np.zeros(row.shape, bool)
    known[when, products.lane] = True
    starts = np.vstack([np.ones((1, layout.rings), bool), np.diff(rotation, axis=0) != 0])
    target = np.zeros(layout.lanes, np.int64)
    # Backwards: the row a lane must at least have reached so that what follows can be reached.
    least = np.zeros(row.shape, np.int32)
    for cycle in range(len(row) - 1, -1, -1):
        here = np.where(known[cycle], row[cycle], target)
        least[cycle] = here
        target = np.maximum(here - most, 0)
        target[np.repeat(starts[cycle], layout.ring)] = 0
    current = np.zeros(layout.lanes, np.int64)
    for cycle in range(len(row)):
        current = np.where(np.repeat(starts[cycle], layout.ring), 0, current)
        current = np.maximum(current, least[cycle])
        row[cycle] = current


def _in_order(
    shape: tuple[int, ...], lanes: int, ring: int, parts: int, lanes_in: int, lanes_out: int
) -> Layout:
    """Channels in banks and outputs in lanes one after the other, all parts of an output alike."""
    Layout.check(lanes, ring, shape[3], shape[0], parts, lanes_in, lanes_out)
    if ring % parts or lanes // parts % ring:
        raise ValueError(
            f"schedule: parts of a dense program must divide ring ({ring}) and have whole rings "
            f"of the {lanes} lanes, not {parts}"
        )
    group, outputs = lanes // (parts * lanes_out), np.arange(shape[0])
    lane = outputs % lanes_out * group + outputs // lanes_out % group
    part = np.arange(parts)[:, None] * (lanes // parts)
    return Layout(lanes, ring, np.arange(shape[3]) % ring, part + lane, lanes_in, lanes_out)


def _dense(
    layout: Layout, kernel: _Kernel, output: Int, channel: Int, tap: Int, value: Int
) -> Program:
    """Every lane goes through all taps and places of as many banks as its part has."""
    sizes = (layout.turns, len(kernel.taps), layout.locals, layout.rows)
    cycles = int(np.prod(sizes))
    counters = np.unravel_index(np.arange(cycles), sizes)
    ahead = (layout.bank[channel] - layout.lane[0, output]) % layout.ring
    part, turn = np.divmod(ahead, layout.turns)
    when = np.ravel_multi_index((turn, tap, layout.local[channel], layout.row[output]), sizes)
    values = np.zeros((cycles, layout.lanes), np.int32)
    values[when, layout.lane[part, output]] = value

    def alike(counter: Int, count: int) -> NDArray[np.int32]:
        return np.repeat(counter[:, None].astype(np.int32), count, axis=1)

    rotation, *fields = counters
    tap_of, local, row = (alike(field, layout.lanes) for field in fields)
    return Program(
        layout, kernel.columns, kernel.taps, alike(rotation, layout.rings) + layout.turned,
        tap_of, local, row, values, dense=True,
    )  # fmt: skip
