"""Beats that follow each other no faster than they are wanted."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .folded.timing import apart

__all__ = ["Pace"]


@dataclass(frozen=True)
class Pace:
    """``o = i``, a beat every ``cycles`` cycles at most.

    Behind an input of a network that takes its time, it spreads the beats over the frame, so that
    nothing inside has to hold them back.

    Shapes: in and out ``(beats, lanes)``.

    Timing: no latency; a beat leaves ``cycles`` after the one before it, or when it comes.

    Raises
    ------
    ValueError
        If ``cycles`` or ``beats`` is below one.
    """

    beat: Beat
    cycles: int
    beats: int

    latency_cycles = 0

    def __post_init__(self):
        for what in ("cycles", "beats"):
            if getattr(self, what) < 1:
                raise ValueError(f"Pace: {what} must be at least 1, not {getattr(self, what)}")

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
        return self.beats * self.cycles

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def departures(self, arrivals) -> np.ndarray:
        """The cycle in which each output beat leaves if the sink is always ready."""
        index = np.arange(len(arrivals)) * self.cycles
        return np.maximum.accumulate(np.asarray(arrivals) - index) + index

    def latest(self, leaves) -> np.ndarray:
        """The latest cycles in which input beats may arrive so that outputs leave by ``leaves``."""
        return apart(np.asarray(leaves), self.cycles)

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
        # Its sign says that there is none. It waits only between beats, so valid never falls.
        wait = Signal(range(-1, self.spec.cycles), init=-1)
        due, taken = wait < 0, self.o.valid & self.o.ready
        m.d.comb += [
            self.o.payload.as_value().eq(self.i.payload),
            self.o.valid.eq(self.i.valid & due),
            self.i.ready.eq(self.o.ready & due),
        ]
        m.d.sync += wait.eq(Mux(taken, self.spec.cycles - 2, Mux(due, -1, wait - 1)))
        return m
