"""Where each element of an ONNX tensor lies in the integer tensor that holds it.

Movement (transpose, reshape, slice, ...) happens to an array of positions, with numpy, as ONNX
defines it; what circuit a movement needs is decided when somebody computes with the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout"]

Index = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Layout:
    """An ONNX tensor of ``shape`` (with a batch axis of 1) in an integer tensor of ``size``.

    ``size`` is (height, width, channels). ``order`` says how the axes lie: "first" where channels
    come before positions (NCHW), "last" where they come after them (NHWC), else an array of
    ``shape`` with the flat position of each element. ``by`` is the ONNX node that moved it last.
    """

    shape: tuple[int, ...]
    size: tuple[int, int, int]
    order: Literal["first", "last"] | Index = "first"
    by: str = ""

    @property
    def first(self) -> bool:
        """Whether channels come before positions."""
        return isinstance(self.order, str) and self.order == "first"

    @property
    def last(self) -> bool:
        """Whether channels come after positions."""
        return isinstance(self.order, str) and self.order == "last"

    @property
    def channels(self) -> int:
        """Channels of the integer tensor."""
        return self.size[2]

    def index(self) -> Index:
        """The flat position of each element in the integer tensor."""
        if isinstance(self.order, np.ndarray):
            return self.order
        natural = np.arange(math.prod(self.size), dtype=np.int32)
        if self.order == "last":
            return natural.reshape(self.shape)
        return natural.reshape(-1, self.channels).T.reshape(self.shape)

    def moved(self, index: Index, by: str) -> Layout:
        """The same integer tensor with its elements in another order or shape."""
        shape = tuple(int(n) for n in index.shape)
        for order in ("first", "last"):
            # Without positions or without channels both are the same; "first" then.
            rank = len(shape)
            channels = shape[1 if order == "first" else -1] if rank > 1 else 0
            if channels != self.channels or index.size != math.prod(self.size) or shape[0] != 1:
                continue
            regular = Layout(shape, self.size, order, by)
            if np.array_equal(regular.index(), index):
                return regular
        return Layout(shape, self.size, index, by)

    def reshaped(self, shape: tuple[int, ...], by: str) -> Layout:
        """The layout after an ONNX ``Reshape``."""
        if self.first and shape[:2] == self.shape[:2]:
            return replace(self, shape=shape)
        if self.last and (shape[0], shape[-1]) == (1, self.channels):
            return replace(self, shape=shape)
        return self.moved(self.index().reshape(shape), by)

    def renamed(self, shape: tuple[int, ...]) -> Layout:
        """The layout of another tensor of the same size whose elements lie alike."""
        return replace(self, shape=shape)

    def channel_of(self) -> NDArray[np.int32]:
        """For each element, the channel of the integer tensor."""
        return self.index() % np.int32(self.channels)
