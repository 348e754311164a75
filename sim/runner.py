"""Builds a Verilog design for a simulator and runs a cocotb test on it, in child processes.

Nothing of the caller's process changes and nothing of its environment reaches the test but the
search path of Python: what a test must know stands in files of its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .toolchain import (
    Library,
    SimulationError,
    SimulatorName,
    check_tools,
    environment,
    make_flags,
    versions,
)

__all__ = ["JOB_VARIABLE", "Simulation", "SimulationError", "SimulatorName", "build"]

JOB_VARIABLE = "SQWIRE_JOB"
"""The one variable that a test reads: the folder it was started for."""

# Written last, so a build that was interrupted is none; holds a digest of all it was made from.
_BUILT = "built.json"

# Signals of the design that Verilator keeps for the test, beside the ports of the top module.
_CONTROL = "visible.vlt"

# The lines of a log that say what went wrong.
_TELLING = re.compile(r"%(Error|Warning)|\berror: |Error\b(: | )|undefined reference|\*\*\* ")
_TAIL_LINES = 15
# How often the log of a child is looked at.
_LOOK_SECONDS = 5


@dataclass(frozen=True)
class Simulation:
    """A design that is ready to run: where it lies, its top module and its simulator."""

    folder: Path
    top: str
    simulator: SimulatorName
    build_seconds: float = field(compare=False, default=0.0)

    def run(self, module: str, job: Path, *, timeout_seconds: float = 600) -> None:
        """Run the cocotb tests of the Python module ``module``.

        The folder ``job`` holds what the test reads and takes what it writes, and the log
        ``test.log``; the test finds its path in ``os.environ[JOB_VARIABLE]``.

        Raises
        ------
        SimulationError
            If a test fails or none runs, the simulator stops with an error, or writes nothing to
            its log for ``timeout_seconds``.
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
            environment(self.simulator),
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
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    optimize: bool = True,
    cache: Path | None = None,
    timeout_seconds: float = 900,
) -> Simulation:
    """Compile Verilog files for simulation in ``folder``, which is emptied first.

    A folder that holds the same build already is used as it is. A compiler that writes nothing to
    its log for ``timeout_seconds`` is ended.

    Parameters
    ----------
    sources, top
        The files, and the module of which the ports are driven.
    visible
        For modules below the top one, signals that the test may read. Verilator optimizes all
        others away, which makes the build and the run several times faster.
    allow_warnings
        Names of Verilator warnings to ignore; any other one is an error.
    includes, defines
        Folders for Verilog's ``include``, and macros that are defined as 1.
    optimize
        False for a large design that runs for few cycles: the compiler takes less than half the
        time.
    cache
        A folder in which compiled parts of Verilator's own library are kept for other builds;
        they are half of what a small design takes.

    Raises
    ------
    SimulationError
        If a tool is missing, the build fails or time is up; see ``build.log`` in the folder.
    """
    started = time.monotonic()
    folder = folder.resolve()
    check_tools(simulator, folder)
    folder.mkdir(parents=True, exist_ok=True)
    control = _control(top, visible or {})
    texts = [Path(source).read_bytes() for source in sources]
    facts = [top, control, *allow_warnings, *map(str, includes), *defines, str(optimize)]
    digest = hashlib.sha256(repr((facts, versions(simulator, folder), texts)).encode()).hexdigest()
    built = folder / _BUILT
    if built.is_file() and built.read_text() == digest:
        return Simulation(folder, top, simulator)
    shutil.rmtree(folder)
    folder.mkdir()

    files = [str(Path(source).resolve()) for source in sources]
    env = environment(simulator)
    if simulator == "icarus":
        # Verilog of Yosys relies on initial values being events, so that combinational blocks run
        # at time 0; in SystemVerilog, Icarus' setting by cocotb, they are none.
        arguments = ["-g2005"]
    else:
        (folder / _CONTROL).write_text(control)
        files.insert(0, str(folder / _CONTROL))
        env["MAKEFLAGS"] = make_flags(folder, optimize=optimize)
        arguments = [
            "--no-public-flat-rw",
            "--x-assign", "fast",
            "--x-initial", "fast",
            "--threads", "1",
            # Verilator and the C++ compiler take longer than in proportion for a long function.
            "--output-split-cfuncs", "3000",
            *(() if optimize else ("-fno-dfg",)),
            *(f"-Wno-{name}" for name in allow_warnings),
        ]  # fmt: skip
    library = Library(cache, folder) if cache and simulator == "verilator" else None
    if library:
        library.fetch(timeout_seconds)
    request = {
        "sources": files,
        "hdl_toplevel": top,
        "build_args": arguments,
        "includes": [str(include.resolve()) for include in includes],
        "defines": dict.fromkeys(defines, 1),
        "build_dir": str(folder),
        "timescale": ["1ns", "1ps"],
        "always": True,
    }
    _child("build", {"simulator": simulator, "build": request}, folder, env, timeout_seconds)
    if library:
        library.keep()
    built.write_text(digest)
    return Simulation(folder, top, simulator, time.monotonic() - started)


def _control(top: str, visible: Mapping[str, Sequence[str]]) -> str:
    """A Verilator control file that keeps signals readable."""
    lines = ["`verilator_config", f'public_flat_rw -module "{top}" -port "*"']
    for module, names in visible.items():
        lines += [f'public_flat_rd -module "{module}" -var "{name}"' for name in names]
    return "\n".join(lines) + "\n"


def _child(
    what: str,
    request: dict[str, Any],
    folder: Path,
    env: dict[str, str],
    timeout_seconds: float,
) -> None:
    """Serve ``request`` in a Python process of its own, in ``folder``, and wait for its end."""
    simulator = request["simulator"]
    log = folder / f"{what}.log"
    request_file = folder / f"{what}.json"
    request_file.write_text(json.dumps(request))
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(request_file)],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = _wait(process, log, timeout_seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status == 0:
        return
    why = (
        f"it must write to its log within {timeout_seconds:g} seconds, and did not"
        if status is None
        else f"its exit status must be 0, not {status}"
    )
    lines = log.read_text(errors="replace").splitlines()
    said = [line.strip() for line in lines if _TELLING.search(line)] or ["nothing"]
    error = SimulationError(f"Simulation with {simulator}, {what}: {why}; {said[0]}; see {log}")
    error.add_note("\n".join(["end of the log:", *lines[-_TAIL_LINES:]]))
    raise error


def _wait(process: subprocess.Popen[bytes], log: Path, timeout_seconds: float) -> int | None:
    """The exit status; None if the log has not grown for so long. It may take as long as it goes
    on: large networks have millions of cycles a frame."""
    look = min(_LOOK_SECONDS, timeout_seconds)
    size, silent = 0, 0.0
    while silent < timeout_seconds:
        try:
            return process.wait(look)
        except subprocess.TimeoutExpired:
            grown = log.stat().st_size != size
            size, silent = log.stat().st_size, 0.0 if grown else silent + look
    return None


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
