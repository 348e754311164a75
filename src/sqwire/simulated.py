"""A board in Verilator behind a pseudo-terminal: to a host program it is a serial port."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .boards.board import Board
from .boards.fit import formats_of, top_for
from .boards.link.link import Link
from .boards.top import Top
from .compiler.build import Build
from .compiler.emit import TOP, rtlil_to_verilog
from .sim import toolchain
from .sim.toolchain import SimulationError

__all__ = ["Report", "Running", "SimulatedBoard", "Workplace", "board_for"]

_BOARDS = Path(__file__).parent / "boards"
_BUILT = "built.json"

# About style only: Verilog that Yosys writes, pins of PLLs that have no use here.
_ALLOWED_WARNINGS = (
    "CASEINCOMPLETE",
    "CMPCONST",
    "DECLFILENAME",
    "INITIALDLY",
    "MULTITOP",
    "PINMISSING",
    "SPECIFYIGN",
    "TIMESCALEMOD",
    "UNOPTFLAT",
    "UNSIGNED",
    "WIDTHEXPAND",
    "WIDTHTRUNC",
)


@dataclass(frozen=True)
class Report:
    """What a simulated board did until it was stopped.

    ``line_seconds`` are of the board's time, from the first byte to the last; ``seconds`` of
    ours, ``slept`` those of them in which it had nothing to do.
    """

    clock_hz: float
    cycles: int
    host_bytes: int
    board_bytes: int
    broken: int
    line_seconds: float
    seconds: float
    slept: float

    @property
    def cycles_per_second(self) -> float:
        """How fast the simulation ran."""
        return self.cycles / max(self.seconds - self.slept, 1e-9)


@dataclass(frozen=True)
class Workplace:
    """Where a simulated board is built: its folder, and one for compiled parts of Verilator."""

    folder: Path
    library: Path


@dataclass(frozen=True)
class SimulatedBoard:
    """A board that is ready to run.

    ``oscillator_hz`` and ``baud`` are what the world around it has.
    """

    folder: Path
    link: Link
    oscillator_hz: int

    @classmethod
    def build(
        cls,
        top: Top,
        oscillator_hz: int,
        network: str,
        sources: Sequence[Path],
        workplace: Workplace,
        *,
        shell: Path | None = None,
        includes: Sequence[Path] = (),
        defines: Sequence[str] = (),
        allow_warnings: Sequence[str] = (),
        timeout_seconds: float = 900,
    ) -> SimulatedBoard:
        """Compile a top level around the module ``network`` of ``sources``.

        ``shell`` is Verilog that stands for that of ``top``, its netlist for one. A folder that
        holds the same build already is used as it is.

        Raises
        ------
        SimulationError
            If a tool is missing or the build fails.
        """
        folder = workplace.folder.resolve()
        toolchain.check_tools("verilator", folder)
        text = shell.read_text() if shell else top.to_rtlil(network)
        defines = [*defines, *([f"SQWIRE_BUTTON={int(top.pressed_low)}"] if top.button else [])]
        files = [_BOARDS / name for name in ("bridge.v", "pll_models.v", "bridge.cpp")]
        facts = [
            text,
            *defines,
            *map(str, includes),
            *toolchain.versions("verilator", folder.parent),
        ]
        digest = hashlib.sha256(repr(facts).encode())
        for file in (*files, *sources):
            digest.update(file.read_bytes())
        board = cls(folder, top.link, oscillator_hz)
        built, program = folder / _BUILT, folder / "bridge"
        same = built.is_file() and built.read_bytes() == digest.hexdigest().encode()
        if same and program.is_file():
            return board
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shell = shell or rtlil_to_verilog(text, folder, name="shell")
        library = toolchain.Library(workplace.library, folder)
        library.fetch(timeout_seconds)
        command = [
            "verilator", "--cc", "--exe", "--build", "-O3", "--noassert", "--threads", "1",
            "--x-assign", "fast", "--x-initial", "fast", "--no-timing",
            "--top-module", "sqwire_board", "--Mdir", str(folder), "-o", "bridge",
            *(f"-Wno-{name}" for name in (*_ALLOWED_WARNINGS, *allow_warnings)),
            *(f"-D{name}" for name in defines), *(f"-I{path}" for path in includes),
            *map(str, [*files, shell, *sources]),
        ]  # fmt: skip
        env = toolchain.environment("verilator")
        env["MAKEFLAGS"] = toolchain.make_flags(folder, optimize=True)
        log = folder / "build.log"
        with log.open("wb") as stream:
            done = subprocess.run(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT, timeout=timeout_seconds, check=False,
            )  # fmt: skip
        if done.returncode != 0 or not program.is_file():
            said = [line for line in log.read_text(errors="replace").splitlines() if "rror" in line]
            raise SimulationError(
                f"Simulated board: verilator must exit with 0, not {done.returncode}: "
                f"{said[0].strip() if said else 'it said nothing'}; see {log}"
            )
        library.keep()
        built.write_text(digest.hexdigest())
        return board

    @contextlib.contextmanager
    def run(self, *, baud: int | None = None, quiet_cycles: int | None = None) -> Iterator[Running]:
        """Switch the board on; it is off at the end of the ``with``.

        ``baud`` is the rate of the line, that of the board if None. Behind ``quiet_cycles``
        without a byte on the line the board sleeps until there is one again.
        """
        if quiet_cycles is None:
            quiet_cycles = 4 * self.link.timeout_cycles
        master, slave = os.openpty()
        os.set_blocking(master, False)
        tty.setraw(slave)
        with tempfile.TemporaryDirectory(prefix="sqwire.") as scratch:
            report = Path(scratch) / "report.json"
            process = subprocess.Popen(
                [
                    str(self.folder / "bridge"), str(master), str(self.oscillator_hz),
                    str(baud or self.link.identity.baud), str(quiet_cycles), str(report),
                ],
                pass_fds=[master], stdin=subprocess.DEVNULL, stdout=sys.stderr,
            )  # fmt: skip
            running = Running(os.ttyname(slave), process, report)
            try:
                # Our end of the slave stays open: the terminal outlives each of its clients.
                yield running
            finally:
                running.stop()
                os.close(master)
                os.close(slave)


@dataclass
class Running:
    """A board that is on: ``port`` is what a client opens."""

    port: str
    process: subprocess.Popen[Any]
    file: Path
    report: Report | None = None

    def stop(self) -> Report:
        """Switch it off; what it did."""
        if self.report is None:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(10)
            deadline = time.monotonic() + 1
            while not self.file.is_file() and time.monotonic() < deadline:
                time.sleep(0.01)
            if not self.file.is_file():
                raise SimulationError(
                    f"Simulated board: it must run until it is stopped, and ended with status "
                    f"{self.process.returncode}; build it anew"
                )
            self.report = Report(**json.loads(self.file.read_text()))
        return self.report


def board_for(
    build: Build, board: Board, *, clock_hz: int | None = None, baud: int | None = None
) -> SimulatedBoard:
    """A board with a build on it, kept in the build folder until the design changes."""
    top = top_for(board, formats_of(build), build.files["design.il"], clock_hz=clock_hz, baud=baud)
    folder = build.path / "simulation"
    place = Workplace(folder / "board", folder / "library")
    return SimulatedBoard.build(top, board.oscillator_hz, TOP, [build.design], place)
