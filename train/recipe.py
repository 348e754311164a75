"""A training recipe: what to train, on what, how, as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .bsq import BSQ
from .dfq import DFQ
from .method import Method
from .prune import Magnitude, Random
from .schedule import Schedule
from .squantizer import SQuantizer
from .tables import table, values
from .taylor import Taylor
from .uniform import Uniform
from .vision_recipe import TASKS, VisionRecipe, vision_recipe

__all__ = [
    "METHODS", "DataChoice", "NetworkChoice", "Recipe",
    "demo_recipe", "load_recipe", "parse_recipe",
]  # fmt: skip

METHODS: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (SQuantizer, Taylor, BSQ, DFQ, Uniform, Magnitude, Random)
}
NETWORKS = ("demo", "vgg", "resnet20", "resnet18", "resnet50", "mobilenet_v2")


@dataclass(frozen=True)
class DataChoice:
    """``[data]``: which images, where they lie, and what share of them chooses the best epoch.

    Raises
    ------
    ValueError
        If the name is unknown, a folder is missing, or the share is out of range.
    """

    name: str = "digits"
    folder: str = ""
    validation: float = 0.1

    def __post_init__(self) -> None:
        if self.name not in ("digits", "cifar10"):
            raise ValueError(f'data name must be "digits" or "cifar10", not "{self.name}"')
        if self.name == "cifar10" and not self.folder:
            raise ValueError("data folder must say where CIFAR-10 lies, and is missing")
        if not 0 <= self.validation <= 0.5:
            raise ValueError(f"data validation must be 0 to 0.5, not {self.validation}")


@dataclass(frozen=True)
class NetworkChoice:
    """``[network]``: which one; ``channels`` are those of "demo" (2 numbers) and "vgg" (widths).

    ``weights`` is a file with a ``state_dict`` that the float network starts from.

    Raises
    ------
    ValueError
        If the name is unknown or a width is not from 1 to 4096.
    """

    name: str = "demo"
    channels: tuple[int, ...] = (8, 20)
    weights: str = ""

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            raise ValueError(
                f'network name must be one of {", ".join(NETWORKS)}, not "{self.name}"'
            )
        if self.name == "demo" and len(self.channels) != 2:
            raise ValueError(f"network channels must be 2 numbers, not {list(self.channels)}")
        if not all(1 <= c <= 4096 for c in self.channels):
            raise ValueError(f"network channels must be 1 to 4096, not {list(self.channels)}")


@dataclass(frozen=True)
class Recipe:
    """What :func:`sqwire.train.run` does.

    With ``compare_float`` the network is trained in plain float first, by ``float_schedule``
    (``schedule`` where that is None), so that the card can show what compression costs.
    With ``from_float`` the compressed training starts from there, otherwise both start alike.
    ``own`` gives layers settings of the method of their own, ``exclude`` names layers that the
    method leaves alone. ``device`` is "cpu", "cuda" or one of its kind.

    Raises
    ------
    ValueError
        If the seed is negative, a number out of range, or ``from_float`` has no float network.
    """

    seed: int = 0
    compare_float: bool = True
    from_float: bool = False
    device: str = "cpu"
    threads: int = 1
    tensorboard: bool = False
    exclude: tuple[str, ...] = ()
    data: DataChoice = field(default_factory=DataChoice)
    network: NetworkChoice = field(default_factory=NetworkChoice)
    method: Method = field(default_factory=SQuantizer)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    float_schedule: Schedule | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to 2^32 - 1, not {self.seed}")
        if not 1 <= self.threads <= 1024:
            raise ValueError(f"threads must be 1 to 1024, not {self.threads}")
        if self.from_float and not (self.compare_float or self.network.weights):
            raise ValueError(
                "from_float needs a float network; set compare_float, or weights in [network]"
            )
        if not self.method.settled(self.schedule.epochs):
            raise ValueError(
                "the method must have settled by the last epoch "
                f"({self.schedule.epochs}), and has not; shorten its delay, search or pruning"
            )


def demo_recipe(seed: int = 0) -> Recipe:
    """The recipe of ``sqwire demo``, which is ``examples/digits.toml``."""
    return Recipe(
        seed=seed,
        method=SQuantizer(sigma=1.0, delay=30),
        own={"conv1": {"sigma": -0.5}, "conv3": {"sigma": 1.5}, "fc": {"sigma": 0.7}},
    )


def load_recipe(path: Path | str) -> Recipe | VisionRecipe:
    """Read a recipe from a TOML file; ``task`` says which kind it is.

    Raises
    ------
    ValueError
        If the file cannot be read, is not TOML, has an unknown key or a value of the wrong type
        or size; one line that names file, key, rule and value.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"Recipe {path}: cannot be read ({reason}); check the path") from error
    return parse_recipe(text, str(path))


def parse_recipe(text: str, name: str = "recipe") -> Recipe | VisionRecipe:
    """The recipe in the text of a TOML file; what it leaves out has its default.

    Errors as :func:`load_recipe`.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"Recipe {name}: it must be TOML ({error}); correct it") from error
    try:
        return _recipe(given)
    except ValueError as error:
        raise ValueError(f"Recipe {name}: {error}") from error


def _recipe(given: dict[str, Any]) -> Recipe | VisionRecipe:
    task = given.pop("task", "classification")
    method = _method(table(given.pop("method", {}), "[method] "))
    layers = table(given.pop("own", {}), "[own] ")
    own = {name: values(type(method), part, f"[own.{name}] ") for name, part in layers.items()}
    if isinstance(task, str) and task in TASKS:
        return vision_recipe(task, method, own, given)
    if task != "classification":
        raise ValueError(f"task must be classification, {' or '.join(TASKS)}, not {task!r}")
    made: dict[str, Any] = {"method": method, "own": own}
    if isinstance(given.get("data"), str):
        given["data"] = {"name": given["data"]}
    for part, kind in (("data", DataChoice), ("network", NetworkChoice), ("schedule", Schedule)):
        if part in given:
            made[part] = kind(**values(kind, given.pop(part), f"[{part}] "))
    if "float_schedule" in given:
        wanted = values(Schedule, given.pop("float_schedule"), "[float_schedule] ")
        made["float_schedule"] = replace(made.get("schedule", Schedule()), **wanted)
    made.update(values(Recipe, given, "", _PARTS))
    return Recipe(**made)


_PARTS = ("data", "network", "method", "own", "schedule", "float_schedule")


def _method(given: dict[str, Any]) -> Method:
    title = given.pop("name", "SQuantizer")
    if title not in METHODS:
        raise ValueError(f'[method] name must be one of {", ".join(METHODS)}, not "{title}"')
    kind = METHODS[title]
    made: Method = kind(**values(kind, given, "[method] "))
    return made
