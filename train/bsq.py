"""BSQ: bit planes as trainable variables, and layers that find their own widths."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .coded import Coded
from .grid import round_ste
from .method import Training, Weights, check_bits

__all__ = ["BSQ", "Planes"]

MOST = 8
_SMALL = 1e-8


class Planes(nn.Module):
    """The bit planes of one weight tensor: ``W = scale * unit * round(sum_i (p_i - n_i) 2^i)``.

    ``planes`` is (2, 8, *shape), positive and negative, the lowest bit first; of the eight the
    first ``width`` count. ``scale`` is learned, ``unit`` is ``1 / (2^8 - 1)`` times a power of
    two. Once ``fixed``, the float weights count instead: ``clamp(round(w / (scale * unit)))``.
    """

    width: Tensor
    unit: Tensor
    fixed: Tensor
    powers: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        largest = weight.abs().max().clamp(min=torch.finfo(weight.dtype).tiny)
        codes = (weight / largest * (2**MOST - 1)).round()
        self.planes = nn.Parameter(_split(codes))
        self.scale = nn.Parameter(largest.clone())
        self.register_buffer("unit", torch.tensor(1 / (2**MOST - 1), device=weight.device))
        self.register_buffer("width", torch.tensor(MOST, device=weight.device))
        self.register_buffer("fixed", torch.tensor(False, device=weight.device))

    @property
    def limit(self) -> int:
        """The largest code. While planes are learned one bit more than ``width``, up to 8:
        planes may grow to 2, and the next adjustment takes that bit up."""
        width = int(self.width)
        if not width:
            return 0
        return 2 ** (width if bool(self.fixed) else min(width + 1, MOST)) - 1

    def sums(self) -> Tensor:
        """``sum_i (p_i - n_i) 2^i`` over the planes that count, with gradient."""
        width = int(self.width)
        difference = self.planes[0, :width] - self.planes[1, :width]
        powers = 2.0 ** torch.arange(width, device=difference.device, dtype=difference.dtype)
        return torch.tensordot(powers, difference, dims=1)

    def codes(self, weight: Tensor) -> Coded:
        """Codes and scale; straight-through rounding and clipping, as the authors do."""
        step = self.scale * self.unit
        if bool(self.fixed):
            inside = (weight / step.detach()).clamp(-self.limit, self.limit)
            return Coded(round_ste(inside), step)
        sums = self.sums()
        codes = sums.detach().round().clamp(-self.limit, self.limit)
        return Coded(codes + (sums - sums.detach()), step)

    def penalty(self) -> Tensor:
        """``sum_i sqrt(1e-8 + |p_i|^2 + |n_i|^2)``, the group Lasso of this layer."""
        width = int(self.width)
        squares = self.planes[:, :width].square().flatten(2).sum((0, 2))
        return (squares + _SMALL).sqrt().sum()

    def project(self) -> None:
        """Every bit back into 0 .. 2."""
        with torch.no_grad():
            self.planes.clamp_(0, 2)

    def adjust(self) -> None:
        """Make planes 0 and 1 again, and drop those at either end that are 0 throughout.

        The weights are the same after it, bit for bit: a lower plane that goes doubles ``unit``,
        a power of two. A layer of zeros has width 0 and stays so.
        """
        with torch.no_grad():
            codes = self.sums().round().clamp(-self.limit, self.limit)
            width = int(codes.abs().max()).bit_length()
            while width and not bool((codes % 2).any()):
                codes /= 2
                width -= 1
                self.unit *= 2
            self.width.fill_(width)
            self.planes.copy_(_split(codes))

    def fix(self, weight: nn.Parameter) -> None:
        """Go on with float weights at the width that was found."""
        with torch.no_grad():
            weight.copy_(self.codes(weight).value)
        self.fixed.fill_(True)
        self.sync(weight)

    def sync(self, weight: nn.Parameter) -> None:
        """Let either the planes or the weights learn."""
        self.planes.requires_grad_(not bool(self.fixed))
        weight.requires_grad_(bool(self.fixed) and int(self.width) > 0)


@dataclass(frozen=True)
class BSQ:
    """Bit-level sparsity quantization, after Yang et al., ICLR 2021, arXiv 2102.10462.

    From a network trained in plain float, whose weights become 8 bit planes each. Until ``search``
    epochs the planes learn under ``alpha * R``,
    ``R = sum_l (n_l N_l / n) sum_i sqrt(1e-8 + |p_i|^2 + |n_i|^2)``, where layer ``l`` has ``n_l``
    of ``n`` weights and ``N_l`` planes; every ``interval`` epochs, and at the end, they are made 0
    and 1 again and planes that are 0 throughout are dropped. After ``search`` the widths are
    fixed, and float weights are trained on that grid. With the sign a weight is stored in
    ``N_l + 1`` bits. A layer at 0 bits is removed when frozen, where something bypasses it.

    As the authors' code does, not their text: projection to 0 .. 2, straight-through clipping,
    all layers alike. Ours: codes may use the bit above ``N_l`` already before the adjustment, so
    that this changes no weight; shortcuts are compressed too; activations have a learned clip
    level, where theirs have the maximum of the batch.

    Raises
    ------
    ValueError
        If ``act_bits`` is outside 2..8, or another number out of range.
    """

    act_bits: int = 4
    alpha: float = 5e-3
    search: float = 10
    interval: float = 2

    def __post_init__(self) -> None:
        check_bits(self, "act_bits")
        if not 0 <= self.alpha < 10:
            raise ValueError(f"BSQ: alpha must be 0 to 10, not {self.alpha}")
        if not (self.search > 0 and self.interval > 0):
            raise ValueError(
                f"BSQ: search and interval must be above 0 epochs, not {self.search} and "
                f"{self.interval}"
            )

    def state(self, weight: Tensor) -> nn.Module | None:
        return Planes(weight)

    def codes(self, weights: Weights) -> Coded:
        return _planes(weights).codes(weights.weight)

    def bits(self, weights: Weights) -> int:
        width = int(_planes(weights).width)
        return width + 1 if width else 0

    def quantizing(self, epoch: float) -> bool:
        return True

    def settled(self, epoch: float) -> bool:
        return epoch >= self.search

    def penalty(self, training: Training) -> Tensor | None:
        if training.epoch >= self.search or not self.alpha:
            return None
        mine = _mine(training)
        total = sum(w.weight.numel() for w in mine)
        parts = [
            _planes(w).penalty() * (w.weight.numel() * int(_planes(w).width) / total) for w in mine
        ]
        return self.alpha * torch.stack(parts).sum()

    def advance(self, training: Training) -> bool:
        """Project; adjust where an interval ends; fix the widths where the search does."""
        now, before = training.epoch, training.epoch - training.per_step
        if before >= self.search:
            return False
        ends = now >= self.search
        due = ends or int(now / self.interval) > int(before / self.interval)
        for w in _mine(training):
            planes = _planes(w)
            planes.project()
            if due:
                planes.adjust()
            if ends:
                planes.fix(w.weight)
        return due


def _planes(weights: Weights) -> Planes:
    assert isinstance(weights.state, Planes)
    return weights.state


def _mine(training: Training) -> list[Weights]:
    return [w for _, w in training.weights() if isinstance(w.state, Planes)]


def _split(codes: Tensor) -> Tensor:
    """Planes (2, 8, *shape) of 0 and 1, positive and negative, of integers below 2^8."""
    magnitude = codes.abs().to(torch.int64)
    bits = torch.stack([(magnitude >> i) & 1 for i in range(MOST)]).to(codes.dtype)
    return torch.stack([bits * (codes > 0), bits * (codes < 0)])
