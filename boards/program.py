"""Loading a bitstream onto its board."""

from __future__ import annotations

import shutil
import subprocess

from sqwire.compiler.build import Build

from .board import Board
from .catalog import find_board
from .errors import DeviceError
from .report import SynthResult

__all__ = ["board_of", "program", "synthesis_of"]


def synthesis_of(build: Build) -> SynthResult:
    """What a build's bitstream is.

    Raises
    ------
    DeviceError
        If it has none, or it is of another design.
    """
    again = f"run: sqwire synth {build.path}"
    if "design.bit" not in build.files or "synth.json" not in build.files:
        raise DeviceError(f"Build {build.path}: it must hold design.bit, and does not; {again}")
    try:
        result = SynthResult.load(build.path / "synth.json")
    except ValueError as error:
        raise DeviceError(f"{error}; {again}") from error
    if result.design_sha256 != build.files["design.il"]:
        raise DeviceError(
            f"Build {build.path}: its design.bit must be of its design.il, and is of an older one; "
            f"{again}"
        )
    return result


def board_of(build: Build) -> Board:
    """The board that a build's bitstream is for; errors as for :func:`synthesis_of`."""
    return find_board(synthesis_of(build).board)


def program(build: Build) -> Board:
    """Load a build's bitstream onto its board; the board.

    Raises
    ------
    DeviceError
        If there is no bitstream, the programmer is not installed, or it fails.
    """
    board = board_of(build)
    name = board.programmer.command[0]
    if shutil.which(name) is None:
        raise DeviceError(
            f"Programmer {name}: it must be on PATH to load {board.name}, and is not; "
            f"install it ({board.programmer.install})"
        )
    done = subprocess.run(
        [*board.programmer.command, "design.bit"],
        cwd=build.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise DeviceError(
            f"Programmer {name}: it must exit with 0, not {done.returncode}: {said[-1].strip()}; "
            f"is {board.title} plugged in?"
        )
    return board
