"""How long and how fast to train."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = ["Schedule", "reproducible"]


@dataclass(frozen=True)
class Schedule:
    """SGD with Nesterov momentum (or Adam), a short warm-up, then a cosine down to zero.

    ``batch`` images make a step; they are taken in ``accumulate`` parts, and shared among the
    processes of a distributed training. ``shift`` is the share of images that the augmentation
    "shift" moves. ``max_grad_norm`` keeps a channel whose weights are all pruned from upsetting its
    layer: it has no variance, so its batch norm multiplies gradients by 300. The best epoch is
    chosen among the last ``candidates``, a share of all: before that the learning rate is high,
    and a few validation images would choose by luck.

    ``crops`` are the sides of the squares that training images are cut down to, one after the
    other for equal shares of the epochs; small ones first cost less. ``bfloat16`` computes the
    convolutions of a network that is not prepared in that type, which some processors do at
    twice the speed; a prepared one is always in float32.

    Raises
    ------
    ValueError
        If a number is out of range; names it.
    """

    epochs: int = 240
    batch: int = 64
    lr: float = 0.1
    warmup: float = 2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    max_grad_norm: float = 1.0
    shift: float = 0.4
    accumulate: int = 1
    optimizer: str = "sgd"
    candidates: float = 0.1
    crops: tuple[int, ...] = ()
    bfloat16: bool = False

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 2, "at least 2"),
            "lr": (0 < self.lr <= 10, "above 0 and at most 10"),
            "warmup": (self.warmup >= 0, "0 or more epochs"),
            "momentum": (0 < self.momentum < 1, "between 0 and 1"),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "max_grad_norm": (self.max_grad_norm > 0, "above 0"),
            "shift": (0 <= self.shift <= 1, "from 0 to 1"),
            "accumulate": (1 <= self.accumulate <= self.batch // 2, "1 to half the batch"),
            "candidates": (0 < self.candidates <= 1, "above 0 and at most 1"),
            "crops": (all(side >= 8 for side in self.crops), "8 pixels at least"),
            "optimizer": (self.optimizer in ("sgd", "adam"), '"sgd" or "adam"'),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ValueError(f"Schedule: {name} must be {rule}, not {getattr(self, name)}")

    def rate(self, epoch: float) -> float:
        """Learning rate at a point in time, in epochs."""
        warm = min(1.0, (epoch + 0.1) / self.warmup) if self.warmup else 1.0
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))

    def crop(self, epoch: int) -> int | None:
        """The side that training images are cut down to in an epoch; None for all of them."""
        if not self.crops:
            return None
        return self.crops[epoch * len(self.crops) // self.epochs]

    def create(self, network: nn.Module) -> torch.optim.Optimizer:
        """An optimiser of all parameters, also of those that learn only later."""
        parameters = list(network.parameters())
        if self.optimizer == "adam":
            return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=True,
        )


@contextmanager
def reproducible(threads: int = 1) -> Iterator[None]:
    """Make results depend on seeds only, not on the number of cores or on who is first.

    One thread is also the fastest way for networks as small as the demo's.
    """
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # a module that has no types
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    # Nothing here reads memory that it has not written, and filling it takes a tenth of a step.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filled
