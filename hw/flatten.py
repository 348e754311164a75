"""Flatten: a whole frame in one beat, as a fully connected layer wants it."""

from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring

from .beat import Beat
from .width import Pack

__all__ = ["Flatten"]


@dataclass(frozen=True)
class Flatten:
    """A frame of ``positions`` beats becomes one beat: ``o[0, p * lanes + c] = i[p, c]``.

    Lanes come in raster order, channels innermost. This is :class:`sqwire.hw.width.Pack` with a
    group as long as the frame, and nothing else: its timing and its circuit are those of
    ``Pack(beat, positions, positions)``.

    Shapes: in ``(positions, lanes)``, out ``(1, positions * lanes)``.

    Raises
    ------
    ValueError
        If ``positions`` is below one.
    """

    beat: Beat
    positions: int

    def __post_init__(self):
        if self.positions < 1:
            raise ValueError(f"Flatten: positions must be at least 1, not {self.positions}")

    @property
    def pack(self) -> Pack:
        """The operator that does the work."""
        return Pack(self.beat, self.positions, self.positions)

    @property
    def inputs(self):
        return self.pack.inputs

    @property
    def outputs(self):
        return self.pack.outputs

    @property
    def beats_in(self) -> int:
        return self.positions

    beats_out = 1
    latency_cycles = Pack.latency_cycles

    def needs(self) -> np.ndarray:
        return self.pack.needs()

    def compute(self, x):
        return self.pack.compute(x)

    def create(self) -> wiring.Component:
        return self.pack.create()
