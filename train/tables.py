"""Values of a TOML table in the types that a dataclass declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

__all__ = ["table", "values"]


def table(value: object, where: str) -> dict[str, Any]:
    """A copy of a table.

    Raises
    ------
    ValueError
        If it is something else; ``where`` says what.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where.strip()} must be a table, not {value!r}")
    return dict(value)


def values(kind: type[Any], given: object, where: str, apart: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a table whose keys must be fields of a dataclass, in the types of these.

    Fields named in ``apart`` are no keys.

    Raises
    ------
    ValueError
        If a key is unknown or a value has another type; names it.
    """
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind) if f.name not in apart]
    result = {}
    for key, value in table(given, where).items():
        if key not in known:
            raise ValueError(
                f'{where}keys must be among {", ".join(known)}, not "{key}"; correct or remove it'
            )
        result[key] = _convert(where + key, value, hints[key])
    return result


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
