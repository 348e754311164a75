"""SQuantizer: sparsify, then quantize, in every forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .coded import Coded
from .grid import keep_largest, masked_codes
from .method import Training, Weights, check_bits

__all__ = ["SQuantizer", "solve_sigma", "threshold"]

_RANGE = (-3.0, 10.0)


def threshold(weight: Tensor, sigma: float) -> Tensor:
    """``t = mean(|W|) + sigma * std(|W|)``, without gradient; weights below ``t`` become zero."""
    magnitude = weight.detach().abs()
    return magnitude.mean() + sigma * magnitude.std(correction=0)


def solve_sigma(weight: Tensor, zeros: float) -> float:
    """The ``sigma`` at which a share ``zeros`` of the weights lies below the threshold.

    ``sigma = (t - mean(|W|)) / std(|W|)`` with ``t`` halfway between the two magnitudes that must
    fall on either side.
    """
    magnitude = weight.detach().abs().flatten().sort().values.double()
    drop = round(zeros * len(magnitude))
    below = magnitude[drop - 1] if drop else -magnitude[0]
    above = magnitude[drop] if drop < len(magnitude) else 2 * magnitude[-1]
    spread = magnitude.std(correction=0).clamp(min=torch.finfo(torch.float64).tiny)
    return float(((below + above) / 2 - magnitude.mean()) / spread)


@dataclass(frozen=True)
class SQuantizer:
    """Sparse low-bit training in one pass, after Park et al., arXiv 1812.08301.

    Every forward pass, per layer and from its current float weights ``W``:

    1. Sparsify: ``t = mean(|W|) + sigma * std(|W|)``; what is below ``t`` in magnitude is zero.
       With ``zeros`` instead of ``sigma`` the share of zeros is given and ``t`` follows: in each
       layer, or with ``scope = "global"`` one ``t`` for all layers.
    2. Quantize the survivors on a symmetric grid of ``weight_bits`` bits:
       ``scale = max|W| / (2^(weight_bits-1) - 1)``, with 2 bits the mean of the survivors; of the
       layer, or of each output channel with ``per_channel``.

    ``t`` and ``scale`` carry no gradient. The gradient of ``scale * code`` is 1 to every weight,
    pruned ones included, so that they can come back; ``masked`` stops it at the pruned ones (zeros
    then run away at high ``sigma``). Activations get ``act_bits`` bits and a learned clip level.
    The first ``delay`` epochs train in plain float.

    Ours, not the paper's as far as we know: the grid contains zero, since in a circuit a zero
    weight is no wire at all; the gradient is not masked; the delay counts epochs; a target
    instead of ``sigma``; scales by channel; the first and the last layer are treated like all
    others, unless ``prepare`` is told otherwise.

    Raises
    ------
    ValueError
        If a bit width is outside 2..8, the delay is negative, sigma outside -3..10, zeros outside
        0..0.999, or the scope unknown.
    """

    weight_bits: int = 4
    act_bits: int = 4
    sigma: float = 0.5
    delay: float = 0
    masked: bool = False
    zeros: float | None = None
    scope: str = "layer"
    per_channel: bool = False

    def __post_init__(self) -> None:
        check_bits(self, "weight_bits", "act_bits")
        if not self.delay >= 0:
            raise ValueError(f"SQuantizer: delay must be 0 or more epochs, not {self.delay}")
        if not _RANGE[0] <= self.sigma <= _RANGE[1]:
            raise ValueError(f"SQuantizer: sigma must be -3 to 10, not {self.sigma}")
        if self.zeros is not None and not 0 <= self.zeros <= 0.999:
            raise ValueError(f"SQuantizer: zeros must be 0 to 0.999, not {self.zeros}")
        if self.scope not in ("layer", "global"):
            raise ValueError(f'SQuantizer: scope must be "layer" or "global", not "{self.scope}"')

    def state(self, weight: Tensor) -> nn.Module | None:
        return None

    def kept(self, weights: Weights) -> Tensor:
        """The mask of this pass."""
        magnitude = weights.weight.detach().abs()
        if self.zeros is None:
            return magnitude >= threshold(magnitude, self.sigma)
        if self.scope == "global":
            return weights.mask
        return keep_largest(magnitude, self.zeros)

    def codes(self, weights: Weights) -> Coded:
        return masked_codes(
            weights.weight,
            self.kept(weights),
            self.weight_bits,
            per_channel=self.per_channel,
            masked=self.masked,
        )

    def bits(self, weights: Weights) -> int:
        return self.weight_bits

    def quantizing(self, epoch: float) -> bool:
        return epoch >= self.delay

    def settled(self, epoch: float) -> bool:
        return epoch >= self.delay

    def penalty(self, training: Training) -> Tensor | None:
        return None

    def advance(self, training: Training) -> bool:
        """With a global target, the masks for the next pass from one threshold for all layers."""
        if self.zeros is None or self.scope != "global" or not self.quantizing(training.epoch):
            return False
        mine = [w for _, w in training.weights() if w.method == self]
        everything = torch.cat([w.weight.detach().abs().flatten() for w in mine])
        drop = round(self.zeros * len(everything))
        t = everything.kthvalue(drop).values if drop else everything.new_tensor(-1.0)
        for w in mine:
            w.mask.copy_(w.weight.detach().abs() > t)
        return False
