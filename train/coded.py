"""Integer codes and the scale that turns them into real numbers, travelling together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Coded"]


class Coded(NamedTuple):
    """A tensor ``value = scale * codes``.

    ``codes`` are floats that hold integers, so that ordinary convolutions compute exact
    accumulators while those stay below 2^24; ``scale`` is positive, a scalar or, for weights, one
    an output channel. While a network trains in plain float, the codes are the real values and
    the scale is 1.
    """

    codes: Tensor
    scale: Tensor

    @classmethod
    def plain(cls, value: Tensor) -> Coded:
        """Real values that are not quantized."""
        return cls(value, torch.ones((), dtype=value.dtype, device=value.device))

    @property
    def value(self) -> Tensor:
        """The real numbers."""
        return self.codes * self.scale
