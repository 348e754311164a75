"""Tensors of the integer graph, and what the compiler asks of its operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

__all__ = ["Chain", "Int", "Op", "Tensor", "beat_of"]

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Tensor:
    """Integers of shape (height, width, channels), with what each channel can be."""

    height: int
    width: int
    ranges: tuple[Range, ...]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.ranges)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def positions(self) -> int:
        """Beats a frame when one position is one beat."""
        return self.height * self.width

    @property
    def range(self) -> Range:
        """What any channel can be."""
        return Range.span(self.ranges)


Chain = tuple[tuple[str, Any], ...]
"""Hardware operators in order, each with the suffix that names it within its node."""


class Op(Protocol):
    """What the compiler asks of an operator."""

    def infer(self, *inputs: Tensor) -> Tensor:
        """The output for these inputs; ValueError if they do not fit."""

    def lower(self, *inputs: Tensor) -> Chain:
        """The hardware operators; the first takes the inputs, each other the one before."""


def beat_of(tensor: Tensor) -> Beat:
    """The beat that carries a position of ``tensor``."""
    return Beat(tensor.range, tensor.channels)
