"""The training loop that recipes use; a loop of your own needs nothing from here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from . import checkpoint as files
from .data import Data, Split, augmented, cropped
from .qat import QAT
from .schedule import Schedule

__all__ = ["Event", "Progress", "accuracy", "fit", "logits"]

_CHECKPOINT_SECONDS = 5.0
_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Event:
    """How far a training has come: ``done`` of ``total`` epochs, the last one's mean loss, and
    the share of validation images that are right (None without any)."""

    stage: str
    done: int
    total: int
    loss: float
    accuracy: float | None = None
    seconds: float = 0.0


Progress = Callable[[Event], None]
"""Called after each epoch."""


def fit(
    network: nn.Module,
    data: Data,
    schedule: Schedule,
    *,
    validation: Split | None = None,
    seed: int = 0,
    stage: str = "training",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> float | None:
    """Train ``network`` (any module, or one from :func:`sqwire.train.prepare`) to classify.

    Images, their order and their shifts follow from ``seed`` and the epoch alone. After every
    epoch the accuracy on ``validation`` is taken, and the network of the best epoch is what is
    left in the end (of the last one without validation); with a method, of those epochs in which
    sparsity and widths are final. With ``checkpoint``, the state is kept in that file, and a file
    that is there is continued from; on a CPU the result is the same bit for bit.

    In a process group (``torchrun``) each process takes its share of every batch. Gives the best
    accuracy.

    Raises
    ------
    ValueError
        If the loss is not finite, the batch exceeds the images, or the checkpoint does not fit.
    """
    if schedule.batch > len(data.train):
        raise ValueError(
            f"Schedule: batch must be at most the number of images ({len(data.train)}), "
            f"not {schedule.batch}"
        )
    network.to(device)
    trainer = _Trainer(network, data, schedule, seed, stage, device)
    identity = f"{stage} {seed} {asdict(schedule)} {type(network).__name__} {_method(network)}"
    done = trainer.restore(checkpoint, identity) if checkpoint else 0
    saved = time.monotonic()
    for epoch in range(done, schedule.epochs):
        start = time.monotonic()
        loss = trainer.epoch(epoch)
        score = trainer.judge(validation, epoch) if validation else None
        last = epoch + 1 == schedule.epochs
        if checkpoint and _first() and (last or time.monotonic() - saved > _CHECKPOINT_SECONDS):
            trainer.save(checkpoint, identity, epoch + 1)
            saved = time.monotonic()
        if progress and _first():
            seconds = time.monotonic() - start
            progress(Event(stage, epoch + 1, schedule.epochs, loss, score, seconds))
    if trainer.best is not None:
        network.load_state_dict(trainer.best)
    network.eval()
    return trainer.score


class _Trainer:
    """A network, its optimiser, and the best state so far."""

    def __init__(
        self, network: nn.Module, data: Data, schedule: Schedule, seed: int, stage: str, device: str
    ):
        self.network = network
        self.data = data
        self.schedule = schedule
        self.seed = seed
        self.stage = stage
        self.device = device
        if data.train.x.ndim == 4 and data.train.x.shape[1] > 1:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = schedule.create(network)
        self.best: dict[str, Any] | None = None
        self.score: float | None = None
        self.loss = math.inf
        self.group = dist.is_available() and dist.is_initialized()
        self.wrap()

    def wrap(self) -> None:
        """DistributedDataParallel around what has gradients now; while a network trains in plain
        float its clip levels have none."""
        self.wrapped = self.network
        if self.group:
            self.wrapped = DistributedDataParallel(self.network, find_unused_parameters=True)

    def epoch(self, epoch: int) -> float:
        """One pass over the training images; the mean loss."""
        self.network.train()
        schedule, total = self.schedule, 0.0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        torch.manual_seed(self.seed * 1_000_003 + epoch)  # for dropout
        order = torch.randperm(len(self.data.train), generator=generator)
        steps = len(order) // schedule.batch
        for step in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.rate(epoch + step / steps)
            chosen = order[step * schedule.batch : (step + 1) * schedule.batch].numpy()
            images = self.data.real(self.data.train.x[chosen])
            images = augmented(images, self.data.augment, schedule.shift, generator)
            if (side := schedule.crop(epoch)) is not None:
                images = cropped(images, side, generator)
            total += self.step(images, torch.tensor(self.data.train.label[chosen]), epoch)
        return total / steps

    def step(self, images: Tensor, label: Tensor, epoch: int) -> float:
        """One step of the optimiser."""
        if self.group:
            part = slice(dist.get_rank(), None, dist.get_world_size())
            images, label = images[part], label[part]
        parts, total = self.schedule.accumulate, 0.0
        qat = self.network if isinstance(self.network, QAT) else None
        self.optimizer.zero_grad()
        for x, y in zip(images.chunk(parts), label.chunk(parts), strict=True):
            if x.shape[1] > 1:
                x = x.contiguous(memory_format=torch.channels_last)
            kind = torch.device(self.device).type
            with torch.autocast(kind, torch.bfloat16, enabled=self.schedule.bfloat16):
                found = self.wrapped(x.to(self.device)).float()
            loss = functional.cross_entropy(found, y.to(self.device)) * (len(x) / len(images))
            if qat and parts == 1:
                loss = qat.loss(loss)
            total += float(loss.detach())
            if not math.isfinite(total):
                raise ValueError(
                    f"Training: loss must be finite, not {total} in epoch {epoch + 1} of "
                    f"{self.stage}; lower the learning rate"
                )
            loss.backward()  # type: ignore[no-untyped-call]
        if qat and parts > 1 and (penalty := qat.method.penalty(qat)) is not None:
            penalty.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.max_grad_norm)
        self.optimizer.step()
        if qat and qat.step():
            self.optimizer.state.clear()
            self.wrap()
        return total

    def judge(self, validation: Split, epoch: int) -> float:
        """Accuracy on the validation images; remembers a state that is the best of those that may
        be kept: by accuracy, and among equals by loss."""
        found = torch.tensor(logits(self.network, self.data, validation, self.device))
        label = torch.tensor(validation.label)
        right = float((found.argmax(1) == label).float().mean())
        loss = float(functional.cross_entropy(found, label))
        settled = not isinstance(self.network, QAT) or self.network.settled
        late = epoch + 1 > (1 - self.schedule.candidates) * self.schedule.epochs
        if settled and late and (self.score is None or (right, -loss) >= (self.score, -self.loss)):
            self.score, self.loss = right, loss
            self.best = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        return right

    def save(self, path: Path, identity: str, epoch: int) -> None:
        files.save(path, {
            "identity": identity, "epoch": epoch, "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(), "best": self.best, "score": self.score,
            "loss": self.loss,
        })  # fmt: skip

    def restore(self, path: Path, identity: str) -> int:
        """Epochs done according to a checkpoint, whose state takes over."""
        state = files.restore(path, identity)
        if state is None:
            return 0
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as error:  # a state of another shape raises one of several
            raise ValueError(
                f"Checkpoint {path}: it must fit the network, and does not; remove it"
            ) from error
        self.best, self.score, self.loss = state["best"], state["score"], state["loss"]
        self.wrap()
        return int(state["epoch"])


def logits(network: nn.Module, data: Data, split: Split, device: str = "cpu") -> Any:
    """What the network answers in evaluation, float32 (count, classes)."""
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(split), _EVALUATION_BATCH):
            x = data.real(split.x[start : start + _EVALUATION_BATCH]).to(device)
            if x.shape[1] > 1:
                x = x.contiguous(memory_format=torch.channels_last)
            parts.append(network(x).cpu().numpy())
    return np.concatenate(parts)


def accuracy(network: nn.Module, data: Data, split: Split, device: str = "cpu") -> float:
    """Share of the images that the network gets right."""
    return float((logits(network, data, split, device).argmax(axis=1) == split.label).mean())


def _first() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def _method(network: nn.Module) -> str:
    return repr(network.method) if isinstance(network, QAT) else "float"
