"""Training of stereo networks on rendered scenes, in float or from :func:`sqwire.train.prepare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .networks.stereo import Stereo
from .qat import QAT
from .scenes import Renderer, Scene
from .stepping import StepSchedule, fit_steps

__all__ = ["filled_up", "fit_stereo", "score_loss", "stacked"]

_MARGIN = (8, 20)


def stacked(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (count, 2, height, width) as networks take them, disparities, and what both see."""
    pairs = np.stack([np.stack([s.left, s.right]) for s in scenes]).astype(np.float32)
    disparity = np.stack([s.disparity for s in scenes])
    visible = np.stack([s.visible for s in scenes])
    return torch.tensor(pairs), torch.tensor(disparity), torch.tensor(visible)


def filled_up(pairs: Tensor, weight: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Some pairs smaller than the frame, with zeros below and on the right, and no weight there.

    Pictures are filled up so to what a network strides; one that never saw it is wrong beside it.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.4:
        return pairs, weight
    height, width = pairs.shape[2:]
    below, aside = (int(rng.integers(0, m)) for m in _MARGIN)
    inside = torch.zeros(height, width)
    inside[: height - below, : width - aside] = 1
    return pairs * inside, weight * inside


def score_loss(
    scores: Tensor,
    disparity: Tensor,
    weight: Tensor,
    factor: int,
    *,
    spread: float = 0.7,
    taught: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of scores (frames, shifts, height, width) against a Gaussian around the truth.

    The logarithm of a Gaussian is a parabola, so that the head's parabola through the three best
    scores meets the truth. ``spread`` is its standard deviation in shifts. ``disparity`` and
    ``weight`` of positions are ``factor`` times as large as the scores, and taken where the
    network's strides fall. Of the scores ``taught`` of a larger network, if there are any, half of
    what is wanted is made (distillation after Hinton et al., 2015): they say what can be known.
    """
    truth = disparity[:, None, ::factor, ::factor] / factor
    weight = weight[:, ::factor, ::factor]
    shift = torch.arange(scores.shape[1], device=scores.device).reshape(1, -1, 1, 1)
    wanted = torch.softmax(-((shift - truth) ** 2) / (2 * spread**2), 1)
    if taught is not None:
        wanted = (wanted + torch.softmax(taught, 1)) / 2
    each = -(wanted * torch.log_softmax(scores, 1)).sum(1)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def fit_stereo(
    network: nn.Module,
    renderer: Renderer,
    schedule: StepSchedule,
    *,
    factor: int,
    first: int = 0,
    hidden: float = 0.8,
    bfloat16: bool = False,
    teacher: Stereo | None = None,
    progress: Callable[[int, float], None] | None = None,
    checkpoint: Path | None = None,
    every: int = 500,
) -> float:
    """Train ``network`` (any stereo network here, or one that ``prepare`` made of it).

    Scenes are number ``first`` and on, every other batch upside down, so that the result follows
    from the arguments alone. ``hidden`` is the weight of positions that the right view does not
    see. ``bfloat16`` computes a network in float in that type where PyTorch allows it; codes are
    exact in float32 only, so that one from ``prepare`` refuses it. What a ``teacher`` in float says
    is half of what is learnt (:func:`score_loss`). The rest as
    :func:`sqwire.train.stepping.fit_steps`.

    Raises
    ------
    ValueError
        If a network from ``prepare`` should be trained in bfloat16; else as ``fit_steps``.
    """
    if bfloat16 and isinstance(network, QAT):
        raise ValueError(
            "Training: bfloat16 must be off for a quantized network: codes need float32"
        )

    taught_by = "" if teacher is None else " taught"
    if teacher is not None:
        teacher.eval().requires_grad_(False)
        teacher.head.train()  # which gives scores then, and disparities in evaluation

    def loss_of(step: int) -> Tensor:
        start = first + step * schedule.batch
        scenes = [renderer.render(k) for k in range(start, start + schedule.batch)]
        pairs, disparity, visible = stacked(scenes)
        if step % 2:
            pairs, disparity, visible = pairs.flip(2), disparity.flip(1), visible.flip(1)
        pairs, weight = filled_up(pairs, torch.where(visible, 1.0, hidden), start)
        pairs = pairs.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            scores = network(pairs)
        taught = None
        if teacher is not None:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                taught = teacher(pairs).float()
        return score_loss(scores.float(), disparity, weight, factor, taught=taught)

    return fit_steps(
        network, loss_of, schedule, f"stereo {first} {factor} {hidden} {bfloat16}{taught_by}",
        progress=progress, checkpoint=checkpoint, every=every,
    )  # fmt: skip
