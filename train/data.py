"""Images with labels, held in memory, and how they come to a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["Data", "Split", "augmented", "carve", "cropped"]


@dataclass(frozen=True)
class Split:
    """Images (count, channels, height, width), float32 or uint8, and labels (count,) from 0."""

    x: NDArray[Any]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Data:
    """A data set. The network gets ``(x - offset) / scale``.

    ``augment`` says what is done to training images: "shift" moves some by up to a pixel, "crop"
    shifts them by up to four pixels and mirrors half of them, "none" leaves them alone.
    """

    name: str
    train: Split
    test: Split
    classes: int
    offset: float = 0.0
    scale: float = 1.0
    augment: str = "none"

    def __post_init__(self) -> None:
        if self.augment not in ("none", "shift", "crop"):
            raise ValueError(
                f'Data: augment must be "none", "shift" or "crop", not "{self.augment}"'
            )
        for part in (self.train, self.test):
            low, high = int(part.label.min()), int(part.label.max())
            if low < 0 or high >= self.classes:
                raise ValueError(
                    f"Data {self.name}: labels must be 0 to {self.classes - 1}, "
                    f"not {low if low < 0 else high}"
                )

    def real(self, x: Tensor | NDArray[Any]) -> Tensor:
        """Images as the network takes them, float32."""
        tensor = torch.as_tensor(x).float()
        return (
            tensor if self.scale == 1 and not self.offset else (tensor - self.offset) / self.scale
        )


def carve(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Training and validation images: ``share`` of each class, chosen by ``seed``, goes to the
    second part; with 0 it is empty.
    """
    chosen = np.zeros(len(split), dtype=bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(split.label):
        mine = rng.permutation(np.flatnonzero(split.label == label))
        chosen[mine[: round(share * len(mine))]] = True
    return (
        Split(split.x[~chosen], split.label[~chosen]),
        Split(split.x[chosen], split.label[chosen]),
    )


def augmented(x: Tensor, kind: str, share: float, generator: torch.Generator) -> Tensor:
    """Training images, moved and mirrored at random; what comes in at the edges is 0.

    "shift": about ``share`` of them by -1, 0 or 1 pixel both ways. "crop": all by up to 4 pixels,
    half of them mirrored (He et al. 2015, section 4.2).
    """
    if kind == "none":
        return x
    reach, count = (1, len(x)) if kind == "shift" else (4, len(x))
    offset = torch.randint(0, 2 * reach + 1, (count, 2), generator=generator)
    if kind == "shift":
        still = torch.rand(count, generator=generator) >= share
        offset[still] = reach
    height, width = x.shape[2:]
    column = torch.arange(width).expand(count, width)
    if kind == "crop":
        mirrored = torch.rand(count, generator=generator) < 0.5
        column = torch.where(mirrored[:, None], column.flip(1), column)
    row = (offset[:, 0, None] + torch.arange(height))[:, :, None]
    frame = torch.arange(count)[:, None, None]
    padded = functional.pad(x, (reach,) * 4)
    return padded[frame, :, row, (offset[:, 1, None] + column)[:, None, :]].permute(0, 3, 1, 2)


def cropped(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square out of each image, placed at random.

    Raises
    ------
    ValueError
        If it is larger than the images.
    """
    count, _, height, width = x.shape
    if side > min(height, width):
        raise ValueError(
            f"Schedule: crops must be at most {min(height, width)}, the images' side, not {side}"
        )
    top = torch.randint(0, height - side + 1, (count, 1), generator=generator)
    left = torch.randint(0, width - side + 1, (count, 1), generator=generator)
    row, column = (start + torch.arange(side) for start in (top, left))
    frame = torch.arange(count)[:, None, None]
    return x[frame, :, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)
