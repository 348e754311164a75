"""Resize: a frame with every position repeated, nearest-neighbour upsampling."""

from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring

from . import replay
from .beat import Beat

__all__ = ["Resize"]


@dataclass(frozen=True)
class Resize:
    """``o[r, c, ch] = x[r // fh, c // fw, ch]`` with ``factor`` = (fh, fw).

    Shapes: in ``(height * width, lanes)``, out ``(height * fh * width * fw, lanes)``, where both
    beats are ``beat``.

    Timing: one output beat a cycle; an output is valid one cycle after the input beat it shows.
    While a row is repeated no input is taken. Where rows are repeated, one row is stored.
    The circuit is :class:`sqwire.hw.replay.Replay`.

    Raises
    ------
    ValueError
        If a size or a factor is below one.
    """

    height: int
    width: int
    beat: Beat
    factor: tuple[int, int]

    def __post_init__(self):
        if min(self.height, self.width) < 1:
            raise ValueError(f"Resize: frame must be at least 1x1, not {self.height}x{self.width}")
        if min(self.factor) < 1:
            raise ValueError(f"Resize: factor must be at least 1, not {self.factor}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.beats_in * self.factor[0] * self.factor[1]

    latency_cycles = 1

    @property
    def stores(self):
        """Its memory, as synthesis makes it."""
        return replay.stores(self.beat, self.beat, self.width, self.factor, parts=False)

    def needs(self) -> np.ndarray:
        return replay.needs(self.height, self.width, self.factor)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        frames = x.reshape(len(x), self.height, self.width, self.beat.lanes)
        frames = frames.repeat(self.factor[0], axis=1).repeat(self.factor[1], axis=2)
        return frames.reshape(len(x), self.beats_out, self.beat.lanes)

    def create(self) -> wiring.Component:
        return replay.Replay(self.beat, self.beat, self.width, self.factor, parts=False)
