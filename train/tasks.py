"""What a recipe for stereo or for detection learns from, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .detection import fit_detector, shrunk
from .networks import stereo
from .networks.cells import cells
from .pictures import read_grey
from .scenes import Renderer
from .stepping import StepSchedule
from .stereo import fit_stereo, stacked
from .vision_recipe import VisionRecipe
from .voc import load_sample, voc

__all__ = ["Task", "photos", "task_of"]

# Scenes of the second stage, and those kept as vectors, are others than those of the first.
_SECOND, _VECTORS = 10_000_000, 20_000_000
_FRAMES = 4

Report = Callable[[int, float], None]


class Task(Protocol):
    """Data and network of a recipe."""

    name: str

    def network(self, whole: bool = False) -> nn.Module:
        """A new one, for what is learnt from, or for whole pictures."""

    def example(self, whole: bool = False) -> Tensor:
        """Some frames as it takes them."""

    def fit(
        self, network: nn.Module, schedule: StepSchedule, stage: int, report: Report, state: Path
    ) -> float:
        """Train it, in stage 0 in float and in stage 1 compressed; the loss."""


def task_of(recipe: VisionRecipe) -> Task:
    """The task of a recipe, with its data.

    Raises
    ------
    ValueError
        If data cannot be read.
    """
    return _Stereo(recipe) if recipe.task == "stereo" else _Detection(recipe)


class _Stereo:
    name = "rendered scenes"

    def __init__(self, recipe: VisionRecipe):
        data, self.choice = recipe.data, recipe.network
        self.size = tuple(data.size)
        plain: Any = self.network()
        self.factor = plain.factor
        reach = plain.shifts * plain.factor
        textures = photos(Path(data.photos)) if data.photos else []
        self.renderer, self.whole = (
            Renderer(height, width, reach, textures, recipe.seed)
            for height, width in (data.crop, data.size)
        )

    def network(self, whole: bool = False) -> nn.Module:
        make = getattr(stereo, f"stereo_{self.choice.name}")
        made: nn.Module = make(self.size if whole else None, smooth=self.choice.smooth)
        return made

    def example(self, whole: bool = False) -> Tensor:
        renderer, first = (self.whole, _VECTORS) if whole else (self.renderer, _SECOND - _FRAMES)
        pairs, _, _ = stacked([renderer.render(first + k) for k in range(_FRAMES)])
        return pairs

    def fit(
        self, network: nn.Module, schedule: StepSchedule, stage: int, report: Report, state: Path
    ) -> float:
        return fit_stereo(
            network, self.renderer, schedule, factor=self.factor, first=stage * _SECOND,
            progress=report, checkpoint=state,
        )  # fmt: skip


class _Detection:
    def __init__(self, recipe: VisionRecipe):
        data, self.choice, self.seed = recipe.data, recipe.network, recipe.seed
        self.name = Path(data.folder).name
        self.classes = len(data.classes)
        self.samples = [
            shrunk(*load_sample(sample, data.classes), data.shrink)
            for split in ("train", "val")
            for sample in voc(data.folder, split)
        ]

    def network(self, whole: bool = False) -> nn.Module:
        choice = self.choice
        return cells(self.classes, choice.width, choice.count, threshold=choice.threshold)

    def example(self, whole: bool = False) -> Tensor:
        pictures = [picture for picture, _ in self.samples[:_FRAMES]]
        return torch.tensor(np.stack(pictures).transpose(0, 3, 1, 2)).float()

    def fit(
        self, network: nn.Module, schedule: StepSchedule, stage: int, report: Report, state: Path
    ) -> float:
        return fit_detector(
            network, self.samples, schedule, seed=self.seed + stage, progress=report,
            checkpoint=state,
        )  # fmt: skip


def photos(folder: Path) -> list[NDArray[np.uint8]]:
    """The pictures of a folder, at any depth, and each at a half of the size where that is large
    enough.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".ppm", ".pgm"):
            grey = read_grey(path)
            found += [g for g in (grey, grey[::2, ::2]) if min(g.shape) >= 64]
    if not found:
        raise ValueError(
            f"Folder {folder}: it must hold pictures of at least 64x64 (PNG, JPEG, PPM, PGM); "
            "check the path"
        )
    return found
