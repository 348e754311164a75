"""What a detector learns from: boxes as targets of cells, the loss, and augmented pictures.

The layout of the head is that of :class:`sqwire.boxes.Head` with one prior and reach 2: centres are
``(cell + 2 * sigmoid(t) - 1/2) * stride``, sizes ``prior * exp(t)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .stepping import StepSchedule, fit_steps
from .voc import Annotation

__all__ = ["Augment", "Targets", "detection_loss", "fit_detector", "shrunk", "targets"]

# A box may be found from the cells whose centres are this near to its own, in cells.
_NEAR = 1.0


@dataclass(frozen=True, eq=False)
class Targets:
    """For each cell (frames, height, width): its class or -1, and its box (frames, 4, ...)."""

    label: Tensor
    box: Tensor


def targets(annotations: Sequence[Annotation], stride: int, shape: tuple[int, int]) -> Targets:
    """The cells that have to find a box: those whose centre is less than a cell away from its own
    along both axes. Where several ask for a cell the smallest one gets it.
    """
    height, width = shape
    label = torch.full((len(annotations), height, width), -1, dtype=torch.int64)
    box = torch.zeros(len(annotations), 4, height, width)
    for k, annotation in enumerate(annotations):
        boxes = annotation.boxes.astype(np.float64)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        for n in np.argsort(-area, kind="stable"):
            # In cells, counted from the centre of the first one.
            x, y = (boxes[n, :2] + boxes[n, 2:]) / 2 / stride - 0.5
            columns = _near(x, width)
            rows = _near(y, height)
            label[k, rows, columns] = int(annotation.labels[n])
            box[k, :, rows, columns] = torch.tensor(boxes[n], dtype=torch.float32)[:, None, None]
    return Targets(label, box)


def _near(centre: float, size: int) -> slice:
    first, last = int(np.floor(centre - _NEAR)) + 1, int(np.ceil(centre + _NEAR)) - 1
    return slice(max(0, first), min(size, last + 1))


def detection_loss(output: Tensor, wanted: Targets, stride: int, prior: float) -> Tensor:
    """Objectness of all cells (focal, Lin et al., arXiv 1708.02002), and of those with a box the
    generalised overlap (Rezatofighi et al., arXiv 1902.09630) and its class; per cell with a box.
    """
    found = wanted.label >= 0
    count = found.sum().clamp(min=1)
    logit = output[:, 4]
    sure = torch.sigmoid(logit)
    wrong = torch.where(found, 1 - sure, sure)
    every = functional.binary_cross_entropy_with_logits(logit, found.float(), reduction="none")
    objects = (wrong.detach() ** 1.5 * every).sum()
    if not bool(found.any()):
        return objects
    cells = output.permute(0, 2, 3, 1)[found]
    _, rows, columns = torch.nonzero(found, as_tuple=True)
    at = torch.stack([columns, rows], 1).float()
    centre = (at + 2 * torch.sigmoid(cells[:, :2]) - 0.5) * stride
    half = prior / 2 * torch.exp(cells[:, 2:4].clamp(max=6))
    overlap = _overlap(
        torch.cat([centre - half, centre + half], 1), wanted.box.permute(0, 2, 3, 1)[found]
    )
    one_hot = functional.one_hot(wanted.label[found], output.shape[1] - 5).float()
    classes = functional.binary_cross_entropy_with_logits(cells[:, 5:], one_hot, reduction="sum")
    return (objects + 2 * (1 - overlap).sum() + classes) / count


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union, -1 to 1, of boxes side by side."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    low, high = torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])
    hull = (high - low).prod(1)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


@dataclass(frozen=True)
class Augment:
    """Mirrors, shifts and scales a picture, and changes its light; boxes go with it.

    ``scale`` is the largest factor of size either way, ``shift`` the largest move as a share of the
    picture, ``light`` the largest gain of a colour either way. Boxes of which less than a third is
    left inside are dropped.
    """

    scale: float = 1.25
    shift: float = 0.15
    light: float = 1.2

    def __call__(
        self, picture: NDArray[np.uint8], annotation: Annotation, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Annotation]:
        height, width = picture.shape[:2]
        factor = np.exp(rng.uniform(-1, 1) * np.log(self.scale))
        move = rng.uniform(-self.shift, self.shift, 2) * (width, height)
        # Where in the old picture a place of the new one lies; edges are mirrored.
        middle = np.array([width, height]) / 2
        columns = (np.arange(width) + 0.5 - middle[0] - move[0]) / factor + middle[0]
        rows = (np.arange(height) + 0.5 - middle[1] - move[1]) / factor + middle[1]
        boxes = (annotation.boxes.reshape(-1, 2, 2) - middle) * factor + middle + move
        if rng.random() < 0.5:
            columns, boxes[:, :, 0] = columns[::-1], width - boxes[:, ::-1, 0]
        if rng.random() < 0.5:
            rows, boxes[:, :, 1] = rows[::-1], height - boxes[:, ::-1, 1]
        result = picture[_mirrored(rows, height)][:, _mirrored(columns, width)]
        gain = np.exp(rng.uniform(-1, 1, 3) * np.log(self.light))
        result = np.clip(result * gain, 0, 255).astype(np.uint8)
        whole = boxes.reshape(-1, 4)
        cut = whole.clip(0, [width, height, width, height])
        left = (cut[:, 2:] - cut[:, :2]).prod(1) / (whole[:, 2:] - whole[:, :2]).prod(1)
        kept = left > 1 / 3
        moved = Annotation(cut[kept].astype(np.float32), annotation.labels[kept], annotation.size)
        return result, moved


def shrunk(
    picture: NDArray[np.uint8], annotation: Annotation, factor: int
) -> tuple[NDArray[np.uint8], Annotation]:
    """A picture of a ``factor``-th of the size, means of whole blocks rounded half to even."""
    height, width = (n // factor for n in picture.shape[:2])
    blocks = picture[: height * factor, : width * factor].reshape(
        height, factor, width, factor, picture.shape[2]
    )
    small = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    boxes = (annotation.boxes / np.float32(factor)).clip(0, [width, height, width, height])
    return small, Annotation(boxes.astype(np.float32), annotation.labels, (height, width))


def _mirrored(at: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    index = np.floor(at).astype(np.int64) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def fit_detector(
    network: nn.Module,
    samples: Sequence[tuple[NDArray[np.uint8], Annotation]],
    schedule: StepSchedule,
    *,
    stride: int = 8,
    prior: float = 50.0,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
    checkpoint: Path | None = None,
    every: int = 500,
) -> float:
    """Train a detector on pictures of one size (height, width, 3), each time augmented anew.

    Pictures, their order and what is done to them follow from ``seed``. The rest as
    :func:`sqwire.train.stepping.fit_steps`.

    Raises
    ------
    ValueError
        If there is no picture or they differ in size, and as there.
    """
    sizes = {picture.shape for picture, _ in samples}
    if len(sizes) != 1:
        raise ValueError(f"Pictures: they must be some, all of one size, not of sizes {sizes}")
    augment = Augment()

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng([seed, step])
        chosen = [samples[int(k)] for k in rng.integers(0, len(samples), schedule.batch)]
        pictures, annotations = zip(*(augment(p, a, rng) for p, a in chosen), strict=True)
        x = torch.tensor(np.stack(pictures).transpose(0, 3, 1, 2)).float()
        output = network(x.contiguous(memory_format=torch.channels_last))
        wanted = targets(annotations, stride, (output.shape[2], output.shape[3]))
        return detection_loss(output, wanted, stride, prior)

    return fit_steps(
        network, loss_of, schedule, f"detection {seed} {len(samples)}",
        progress=progress, checkpoint=checkpoint, every=every,
    )  # fmt: skip
