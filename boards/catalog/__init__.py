"""The boards known: one file here each, with its variants in a tuple ``BOARDS``.

Pins come from amaranth-boards, where it has the board."""

from __future__ import annotations

import importlib
import pkgutil

from sqwire.boards.board import Board

__all__ = ["boards", "find_board"]


def boards() -> tuple[Board, ...]:
    """All boards, sorted by name."""
    found: list[Board] = []
    for module in pkgutil.iter_modules(__path__):
        found += getattr(importlib.import_module(f"{__name__}.{module.name}"), "BOARDS", ())
    return tuple(sorted(found, key=lambda board: board.name))


def find_board(name: str) -> Board:
    """The board called ``name``.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = boards()
    for board in known:
        if board.name == name:
            return board
    raise ValueError(f'Board: it must be one of {", ".join(b.name for b in known)}, not "{name}"')
