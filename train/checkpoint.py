"""Where a training stands, in a file that is whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["restore", "save"]


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, texts, and dicts and lists of them)."""
    new = path.with_name(f"{path.name}.new")
    torch.save(state, new)
    new.replace(path)


def restore(path: Path, identity: str) -> dict[str, Any] | None:
    """What :func:`save` wrote; None where there is no file. Loads tensors and plain data only.

    Raises
    ------
    ValueError
        If the file is damaged, or its "identity" is another: it is of another training.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        found = state["identity"]
    except Exception as error:  # torch.load raises whatever a damaged file leads it to
        raise ValueError(f"Checkpoint {path}: it must be whole, and is not; remove it") from error
    if found != identity:
        raise ValueError(
            f"Checkpoint {path}: it must be of the same training, and is of another; move it "
            "away, or train into another folder"
        )
    return state
