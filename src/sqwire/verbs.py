"""The verbs: what ``sqwire`` does, as functions. The command line calls nothing else.

Each imports what it needs when it is called, so that ``import sqwire`` stays quick and only
training loads torch.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.console import Console

    from .boards.board import Board
    from .boards.link.request import Traffic
    from .boards.report import SynthResult
    from .compiler.build import Build
    from .compiler.choose import Target
    from .compiler.frontend import Inspection
    from .compiler.graph import Graph
    from .sim.network import Result
    from .sim.verify import Report
    from .train import Recipe, Run

__all__ = [
    "boards", "compile", "inspect", "load_arrays", "open_build", "program", "run", "simulate",
    "synth", "train", "verify",
]  # fmt: skip

# What numpy lets through from a file that is damaged, or says that it is larger than memory.
_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, TokenError, MemoryError,
)  # fmt: skip

# What a frame may take: simulations count cycles in 32 bits.
_MOST_CYCLES = 1 << 31

Progress = Callable[[str], None]
Level = Literal["component", "network", "netlist"]


def _silent(_: str) -> None:
    pass


def train(recipe: Recipe | Path | str, out: Path | str, *, console: Console | None = None) -> Run:
    """Train what a recipe (or the TOML file of one, see docs/training.md) describes.

    Writes ``model.onnx``, ``card.json``, ``vectors.npz`` and ``train.log`` to the folder ``out``,
    whole or not at all. ``console`` shows a progress bar.
    """
    from .train import bar, run

    if console is None:
        return run(recipe, out)
    with bar(console) as progress:
        return run(recipe, out, progress=progress)


def compile(
    model: Any,
    out: Path | str,
    *,
    fps: float | None = None,
    fit: bool = False,
    board: str = "ulx3s_85f",
    clock_hz: float = 50e6,
    progress: Progress = _silent,
) -> Build:
    """Compile a network to a build folder: integer graph, plan, RTLIL, Verilog.

    ``model`` is a QONNX file, the bytes of one, or a frozen network of :mod:`sqwire.train`.

    Without ``fps`` and ``fit`` every weight is a wire and every cycle a position. With ``fps``
    the cheapest circuit is planned that takes so many frames a second at ``clock_hz`` and fits the
    board, with ``fit`` the fastest one that fits: layers may then be folded, so that a few
    multipliers run a program of the weights that are not zero.

    Raises
    ------
    CompileError
        If the network cannot be mapped, or not at that rate or not on that board; names the node,
        or the resource.
    ValueError
        If ``fps`` and ``fit`` are both given, or a number makes no sense.
    BuildError
        If ``out`` cannot be written or holds something else.
    """
    from .compiler.build import compile_model

    if isinstance(model, str):
        model = Path(model)
    if not isinstance(model, bytes | Path):
        from .train import to_qonnx

        model = to_qonnx(model).SerializeToString(deterministic=True)
    return compile_model(model, out, _target(fps, fit, board, clock_hz), progress=progress)


def _target(
    fps: float | None, fit: bool, board: str, clock_hz: float
) -> Target | Callable[[Graph], Target]:
    from .boards.catalog import find_board
    from .boards.fit import target_for
    from .boards.speeds import memory_hz, pll_hz
    from .compiler.choose import Clock, Target

    if fps is not None and fit:
        raise ValueError("compile: fps must be given or fit, not both")
    if not clock_hz > 0 or (fps is not None and not clock_hz / _MOST_CYCLES <= fps <= clock_hz):
        raise ValueError(
            f"compile: fps must be from {clock_hz / _MOST_CYCLES:.2g} to the clock "
            f"({clock_hz:g}), not {fps}"
        )
    found = find_board(board)
    if clock_hz > (most := pll_hz(found)):
        raise ValueError(
            f"compile: --clock must be at most {most / 1e6:g} MHz, which the PLL of {board} makes, "
            f"not {clock_hz / 1e6:g}"
        )
    clock = Clock(clock_hz, memory_hz(found))
    if fps is None and not fit:
        return Target(clock=clock)
    interval_cycles = None if fps is None else int(clock_hz / fps)
    return lambda graph: replace(target_for(found, interval_cycles, graph), clock=clock)


def inspect(model: Path | str | bytes) -> Inspection:
    """A QONNX network as the compiler sees it, and every reason why it would be refused.

    Raises
    ------
    CompileError
        If ``model`` is not a sound ONNX model at all.
    """
    from .compiler import frontend

    return frontend.inspect(Path(model) if isinstance(model, str) else model)


def simulate(
    build: Build | Path | str,
    *x: NDArray[np.generic],
    stalls: Literal["none", "source", "sink", "both"] = "none",
    saturate: bool = False,
    progress: Progress = _silent,
) -> tuple[NDArray[np.float32] | tuple[NDArray[np.float32], ...], Result]:
    """Run the circuit in Verilator on real inputs; the real outputs, and the raw result.

    ``x`` is (frames, channels, height, width) as the ONNX graph takes it, one array for each
    input in the order of the file; the outputs are one array, or a tuple where there are several.
    Values outside an input's range are refused unless ``saturate``.
    """
    build = open_build(build)
    graph = build.graph
    if len(x) != len(graph.inputs):
        raise ValueError(f"Inputs: there must be {len(graph.inputs)} arrays, not {len(x)}")
    codes = [i.quantize(v, saturate=saturate) for i, v in zip(graph.inputs, x, strict=True)]
    graph.check(*codes)

    from .hw.ports import one_or_all
    from .sim.network import simulate as run

    count = len(codes[0])
    frames = tuple(port.beats(v) for v, port in zip(codes, build.inputs, strict=True))
    progress(f"simulate {count} frames in Verilator")
    with tempfile.TemporaryDirectory(prefix="sqwire.") as folder:
        result = run(
            [build.design], build.inputs, build.outputs, frames, Path(folder), stalls=stalls,
            latency_cycles=build.plan.latency_cycles,
        )  # fmt: skip
    reals = [
        output.dequantize(y.reshape(count, *graph.tensors[output.node].shape))
        for output, y in zip(graph.outputs, result.check().ys, strict=True)
    ]
    return one_or_all(reals), result


def verify(
    build: Build | Path | str,
    *,
    vectors: Path | str | None = None,
    level: Level = "network",
    frames: int | None = None,
    progress: Progress = _silent,
) -> Report:
    """Compare the circuit with the integer graph, and the graph with reference vectors.

    Every integer must agree. ``vectors`` is a ``.npz`` with ``x`` and ``y`` (``x0``, ``x1``, ...
    and ``y0``, ``y1``, ... where there are several); without it random and extreme frames stand in
    and only the circuit is compared. ``frames`` limits how many run.
    """
    build = open_build(build)

    from .sim.verify import verify as check

    return check(
        build,
        vectors=None if vectors is None else Path(vectors),
        level=level,
        frames=frames,
        progress=progress,
    )


def synth(
    build: Build | Path | str,
    *,
    board: str = "ulx3s_85f",
    clock_hz: float | None = None,
    baud: int | None = None,
    seed: int = 1,
    progress: Progress = _silent,
) -> SynthResult:
    """Synthesise, place, route and pack a build for a board, with the link around it.

    ``clock_hz`` and ``baud``, the rate of the line to the host, are the board's own if None.
    """
    from .boards.catalog import find_board
    from .boards.flow import synth as flow

    return flow(
        open_build(build),
        find_board(board),
        clock_hz=clock_hz,
        baud=baud,
        seed=seed,
        progress=progress,
    )


def boards() -> tuple[Board, ...]:
    """The boards known, with what their devices hold."""
    from .boards.catalog import boards as known

    return known()


def program(build: Build | Path | str) -> Board:
    """Load a build's bitstream onto its board; the board.

    Raises
    ------
    DeviceError
        If there is no bitstream, or the programmer is missing or fails.
    """
    from .boards.program import program as load

    return load(open_build(build))


def run(
    build: Build | Path | str,
    *x: NDArray[np.generic],
    port: str | None = None,
    simulate: bool = False,
    baud: int | None = None,
    saturate: bool = False,
    progress: Progress = _silent,
    count: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float32] | tuple[NDArray[np.float32], ...], Traffic]:
    """Send frames to the board, or to a simulated one; the real outputs, and what it took.

    ``x`` and the outputs are as those of :func:`simulate`. Without ``port`` and
    ``simulate`` the board is found by its USB id. ``count`` is called with how many outputs are
    there, and of how many.

    Raises
    ------
    ValueError
        If ``x`` does not fit, or both a port and a simulation are wanted.
    DeviceError
        If the board cannot be reached, holds another design or does not answer.
    """
    from contextlib import ExitStack

    from .boards.catalog import find_board
    from .boards.device import DEFAULT_BAUD, Device
    from .boards.program import synthesis_of

    if port is not None and simulate:
        raise ValueError("run: it must be --port or --simulate, not both")
    build = open_build(build)
    inputs = build.graph.inputs
    if len(x) != len(inputs):
        raise ValueError(f"Inputs: there must be {len(inputs)} arrays, not {len(x)}")
    frames = [np.asarray(own) for own in x]
    # Refused before a board is built.
    for input, own in zip(inputs, frames, strict=True):
        input.quantize(own[:1] if own.ndim else own, saturate=saturate)
    if len({len(own) for own in frames}) > 1:
        counts = ", ".join(str(len(own)) for own in frames)
        raise ValueError(f"Inputs: all must have as many frames, not {counts}")
    known = synthesis_of(build) if "synth.json" in build.files else None
    rate = baud or (known.baud if known else DEFAULT_BAUD)
    with ExitStack() as stack:
        timeout_seconds = 1.0
        if simulate:
            from .simulated import board_for

            progress("build the simulated board (Verilator)")
            board = find_board(known.board if known else "ulx3s_85f")
            clock_hz = known.clock_hz if known else None
            rate = baud or (known.baud if known else board.baud)
            made = board_for(build, board, clock_hz=clock_hz, baud=rate)
            port, timeout_seconds = stack.enter_context(made.run()).port, 60.0
        progress(f"open {port or 'the board'}")
        device = stack.enter_context(
            Device(port, build, baud=rate, timeout_seconds=timeout_seconds)
        )
        progress(f"send {len(frames[0])} frames at {rate} baud")
        return device.infer(*frames, saturate=saturate, progress=count), device.traffic


def load_arrays(file: Path | str, count: int = 1) -> tuple[NDArray[np.generic], ...]:
    """The inputs of a network that has ``count``; never a pickle.

    One is in a ``.npy`` file, or ``x`` in a ``.npz``; several are ``x0``, ``x1``, ... in a
    ``.npz``.

    Raises
    ------
    ValueError
        If the file is missing, is none, or is damaged.
    """
    from .hw.ports import names

    file, wanted = Path(file), names("x", count)
    what = "a .npy array of numbers" if count == 1 else f"a .npz of numbers {', '.join(wanted)}"
    try:
        # Opened here: numpy leaves a damaged .npz open.
        with file.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                with loaded:
                    return tuple(np.asarray(loaded[name]) for name in wanted)
        if count > 1:
            raise ValueError
    except _DAMAGED as error:
        reason = "it is something else"
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise ValueError(f"Data {file}: it must be {what} ({reason})") from error
    return (np.asarray(loaded),)


def open_build(build: Build | Path | str) -> Build:
    """A build, from itself or from its folder; BuildError if it is none or not sound."""
    from .compiler.build import Build

    return build if isinstance(build, Build) else Build.load(build)
