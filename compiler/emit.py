"""The circuit as text: RTLIL from Amaranth, Verilog from Yosys."""

from __future__ import annotations

import re
from pathlib import Path

from amaranth.back import rtlil

from sqwire.hw.netlist import Library
from sqwire.hw.network import Network

from .tools import YOSYS, Workshop

__all__ = ["TOP", "emit_rtlil", "rtlil_to_verilog", "without_empty"]

# A wire of no bits, and what drives it: a connection, or a cell that makes as many.
_EMPTY = re.compile(r"(\s*wire width 0 \S+|connect \S+ \{\s*\})\s*$")
_MAKES_NONE = {"    parameter \\Y_WIDTH 0\n", "    parameter \\WIDTH 0\n"}

TOP = "sqwire_top"
"""Name of the top module; see :class:`sqwire.hw.network.Network` for its ports."""


def emit_rtlil(network: Network) -> str:
    """RTLIL of a network with its AXI4-Stream ports; the same text for the same network."""
    # No source attributes: they would hold paths of the machine that compiled.
    library = Library()
    text = rtlil.convert(network.top(), platform=library, name=TOP, emit_src=False)
    return without_empty(str(text)) + library.to_rtlil()


def without_empty(text: str) -> str:
    """RTLIL without wires of no bits, which Verilog does not have, and cells that drive them."""
    kept: list[str] = []
    cell = None
    for line in text.splitlines(keepends=True):
        if line.startswith("  cell "):
            cell = len(kept)
        if _EMPTY.match(line):
            _drop_attributes(kept)
        else:
            kept.append(line)
        if cell is not None and line == "  end\n":
            if _MAKES_NONE.intersection(kept[cell:]):
                del kept[cell:]
                _drop_attributes(kept)
            cell = None
    return "".join(kept)


def _drop_attributes(kept: list[str]) -> None:
    """Drop those of what comes next."""
    while kept[-1].lstrip().startswith("attribute "):
        kept.pop()


def rtlil_to_verilog(source: str, folder: Path, *, name: str = "design") -> Path:
    """Write ``folder/name.il`` and the Verilog ``folder/name.v`` of RTLIL text; the latter's path.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    (folder / f"{name}.il").write_text(source)
    script = [
        f"read_rtlil {name}.il",
        "proc -nomux",
        "memory_collect",
        "opt_clean -purge",
        f"write_verilog -noattr -norename {name}.v",
    ]
    workshop = Workshop(folder, folder, lambda _: None, "verilog")
    workshop.run(YOSYS, ["-q", "-l", workshop.log(YOSYS), "-p", "; ".join(script)], [f"{name}.v"])
    return folder / f"{name}.v"
