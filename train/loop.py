"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .digits import Split
from .network import Network
from .squantizer import SQuantizer

__all__ = ["Event", "Progress", "Schedule", "fit", "reproducible"]

_CHECKPOINT_EPOCHS = 10


@dataclass(frozen=True)
class Schedule:
    """How to train: SGD with Nesterov momentum, a short warm-up, then a cosine down to zero.

    ``shift`` is the share of the images that are moved by up to one pixel. ``max_grad_norm``
    keeps a channel whose weights are all pruned from upsetting its layer: it has no variance, so
    its batch norm multiplies gradients by 300.

    Raises
    ------
    ValueError
        If a number is out of range; names it.
    """

    epochs: int = 240
    batch: int = 64
    lr: float = 0.1
    warmup: int = 2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    max_grad_norm: float = 1.0
    shift: float = 0.4

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
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ValueError(f"Schedule: {name} must be {rule}, not {getattr(self, name)}")

    def rate(self, epoch: float) -> float:
        """Learning rate at a point in time, in epochs."""
        warm = min(1.0, (epoch + 0.1) / self.warmup) if self.warmup else 1.0
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


@dataclass(frozen=True)
class Event:
    """How far a training has come: ``done`` of ``total`` epochs, and the last one's mean loss."""

    stage: str
    done: int
    total: int
    loss: float


Progress = Callable[[Event], None]
"""Called after each epoch."""


@contextmanager
def reproducible() -> Iterator[None]:
    """Make results depend on seeds only, not on the number of cores or on who is first.

    One thread is also the fastest way for networks as small as ours.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def fit(
    network: Network,
    data: Split,
    schedule: Schedule,
    method: SQuantizer | None,
    *,
    seed: int = 0,
    stage: str = "training",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Train ``network``; with ``method`` None in plain float, in the same way otherwise.

    Images, their order and their shifts follow from ``seed`` and the epoch alone. With
    ``checkpoint``, the state is kept in that file every few epochs, and a file that is there is
    continued from; the result is the same bit for bit.

    Raises
    ------
    ValueError
        If the loss is not finite, the batch exceeds the images, or the checkpoint does not fit.
    """
    x, label = torch.tensor(data.x), torch.tensor(data.label)
    if schedule.batch > len(x):
        raise ValueError(
            f"Schedule: batch must be at most the number of images ({len(x)}), not {schedule.batch}"
        )
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=schedule.lr,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=True,
    )
    first = _restore(checkpoint, network, optimizer) if checkpoint else 0
    network.train()
    for epoch in range(first, schedule.epochs):
        network.quantize(method is not None and method.active(epoch))
        loss = _epoch(network, x, label, schedule, optimizer, epoch, seed)
        if not math.isfinite(loss):
            raise ValueError(
                f"Training: loss must be finite, not {loss} in epoch {epoch + 1} of {stage}; "
                "lower the learning rate"
            )
        done = epoch + 1
        if checkpoint and (done % _CHECKPOINT_EPOCHS == 0 or done == schedule.epochs):
            _save(checkpoint, network, optimizer, done)
        if progress:
            progress(Event(stage, done, schedule.epochs, loss))
    network.quantize(method is not None)
    network.eval()


def _epoch(
    network: Network,
    x: Tensor,
    label: Tensor,
    schedule: Schedule,
    optimizer: torch.optim.SGD,
    epoch: int,
    seed: int,
) -> float:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(x), generator=generator)
    steps, total = len(x) // schedule.batch, 0.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(epoch + step / steps)
        chosen = order[step * schedule.batch : (step + 1) * schedule.batch]
        images = _shifted(x[chosen], schedule.shift, generator)
        loss = functional.cross_entropy(network(images), label[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), schedule.max_grad_norm)
        optimizer.step()
        total += loss.item()
    return total / steps


def _shifted(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """About ``share`` of the images moved by -1, 0 or 1 pixel both ways; zeros come in."""
    count, _, height, width = x.shape
    chosen = torch.rand(count, generator=generator) < share
    offset = torch.randint(0, 3, (count, 2), generator=generator)
    offset = torch.where(chosen[:, None], offset, 1)
    row = (offset[:, 0, None] + torch.arange(height))[:, :, None]
    column = (offset[:, 1, None] + torch.arange(width))[:, None, :]
    frame = torch.arange(count)[:, None, None]
    return functional.pad(x, (1, 1, 1, 1))[frame, :, row, column].permute(0, 3, 1, 2)


def _save(path: Path, network: Network, optimizer: torch.optim.SGD, epoch: int) -> None:
    state = {
        "epoch": epoch,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    new = path.with_name(f"{path.name}.new")
    torch.save(state, new)
    new.replace(path)


def _restore(path: Path, network: Network, optimizer: torch.optim.SGD) -> int:
    """Epochs done according to a checkpoint, whose state network and optimizer take over."""
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])
    except Exception as error:  # torch.load raises whatever a damaged file leads it to
        raise ValueError(
            f"Checkpoint {path}: it must be whole and of this network, and is not; remove it"
        ) from error
