"""Buffer: a register stage that also cuts the path of ready."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat

__all__ = ["Buffer"]


@dataclass(frozen=True)
class Buffer:
    """``o[m] = i[m]``, with no combinational path from one side to the other.

    Shapes: in and out ``(beats, lanes)``.

    Timing: one beat a cycle, one cycle of latency. ``o.valid``, ``o.payload`` and ``i.ready``
    come out of registers: where many operators stand in a row, a buffer between them ends the chain
    of ready signals. It holds two beats: one at the output, and one that arrives in
    the cycle in which the output begins to wait.

    Raises
    ------
    ValueError
        If ``beats`` is below one.
    """

    beat: Beat
    beats: int = 1

    def __post_init__(self):
        if self.beats < 1:
            raise ValueError(f"Buffer: beats must be at least 1, not {self.beats}")

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

    latency_cycles = 1

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        return np.asarray(x, dtype=np.int64)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Buffer`.

    Members
    -------
    i : ``In(stream)``
        Beats.
    o : ``Out(stream)``
        The same beats.
    """

    def __init__(self, spec: Buffer):
        self.spec = spec
        super().__init__({"i": In(spec.beat.signature), "o": Out(spec.beat.signature)})

    def elaborate(self, platform):
        m = Module()
        front = Signal(self.spec.beat.bits, reset_less=True)
        spare = Signal(self.spec.beat.bits, reset_less=True)
        full = Signal()  # the spare register is taken
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.payload.as_value().eq(front),
        ]
        # While it is free the spare follows the input: whether that is a beat is known by `full`.
        with m.If(~full):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid | full), full.eq(0)]
            with m.If(full):
                m.d.sync += front.eq(spare)
            with m.Else():
                m.d.sync += front.eq(self.i.payload)
        with m.Elif(self.i.valid):
            m.d.sync += full.eq(1)
        return m
