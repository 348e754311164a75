"""Joint pruning and quantization for extreme sparsity: prune by Taylor scores, then quantize."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .method import Training
from .prune import GradualPruning, drop_globally

__all__ = ["Taylor", "taylor_score"]


def taylor_score(weight: Tensor, gradient: Tensor) -> Tensor:
    """``(w * dL/dw)^2``: the squared first-order loss change when ``w`` becomes 0."""
    return (weight * gradient).square()


class _Scores(nn.Module):
    """Scores of the present round, how many steps they are of, and those smoothed over rounds."""

    total: Tensor
    count: Tensor
    smooth: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        self.register_buffer("total", torch.zeros_like(weight))
        self.register_buffer("count", torch.zeros((), device=weight.device))
        self.register_buffer("smooth", torch.zeros_like(weight))


@dataclass(frozen=True)
class Taylor(GradualPruning):
    """Two stages, after Yu, Klopp et al., arXiv 2010.01892.

    1. Pruning, in plain float and with training going on. Every step adds each weight's score
       ``(w * dL/dw)^2``; every ``interval`` epochs the mean is smoothed over the rounds
       (``smooth = momentum * smooth + (1 - momentum) * mean``), all weights of all layers are
       ranked by it, and the lowest are dropped for good. The share of zeros grows from
       ``start`` to ``end`` epochs as ``zeros * (1 - (1 - t)^3)``.
    2. Quantization from ``quantize`` epochs on: survivors on the symmetric grid, activations with
       learned clip levels, masks kept.

    The abstract of the paper has the two stages, a "Taylor score" and fine-tuning; its formulas are
    not known to us. The score is that of Molchanov et al., CVPR 2019, for single weights instead
    of channels, the cubic schedule that of Zhu and Gupta, arXiv 1710.01878. Ours: that no layer
    keeps less than a ``floor`` of the overall density, so that none is cut through.

    Scores need the gradients: call ``qat.step()`` before they are cleared.

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
    momentum: float = 0.9
    floor: float = 0.1
    per_channel: bool = False

    def __post_init__(self) -> None:
        self.check()
        if not 0 <= self.momentum < 1:
            raise ValueError(
                f"Taylor: momentum must be at least 0 and below 1, not {self.momentum}"
            )

    def state(self, weight: Tensor) -> nn.Module | None:
        return _Scores(weight)

    def advance(self, training: Training) -> bool:
        """Add to the scores; at the end of a round, prune."""
        target = self.target(training.epoch)
        if target is None:
            return False
        mine = [w for _, w in training.weights() if isinstance(w.state, _Scores)]
        for w in mine:
            scores = w.state
            assert isinstance(scores, _Scores)
            if w.weight.grad is None:
                raise ValueError(
                    "Taylor: qat.step() must come before gradients are cleared, and there are none"
                )
            scores.total += taylor_score(w.weight.detach(), w.weight.grad)
            scores.count += 1
        if not self.due(training):
            return False
        ranked = []
        for w in mine:
            scores = w.state
            assert isinstance(scores, _Scores)
            mean = scores.total / scores.count
            # The first round has nothing to be smoothed with.
            old = self.momentum if bool(scores.smooth.any()) else 0.0
            scores.smooth.mul_(old).add_(mean, alpha=1 - old)
            scores.total.zero_()
            scores.count.zero_()
            ranked.append(scores.smooth)
        drop_globally(mine, ranked, target, self.floor)
        return False
