"""Rounding that lets gradients through, and the grids that weights and activations live on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .coded import Coded

__all__ = ["ActQuantizer", "Clip", "largest_code", "round_ste", "symmetric"]


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing had been rounded (straight-through)."""
    return x + (x.round() - x).detach()


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

    Tensors that meet in an addition must have one scale; they share one ``Clip``.
    """

    def __init__(self, initial: float = 3.0):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(float(initial)))

    def scale(self, bits: int) -> Tensor:
        """``level / (2^bits - 1)``: the level is the largest code of an unsigned grid."""
        return self.level.detach().clamp(min=1e-3) / (2**bits - 1)


class ActQuantizer(nn.Module):
    """Quantizes activations on a grid whose clip level is learned (PACT, Choi et al. 2018).

    ``code = round_half_even(clamp(x, low, high) / scale)`` with ``scale = level / (2^bits - 1)``
    and codes ``0 .. 2^bits - 1``, or ``-2^(bits-1) .. 2^(bits-1) - 1`` when ``signed``.
    An unsigned quantizer includes the ReLU.

    Gradient of ``scale * code``: 1 to ``x`` inside the clip range and 0 outside. To the level it
    is the code at which ``x`` is clipped, in units of the largest unsigned code: 1 where an
    unsigned ``x >= level``, 0 inside.

    While ``enabled`` is false it is a plain ReLU, or nothing when ``signed``.
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
        """Real value of one code step; carries no gradient."""
        return self.clip.scale(self.bits)

    def forward(self, x: Tensor) -> Coded:
        if not self.enabled:
            return Coded.plain(x if self.signed else x.relu())
        scale, steps = self.scale, 2**self.bits - 1
        level = self.clip.level.clamp(min=1e-3)
        clipped = torch.minimum(x, level * (self.high / steps))
        clipped = torch.maximum(clipped, level * (self.low / steps))
        return Coded(round_ste(clipped / scale), scale)
