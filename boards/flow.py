"""From RTLIL to a bitstream: Yosys, nextpnr, a packer."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sqwire.compiler.build import Build
from sqwire.compiler.emit import TOP
from sqwire.hw.axis import Port

from . import route, yosys
from .board import Board
from .families import FAMILIES
from .fit import Formats, formats_of, formats_of_ports, parts_for, top_for
from .report import SynthResult
from .shell import Shell
from .tools import YOSYS, SynthError, Workshop

__all__ = ["ARTEFACTS", "run_flow", "synth"]

ARTEFACTS = ("netlist.v", "shell.il", "design.pins", "timing.json", "design.bit", "synth.json")
"""What a synthesis adds to a build: the network's netlist, the RTLIL around it, the pins, the
timing report, the bitstream, the result."""

_SCRATCH = ".synth."


def _silent(_: str) -> None:
    pass


def synth(
    build: Build | Path | str,
    board: Board,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
    seed: int = 1,
    require_clock: bool = True,
    progress: Callable[[str], None] = _silent,
) -> SynthResult:
    """Build the bitstream of a compiled network; adds :data:`ARTEFACTS` to the build folder.

    The files appear together at the end, or none does; only ``netlist.v`` is added also where the
    network has several inputs for whose frames the link has no room. Logs (``synth.TOOL.log``)
    stay also when a tool fails. Where the build holds the result for the same board, clock and seed
    from the same versions of the tools, it is returned at once.

    Parameters
    ----------
    build
        The build, or its folder.
    clock_hz
        The clock the design runs at, the board's own if None; nextpnr stops improving where the
        design bears it. The board's PLL must be able to make it.
    baud
        The rate of the line to the host, the board's own if None.
    seed
        For placement; the same seed gives the same bitstream.
    require_clock
        Whether a design that is too slow for ``clock_hz`` is an error.
    progress
        Called with one line at the start of each stage.

    Raises
    ------
    BuildError
        If the folder is not a sound build.
    SynthError
        If a tool fails, the design does not fit or is too slow, the link has no room for the frames
        of several inputs, the disk is full, or another run works on the same build; one line, with
        the place of the log.
    """
    if not isinstance(build, Build):
        build = Build.load(build)
    clock_hz = _hertz(board.clock_hz if clock_hz is None else clock_hz)
    baud = board.baud if baud is None else baud
    with _alone(build.path):
        known = _known(build, board, clock_hz, baud, seed)
        if known is not None and (known.fmax_hz >= known.clock_hz or not require_clock):
            progress("synthesis: unchanged")
            return known
        try:
            work = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=build.path))
        except OSError as error:
            raise _cannot_write(build.path, error) from error
        try:
            try:
                parts_for(formats_of(build), board)
            except ValueError as error:
                raise _without_board(build, board, work, progress, error) from error
            result = run_flow(
                build.path / "design.il",
                TOP,
                build.inputs,
                build.outputs,
                board,
                work,
                clock_hz=clock_hz,
                baud=baud,
                formats=formats_of(build),
                seed=seed,
                cycles_per_frame=build.plan.cycles_per_frame,
                require_clock=require_clock,
                progress=progress,
                logs=build.path,
            )
            # Read again: other stages may have added to the build, or it may be another one now.
            now = Build.load(build.path)
            if now.files["design.il"] != result.design_sha256:
                raise SynthError(
                    f"Build {build.path}: it must stay as it is during synthesis, and was "
                    "compiled anew; run: sqwire synth again"
                )
            now.add(work, list(ARTEFACTS))
        except OSError as error:
            raise _cannot_write(build.path, error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return result


def _without_board(
    build: Build, board: Board, work: Path, progress: Callable[[str], None], why: ValueError
) -> SynthError:
    """Add the netlist to a build that no link is for; the error that says so."""
    if "netlist.v" not in build.files:
        workshop = Workshop(work, build.path, progress)
        source = (build.path / "design.il").read_bytes()
        workshop.check_space((32 << 20) + 100 * len(source))
        (work / "design.il").write_bytes(source)
        yosys.netlist(workshop, TOP, board)
        build.add(work, ["netlist.v"])
    return SynthError(
        f"{why}, or put {TOP} into a design of your own: netlist.v is in {build.path} (sqwire "
        "verify --level netlist)"
    )


def run_flow(
    design_il: Path,
    top: str,
    inputs: tuple[Port, ...],
    outputs: tuple[Port, ...],
    board: Board,
    folder: Path,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
    formats: Formats | None = None,
    bare: bool = False,
    seed: int = 1,
    cycles_per_frame: int | None = None,
    require_clock: bool = True,
    progress: Callable[[str], None] = _silent,
    logs: Path | None = None,
) -> SynthResult:
    """The flow on plain files: module ``top`` of ``design_il`` to :data:`ARTEFACTS` in ``folder``.

    ``top`` has the ports of :class:`sqwire.hw.network.Network`, ``inputs`` and ``outputs`` are
    their layouts. ``folder`` must exist and is the caller's own;
    ``synth.json`` is written last, so where it is, all is. ``logs`` is where logs go, ``folder`` if
    None. ``formats`` are the shapes of the frames, one position high if None.
    ``bare`` puts the network between shift registers (:class:`sqwire.boards.shell.Shell`) instead
    of the link, at pins anywhere and without a PLL: to measure it, not to use it. Other
    parameters and errors as for :func:`synth`.
    """
    clock_hz = _hertz(board.clock_hz if clock_hz is None else clock_hz)
    baud = board.baud if baud is None else baud
    source = design_il.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    if bare:
        shell, pins = Shell(inputs, outputs).to_rtlil(top), ""
    else:
        formats = formats or formats_of_ports(inputs, outputs)
        around = top_for(board, formats, digest, clock_hz=clock_hz, baud=baud)
        shell, pins = around.to_rtlil(top), FAMILIES[board.family].constraints(board)
    workshop = Workshop(folder, folder if logs is None else logs, progress)
    (folder / "synth.json").unlink(missing_ok=True)
    # Measured, 300 to 13,000 LUT sites: all files are at most 60 times the RTLIL, plus 2 MB.
    workshop.check_space((32 << 20) + 100 * len(source))
    (folder / "design.il").write_bytes(source)
    (folder / "shell.il").write_text(shell)
    (folder / "design.pins").write_text(pins)

    seconds: dict[str, float] = {}
    network, design, seconds["yosys"] = yosys.synthesize(workshop, top, board)
    route.check_fits(design, board)
    fmax_hz, usage, seconds["nextpnr"] = route.place_and_route(workshop, board, clock_hz, seed)
    if fmax_hz < clock_hz and require_clock:
        raise SynthError(
            f"Design: Fmax must be at least {clock_hz / 1e6:g} MHz on {board.name}, not "
            f"{fmax_hz / 1e6:.1f} MHz; try a lower clock or another seed; "
            f"critical path in {workshop.logs / workshop.log(FAMILIES[board.family].nextpnr)}"
        )
    seconds[FAMILIES[board.family].packer.name] = route.pack(workshop, board)
    result = SynthResult(
        board=board.name,
        clock_hz=clock_hz,
        baud=baud,
        seed=seed,
        design_sha256=digest,
        network=network,
        design=design,
        fmax_hz=fmax_hz,
        usage=usage,
        tools=_versions(board),
        cycles_per_frame=cycles_per_frame,
        seconds=seconds,
    )
    (folder / "synth.json").write_text(result.to_json())
    return result


def _hertz(clock_hz: float) -> int:
    if not 0 < clock_hz < 1e9:
        raise ValueError(f"synth: clock_hz must be above 0 and below 1 GHz, not {clock_hz:g}")
    return round(clock_hz)


def _versions(board: Board) -> dict[str, str]:
    family = FAMILIES[board.family]
    return {tool.package: tool.version for tool in (YOSYS, family.nextpnr, family.packer)}


def _known(build: Build, board: Board, clock_hz: int, baud: int, seed: int) -> SynthResult | None:
    """The result in the build, where it answers the same question."""
    if not all(name in build.files for name in ARTEFACTS):
        return None
    try:
        known = SynthResult.load(build.path / "synth.json")
    except ValueError:
        return None
    design = build.files["design.il"]
    wanted = (board.name, clock_hz, baud, seed, design, _versions(board))
    had = (known.board, known.clock_hz, known.baud, known.seed, known.design_sha256, known.tools)
    return known if had == wanted else None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the build for one run, and remove what a killed one left."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob(f"{_SCRATCH}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        yield
    except BlockingIOError:
        raise SynthError(
            f"Build {folder}: one synthesis at a time must use it, and another does; wait for it"
        ) from None
    finally:
        os.close(handle)


def _cannot_write(folder: Path, error: OSError) -> SynthError:
    return SynthError(
        f"Build {folder}: it must be writable, and is not ({error.strerror}); "
        "free some space or choose another folder"
    )
