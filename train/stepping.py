"""A training loop in steps, for tasks whose pictures never come twice alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from . import checkpoint as files
from .qat import QAT

__all__ = ["StepSchedule", "fit_steps"]

_SMOOTH = 0.98


@dataclass(frozen=True)
class StepSchedule:
    """Adam, a short warm-up, then a cosine down to zero; ``batch`` new pictures make a step.

    Raises
    ------
    ValueError
        If a number is out of range; names it.
    """

    steps: int = 2400
    batch: int = 4
    lr: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-4
    max_grad_norm: float = 5.0

    def __post_init__(self) -> None:
        rules = {
            "steps": (self.steps >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "lr": (0 < self.lr <= 1, "above 0 and at most 1"),
            "warmup": (self.warmup >= 1, "at least 1 step"),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "max_grad_norm": (self.max_grad_norm > 0, "above 0"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ValueError(f"StepSchedule: {name} must be {rule}, not {getattr(self, name)}")

    def rate(self, step: int) -> float:
        """Learning rate in a step, from 0."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def fit_steps(
    network: nn.Module,
    loss_of: Callable[[int], Tensor],
    schedule: StepSchedule,
    task: str,
    *,
    progress: Callable[[int, float], None] | None = None,
    checkpoint: Path | None = None,
    every: int = 500,
) -> float:
    """Train ``network``, in float or from ``prepare``, on ``loss_of(step)``; the smoothed loss.

    ``loss_of`` runs the network on the pictures of that step, which must follow from its number.
    ``progress`` is called after each step with its number and the smoothed loss. With
    ``checkpoint`` the state is kept in that file ``every`` so many steps, and a file that is there
    is continued from, bit for bit on a CPU; ``task`` says what it is a state of.

    Raises
    ------
    ValueError
        If the loss is not finite or the checkpoint is of another training.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=schedule.lr, weight_decay=schedule.weight_decay
    )
    qat = network if isinstance(network, QAT) else None
    method = repr(qat.method) if qat else "float"
    identity = f"{task} {asdict(schedule)} {type(network).__name__} {method}"
    done, smooth = 0, 0.0
    state = files.restore(checkpoint, identity) if checkpoint else None
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        done, smooth = int(state["step"]), float(state["loss"])
    for step in range(done, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        network.train()
        loss = loss_of(step)
        if qat:
            loss = qat.loss(loss)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(
                f"Training: loss must be finite, not {value} in step {step + 1}; "
                "lower the learning rate"
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), schedule.max_grad_norm)
        optimizer.step()
        if qat and qat.step():
            optimizer.state.clear()
        smooth = _SMOOTH * smooth + (1 - _SMOOTH) * value if step else value
        if checkpoint and ((step + 1) % every == 0 or step + 1 == schedule.steps):
            files.save(checkpoint, {
                "identity": identity, "step": step + 1, "loss": smooth,
                "network": network.state_dict(), "optimizer": optimizer.state_dict(),
            })  # fmt: skip
        if progress:
            progress(step + 1, smooth)
    network.eval()
    return smooth
