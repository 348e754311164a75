"""DFQ: bit widths as real numbers, learned by gradient under a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .coded import Coded
from .grid import uniform_codes
from .method import Training, Weights, check_bits

__all__ = ["DFQ", "Width", "interpolated"]

LEAST, MOST = 2, 8
_RATE = 4.0


def interpolated(weight: Tensor, bits: Tensor) -> Tensor:
    """``(1 - f) Q_floor(w) + f Q_ceil(w)`` with ``f = bits - floor(bits)``, 2 to 8 bits.

    Linear in ``bits`` between integers: ``dL/dbits = <dL/dW, Q_ceil - Q_floor>``. The gradient to
    the weights passes straight through.
    """
    low = min(math.floor(float(bits.detach())), MOST - 1)
    f = bits - low
    return (1 - f) * uniform_codes(weight, low).value + f * uniform_codes(weight, low + 1).value


class Width(nn.Module):
    """The width of one layer: ``bits = 8 + 4 * theta`` within 2..8 while it is learned, then an
    integer. ``theta`` starts at 0; the factor makes it about as quick as a weight."""

    final: Tensor

    def __init__(self, like: Tensor):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), device=like.device))
        self.register_buffer("final", torch.zeros((), dtype=torch.int64, device=like.device))

    @property
    def bits(self) -> Tensor:
        """The width now, with gradient to ``theta``."""
        return MOST + _RATE * self.theta

    def project(self) -> None:
        """Back into 2 .. 8."""
        with torch.no_grad():
            self.theta.clamp_((LEAST - MOST) / _RATE, 0)

    def fix(self, bits: int) -> None:
        """Keep an integer from now on."""
        self.final.fill_(bits)
        self.sync(None)

    def sync(self, weight: nn.Parameter | None) -> None:
        """A width that is final does not learn."""
        self.theta.requires_grad_(not int(self.final))


@dataclass(frozen=True)
class DFQ:
    """Mixed widths by gradient, after Cheng et al., arXiv 1810.10351 (not "data-free").

    Until ``search`` epochs each layer computes with weights interpolated between the two grids
    next to its real-valued width, and the loss has
    ``strength * max(0, sum_l n_l bits_l / n - budget)``. Then widths become integers whose mean
    over all weights is within the budget, and training goes on.

    The abstract of the paper has the relaxation of widths to real numbers and gradient descent on
    them; its formulas are not known to us. The interpolation, the penalty and the rounding are
    ours: all widths are cut off, then the largest fractions get their bit back as far as the budget
    allows and the mean stays within 0.25 bit of what was learned.

    Raises
    ------
    ValueError
        If ``act_bits`` or the budget is outside 2..8, or another number out of range.
    """

    act_bits: int = 4
    budget: float = 4.0
    strength: float = 0.3
    search: float = 10

    def __post_init__(self) -> None:
        check_bits(self, "act_bits", "budget")
        if not self.strength > 0:
            raise ValueError(f"DFQ: strength must be above 0, not {self.strength}")
        if not self.search > 0:
            raise ValueError(f"DFQ: search must be above 0 epochs, not {self.search}")

    def state(self, weight: Tensor) -> nn.Module | None:
        return Width(weight)

    def codes(self, weights: Weights) -> Coded:
        width = _width(weights)
        final = int(width.final)
        if not final and weights.training:
            return Coded.plain(interpolated(weights.weight, width.bits))
        return uniform_codes(weights.weight, final or round(float(width.bits.detach())))

    def bits(self, weights: Weights) -> int:
        width = _width(weights)
        return int(width.final) or round(float(width.bits.detach()))

    def quantizing(self, epoch: float) -> bool:
        return True

    def settled(self, epoch: float) -> bool:
        return epoch >= self.search

    def penalty(self, training: Training) -> Tensor | None:
        if training.epoch >= self.search:
            return None
        mine = _mine(training)
        total = sum(w.weight.numel() for w in mine)
        mean = torch.stack([_width(w).bits * (w.weight.numel() / total) for w in mine]).sum()
        return self.strength * (mean - self.budget).clamp(min=0)

    def advance(self, training: Training) -> bool:
        if training.epoch - training.per_step >= self.search:
            return False
        mine = _mine(training)
        for w in mine:
            _width(w).project()
        if training.epoch < self.search:
            return False
        sizes = [w.weight.numel() for w in mine]
        learned = [float(_width(w).bits.detach()) for w in mine]
        for w, bits in zip(mine, rounded(learned, sizes, self.budget), strict=True):
            _width(w).fix(bits)
        return True


def rounded(learned: list[float], sizes: list[int], budget: float) -> list[int]:
    """Integer widths near the learned ones, with a mean over all weights within the budget.

    Where the learned mean exceeds the budget, layers lose bits one by one, those first that
    were rounded up the most.
    """
    total = sum(sizes)
    mean = sum(b * n for b, n in zip(learned, sizes, strict=True)) / total
    allowed = min(budget, mean + 0.25) * total
    widths = [math.floor(b) for b in learned]
    spent = sum(b * n for b, n in zip(widths, sizes, strict=True))
    while spent > allowed and any(b > LEAST for b in widths):
        where = max(
            (k for k, b in enumerate(widths) if b > LEAST), key=lambda k: widths[k] - learned[k]
        )
        widths[where] -= 1
        spent -= sizes[where]
    for k in sorted(range(len(sizes)), key=lambda k: math.floor(learned[k]) - learned[k]):
        if learned[k] > widths[k] and widths[k] < MOST and spent + sizes[k] <= allowed:
            widths[k] += 1
            spent += sizes[k]
    return widths


def _width(weights: Weights) -> Width:
    assert isinstance(weights.state, Width)
    return weights.state


def _mine(training: Training) -> list[Weights]:
    return [w for _, w in training.weights() if isinstance(w.state, Width)]
