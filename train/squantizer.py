"""SQuantizer: sparsify, then quantize, in every forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .coded import Coded
from .quantizer import largest_code, symmetric

__all__ = ["SQuantizer", "threshold"]


def threshold(weight: Tensor, sigma: float) -> Tensor:
    """``t = mean(|W|) + sigma * std(|W|)``, without gradient; weights below ``t`` become zero."""
    magnitude = weight.detach().abs()
    return magnitude.mean() + sigma * magnitude.std(correction=0)


@dataclass(frozen=True)
class SQuantizer:
    """Sparse low-bit training in one pass, after Park et al., arXiv 1812.08301.

    Every forward pass, per layer and from its current float weights ``W``:

    1. Sparsify: ``t = mean(|W|) + sigma * std(|W|)``; what is below ``t`` in magnitude is zero.
    2. Quantize the survivors on a symmetric grid of ``weight_bits`` bits:
       ``scale = max|W| / (2^(weight_bits-1) - 1)``, with 2 bits the mean of the survivors.

    ``t`` and ``scale`` carry no gradient. The gradient of ``scale * code`` is 1 to every weight,
    pruned ones included, so that they can come back; ``masked`` stops it at the pruned ones (zeros
    then run away at high ``sigma``). Activations get ``act_bits`` bits and a learned clip level.
    The first ``delay`` epochs train in plain float. ``sigma_of`` names the layers that have
    another ``sigma``.

    Ours, not the paper's as far as we know: the grid contains zero, since in a circuit a zero
    weight is no wire at all; the gradient is not masked; the delay counts epochs; the first and
    the last layer are treated like all others, and layers may have a ``sigma`` of their own.

    Raises
    ------
    ValueError
        If a bit width is outside 2..8, the delay is negative, or a sigma outside -3..10.
    """

    weight_bits: int = 4
    act_bits: int = 4
    sigma: float = 1.4
    delay: int = 30
    masked: bool = False
    sigma_of: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("weight_bits", "act_bits"):
            if not 2 <= getattr(self, name) <= 8:
                raise ValueError(f"SQuantizer: {name} must be 2 to 8, not {getattr(self, name)}")
        if self.delay < 0:
            raise ValueError(f"SQuantizer: delay must be 0 or more epochs, not {self.delay}")
        for name, sigma in {"sigma": self.sigma, **self.sigma_of}.items():
            if not -3 <= sigma <= 10:
                raise ValueError(f"SQuantizer: sigma must be -3 to 10, not {sigma} ({name})")

    def layer(self, name: str) -> SQuantizer:
        """The method as the layer ``name`` uses it."""
        return replace(self, sigma=self.sigma_of.get(name, self.sigma), sigma_of={})

    def active(self, epoch: int) -> bool:
        """Whether ``epoch``, counted from 0, trains sparse and quantized."""
        return epoch >= self.delay

    def weights(self, weight: Tensor) -> Coded:
        """Codes and scale of a layer's float weights, of any shape."""
        mask = weight.detach().abs() >= threshold(weight, self.sigma)
        kept = weight.detach() * mask
        if self.weight_bits == 2:
            scale = kept.abs().sum() / mask.sum().clamp(min=1)
        else:
            scale = kept.abs().max() / largest_code(self.weight_bits)
        scale = scale.clamp(min=torch.finfo(weight.dtype).tiny)
        codes = symmetric(kept, scale, self.weight_bits)
        real = weight / scale
        if self.masked:
            real = real * mask
        return Coded(codes + (real - real.detach()), scale)
