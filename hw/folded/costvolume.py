"""CostVolume, some of the shifts of a position in each cycle."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..costvolume import CostVolume as Wide
from ..costvolume import summed
from ..pipeline import registered
from .memory import Store, ram

__all__ = ["CostVolume"]


@dataclass(frozen=True)
class CostVolume:
    """``volume``, ``lanes`` shifts at a time.

    Shapes: in ``(positions, channels)`` twice, all channels of a position at once; out
    ``(positions * shifts / lanes, lanes)``.

    Timing: one output beat a cycle. A position is taken when the last shifts of the one before are
    under way; its first output is valid ``3 + ceil(log2(channels))`` cycles later. The whole
    pipeline stops while the output is held.

    Circuit: the positions of the right picture lie in as many memories as there are lanes, in
    turn. Those for neighbouring shifts lie in different ones, so that all are read in one cycle,
    and a rotator brings them to their lanes.

    Raises
    ------
    ValueError
        If ``lanes`` is not 1, 2, 4 or 8, or as many shifts are not at least two beats.
    """

    volume: Wide
    lanes: int

    def __post_init__(self):
        if self.lanes not in (1, 2, 4, 8):
            raise ValueError(f"CostVolume: lanes must be 1, 2, 4 or 8, not {self.lanes}")
        if self.volume.shifts % self.lanes or self.groups < 2:
            raise ValueError(
                f"CostVolume: shifts must be twice the lanes ({self.lanes}) or another multiple, "
                f"not {self.volume.shifts}"
            )

    @property
    def groups(self) -> int:
        """Beats of a position."""
        return self.volume.shifts // self.lanes

    @property
    def inputs(self):
        return self.volume.inputs

    @property
    def outputs(self):
        return (Beat(self.volume.range, self.lanes),)

    @property
    def beats_in(self) -> int:
        return self.volume.beats_in

    @property
    def beats_out(self) -> int:
        return self.beats_in * self.groups

    @property
    def latency_cycles(self) -> int:
        return 1 + self.volume.latency_cycles

    @property
    def store(self) -> Store:
        """Positions of the right picture: one word more than are looked at, as one is written."""
        depth = 1 << self.groups.bit_length()
        return Store("right", depth, self.inputs[1].bits, False, copies=self.lanes)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories."""
        return (self.store,)

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_in + 1).repeat(self.groups)

    def compute(self, left, right):
        y = self.volume.compute(left, right)
        return y.reshape(len(y), self.beats_out, self.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`CostVolume`.

    Members
    -------
    i0, i1 : ``In(stream)``
        Positions of the left and of the right picture in raster order.
    o : ``Out(stream)``
        Sums for some shifts, those of a position behind each other.
    """

    def __init__(self, spec: CostVolume):
        self.spec = spec
        ports = {f"i{k}": In(beat.signature) for k, beat in enumerate(spec.inputs)}
        super().__init__({**ports, "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, volume = self.spec, self.spec.volume
        advance, take, free = Signal(), Signal(), Signal()
        busy, group = Signal(), Signal(range(spec.groups))
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            free.eq(advance & (~busy | (group == spec.groups - 1))),
            take.eq(free & self.i0.valid & self.i1.valid),
            self.i0.ready.eq(free & self.i1.valid),
            self.i1.ready.eq(free & self.i0.valid),
        ]

        # Cycle 1: the left position, and its number among all and in its row.
        place = Signal(range(spec.store.depth * spec.lanes))  # of the position that comes next
        column = Signal(range(volume.width))
        number = Signal.like(place)
        within = Signal(range(-volume.shifts, volume.width))  # columns left of the first shift
        left = Signal(spec.inputs[0].layout, reset_less=True)
        with m.If(advance):
            m.d.sync += [group.eq(group + 1), within.eq(within - spec.lanes)]
            m.d.sync += number.eq(number - spec.lanes)
            with m.If(free):
                m.d.sync += [busy.eq(take), group.eq(0)]
        with m.If(take):
            m.d.sync += [
                left.eq(self.i0.payload),
                number.eq(place),
                within.eq(column),
                place.eq(place + 1),
                column.eq(Mux(column == volume.width - 1, 0, column + 1)),
            ]

        # Cycle 2: the left position beside right ones.
        beside = Signal(spec.inputs[0].layout, reset_less=True)
        right = [
            Signal(spec.inputs[1].layout, name=f"right_{lane}", reset_less=True)
            for lane in range(spec.lanes)
        ]
        words = self._words(m, take, place, number)
        with m.If(advance):
            m.d.sync += beside.eq(left)
            for lane, word in enumerate(words):
                m.d.sync += right[lane].as_value().eq(word)
                with m.If(within < lane):  # left of the frame
                    m.d.sync += right[lane].as_value().eq(0)

        register = partial(registered, m, advance)

        valid = busy
        for cycle in range(2, spec.latency_cycles + 1):
            valid = register(valid, 1, f"valid_{cycle}", reset_less=False)
        m.d.comb += self.o.valid.eq(valid)
        for lane in range(spec.lanes):
            m.d.comb += self.o.payload[lane].eq(summed(register, volume, beside, right[lane], lane))
        return m

    def _words(self, m, take, place, number):
        """For each lane the right position so many before ``number``."""
        spec = self.spec
        bits = (spec.lanes - 1).bit_length()
        banks = []
        for bank in range(spec.lanes):
            before = Signal(range(spec.store.depth), name=f"before_{bank}")
            m.d.comb += before.eq(number[bits:] - (number[:bits] < bank))
            banks.append(ram(
                m, spec.store, f"bank_{bank}", write=place[bits:], data=self.i1.payload.as_value(),
                enable=take & (place[:bits] == bank), read=before,
            ))  # fmt: skip
        if spec.lanes == 1:
            return banks
        words = [Signal(spec.store.width, name=f"word_{lane}") for lane in range(spec.lanes)]
        with m.Switch(number[:bits]):
            for turn in range(spec.lanes):
                with m.Case(turn):
                    for lane, word in enumerate(words):
                        m.d.comb += word.eq(banks[(turn - lane) % spec.lanes])
        return words
