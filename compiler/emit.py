"""The circuit as text: RTLIL from Amaranth, Verilog from Yosys."""

from __future__ import annotations

from pathlib import Path

from amaranth.back import rtlil

from sqwire.hw.netlist import Library
from sqwire.hw.network import Network

from .tools import YOSYS, Workshop

__all__ = ["TOP", "emit_rtlil", "rtlil_to_verilog"]

TOP = "sqwire_top"
"""Name of the top module; see :class:`sqwire.hw.network.Network` for its ports."""


def emit_rtlil(network: Network) -> str:
    """RTLIL of a network with its AXI4-Stream ports; the same text for the same network."""
    # No source attributes: they would hold paths of the machine that compiled.
    library = Library()
    text = rtlil.convert(network.top(), platform=library, name=TOP, emit_src=False)
    return str(text) + library.to_rtlil()


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
