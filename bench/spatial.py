"""The spatial engine against an adder-graph compiler and plain Verilog, on fixed tasks.

    python bench/spatial.py TASKS [--route] [--only NAME]

TASKS is a folder of task files: ``cmvm_*.npz`` (W, X, Y, xbits), ``conv_*.npz`` (W, b, s, xbits,
abits) and layered ones (n_layers, W0, b0, s0, ..., X, Y, xbits, abits). Each becomes a network
of dot products and staircases, is checked in simulation against the task's own numbers, and
synthesised (with ``--route`` also routed, behind serial shift registers) for an ECP5-85F.
Writes ``bench/results/spatial.json``. The peers' numbers come from ``bench/peers.json``.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from sqwire import __version__
from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.boards.flow import run_flow
from sqwire.boards.shell import Shell
from sqwire.boards.tools import YOSYS, Workshop
from sqwire.compiler.emit import TOP, emit_rtlil
from sqwire.hw.axis import Port
from sqwire.hw.dot import Dot
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ranges import Range
from sqwire.hw.staircase import Staircase
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator

BOARD = find_board("ulx3s_85f")
HERE = Path(__file__).parent
ROUTE_CLOCK_HZ = 200e6
MOST_ROUTED_AREA = 12_000


def layers(task):
    """(weight, bias, shift or None) of each layer; None leaves the accumulator as it is."""
    if "n_layers" in task:
        count = int(task["n_layers"])
        for k in range(count):
            yield task[f"W{k}"], task[f"b{k}"], None if k == count - 1 else int(task[f"s{k}"])
    elif "b" in task:
        yield task["W"].reshape(len(task["W"]), -1), task["b"], int(task["s"])
    else:
        yield task["W"], np.zeros(len(task["W"]), np.int64), None


def network(name, task):
    """The task as stages: dot product, then ``clip(acc >> s, 0, 2**abits - 1)``."""
    bits = int(task["xbits"])
    lane = Range.signed(bits) if name.startswith("cmvm") else Range.unsigned(bits)
    stages, source, ranges = [], Source(None), None
    for k, (weight, bias, shift) in enumerate(layers(task)):
        ranges = ranges or (lane,) * weight.shape[1]
        dot = Dot(weight.astype(np.int64), bias.astype(np.int64), ranges)
        stages.append(Stage(f"dot{k}", dot, (source,)))
        source, ranges = Source(f"dot{k}"), dot.row_ranges
        if shift is not None:
            most = 2 ** int(task["abits"]) - 1
            steps = tuple(
                Steps.tabulate(r.lo, np.clip(np.arange(r.lo, r.hi + 1) >> shift, 0, most))
                for r in ranges
            )
            staircase = Staircase(steps, ranges)
            stages.append(Stage(f"act{k}", staircase, (source,)))
            source, ranges = Source(f"act{k}"), staircase.out_ranges
    return Network((Port(stages[0].spec.inputs[0], 1),), tuple(stages), (source,))


def vectors(name, task):
    """Inputs and outputs of the task, one position each; None where the task has none."""
    if name.startswith("conv"):
        return None
    return task["X"][:64].astype(np.int64), task["Y"][:64].astype(np.int64)


def measure(name, task, route):
    """Check and build one task; what came out."""
    built = network(name, task)
    given = vectors(name, task)
    if given is not None:
        x, y = given
        assert np.array_equal(built.compute(x[:, None])[:, 0], y), name
    else:
        beat = built.inputs[0].beat
        x = np.random.default_rng(0).integers(0, beat.range.hi + 1, (64, beat.lanes))
    check_operator(built, x[:, None])
    dots = [stage.spec for stage in built.stages if isinstance(stage.spec, Dot)]
    row = {
        "nonzeros": int(sum(np.count_nonzero(d.weight) for d in dots)),
        "adders": sum(len(d.graph.ops) for d in dots),
        "latency_cycles": int(built.output_cycles()[-1]) + 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "design.il").write_text(emit_rtlil(built))
        shell = Shell(built.inputs, built.outputs)
        (work / "shell.il").write_text(shell.to_rtlil(TOP))
        start = time.monotonic()
        cells, _, _ = yosys.synthesize(Workshop(work, work, lambda _: None), TOP, BOARD)
        row |= cells.to_json() | {"yosys_seconds": round(time.monotonic() - start, 1)}
        if route and cells.area <= MOST_ROUTED_AREA:
            routed = work / "routed"
            routed.mkdir()
            result = run_flow(
                work / "design.il", TOP, built.inputs, built.outputs,
                BOARD, routed, clock_hz=ROUTE_CLOCK_HZ, bare=True, require_clock=False,
            )  # fmt: skip
            row["fmax_mhz"] = round(result.fmax_hz / 1e6, 1)
    return row


def table(rows, peers):
    """One line a task: ours, then the peers'."""
    view = Table(title="spatial engine, initiation interval 1, ECP5; area = LUT4 + 2*CCU2C")
    for heading in (
        "task", "nonzeros", "adders", "area", "FF", "latency", "Fmax MHz",
        "peer area", "peer Fmax", "peer latency", "tree area",
    ):  # fmt: skip
        view.add_column(heading, justify="left" if heading == "task" else "right")
    for name, row in rows.items():
        peer = peers.get(name, {})
        ours = [row[k] for k in ("nonzeros", "adders", "area", "ff", "latency_cycles")]
        theirs = [peer.get(k) for k in ("area", "fmax_mhz", "latency_cycles", "tree_area")]
        cells = [*ours, row.get("fmax_mhz"), *theirs]
        view.add_row(name, *("-" if cell is None else str(cell) for cell in cells))
    return view


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tasks", type=Path, help="folder of task files (.npz)")
    parser.add_argument("--route", action="store_true", help="also place and route (minutes)")
    parser.add_argument("--only", default="", help="only tasks whose name starts so")
    arguments = parser.parse_args()
    results = HERE / "results" / "spatial.json"
    document = json.loads(results.read_text()) if results.exists() else {"tasks": {}}
    files = sorted(arguments.tasks.glob(f"{arguments.only}*.npz"))
    if not files:
        parser.error(f"{arguments.tasks}: it must hold task files (.npz), and holds none")
    for file in files:
        print(f"{file.stem} ...", flush=True)
        with np.load(file, allow_pickle=False) as task:
            document["tasks"][file.stem] = measure(file.stem, dict(task), arguments.route)
        document["tools"] = {"sqwire": __version__, YOSYS.package: YOSYS.version}
        document["date"] = time.strftime("%Y-%m-%d")
        document["tasks"] = dict(sorted(document["tasks"].items()))
        results.write_text(json.dumps(document, indent=1) + "\n")
    peers = json.loads((HERE / "peers.json").read_text())["tasks"]
    Console(width=140).print(table(document["tasks"], peers))


if __name__ == "__main__":
    main()
