"""Candidates: the few positions of a frame that are worth looking at, as so many records."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .queue import Queue
from .ranges import Range
from .raster import counter

__all__ = ["Candidates"]

_EMPTY = -1


@dataclass(frozen=True)
class Candidates:
    """The first ``count`` positions at which one of ``lanes`` reaches its threshold.

    ``o[m] = (n, x[n, 0], x[n, 1], ...)`` where ``n`` is the m-th position, in raster order, with
    ``x[n, lanes[k]] >= thresholds[k]`` for some k. Later ones than the first ``count`` are dropped;
    where there are fewer, ``o[m] = (-1, 0, 0, ...)``.

    Shapes: in ``(positions, channels)``, out ``(count, 1 + channels)``; the range of the output
    holds that of the input, 0 and ``-1 .. positions - 1``.

    Timing: one beat a cycle. Records of a frame leave when all of it has come, one a cycle, the
    first ``latency_cycles`` = 4 cycles behind the last position, however many there are: cycles do
    not depend on what is in the picture. The next frame is taken meanwhile.

    Circuit: a comparator for each of ``lanes``, and a queue of ``count`` candidates.

    Raises
    ------
    ValueError
        If ``count`` is not 1 to ``positions``, lanes are not some different ones of the beat, or
        thresholds are not as many.
    """

    beat: Beat
    positions: int
    count: int
    lanes: tuple[int, ...]
    thresholds: tuple[int, ...]

    def __post_init__(self):
        if not 1 <= self.count <= self.positions:
            raise ValueError(
                f"Candidates: count must be 1 to the number of positions ({self.positions}), not "
                f"{self.count}"
            )
        known = [lane for lane in set(self.lanes) if 0 <= lane < self.beat.lanes]
        if not known or len(known) != len(self.lanes):
            raise ValueError(
                f"Candidates: lanes must be different ones of 0 to {self.beat.lanes - 1}, at least "
                f"one, not {self.lanes}"
            )
        if len(self.thresholds) != len(self.lanes):
            raise ValueError(
                f"Candidates: thresholds must be as many as lanes ({len(self.lanes)}), not "
                f"{len(self.thresholds)}"
            )

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        record = Range.span([self.beat.range, Range(_EMPTY, self.positions - 1)])
        return (Beat(record, 1 + self.beat.lanes),)

    @property
    def beats_in(self) -> int:
        return self.positions

    @property
    def beats_out(self) -> int:
        return self.count

    latency_cycles = 4

    @property
    def index_bits(self) -> int:
        """Bits of the number of a position."""
        return Range(0, self.positions - 1).bits

    @property
    def queue(self) -> Queue:
        """Where candidates wait for the end of their frame, and then for those before them.

        While those of one frame leave, no more of the next one come; two places more keep beats
        moving.
        """
        word = Range.unsigned(self.beat.bits + self.index_bits)
        return Queue(Beat(word, 1), self.count + 2)

    @property
    def stores(self):
        """Its memory, as synthesis makes it."""
        return self.queue.stores

    def needs(self) -> np.ndarray:
        return np.full(self.count, self.positions)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        reached = (x[..., list(self.lanes)] >= np.array(self.thresholds)).any(-1)
        records = np.zeros((len(x), self.count, 1 + self.beat.lanes), dtype=np.int64)
        records[..., 0] = _EMPTY
        for frame, record, found in zip(x, records, reached, strict=True):
            (at,) = np.nonzero(found)
            at = at[: self.count]
            record[: len(at), 0], record[: len(at), 1:] = at, frame[at]
        return records

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Candidates`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order.
    o : ``Out(stream)``
        Records.
    """

    def __init__(self, spec: Candidates):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        number = Beat(Range(0, spec.count), 1)
        m.submodules.queue = queue = spec.queue.create()
        # How many candidates a frame has, as late as the last of them; of up to three frames.
        m.submodules.late = late = Queue(number, 1).create()
        m.submodules.ends = ends = Queue(number, 2).create()
        wiring.connect(m, late.o, ends.i)

        # Cycle 1: is it one, and is it the last position.
        free, taken = Signal(), Signal()
        index, last = counter(m, taken, spec.positions, "position")
        held, reached, ended = Signal(), Signal(), Signal()
        word = Signal(spec.beat.bits + spec.index_bits, reset_less=True)
        tests = [
            self.i.payload[lane] >= threshold
            for lane, threshold in zip(spec.lanes, spec.thresholds, strict=True)
        ]
        m.d.comb += [self.i.ready.eq(free), taken.eq(self.i.valid & free)]
        number_of = Signal(spec.index_bits)
        m.d.comb += number_of.eq(index)
        with m.If(free):
            m.d.sync += [
                held.eq(self.i.valid), reached.eq(Cat(tests).any()), ended.eq(last),
                word.eq(Cat(self.i.payload, number_of)),
            ]  # fmt: skip

        # Cycle 2: the first ones go to the queue, and how many they were when the frame ends.
        found = Signal(range(spec.count + 1))
        some, room = Signal(), Signal()
        m.d.comb += [
            some.eq(reached & (found != spec.count)),
            room.eq(queue.i.ready & late.i.ready),
            free.eq(~held | room),
            queue.i.payload.eq(word),
            queue.i.valid.eq(held & some & room),
            late.i.payload[0].eq(found + some),
            late.i.valid.eq(held & ended & room),
        ]
        with m.If(held & room):
            m.d.sync += found.eq(Mux(ended, 0, found + some))

        # Cycle 4: as many records as there are, then empty ones.
        advance, show, full = Signal(), Signal(), Signal()
        place, complete = counter(m, show, spec.count, "record")
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            full.eq(place < ends.o.payload[0]),
            show.eq(advance & ends.o.valid & (queue.o.valid | ~full)),
            queue.o.ready.eq(show & full),
            ends.o.ready.eq(show & complete),
        ]
        codes = Signal(spec.beat.layout)
        m.d.comb += codes.as_value().eq(queue.o.payload.as_value()[: spec.beat.bits])
        with m.If(advance):
            m.d.sync += self.o.valid.eq(show)
        with m.If(show):
            at = queue.o.payload.as_value()[spec.beat.bits :]
            m.d.sync += self.o.payload[0].eq(Mux(full, at, _EMPTY))
            for lane in range(spec.beat.lanes):
                m.d.sync += self.o.payload[1 + lane].eq(Mux(full, codes[lane], 0))
        return m
