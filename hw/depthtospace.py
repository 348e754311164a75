"""DepthToSpace: blocks of channels laid out as positions, sub-pixel upsampling."""

from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring

from . import replay
from .beat import Beat

__all__ = ["DepthToSpace"]


@dataclass(frozen=True)
class DepthToSpace:
    """``o[r * block + i, c * block + j, ch] = x[r, c, (i * block + j) * channels + ch]``.

    Shapes: in ``(height * width, block * block * channels)`` of ``beat``, out
    ``(height * width * block * block, channels)`` of the same range.

    Timing: one output beat a cycle; an output is valid one cycle after the input beat it shows a
    part of. While the later rows of a block are shown no input is taken. They are stored: one
    row of the input without its first ``block * channels`` lanes. The circuit is
    :class:`sqwire.hw.replay.Replay`.

    Raises
    ------
    ValueError
        If a size or ``block`` is below one, or ``block * block`` does not divide the lanes.
    """

    height: int
    width: int
    beat: Beat
    block: int

    def __post_init__(self):
        if min(self.height, self.width) < 1:
            raise ValueError(
                f"DepthToSpace: frame must be at least 1x1, not {self.height}x{self.width}"
            )
        if self.block < 1 or self.beat.lanes % self.block**2:
            raise ValueError(
                f"DepthToSpace: block must be at least 1 and its square must divide the lanes "
                f"({self.beat.lanes}), not {self.block}"
            )

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(self.beat.range, self.beat.lanes // self.block**2),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.beats_in * self.block**2

    latency_cycles = 1

    @property
    def stores(self):
        """Its memory, as synthesis makes it."""
        times = (self.block, self.block)
        return replay.stores(self.beat, self.outputs[0], self.width, times, parts=True)

    def needs(self) -> np.ndarray:
        return replay.needs(self.height, self.width, (self.block, self.block))

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        shape = (len(x), self.height, self.width, self.block, self.block, -1)
        blocks = x.reshape(shape).transpose(0, 1, 3, 2, 4, 5)
        return blocks.reshape(len(x), self.beats_out, -1)

    def create(self) -> wiring.Component:
        times = (self.block, self.block)
        return replay.Replay(self.beat, self.outputs[0], self.width, times, parts=True)
