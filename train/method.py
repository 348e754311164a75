"""What a compression method is: how weights become codes, and what happens as training goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from .coded import Coded

__all__ = ["Method", "Training", "Weights", "check_bits"]


class Training(Protocol):
    """What a method sees of the network that it compresses."""

    @property
    def epoch(self) -> float:
        """Epochs done: steps over steps an epoch."""

    @property
    def per_step(self) -> float:
        """Epochs a step takes."""

    def weights(self) -> Iterator[tuple[str, Weights]]:
        """Weight tensors with the names of their layers, those with settings of their own too."""


class Method(Protocol):
    """A frozen dataclass of settings, with pure functions of them.

    One instance stands for the whole network, and leads :meth:`penalty` and :meth:`advance`;
    layers with settings of their own have another instance of the same class.
    """

    @property
    def act_bits(self) -> int:
        """Bits of activations."""

    def state(self, weight: Tensor) -> nn.Module | None:
        """What a layer needs beside its float weights and its mask."""

    def codes(self, weights: Weights) -> Coded:
        """A layer's weights as the network computes with them, with gradients."""

    def bits(self, weights: Weights) -> int:
        """Bits of a stored weight, sign included; 0 where nothing is left."""

    def quantizing(self, epoch: float) -> bool:
        """Whether the network computes with codes by then, or in plain float."""

    def settled(self, epoch: float) -> bool:
        """Whether sparsity and widths are final by then, so that a network may be kept."""

    def penalty(self, training: Training) -> Tensor | None:
        """What is added to the loss."""

    def advance(self, training: Training) -> bool:
        """What changes after an optimiser's step; True where it should forget its momentum."""


class Weights(nn.Module):
    """A weight tensor, its mask, and the method that makes codes of it.

    ``mask`` is true where a weight is kept; methods that prune for good write it, and the others
    leave it all true.
    """

    mask: Tensor

    def __init__(self, weight: nn.Parameter, method: Method):
        super().__init__()
        self.weight = weight
        self.method = method
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))
        self.state = method.state(weight.detach())
        self.enabled = True

    def forward(self) -> Coded:
        if self.enabled:
            return self.method.codes(self)
        return Coded.plain(self.weight * self.mask)

    @property
    def bits(self) -> int:
        """Bits of a stored weight."""
        return self.method.bits(self)

    def sync(self) -> None:
        """After a state was loaded: let what follows from it follow."""
        if (sync := getattr(self.state, "sync", None)) is not None:
            sync(self.weight)


def check_bits(method: object, *names: str, least: int = 2) -> None:
    """Refuse bit widths outside ``least`` to 8."""
    for name in names:
        value = getattr(method, name)
        if not least <= value <= 8:
            raise ValueError(f"{type(method).__name__}: {name} must be {least} to 8, not {value}")
