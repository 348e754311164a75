"""Synthesis: RTLIL of a network to its netlist, and to the whole design with its shell."""

from __future__ import annotations

import re

from .board import Board
from .families import FAMILIES
from .report import Cells
from .tools import YOSYS, Workshop

__all__ = ["netlist", "synthesize"]


def synthesize(workshop: Workshop, top: str, board: Board) -> tuple[Cells, Cells, float]:
    """Map ``design.il`` to the cells of a board's device, then put ``shell.il`` around it.

    The network is mapped once, alone: what is simulated as a netlist is, cell by cell, what is
    routed. Writes ``netlist.v`` (the network; module ``top``) and ``design.json`` (the network in
    its shell, for nextpnr).

    Returns
    -------
    network, design : Cells
        Cells of the network alone, and with its shell.
    seconds : float

    Raises
    ------
    SynthError
        If Yosys fails, ports do not fit, or a netlist has cells that are not of the device.
    """
    made = ["netlist.v", "network.cells.json", "design.json", "design.cells.json"]
    seconds = _run(workshop, top, [*_network(top, board), *_design(top, board)], made)
    network = _cells(workshop, "network.cells.json", top, board)
    design = _cells(workshop, "design.cells.json", "shell", board)
    assert design.covers(network), "the shell must not make parts of the network superfluous"
    return network, design, seconds


def netlist(workshop: Workshop, top: str, board: Board) -> Cells:
    """Map ``design.il`` alone to a device: writes ``netlist.v``. Errors as above."""
    _run(workshop, top, _network(top, board), ["netlist.v", "network.cells.json"])
    return _cells(workshop, "network.cells.json", top, board)


def _run(workshop: Workshop, top: str, script: list[str], made: list[str]) -> float:
    if not re.fullmatch(r"[A-Za-z_]\w*", top, re.ASCII):
        raise ValueError(f"synthesize: top must be a plain name, not {top!r}")
    (workshop.folder / "synth.ys").write_text("\n".join(script) + "\n")
    arguments = ["-q", "-l", workshop.log(YOSYS), "-e", "Resizing cell port", "-s", "synth.ys"]
    return workshop.run(YOSYS, arguments, made)


def _network(top: str, board: Board) -> list[str]:
    return [
        "read_rtlil design.il",
        f"hierarchy -check -top {top}",
        "proc",
        "flatten -noscopeinfo",
        # Amaranth names fields "a.b[0]". Such escaped names break assertions in abc9 (Yosys 0.69
        # and 0.70 at least), so they are made plain before it.
        "rename -unescape",
        *_map(top, board, pads=False),
        "tee -q -o network.cells.json stat -json",
        "write_verilog -noattr netlist.v",
    ]


def _design(top: str, board: Board) -> list[str]:
    return [
        "design -stash network",
        # The shell is mapped around a black box, into which the mapped network then goes.
        "read_rtlil shell.il",
        f"design -copy-from network -as {top} {top}",
        f"blackbox {top}",
        # Not checked before the device's cells are known: there may be a PLL.
        "hierarchy -top shell",
        "proc",
        "flatten -noscopeinfo",
        "rename -unescape",
        *_map("shell", board, pads=True),
        f"delete ={top}",
        f"design -copy-from network -as {top} {top}",
        "hierarchy -check -top shell",
        "flatten -noscopeinfo",
        "clean",
        "check -noinit -assert",
        "tee -q -o design.cells.json stat -json",
        "write_json design.json",
    ]


def _map(top: str, board: Board, *, pads: bool) -> list[str]:
    # Up to the label "check" only: "autoname" behind it makes names of hundreds of characters
    # (a netlist four times as large) and the rest is here.
    return [
        *FAMILIES[board.family].map(board, top, pads),
        "hierarchy -check",
        "check -noinit -assert",
        "blackbox =A:whitebox",
    ]


def _cells(workshop: Workshop, name: str, module: str, board: Board) -> Cells:
    document = workshop.read_json(YOSYS, name)
    counts = document["modules"][f"\\{module}"].get("num_cells_by_type", {})
    family = FAMILIES[board.family]
    try:
        return Cells.from_counts(counts, family.cells, family.free)
    except ValueError as error:
        raise workshop.error(YOSYS, "must map every cell", str(error)) from None
