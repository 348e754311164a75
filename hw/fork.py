"""Fork: one stream to several readers that need not keep step."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat

__all__ = ["Fork"]


@dataclass(frozen=True)
class Fork:
    """Every output ``o0``, ``o1``, ... carries each input beat once: ``ok[m] = i[m]``.

    Shapes: in ``(beats, lanes)``, each of the ``ways`` outputs the same.

    Timing: no cycle of latency, one beat a cycle. The fork is eager: each branch takes its copy
    as soon as it wants, whatever the others do, and the input is consumed in the cycle in which
    the last of them takes it. A branch is never more than one beat ahead of another; more needs
    a :class:`sqwire.hw.queue.Queue` behind it.

    Raises
    ------
    ValueError
        If ``ways`` is below two or ``beats`` below one.

    Source: the eager fork of elastic circuits, Cortadella, Kishinevsky, Grundmann, "Synthesis of
    synchronous elastic architectures", DAC 2006.
    """

    beat: Beat
    ways: int = 2
    beats: int = 1

    def __post_init__(self):
        if self.ways < 2:
            raise ValueError(f"Fork: ways must be at least 2, not {self.ways}")
        if self.beats < 1:
            raise ValueError(f"Fork: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (self.beat,) * self.ways

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    latency_cycles = 0

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return (x,) * self.ways

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Fork`.

    Members
    -------
    i : ``In(stream)``
        Beats.
    o0, o1, ... : ``Out(stream)``
        A copy of each.
    """

    def __init__(self, spec: Fork):
        self.spec = spec
        ports = {f"o{way}": Out(spec.beat.signature) for way in range(spec.ways)}
        super().__init__({"i": In(spec.beat.signature), **ports})

    def elaborate(self, platform):
        m = Module()
        ways = [getattr(self, f"o{way}") for way in range(self.spec.ways)]
        taken = Signal(len(ways))  # branches that have had the beat that still stands at the input
        taken_now = Signal(len(ways))
        for way, o in enumerate(ways):
            m.d.comb += [
                o.payload.eq(self.i.payload),
                o.valid.eq(self.i.valid & ~taken[way]),
                taken_now[way].eq(taken[way] | o.ready),
            ]
        m.d.comb += self.i.ready.eq(taken_now.all())
        with m.If(self.i.valid):
            with m.If(self.i.ready):
                m.d.sync += taken.eq(0)
            with m.Else():
                m.d.sync += taken.eq(taken_now)
        return m
