"""Add: the lanewise sum of two streams, for instance around a residual block."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat

__all__ = ["Add"]


@dataclass(frozen=True)
class Add:
    """``o[m, c] = i0[m, c] + i1[m, c]``.

    Shapes: both inputs and the output ``(beats, lanes)``. The output's range is the sum of the
    inputs' ranges, so nothing overflows. Both codes must mean the same scale.

    Timing: one pair of beats a cycle, one cycle of latency. A beat is taken only together with
    its partner: each input's ready waits for the other input's valid, never valid for ready.
    Where the two come from one :class:`sqwire.hw.fork.Fork`, the shorter way needs
    a :class:`sqwire.hw.queue.Queue` as deep as what the longer one swallows.

    Raises
    ------
    ValueError
        If the inputs differ in lanes or ``beats`` is below one.
    """

    i0: Beat
    i1: Beat
    beats: int = 1

    def __post_init__(self):
        if self.i0.lanes != self.i1.lanes:
            raise ValueError(
                f"Add: i1 must have as many lanes as i0 ({self.i0.lanes}), not {self.i1.lanes}"
            )
        if self.beats < 1:
            raise ValueError(f"Add: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (self.i0, self.i1)

    @property
    def outputs(self):
        return (Beat(self.i0.range + self.i1.range, self.i0.lanes),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    latency_cycles = 1

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x0, x1):
        return np.asarray(x0, dtype=np.int64) + np.asarray(x1, dtype=np.int64)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of an :class:`Add`.

    Members
    -------
    i0, i1 : ``In(stream)``
        Summands.
    o : ``Out(stream)``
        Sums.
    """

    def __init__(self, spec: Add):
        self.spec = spec
        super().__init__(
            {
                "i0": In(spec.i0.signature),
                "i1": In(spec.i1.signature),
                "o": Out(spec.outputs[0].signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        output = self.spec.outputs[0]
        advance = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i0.ready.eq(advance & self.i1.valid),
            self.i1.ready.eq(advance & self.i0.valid),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i0.valid & self.i1.valid)
        for lane in range(output.lanes):
            total = Signal(output.range.shape, name=f"sum_{lane}", reset_less=True)
            with m.If(advance):
                m.d.sync += total.eq(self.i0.payload[lane] + self.i1.payload[lane])
            m.d.comb += self.o.payload[lane].eq(total)
        return m
