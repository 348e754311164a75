"""Rounding that lets gradients through, and the grids that weights and activations live on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .coded import Coded

__all__ = ["ActQuantizer", "Clip", "largest_code", "round_ste", "symmetric"]

_SMALLEST_LEVEL = 1e-3


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing had been rounded (straight-through)."""
    return x.round().detach() + (x - x.detach())


def largest_code(bits: int) -> int:
    """``2^(bits-1) - 1``: the largest code of a symmetric signed grid; the smallest is minus it."""
    return 2 ** (bits - 1) - 1


def symmetric(weight: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Codes on the zero-anchored symmetric grid ``-(2^(bits-1)-1) .. 2^(bits-1)-1``.

    ``code = sign(w) * clamp(round_half_even(|w| / scale), 1, 2^(bits-1)-1)``, and 0 for ``w = 0``:
    a weight that is not zero never rounds to zero, so the mask alone decides what is zero.
    """
    magnitude = (weight.abs() / scale).round().clamp(1, largest_code(bits))
    return weight.sign() * magnitude


class Clip(nn.Module):
    """A learned clip level, kept by all quantizers that share its scale.

    Tensors that meet in an addition must have one scale, so their quantizers share one ``Clip``.
    """

    def __init__(self, initial: float = 3.0):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(float(initial)))

    def positive(self) -> Tensor:
        """The level, kept above zero."""
        return self.level.clamp(min=_SMALLEST_LEVEL)

    def scale(self, bits: int) -> Tensor:
        """``level / (2^bits - 1)``, without gradient: the level is the largest unsigned code."""
        return self.positive().detach() / (2**bits - 1)


class ActQuantizer(nn.Module):
    """Quantizes activations on a grid whose clip level is learned (PACT, Choi et al. 2018).

    ``code = round_half_even(clamp(x / scale, low, high))`` with ``scale = level / (2^bits - 1)``
    and codes ``0 .. 2^bits - 1``, or ``-2^(bits-1) .. 2^(bits-1) - 1`` when ``signed``.
    An unsigned quantizer is a ReLU too.

    Gradient of ``scale * code``: to ``x`` 1 inside the clip range and 0 outside. To the level 0
    inside and ``high / (2^bits - 1)`` above (1 if unsigned), ``low / (2^bits - 1)`` below.

    While ``enabled`` is false it is just a ReLU, or nothing when ``signed``.
    """

    def __init__(self, bits: int, clip: Clip, *, signed: bool = False):
        super().__init__()
        self.bits = bits
        self.clip = clip
        self.signed = signed
        self.enabled = True

    @property
    def low(self) -> int:
        """The smallest code."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest code."""
        return self.low + 2**self.bits - 1

    @property
    def scale(self) -> Tensor:
        """Real value of one code step, without gradient."""
        return self.clip.scale(self.bits)

    def forward(self, x: Tensor) -> Coded:
        if not self.enabled:
            return Coded.plain(x if self.signed else x.relu())
        step = self.clip.positive() / (2**self.bits - 1)
        # Not torch.clamp: the level gets its gradient from the elements it clips.
        clipped = torch.where(x < step * self.high, x, step * self.high)
        clipped = torch.where(clipped > step * self.low, clipped, step * self.low)
        return Coded(round_ste(clipped / self.scale), self.scale)
