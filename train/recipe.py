"""A training recipe: what to train, on what, how, as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .loop import Schedule
from .squantizer import SQuantizer

__all__ = ["NetworkChoice", "Recipe", "load_recipe", "parse_recipe"]


@dataclass(frozen=True)
class NetworkChoice:
    """``[network]``: which network, and how wide.

    Raises
    ------
    ValueError
        If the name is unknown or a width is not from 1 to 256.
    """

    name: str = "demo"
    channels: tuple[int, ...] = (8, 20)

    def __post_init__(self) -> None:
        if self.name != "demo":
            raise ValueError(f'network name must be "demo", not "{self.name}"')
        if len(self.channels) != 2 or not all(1 <= c <= 256 for c in self.channels):
            raise ValueError(
                f"network channels must be 2 numbers from 1 to 256, not {list(self.channels)}"
            )


@dataclass(frozen=True)
class Recipe:
    """What :func:`sqwire.train.run` does; the defaults are the demo.

    With ``compare_float`` the same network is trained in plain float first, in the same way, so
    that the card can show what compression costs.

    Raises
    ------
    ValueError
        If the data set is unknown, the seed negative, or the delay leaves no epoch.
    """

    data: str = "digits"
    seed: int = 0
    compare_float: bool = True
    network: NetworkChoice = field(default_factory=NetworkChoice)
    method: SQuantizer = field(
        default_factory=lambda: SQuantizer(
            sigma=1.1, sigma_of={"conv1": -0.5, "conv3": 1.7, "fc": 0.8}
        )
    )
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if self.data != "digits":
            raise ValueError(f'data must be "digits", not "{self.data}"')
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to 2^32 - 1, not {self.seed}")
        if self.method.delay >= self.schedule.epochs:
            raise ValueError(
                f"delay must be below the number of epochs ({self.schedule.epochs}), "
                f"not {self.method.delay}"
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
    """The recipe in the text of a TOML file, which may leave out what is as in the demo.

    Errors as :func:`load_recipe`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"Recipe {name}: it must be TOML ({error}); correct it") from error
    recipe = Recipe()
    try:
        values = {
            part: _overlay(getattr(recipe, part), table.pop(part), f"[{part}] ")
            for part in _PARTS
            if part in table
        }
        result: Recipe = _overlay(recipe, table, "", values)
        return result
    except ValueError as error:
        raise ValueError(f"Recipe {name}: {error}") from error


_PARTS = ("network", "method", "schedule")


def _overlay(
    defaults: Any, table: object, where: str, given: Mapping[str, Any] | None = None
) -> Any:
    """A dataclass with the values of a table, whose keys must be fields, in place of its own."""
    if not isinstance(table, dict):
        raise ValueError(f"{where.strip()} must be a table, not {table!r}")
    known = [f.name for f in fields(defaults) if f.name not in _PARTS]
    values = dict(given or {})
    for key, value in table.items():
        if key not in known:
            raise ValueError(
                f'{where}keys must be among {", ".join(known)}, not "{key}"; correct or remove it'
            )
        values[key] = _convert(where + key, value, getattr(defaults, key))
    return replace(defaults, **values)


def _convert(what: str, value: object, default: object) -> object:
    """``value`` as the type of ``default``."""
    match default, value:
        case (bool(), bool()) | (str(), str()):
            return value
        case (bool(), _) | (_, bool()):
            pass
        case (int(), int()):
            return value
        case (float(), int() | float()):
            return float(value)
        case (tuple(), list()):
            return tuple(_convert(f"{what}[{k}]", v, 0) for k, v in enumerate(value))
        case (dict(), dict()):
            return {key: _convert(f"{what}.{key}", v, 0.0) for key, v in value.items()}
    kinds = {
        bool: "true or false",
        str: "a text",
        int: "an integer",
        float: "a number",
        tuple: "a list of integers",
        dict: "a table of numbers",
    }
    raise ValueError(f"{what} must be {kinds[type(default)]}, not {value!r}")
