"""The command line: each verb of :mod:`sqwire.verbs`, with progress, tables and one-line errors."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from . import __version__, verbs
from .errors import USER_ERRORS

__all__ = ["app", "main"]

app = typer.Typer(
    help="Sparse, low-bit neural networks as circuits on open FPGAs, exact from PyTorch to "
    "netlist.\n\nA first try: sqwire demo. Your own network: sqwire compile MODEL.onnx -o BUILD, "
    "then sqwire verify BUILD, then sqwire synth BUILD.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_INTERRUPTED = 130  # the status typer leaves with after Ctrl-C
_notes = Console(stderr=True, highlight=False)

BuildFolder = Annotated[Path, typer.Argument(help="Build folder written by sqwire compile.")]
Frames = Annotated[
    Path,
    typer.Argument(
        help="Input frames as the ONNX graph takes them: .npy; .npz with x0, x1, ... "
        "for several inputs."
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        help="Where the outputs go: .npy; .npz with y0, y1, ... for several outputs. "
        "Default: y.npy or y.npz.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def _say(line: str) -> None:
    _notes.print(f"  {line}", style="dim")


def _print(document: dict[str, Any], lines: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(lines))


def _check_folder(out: Path) -> None:
    if not out.parent.is_dir():
        raise ValueError(f"Output {out}: its folder must exist, and does not; make it first")


def _opened(build: Path, x: Path, out: Path | None) -> tuple[Any, tuple[Any, ...], Path]:
    """A build, what goes into its inputs, and where what comes out goes."""
    opened = verbs.open_build(build)
    frames = verbs.load_arrays(x, len(opened.graph.inputs))
    out = out or Path("y.npz" if len(opened.graph.outputs) > 1 else "y.npy")
    _check_folder(out)
    return opened, frames, out


def _keep(out: Path, y: Any) -> None:
    """Write an array, or several as y0, y1, ..., to a file, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        draft = Path(folder) / "y"
        with draft.open("wb") as file:
            if isinstance(y, tuple):
                np.savez(file, **{f"y{number}": own for number, own in enumerate(y)})
            else:
                np.save(file, y)
        draft.replace(out)


def _version(value: bool) -> None:
    if value:
        print(f"sqwire {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe: a TOML file, see docs/training.md.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder.")] = Path("build/train"),
    as_json: Json = False,
) -> None:
    """Train a sparse, low-bit network from a recipe; writes model.onnx, card.json, vectors.npz."""
    trained = verbs.train(recipe, out, console=None if as_json else _notes)
    if as_json:
        print(trained.card.to_json(), end="")
    else:
        print(trained.card)
        known = "" if trained.accuracy is None else f"accuracy {trained.accuracy:.2%}, "
        print(f"{known}{trained.card.zeros:.1%} zeros: {trained.model}")


@app.command()
def compile(
    model: Annotated[Path, typer.Argument(help="QONNX model.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Build folder.")] = Path("build/network"),
    fps: Annotated[
        float | None, typer.Option(help="Frames a second: the cheapest circuit that takes them.")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="The fastest circuit that fits.")] = False,
    board: Annotated[str, typer.Option(help="Board that it must fit.")] = "ulx3s_85f",
    clock: Annotated[float, typer.Option(help="Clock, MHz.", min=1, max=999)] = 50.0,
    as_json: Json = False,
) -> None:
    """Compile a QONNX network to a circuit: graph.json, plan.json, design.il, design.v.

    Without --fps and --fit every weight is a wire and every cycle a position. With one of them
    layers may be folded: a few multipliers run a program of the weights that are not zero.
    """
    from .tables import plan_table

    build = verbs.compile(
        model, out, fps=fps, fit=fit, board=board, clock_hz=clock * 1e6, progress=_say
    )
    if as_json:
        print(build.plan.to_json(), end="")
    else:
        Console(width=max(190, Console().width)).print(plan_table(build))
        print(f"compiled: {build.design}")


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="QONNX model.")],
    as_json: Json = False,
) -> None:
    """Show a QONNX network as the compiler sees it, and every reason why it would be refused.

    Exit status 0 only if it would be compiled.
    """
    from .tables import inspection_table

    found = verbs.inspect(model)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        Console(width=max(130, Console().width)).print(inspection_table(found))
        for reason in found.reasons:
            print(f"refused: {reason}")
        for note in found.notes:
            print(f"note: {note}")
    if found.reasons:
        raise typer.Exit(1)


