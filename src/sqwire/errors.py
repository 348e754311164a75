"""Every error that a user can meet, in one place; all of them are one line long."""

from sqwire.compiler.errors import BuildError, CompileError
from sqwire.compiler.tools import ToolError
from sqwire.sim.toolchain import SimulationError

__all__ = ["USER_ERRORS", "BuildError", "CompileError", "SimulationError", "ToolError"]

USER_ERRORS = (BuildError, CompileError, SimulationError, ToolError, ValueError, OSError)
"""What the command line prints as one line instead of a traceback."""
