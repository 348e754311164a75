"""Beats that follow each other no faster than they are wanted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat

__all__ = ["Pace", "not_after", "not_before"]


def not_before(arrivals, times) -> np.ndarray:
    """The earliest cycles for beats that come in ``arrivals``, as far apart as ``times`` are."""
    return np.maximum.accumulate(np.asarray(arrivals) - times) + times


def not_after(leaves, times) -> np.ndarray:
    """The latest cycles for beats that must have gone by ``leaves``, as far apart as ``times``."""
    return np.minimum.accumulate((np.asarray(leaves) - times)[::-1])[::-1] + times


@dataclass(frozen=True)
class Pace:
    """``o = i``, the beats of a frame spread over ``cycles`` cycles.

    Behind an input of a network that takes its time, so that nothing inside has to hold them back.

    Shapes: in and out ``(beats, lanes)``.

    Timing: no latency; beat ``k`` of a frame leaves at least ``gaps[k]`` cycles after the one
    before it, which is ``cycles / beats``, rounded down or up so that a frame takes ``cycles``.
    Time in which the sink holds a beat up is made good, up to a frame: layers take what comes in
    gusts (rows behind a stride, say) more slowly than it comes, and wait for the next one.

    Raises
    ------
    ValueError
        If ``beats`` is below one or ``cycles`` below ``beats``.
    """

    beat: Beat
    cycles: int
    beats: int

    latency_cycles = 0

    def __post_init__(self):
        if self.beats < 1:
            raise ValueError(f"Pace: beats must be at least 1, not {self.beats}")
        if self.cycles < self.beats:
            raise ValueError(
                f"Pace: cycles must be at least one for each of {self.beats} beats, "
                f"not {self.cycles}"
            )

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def interval_cycles(self) -> int:
        """Cycles a frame, where frames follow each other as fast as they are taken."""
        return self.cycles

    @cached_property
    def gaps(self) -> np.ndarray:
        """Cycles between each beat of a frame and the one before it."""
        return np.diff((np.arange(self.beats + 1) * self.cycles) // self.beats)

    def _times(self, count):
        """When ``count`` beats leave that are always there."""
        return np.cumsum(np.resize(np.roll(self.gaps, 1), count))

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def departures(self, arrivals) -> np.ndarray:
        """The cycle in which each output beat leaves if the sink is always ready."""
        times = self._times(len(arrivals))
        return not_before(arrivals, times)

    def latest(self, leaves) -> np.ndarray:
        """The latest cycles in which input beats may arrive so that outputs leave by ``leaves``."""
        times = self._times(len(leaves))
        return not_after(leaves, times)

    def compute(self, x):
        return np.asarray(x, dtype=np.int64)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Pace`.

    Members
    -------
    i : ``In(stream)``
        Beats.
    o : ``Out(stream)``
        The same beats.
    """

    def __init__(self, spec: Pace):
        self.spec = spec
        super().__init__({"i": In(spec.beat.signature), "o": Out(spec.beat.signature)})

    def elaborate(self, platform):
        m = Module()
        least, rest = divmod(self.spec.cycles, self.spec.beats)
        # Its sign says that there is none; below -1 it is how far behind time the sink has made us.
        # It waits only between beats, so valid never falls.
        wait = Signal(range(-self.spec.cycles, least + 1), init=-1)
        due, taken = wait < 0, self.o.valid & self.o.ready
        held_up = self.o.valid & ~self.o.ready & (wait > -self.spec.cycles)
        # Gaps are a cycle longer as often as makes `cycles` of them.
        share, longer = Signal(range(self.spec.beats)), Signal()
        total = share + rest
        m.d.comb += longer.eq(total >= self.spec.beats)
        with m.If(taken):
            m.d.sync += share.eq(Mux(longer, total - self.spec.beats, total))
        m.d.comb += [
            self.o.payload.as_value().eq(self.i.payload),
            self.o.valid.eq(self.i.valid & due),
            self.i.ready.eq(self.o.ready & due),
        ]
        with m.If(taken):
            m.d.sync += wait.eq(wait + least - 1 + longer)
        with m.Elif(~due | held_up):
            m.d.sync += wait.eq(wait - 1)
        return m
