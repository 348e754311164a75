"""What differs from one family of devices to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqwire.boards.board import Board
from sqwire.boards.pll import Pll
from sqwire.boards.tools import Tool
from sqwire.compiler.cost import Cost

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """A family: how Yosys maps to it, what its cells count as, how it is routed and packed.

    ``cells`` gives for Yosys' types of cells a field of :class:`sqwire.boards.report.Cells`,
    ``free`` types that need no counting (buffers at pins, constants). ``map`` are Yosys' commands
    for a module of a board, the pads of the top level included where its second argument
    says so. ``route`` are the arguments of ``nextpnr`` for ``design.json`` with the pins in
    ``design.pins``, a clock in Hz and a seed; it must write ``design.routed`` and
    ``timing.json``. ``pack`` are the arguments that make ``design.bit`` of ``design.routed``.
    ``sites`` are nextpnr's names of the sites in :class:`sqwire.boards.board.Resources`.
    ``fabric`` names what a device has to make memories of, for a plan
    (:data:`sqwire.hw.folded.memory.FABRICS`); ``link`` is what the link around a network of small
    frames takes there.
    """

    name: str
    cells: Mapping[str, str]
    free: frozenset[str]
    map: Callable[[Board, str, bool], Sequence[str]]
    constraints: Callable[[Board], str]
    pll: Callable[[Board, int], Pll]
    nextpnr: Tool
    route: Callable[[Board, int, int], Sequence[str]]
    packer: Tool
    pack: Callable[[Board], Sequence[str]]
    sites: Mapping[str, str]
    fabric: Callable[[Board], str]
    link: Cost
