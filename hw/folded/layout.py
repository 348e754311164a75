"""Where the channels of a folded layer live: input channels in banks, output channels in lanes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import frozen

__all__ = ["Layout"]


@dataclass(frozen=True, eq=False)
class Layout:
    """``bank[c]`` holds input channel ``c``, ``lane[k, o]`` sums part ``k`` of output ``o``.

    ``lanes`` lanes form rings of ``ring`` neighbours. Each ring has ``ring`` banks of its own,
    and all rings hold the same: bank ``b`` of each ring has the channels with ``bank[c] == b``,
    channel ``c`` at place ``c // ring``. So of ``ring`` channels in a row each has another bank,
    and with them the ``lanes_in`` channels of an input beat.

    The lanes are in ``parts * lanes_out`` groups of equal size. Output ``o`` is the sum of its
    parts, and part ``k`` is in group ``k * lanes_out + o % lanes_out``, in row
    ``o // lanes_out // group`` of its lane. So the ``lanes_out`` channels of an output beat, and
    all their parts, are read in one cycle.

    Raises
    ------
    ValueError
        If the counts do not divide as they must, or two channels want one place.
    """

    lanes: int
    ring: int
    bank: np.ndarray
    lane: np.ndarray
    lanes_in: int = 1
    lanes_out: int = 1

    def __post_init__(self):
        object.__setattr__(self, "bank", frozen(self.bank))
        object.__setattr__(self, "lane", frozen(self.lane))
        if self.lane.ndim != 2 or self.bank.ndim != 1 or not self.lane.size or not self.bank.size:
            raise ValueError(
                f"Layout: bank must be (channels) and lane (parts, channels), "
                f"not {self.bank.shape} and {self.lane.shape}"
            )
        self.check(
            self.lanes, self.ring, self.inputs, self.outputs,
            self.parts, self.lanes_in, self.lanes_out,
        )  # fmt: skip
        self._check_banks()
        self._check_lanes()

    @staticmethod
    def check(lanes, ring, inputs, outputs, parts=1, lanes_in=1, lanes_out=1):
        """Refuse counts that do not divide as they must."""
        if lanes < 1:
            raise ValueError(f"Folded: lanes must be at least 1, not {lanes}")
        if ring < 1 or ring & (ring - 1) or lanes % ring:
            raise ValueError(
                f"Folded: ring must be a power of two that divides lanes ({lanes}), not {ring}"
            )
        groups = parts * lanes_out
        if parts < 1 or lanes_out < 1 or lanes % groups:
            raise ValueError(
                f"Folded: parts * lanes_out must divide lanes ({lanes}), not {parts} * {lanes_out}"
            )
        if lanes_out < 1 or outputs % lanes_out:
            raise ValueError(
                f"Folded: lanes_out must divide the output channels ({outputs}), not {lanes_out}"
            )
        if lanes_in < 1 or inputs % lanes_in or ring % lanes_in:
            raise ValueError(
                f"Folded: lanes_in must divide the input channels ({inputs}) and ring ({ring}), "
                f"not {lanes_in}"
            )

    def _check_banks(self):
        if self.bank.min() < 0 or self.bank.max() >= self.ring:
            raise ValueError(f"Layout: bank must be in 0..{self.ring - 1}")
        place = self.bank + self.ring * self.local
        if len(np.unique(place)) < self.inputs:
            raise ValueError(f"Layout: {self.ring} channels in a row must have different banks")

    def _check_lanes(self):
        first = self.group_of * self.group
        if ((self.lane < first) | (self.lane >= first + self.group)).any():
            raise ValueError(f"Layout: lane must be in its group of {self.group} lanes")
        if len(np.unique(self.lane + self.lanes * self.row)) < self.lane.size:
            raise ValueError("Layout: two outputs must not share a row of a lane")

    @property
    def inputs(self) -> int:
        """Input channels."""
        return len(self.bank)

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.lane.shape[1]

    @property
    def parts(self) -> int:
        """In how many lanes an output is summed."""
        return self.lane.shape[0]

    @property
    def rings(self) -> int:
        """Number of rings."""
        return self.lanes // self.ring

    @property
    def group(self) -> int:
        """Lanes in a group."""
        return self.lanes // (self.parts * self.lanes_out)

    @property
    def locals(self) -> int:
        """Channels in a bank, the last one perhaps not in each."""
        return -(-self.inputs // self.ring)

    @property
    def turns(self) -> int:
        """Rotations of a dense program: each part has its share of the banks."""
        return self.ring // self.parts

    @cached_property
    def turned(self) -> np.ndarray:
        """By how many banks each ring of a dense program is ahead, one part after the other."""
        return np.arange(self.rings) * self.parts // self.rings * self.turns

    @property
    def rows(self) -> int:
        """Accumulators in a lane."""
        return -(-self.outputs // (self.lanes_out * self.group))

    @cached_property
    def local(self) -> np.ndarray:
        """Place of each input channel in its bank."""
        return np.arange(self.inputs) // self.ring

    @cached_property
    def row(self) -> np.ndarray:
        """Row of each output channel, the same in all its lanes."""
        return np.arange(self.outputs) // self.lanes_out // self.group

    @cached_property
    def group_of(self) -> np.ndarray:
        """Group of each part of each output channel, (parts, outputs)."""
        parts = np.arange(self.parts)[:, None] * self.lanes_out
        return parts + np.arange(self.outputs)[None, :] % self.lanes_out

    @cached_property
    def input_at(self) -> np.ndarray:
        """Channel at (bank, local), -1 where there is none."""
        at = np.full((self.ring, self.locals), -1)
        at[self.bank, self.local] = np.arange(self.inputs)
        return at

    @cached_property
    def output_at(self) -> np.ndarray:
        """Output channel at (lane, row), -1 where there is none."""
        at = np.full((self.lanes, self.rows), -1)
        at[self.lane, np.broadcast_to(self.row, self.lane.shape)] = np.arange(self.outputs)
        return at