@app.command()
def simulate(
    build: BuildFolder,
    x: Frames,
    out: Results = None,
    saturate: Annotated[
        bool, typer.Option(help="Clip values outside the input's range, as the graph does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the circuit in Verilator on real inputs."""
    opened, frames, out = _opened(build, x, out)
    y, result = verbs.simulate(opened, *frames, saturate=saturate, progress=_say)
    _keep(out, y)
    facts = {
        "frames": len(frames[0]),
        "output": str(out),
        "cycles": result.cycles,
        "latency_cycles": result.latency_cycles,
    }
    _print(facts, [f"{key}: {value}" for key, value in facts.items()], as_json)


@app.command()
def verify(
    build: BuildFolder,
    vectors: Annotated[
        Path | None,
        typer.Option(help="Reference vectors: .npz with x and y, or x0, x1, ... and y0, y1, ..."),
    ] = None,
    level: Annotated[str, typer.Option(help="component, network or netlist.")] = "network",
    frames: Annotated[
        int | None, typer.Option(help="At most so many through the circuit.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the circuit with the integer graph and with reference vectors, every integer.

    Exit status 0 only if all agree; otherwise the first layer, frame, position and channel
    that differ are named.
    """
    if level not in ("component", "network", "netlist"):
        raise ValueError(f'--level: it must be component, network or netlist, not "{level}"')
    report = verbs.verify(build, vectors=vectors, level=level, frames=frames, progress=_say)  # type: ignore[arg-type]
    _print(report.to_json(), report.lines(), as_json)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def synth(
    build: BuildFolder,
    board: Annotated[str, typer.Option(help="Board to build for.")] = "ulx3s_85f",
    clock: Annotated[
        float | None, typer.Option(help="Clock, MHz; the board's own if not given.", min=1, max=999)
    ] = None,
    baud: Annotated[
        int | None, typer.Option(help="Rate of the line; the board's own if not given.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Placement seed.", min=0)] = 1,
    as_json: Json = False,
) -> None:
    """Synthesise, place, route and pack with Yosys and nextpnr; writes synth.json, design.bit."""
    from .tables import synth_table

    clock_hz = None if clock is None else clock * 1e6
    result = verbs.synth(build, board=board, clock_hz=clock_hz, baud=baud, seed=seed, progress=_say)
    if as_json:
        print(result.to_json(), end="")
    else:
        Console().print(synth_table(result))
        print(f"bitstream: {build / 'design.bit'}")


@app.command()
def boards(as_json: Json = False) -> None:
    """List the boards known, with what their devices hold."""
    from .tables import boards_table

    known = verbs.boards()
    if as_json:
        print(json.dumps([_board_facts(board) for board in known], indent=1))
    else:
        Console(width=max(130, Console().width)).print(boards_table(known))


def _board_facts(board: Any) -> dict[str, Any]:
    return {
        "name": board.name,
        "title": board.title,
        "family": board.family,
        "resources": vars(board.resources),
        "oscillator_hz": board.oscillator_hz,
        "clock_hz": board.clock_hz,
        "baud": board.baud,
        "programmer": list(board.programmer.command),
        "install": board.programmer.install,
    }


@app.command()
def program(build: BuildFolder, as_json: Json = False) -> None:
    """Load the bitstream of a build onto its board."""
    board = verbs.program(build)
    _print({"board": board.name}, [f"loaded: {board.title}"], as_json)


@app.command()
def run(
    build: BuildFolder,
    x: Frames,
    port: Annotated[
        str | None, typer.Option(help="Serial port; found by USB id if not given.")
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulate", help="Run on a board simulated in Verilator.")
    ] = False,
    out: Results = None,
    baud: Annotated[int | None, typer.Option(help="Rate of the line.", min=1)] = None,
    saturate: Annotated[
        bool, typer.Option(help="Clip values outside the input's range, as the graph does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send frames to the board, or to a simulated one, and keep the results."""
    from rich.progress import Progress

    opened, frames, out = _opened(build, x, out)
    count = frames[0].shape[0] if frames[0].ndim else 0
    with Progress(console=_notes, transient=True, disable=as_json) as bar:
        task = bar.add_task("frames", total=count)
        y, traffic = verbs.run(
            opened,
            *frames,
            port=port,
            simulate=simulated,
            baud=baud,
            saturate=saturate,
            progress=_say,
            count=lambda done, _: bar.update(task, completed=done),
        )
    _keep(out, y)
    facts = {"frames": count, "output": str(out), **vars(traffic)}
    _print(facts, [f"{key}: {value}" for key, value in facts.items()], as_json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")] = Path("build/demo"),
    seed: Annotated[int, typer.Option(help="Seed of the training.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Everything on real handwritten digits: train, compile, verify, synthesise, report."""
    from .demo import run

    report = run(out, seed=seed, notes=_notes)
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        report.print(Console())


def main() -> None:
    """Entry point of the ``sqwire`` command."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            print("sqwire: interrupted; what was not finished was not kept", file=sys.stderr)
        raise
    except USER_ERRORS as error:
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"sqwire: {line}", file=sys.stderr)
        sys.exit(1)
