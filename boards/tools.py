"""The tools behind Yosys, and what goes wrong with a design for a board."""

from __future__ import annotations

from sqwire.compiler.tools import YOSYS, Tool, ToolError, Workshop

__all__ = ["YOSYS", "SynthError", "Tool", "Workshop"]


class SynthError(ToolError):
    """A design that could not be built for the board: says why, and where the log is."""
