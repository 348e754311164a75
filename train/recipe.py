"""A training recipe: what to train, on what, how, as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from .bsq import BSQ
from .dfq import DFQ
from .method import Method
from .prune import Magnitude, Random
from .schedule import Schedule
from .squantizer import SQuantizer
from .taylor import Taylor
from .uniform import Uniform

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


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe from a TOML file.

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


def parse_recipe(text: str, name: str = "recipe") -> Recipe:
    """The recipe in the text of a TOML file; what it leaves out has its default.

    Errors as :func:`load_recipe`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"Recipe {name}: it must be TOML ({error}); correct it") from error
    try:
        return _recipe(table)
    except ValueError as error:
        raise ValueError(f"Recipe {name}: {error}") from error


def _recipe(table: dict[str, Any]) -> Recipe:
    values: dict[str, Any] = {}
    if isinstance(table.get("data"), str):
        table["data"] = {"name": table["data"]}
    for part, kind in (("data", DataChoice), ("network", NetworkChoice), ("schedule", Schedule)):
        if part in table:
            values[part] = kind(**_values(kind, table.pop(part), f"[{part}] "))
    if "float_schedule" in table:
        given = _values(Schedule, table.pop("float_schedule"), "[float_schedule] ")
        values["float_schedule"] = replace(values.get("schedule", Schedule()), **given)
    method = _table(table.pop("method", {}), "[method] ")
    title = method.pop("name", "SQuantizer")
    if title not in METHODS:
        raise ValueError(f'[method] name must be one of {", ".join(METHODS)}, not "{title}"')
    kind = METHODS[title]
    values["method"] = kind(**_values(kind, method, "[method] "))
    own = _table(table.pop("own", {}), "[own] ")
    values["own"] = {name: _values(kind, part, f"[own.{name}] ") for name, part in own.items()}
    for part in _PARTS:
        table.pop(part, None)
    values.update(_values(Recipe, table, ""))
    return Recipe(**values)


_PARTS = ("data", "network", "method", "own", "schedule", "float_schedule")


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where.strip()} must be a table, not {value!r}")
    return dict(value)


def _values(kind: type[Any], table: object, where: str) -> dict[str, Any]:
    """The values of a table whose keys must be fields of a dataclass, in the types of these."""
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind) if f.name not in _PARTS]
    values = {}
    for key, value in _table(table, where).items():
        if key not in known:
            raise ValueError(
                f'{where}keys must be among {", ".join(known)}, not "{key}"; correct or remove it'
            )
        values[key] = _convert(where + key, value, hints[key])
    return values


def _convert(what: str, value: object, hint: Any) -> object:
    """``value`` as the type that a field is declared with."""
    match value:
        case bool() if hint is bool:
            return value
        case bool():
            pass
        case int() if hint is int:
            return value
        case int() | float() if hint in (float, float | None):
            return float(value)
        case str() if hint is str:
            return value
        case list() if hint in _LISTS:
            return tuple(_convert(f"{what}[{k}]", v, _LISTS[hint]) for k, v in enumerate(value))
    raise ValueError(f"{what} must be {_KINDS.get(hint, 'of another type')}, not {value!r}")


_LISTS: Mapping[Any, type] = {tuple[int, ...]: int, tuple[str, ...]: str}
_KINDS: Mapping[Any, str] = {
    bool: "true or false",
    str: "a text",
    int: "an integer",
    float: "a number",
    float | None: "a number",
    tuple[int, ...]: "a list of integers",
    tuple[str, ...]: "a list of texts",
}
