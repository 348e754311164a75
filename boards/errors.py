"""What goes wrong between a host and a board, in one line each."""

from __future__ import annotations

from sqwire.compiler.tools import ToolError

__all__ = ["DeviceError"]


class DeviceError(ToolError):
    """A board that cannot be reached, does not answer, or is not the one that is wanted."""
