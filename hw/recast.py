"""The same codes in fewer or more bits."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .ranges import Range

__all__ = ["Recast"]


@dataclass(frozen=True)
class Recast:
    """``o = i``, in lanes of ``range``; who knows that all codes lie within it may say so.

    Shapes: in and out ``(beats, lanes)``. Codes outside ``range`` lose their upper bits.

    Timing: wires only, no latency.

    Raises
    ------
    ValueError
        If ``beats`` is below one.
    """

    beat: Beat
    range: Range
    beats: int

    latency_cycles = 0

    def __post_init__(self):
        if self.beats < 1:
            raise ValueError(f"Recast: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(self.range, self.beat.lanes),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        return np.asarray(x, dtype=np.int64)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Recast`.

    Members
    -------
    i : ``In(stream)``
        Codes.
    o : ``Out(stream)``
        The same codes.
    """

    def __init__(self, spec: Recast):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready)]
        for lane in range(self.spec.beat.lanes):
            m.d.comb += self.o.payload[lane].eq(self.i.payload[lane])
        return m
