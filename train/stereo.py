"""Training of stereo networks on rendered scenes, in float or from :func:`sqwire.train.prepare`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import checkpoint as files
from .qat import QAT
from .scenes import Renderer, Scene

__all__ = ["StereoSchedule", "fit_stereo", "score_loss", "stacked"]

_SMOOTH = 0.98


@dataclass(frozen=True)
class StereoSchedule:
    """Adam, a short warm-up, then a cosine down to zero; ``batch`` new scenes make a step.

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
                raise ValueError(
                    f"StereoSchedule: {name} must be {rule}, not {getattr(self, name)}"
                )

    def rate(self, step: int) -> float:
        """Learning rate in a step, from 0."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def stacked(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (count, 2, height, width) as networks take them, disparities, and what both see."""
    pairs = np.stack([np.stack([s.left, s.right]) for s in scenes]).astype(np.float32)
    disparity = np.stack([s.disparity for s in scenes])
    visible = np.stack([s.visible for s in scenes])
    return torch.tensor(pairs), torch.tensor(disparity), torch.tensor(visible)


def score_loss(
    scores: Tensor,
    disparity: Tensor,
    visible: Tensor,
    factor: int,
    *,
    spread: float = 0.7,
    hidden: float = 0.5,
) -> Tensor:
    """Cross-entropy of scores (frames, shifts, height, width) against a Gaussian around the truth.

    The logarithm of a Gaussian is a parabola, so that the head's parabola through the three best
    scores meets the truth. ``spread`` is its standard deviation in shifts, ``hidden`` the weight of
    positions that the right view does not see. ``disparity`` and ``visible`` are ``factor`` times
    as large as the scores, and taken where the network's strides fall.
    """
    truth = disparity[:, None, ::factor, ::factor] / factor
    seen = visible[:, ::factor, ::factor]
    weight = torch.where(seen, 1.0, hidden)
    shift = torch.arange(scores.shape[1], device=scores.device).reshape(1, -1, 1, 1)
    wanted = torch.softmax(-((shift - truth) ** 2) / (2 * spread**2), 1)
    each = -(wanted * torch.log_softmax(scores, 1)).sum(1)
    return (each * weight).sum() / weight.sum()


def fit_stereo(
    network: nn.Module,
    renderer: Renderer,
    schedule: StereoSchedule,
    *,
    factor: int,
    first: int = 0,
    progress: Callable[[int, float], None] | None = None,
    checkpoint: Path | None = None,
    every: int = 500,
) -> float:
    """Train ``network`` (any stereo network here, or one that ``prepare`` made of it).

    Scenes are number ``first`` and on, every other batch upside down, so that the result follows
    from the arguments alone. ``progress`` is called after each step with its number and the
    smoothed loss, which is also what is returned. With ``checkpoint`` the state is kept in that
    file ``every`` so many steps, and a file that is there is continued from.

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
    identity = f"stereo {asdict(schedule)} {first} {type(network).__name__} {factor}"
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
        start = first + step * schedule.batch
        scenes = [renderer.render(k) for k in range(start, start + schedule.batch)]
        pairs, disparity, visible = stacked(scenes)
        if step % 2:
            pairs, disparity, visible = pairs.flip(2), disparity.flip(1), visible.flip(1)
        pairs = pairs.contiguous(memory_format=torch.channels_last)
        loss = score_loss(network(pairs), disparity, visible, factor)
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
