"""A recipe for stereo or for detection: what :mod:`sqwire.train.vision_run` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .method import Method
from .stepping import StepSchedule
from .tables import values

__all__ = ["TASKS", "Boxes", "Cells", "Scenes", "Stereo", "VisionRecipe", "vision_recipe"]


@dataclass(frozen=True)
class Scenes:
    """``[data]`` of stereo: rendered scenes, learnt from as crops (height, width).

    ``photos`` is a folder with pictures for textures, or nothing; ``size`` (height, width) is that
    of the pairs which the network is exported for.

    Raises
    ------
    ValueError
        If a size is not two numbers from 16 to 4096.
    """

    photos: str = ""
    crop: tuple[int, ...] = (96, 288)
    size: tuple[int, ...] = (375, 450)

    def __post_init__(self) -> None:
        for name in ("crop", "size"):
            given = getattr(self, name)
            if len(given) != 2 or not all(16 <= n <= 4096 for n in given):
                raise ValueError(
                    f"data {name} must be height and width, 16 to 4096, not {list(given)}"
                )


@dataclass(frozen=True)
class Boxes:
    """``[data]`` of detection: a folder in the layout of Pascal VOC, its classes, and by what
    factor pictures are shrunk. The lists "train" and "val" are learnt from.

    Raises
    ------
    ValueError
        If the folder or the classes are missing or the factor is out of range.
    """

    folder: str = ""
    classes: tuple[str, ...] = ("RBC", "WBC", "Platelets")
    shrink: int = 2

    def __post_init__(self) -> None:
        if not self.folder:
            raise ValueError("data folder must say where the pictures lie, and is missing")
        if not self.classes:
            raise ValueError("data classes must be some names, not none")
        if not 1 <= self.shrink <= 64:
            raise ValueError(f"data shrink must be 1 to 64, not {self.shrink}")


@dataclass(frozen=True)
class Stereo:
    """``[network]`` of stereo, one of :mod:`sqwire.train.networks.stereo`.

    Raises
    ------
    ValueError
        If the name is unknown or a number out of range.
    """

    name: str = "half"
    smooth: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in ("half", "quarter", "twin"):
            raise ValueError(f'network name must be half, quarter or twin, not "{self.name}"')
        if len(self.smooth) > 8 or not all(1 <= dilation <= 64 for dilation in self.smooth):
            raise ValueError(
                f"network smooth must be at most 8 dilations from 1 to 64, not {list(self.smooth)}"
            )


@dataclass(frozen=True)
class Cells:
    """``[network]`` of detection: :func:`sqwire.train.networks.cells.cells`. With ``count`` it ends
    in so many candidates of at least that ``threshold``.

    Raises
    ------
    ValueError
        If the name is unknown or a number out of range.
    """

    name: str = "cells"
    width: int = 16
    count: int = 0
    threshold: float = 0.25

    def __post_init__(self) -> None:
        if self.name != "cells":
            raise ValueError(f'network name must be cells, not "{self.name}"')
        if not 1 <= self.width <= 256:
            raise ValueError(f"network width must be 1 to 256, not {self.width}")
        if not 0 <= self.count <= 1 << 20:
            raise ValueError(f"network count must be 0 to 2^20, not {self.count}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"network threshold must be between 0 and 1, not {self.threshold}")


TASKS: Mapping[str, tuple[type[Any], type[Any]]] = {
    "stereo": (Scenes, Stereo),
    "detection": (Boxes, Cells),
}
"""What ``[data]`` and ``[network]`` are, by task."""


@dataclass(frozen=True)
class VisionRecipe:
    """What :func:`sqwire.train.run` does for ``task`` "stereo" or "detection".

    The network is trained in plain float first, by ``float_schedule``, then compressed by
    ``method``, whose epochs are ``steps_per_epoch`` steps, and of which ``own`` gives layers other
    settings. A folder is where the process looks for it; so it is with ``photos``.

    Raises
    ------
    ValueError
        If a number is out of range or the method has not settled by the last step.
    """

    task: str
    data: Any
    network: Any
    method: Method
    schedule: StepSchedule = field(default_factory=lambda: StepSchedule(20_000))
    float_schedule: StepSchedule = field(default_factory=lambda: StepSchedule(20_000))
    seed: int = 0
    threads: int = 1
    steps_per_epoch: int = 100
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to 2^32 - 1, not {self.seed}")
        if not 1 <= self.threads <= 1024:
            raise ValueError(f"threads must be 1 to 1024, not {self.threads}")
        if self.steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch must be at least 1, not {self.steps_per_epoch}")
        epochs = self.schedule.steps / self.steps_per_epoch
        method: Any = self.method
        methods = (replace(method, **settings) for settings in ({}, *self.own.values()))
        if not all(one.settled(epochs) for one in methods):
            raise ValueError(
                f"the method must have settled by the last step (epoch {epochs:g}), and has not; "
                "shorten its delay, search or pruning"
            )


_PARTS = ("task", "data", "network", "method", "own", "schedule", "float_schedule")


def vision_recipe(
    task: str, method: Method, own: Mapping[str, Mapping[str, Any]], table: dict[str, Any]
) -> VisionRecipe:
    """The recipe of a TOML table, of which the other parameters are known already."""
    data, network = TASKS[task]
    made: dict[str, Any] = {
        "data": data(**values(data, table.pop("data", {}), "[data] ")),
        "network": network(**values(network, table.pop("network", {}), "[network] ")),
    }
    usual = StepSchedule(20_000)
    for part in ("schedule", "float_schedule"):
        given = values(StepSchedule, table.pop(part, {}), f"[{part}] ")
        usual = made[part] = replace(usual, **given)
    made.update(values(VisionRecipe, table, "", _PARTS))
    return VisionRecipe(task, method=method, own=own, **made)
