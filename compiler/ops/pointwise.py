"""Operators of the integer graph that work on each position on its own."""

from __future__ import annotations

from dataclasses import dataclass

from sqwire.hw.add import Add as AddHw
from sqwire.hw.argmax import ArgMax as ArgMaxHw
from sqwire.hw.ranges import Range
from sqwire.hw.staircase import Staircase as StaircaseHw
from sqwire.hw.steps import Steps

from .tensor import Chain, Tensor, beat_of

__all__ = ["Add", "ArgMax", "Staircase"]


@dataclass(frozen=True, eq=False)
class Staircase:
    """A function of one integer for each channel, see :class:`sqwire.hw.staircase.Staircase`."""

    steps: tuple[Steps, ...]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(tensor.height, tensor.width, self._hw(tensor).out_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("staircase", self._hw(*inputs)),)

    def _hw(self, tensor: Tensor) -> StaircaseHw:
        if len(self.steps) != tensor.channels:
            raise ValueError(f"channels must be {len(self.steps)}, not {tensor.channels}")
        return StaircaseHw(self.steps, tensor.ranges, tensor.positions)


@dataclass(frozen=True)
class Add:
    """The sum of ``factors[k]`` times the k-th of several tensors of one shape."""

    factors: tuple[int, ...] = (1, 1)

    def infer(self, *inputs: Tensor) -> Tensor:
        return Tensor(inputs[0].height, inputs[0].width, self._hw(inputs).row_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("add", self._hw(inputs)),)

    def _hw(self, inputs: tuple[Tensor, ...]) -> AddHw:
        shapes = {tensor.shape for tensor in inputs}
        if len(shapes) > 1:
            raise ValueError(f"all shapes must be equal, not {' and '.join(map(str, shapes))}")
        ranges = tuple(tensor.ranges for tensor in inputs)
        return AddHw(ranges, self.factors, inputs[0].positions)


@dataclass(frozen=True)
class ArgMax:
    """The number of the largest channel at each position; of equal ones the first (``last``)."""

    last: bool = False

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(tensor.height, tensor.width, (Range(0, tensor.channels - 1),))

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return (("argmax", ArgMaxHw(beat_of(tensor), self.last, tensor.positions)),)
