"""The number of the largest of channels that follow each other."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..ranges import Range

__all__ = ["ArgMax"]


@dataclass(frozen=True)
class ArgMax:
    """``o[p] = argmax over c of i[p, c]``, of several equal ones the first (or the ``last``).

    What :class:`sqwire.hw.argmax.ArgMax` does where a position is one beat.

    Shapes: in ``(positions * channels, 1)``, out ``(positions, 1)``, from 0 to ``channels - 1``.

    Timing: one input beat a cycle; an output is valid one cycle after the last channel. No input
    is taken while an output waits.

    Raises
    ------
    ValueError
        If ``channels`` or ``positions`` are below one.
    """

    range: Range
    channels: int
    last: bool = False
    positions: int = 1

    def __post_init__(self):
        for what in ("channels", "positions"):
            if getattr(self, what) < 1:
                raise ValueError(f"ArgMax: {what} must be at least 1, not {getattr(self, what)}")

    @property
    def inputs(self):
        return (Beat(self.range, 1),)

    @property
    def outputs(self):
        return (Beat(Range(0, self.channels - 1), 1),)

    @property
    def beats_in(self) -> int:
        return self.positions * self.channels

    @property
    def beats_out(self) -> int:
        return self.positions

    latency_cycles = 1

    def needs(self) -> np.ndarray:
        return np.arange(1, self.positions + 1) * self.channels

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64).reshape(len(x), self.positions, self.channels)
        if self.last:
            return self.channels - 1 - x[..., ::-1].argmax(axis=-1, keepdims=True)
        return x.argmax(axis=-1, keepdims=True)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of an :class:`ArgMax`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        The number of the largest of each position.
    """

    def __init__(self, spec: ArgMax):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        advance, larger, ends = Signal(), Signal(), Signal()
        channel, winner = Signal(range(spec.channels)), Signal.like(self.o.payload[0])
        largest, code = Signal(spec.range.shape, reset_less=True), self.i.payload[0]
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.payload[0].eq(winner),
            larger.eq((channel == 0) | ((code >= largest) if spec.last else (code > largest))),
            ends.eq(channel == spec.channels - 1),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i.valid & ends)
            with m.If(self.i.valid):
                m.d.sync += channel.eq(Mux(ends, 0, channel + 1))
                with m.If(larger):
                    m.d.sync += [largest.eq(code), winner.eq(channel)]
        return m
