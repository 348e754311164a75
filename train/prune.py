"""Gradual pruning under a mask: the schedule, the global ranking, and two baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .coded import Coded
from .grid import masked_codes
from .method import Training, Weights, check_bits

__all__ = ["GradualPruning", "Magnitude", "Random", "drop_globally"]


class GradualPruning:
    """``zeros * (1 - (1 - t)^3)`` with ``t`` from 0 at ``start`` to 1 at ``end`` (Zhu and Gupta,
    arXiv 1710.01878), in rounds of ``interval`` epochs; codes from ``quantize`` on.

    What methods that prune so have in common; they are dataclasses with these settings.
    """

    weight_bits: int
    act_bits: int
    zeros: float
    start: float
    end: float
    quantize: float
    interval: float
    floor: float
    per_channel: bool

    def check(self) -> None:
        """Refuse impossible settings."""
        check_bits(self, "weight_bits", "act_bits")
        name = type(self).__name__
        if not 0 <= self.zeros <= 0.999:
            raise ValueError(f"{name}: zeros must be 0 to 0.999, not {self.zeros}")
        if not 0 <= self.start <= self.end <= self.quantize:
            raise ValueError(
                f"{name}: start, end and quantize must follow one another from 0 on, not "
                f"{self.start}, {self.end}, {self.quantize}"
            )
        if not self.interval > 0:
            raise ValueError(f"{name}: interval must be above 0 epochs, not {self.interval}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"{name}: floor must be 0 to 1, not {self.floor}")

    def target(self, epoch: float) -> float | None:
        """The share of zeros wanted by then; None outside the time of pruning."""
        if not self.start < epoch or epoch >= self.end + self.interval:
            return None
        t = min(1.0, (epoch - self.start) / max(self.end - self.start, 1e-9))
        return self.zeros * (1 - (1 - t) ** 3)

    def due(self, training: Training) -> bool:
        """Whether a round ends with this step, or pruning itself."""
        now = training.epoch
        before = now - training.per_step
        ends = before < self.end <= now
        in_time = now <= self.end
        return ends or (in_time and int(now / self.interval) > int(before / self.interval))

    def codes(self, weights: Weights) -> Coded:
        return masked_codes(
            weights.weight, weights.mask, self.weight_bits,
            per_channel=self.per_channel, masked=True, clip=True,
        )  # fmt: skip

    def bits(self, weights: Weights) -> int:
        return self.weight_bits

    def quantizing(self, epoch: float) -> bool:
        return epoch >= self.quantize

    def settled(self, epoch: float) -> bool:
        return epoch >= max(self.end, self.quantize)

    def penalty(self, training: Training) -> Tensor | None:
        return None


def drop_globally(
    layers: Sequence[Weights], scores: Sequence[Tensor], zeros: float, floor: float
) -> None:
    """Drop the lowest scores over all layers until a share ``zeros`` of all weights is gone.

    Weights that are gone stay gone. Each layer keeps at least ``floor * (1 - zeros)`` of its
    weights, its highest, and one at least.
    """
    total = sum(w.weight.numel() for w in layers)
    keep = total - round(zeros * total)
    ranks = []
    for w, score in zip(layers, scores, strict=True):
        rank = score.detach().flatten().double().clone()
        rank[~w.mask.flatten()] = -1.0
        least = max(1, round(floor * (1 - zeros) * rank.numel()))
        rank[rank.topk(min(least, rank.numel())).indices] = float("inf")
        ranks.append(rank)
    everything = torch.cat(ranks)
    kept = torch.zeros_like(everything, dtype=torch.bool)
    kept[everything.argsort(descending=True, stable=True)[:keep]] = True
    parts = torch.split(kept, [r.numel() for r in ranks])
    for w, part in zip(layers, parts, strict=True):
        w.mask.logical_and_(part.reshape(w.mask.shape))
        with torch.no_grad():
            w.weight.mul_(w.mask)


@dataclass(frozen=True)
class Magnitude(GradualPruning):
    """Gradual pruning of the smallest weights, all layers together; a baseline.

    Scores are ``|w|`` over the root mean square of the layer's weights, so that a layer of small
    weights is not the first to go. Then quantization as in :class:`sqwire.train.Taylor`.

    Raises
    ------
    ValueError
        If a width is outside 2..8, zeros outside 0..0.999, or the times are out of order.
    """

    weight_bits: int = 4
    act_bits: int = 4
    zeros: float = 0.9
    start: float = 0
    end: float = 10
    quantize: float = 10
    interval: float = 0.5
    floor: float = 0.1
    per_channel: bool = False

    def __post_init__(self) -> None:
        self.check()

    def state(self, weight: Tensor) -> nn.Module | None:
        return None

    def score(self, weights: Weights) -> Tensor:
        """How much a weight matters."""
        w = weights.weight.detach()
        return w.abs() / w[weights.mask].square().mean().sqrt().clamp(min=1e-30)

    def advance(self, training: Training) -> bool:
        target = self.target(training.epoch)
        if target is None or not self.due(training):
            return False
        mine = [w for _, w in training.weights() if isinstance(w.method, type(self))]
        drop_globally(mine, [self.score(w) for w in mine], target, self.floor)
        return False


@dataclass(frozen=True)
class Random(Magnitude):
    """Gradual pruning of weights drawn by lot; what every criterion must beat."""

    seed: int = 0

    def score(self, weights: Weights) -> Tensor:
        """The same lot in every round, so that what is gone stays at the end of the ranking."""
        generator = torch.Generator().manual_seed(self.seed + weights.weight.numel())
        return torch.rand(weights.weight.shape, generator=generator).to(weights.weight.device)
