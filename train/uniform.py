"""Plain quantization: every weight on one grid, no mask. The baseline; excluded layers get it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .coded import Coded
from .grid import uniform_codes
from .method import Training, Weights, check_bits

__all__ = ["Uniform"]


@dataclass(frozen=True)
class Uniform:
    """Quantization-aware training at fixed widths: ``code = round_half_even(w / scale)``.

    ``scale = max|W| / (2^(weight_bits-1) - 1)``, at 2 bits the rule of ternary weight networks;
    see :func:`sqwire.train.grid.uniform_codes`. The first ``delay`` epochs are plain float.

    Raises
    ------
    ValueError
        If a bit width is outside 2..8 or the delay negative.
    """

    weight_bits: int = 4
    act_bits: int = 4
    delay: float = 0
    per_channel: bool = False

    def __post_init__(self) -> None:
        check_bits(self, "weight_bits", "act_bits")
        if not self.delay >= 0:
            raise ValueError(f"Uniform: delay must be 0 or more epochs, not {self.delay}")

    def state(self, weight: Tensor) -> nn.Module | None:
        return None

    def codes(self, weights: Weights) -> Coded:
        return uniform_codes(weights.weight, self.weight_bits, per_channel=self.per_channel)

    def bits(self, weights: Weights) -> int:
        return self.weight_bits

    def quantizing(self, epoch: float) -> bool:
        return epoch >= self.delay

    def settled(self, epoch: float) -> bool:
        return epoch >= self.delay

    def penalty(self, training: Training) -> Tensor | None:
        return None

    def advance(self, training: Training) -> bool:
        return False
