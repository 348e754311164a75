"""The folded engine: how busy its lanes, how long its programs, how large and fast its circuits.

    python bench/folded.py [TASKS] [--layer O,I,K,density,seed ...] [--lanes 8,16] [--area|--route]

Without TASKS and --layer: the grid of layers in docs/operators/folded.md. TASKS is a folder of task
files (see bench/spatial.py), of which each layer is scheduled and its program proved. A layer is O
output and I input channels, a K x K kernel, weights drawn from the nonzero 4-bit codes.
With --area each layer also becomes a circuit (4-bit codes in and out, for each kind of lane), which
is simulated against its description on a map of one position, and synthesised for an ECP5-85F; with
--route also placed and routed. Writes ``bench/results/folded.json`` and prints it.
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
from sqwire.boards.families.ecp5 import ECP5
from sqwire.boards.flow import run_flow
from sqwire.boards.shell import Shell
from sqwire.boards.tools import YOSYS, SynthError, Workshop
from sqwire.compiler.emit import TOP, emit_rtlil
from sqwire.compiler.schedule import schedule
from sqwire.hw.axis import Port
from sqwire.hw.folded.check import check
from sqwire.hw.folded.engine import Folded
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "folded.json"
CODES = Range.unsigned(4)
VALUE_BITS = 4
# Rings and parts in the order of their price; the first that keeps the lanes busy is taken.
SHAPES = ((8, 1), (4, 1), (2, 1), (4, 2))
BUSY = 0.95
GRID_CHANNELS, GRID_DENSITIES, GRID_LANES = (
    (64, 256, 512), (1.0, 0.5, 0.2, 0.1, 0.05, 0.01), (8, 16, 32, 64),
)  # fmt: skip
ROUTE_CLOCK_HZ = 150e6


def random_layer(outputs, inputs, kernel, density, seed):
    """Weights of a layer, uniform over the nonzero codes."""
    rng = np.random.default_rng(seed)
    shape = (outputs, kernel, kernel, inputs)
    weight = rng.integers(1, 8, shape) * rng.choice([-1, 1], shape)
    return np.where(rng.random(shape) < density, weight, 0)


def task_layers(file):
    """Weights of the layers in a task file, by name."""
    with np.load(file, allow_pickle=False) as task:
        if "n_layers" in task:
            weights = [task[f"W{k}"] for k in range(int(task["n_layers"]))]
        else:
            weights = [task["W"]]
    for k, weight in enumerate(weights):
        weight = weight.astype(np.int64)
        name = file.stem if len(weights) == 1 else f"{file.stem}.{k}"
        yield name, weight if weight.ndim == 4 else weight[:, None, None, :]


def best_program(weight, lanes, **options):
    """The program of the first shape that keeps lanes busy, or that which does best."""
    best = None
    for ring, parts in SHAPES:
        if lanes % ring or lanes % (parts * options["lanes_out"]) or ring < options["lanes_in"]:
            continue
        program = schedule(weight, lanes, ring, parts=parts, **options)
        if best is None or program.utilisation > best.utilisation:
            best = program
        if best.utilisation >= BUSY:
            break
    return best or schedule(weight, lanes, lanes, **options)


def measure_program(weight, lanes):
    """Schedule a layer and prove the program; what came out."""
    start = time.monotonic()
    # As many channels a beat as keep the streams from being slower than the lanes.
    cycles = max(1, np.count_nonzero(weight) // lanes)
    widths = {"lanes_in": _beat(weight.shape[3], cycles), "lanes_out": _beat(len(weight), cycles)}
    program = best_program(weight, lanes, **widths)
    seconds = time.monotonic() - start
    check(program, weight)
    layout, nonzeros = program.layout, int(np.count_nonzero(weight))
    bits = (program.fetch_bits() + program.execute_bits(VALUE_BITS)) * program.cycles
    # On a map where every part overlaps, all cycles of a frame counted.
    spec = Folded(8, 8, CODES, weight, program, padding=(weight.shape[1] // 2,) * 4)
    return {
        "lanes": lanes,
        "ring": layout.ring,
        "parts": layout.parts,
        "beat": f"{layout.lanes_in}/{layout.lanes_out}",
        "nonzeros_a_lane": round(nonzeros / lanes, 1),
        "cycles": program.cycles,
        "utilisation": round(spec.utilisation, 4),
        "bits_a_nonzero": round(bits / max(nonzeros, 1), 2),
        "seconds": round(seconds, 2),
    }


def _beat(channels, cycles):
    """Channels a beat, so that a position comes in at most so many cycles."""
    beat = 1
    while beat < 8 and channels / beat > cycles and channels % (2 * beat) == 0:
        beat *= 2
    return beat


def circuit(weight, lanes, ring, multiplier, size, by_input):
    """The layer as an engine with made-up functions behind it, codes of 4 bits in and out."""
    kind = {"parts": lanes, "by_input": True} if by_input else {}
    ring = lanes if by_input else ring
    program = schedule(weight, lanes, ring, in_digits=multiplier == "digit", **kind)
    padding = (weight.shape[1] // 2,) * 4
    raw = Folded(size, size, CODES, weight, program, padding=padding, multiplier=multiplier)
    rng, steps = np.random.default_rng(0), []
    for own in raw.sum_ranges:
        acc = np.arange(own.lo, own.hi + 1)
        levels = np.clip(np.rint(acc * rng.uniform(20, 40) / own.size + rng.uniform(-1, 1)), 0, 15)
        steps.append(Steps.tabulate(own.lo, levels.astype(np.int64)))
    return Folded(
        size, size, CODES, weight, program, padding=padding, multiplier=multiplier,
        steps=tuple(steps),
    )  # fmt: skip


def measure_area(weight, lanes, ring, multiplier, seeds, *, size=14, by_input=False):
    """Build the circuit of a layer; cells and clock."""
    small = circuit(weight, lanes, ring, multiplier, 1, by_input)
    x = np.random.default_rng(0).integers(0, 16, (1, small.beats_in, 1))
    check_operator(small, x, timeout_cycles=20_000)
    spec = circuit(weight, lanes, ring, multiplier, size, by_input)
    port = Port(spec.inputs[0], spec.beats_in)
    network = Network((port,), (Stage("layer", spec, (Source(None),)),), (Source("layer"),))
    row = {"multiplier": multiplier, "lanes": lanes, "ring": spec.program.layout.ring}
    row |= {"split": by_input, "acc_bits": spec.acc_bits}
    row |= {"cycles": spec.program.cycles, "interval_cycles": spec.interval_cycles}
    board = find_board("ulx3s_85f")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "design.il").write_text(emit_rtlil(network))
        shell = Shell(network.inputs, network.outputs)
        (work / "shell.il").write_text(shell.to_rtlil(TOP))
        cells, _, _ = yosys.synthesize(Workshop(work, work, lambda _: None), TOP, board)
        row |= cells.to_json()
        row["sites"] = cells.area + 2 * cells.lutram
        row["sites_a_lane"] = round(row["sites"] / lanes, 1)
        row["planned_bram"] = sum(store.blocks for store in spec.stores)
        if seeds:
            row["fmax_mhz"] = []
            for seed in range(1, seeds + 1):
                routed = work / f"routed_{seed}"
                routed.mkdir()
                try:
                    result = run_flow(
                        work / "design.il", TOP, network.inputs, network.outputs,
                        board, routed, clock_hz=ROUTE_CLOCK_HZ, seed=seed, bare=True,
                        require_clock=False,
                    )  # fmt: skip
                except SynthError as error:
                    print(error)
                    break
                row["fmax_mhz"].append(round(result.fmax_hz / 1e6, 1))
    return row


def tables(document):
    """What was measured, to print."""
    view = Table(title="programs: lanes busy in steady state, every cycle counted")
    keys = (
        "lanes",
        "ring",
        "parts",
        "beat",
        "nonzeros_a_lane",
        "cycles",
        "utilisation",
        "bits_a_nonzero",
    )
    for heading in ("layer", *keys, "seconds"):
        view.add_column(
            heading.replace("_", " "), justify="left" if heading == "layer" else "right"
        )
    for name, rows in document.get("programs", {}).items():
        for row in rows:
            view.add_row(name, *(str(row[key]) for key in (*keys, "seconds")))
    yield view
    view = Table(title="circuits, ECP5: sites = LUT4 + 2*CCU2C + 2 a LUT RAM")
    keys = ("multiplier", "lanes", "ring", "split", "acc_bits", "sites_a_lane", "ff", "dsp", "bram")
    for heading in ("layer", *keys, "Fmax MHz (seeds)"):
        view.add_column(
            heading.replace("_", " "), justify="left" if heading == "layer" else "right"
        )
    for name, rows in document.get("circuits", {}).items():
        for row in rows:
            clocks = " ".join(map(str, row.get("fmax_mhz", []))) or "-"
            view.add_row(name, *(str(row.get(key, "-")) for key in keys), clocks)
    yield view


def layers(arguments):
    """Names and weights of what is asked for."""
    if arguments.tasks:
        for file in sorted(arguments.tasks.glob("*.npz")):
            yield from task_layers(file)
    for text in arguments.layer:
        outputs, inputs, kernel, density, seed = text.split(",")
        yield text, random_layer(int(outputs), int(inputs), int(kernel), float(density), int(seed))
    if not arguments.tasks and not arguments.layer:
        for channels in GRID_CHANNELS:
            for density in GRID_DENSITIES:
                name = f"{channels},{channels},3,{density},0"
                yield name, random_layer(channels, channels, 3, density, 0)


def save(document, kind, name, row, key):
    """Put a row in the place of an older one like it, and write all."""
    rows = document.setdefault(kind, {}).setdefault(name, [])
    rows[:] = [old for old in rows if any(old.get(k, False) != row[k] for k in key)] + [row]
    rows.sort(key=lambda row: row["lanes"])
    document["tools"] = {
        "sqwire": __version__, YOSYS.package: YOSYS.version,
        ECP5.nextpnr.package: ECP5.nextpnr.version,
    }  # fmt: skip
    document["date"] = time.strftime("%Y-%m-%d")
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tasks", type=Path, nargs="?", help="folder of task files (.npz)")
    parser.add_argument("--layer", action="append", default=[], help="O,I,K,density,seed")
    parser.add_argument("--lanes", default="", help="numbers of lanes, with commas")
    parser.add_argument("--ring", type=int, default=8, help="ring of the circuits")
    parser.add_argument("--split", action="store_true", help="lanes with inputs of their own")
    parser.add_argument("--area", action="store_true", help="also synthesise (minutes)")
    parser.add_argument("--route", action="store_true", help="and place and route")
    parser.add_argument("--seeds", type=int, default=3, help="of placement")
    arguments = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    lanes = [int(n) for n in arguments.lanes.split(",") if n] or list(GRID_LANES)
    for name, weight in layers(arguments):
        print(f"{name} ...", flush=True)
        for count in lanes:
            if arguments.area or arguments.route:
                for multiplier in ("lut", "dsp", "digit"):
                    ring, seeds = min(arguments.ring, count), arguments.seeds * arguments.route
                    row = measure_area(
                        weight, count, ring, multiplier, seeds, by_input=arguments.split
                    )
                    save(document, "circuits", name, row, ("lanes", "multiplier", "split"))
            else:
                save(document, "programs", name, measure_program(weight, count), ("lanes",))
    for view in tables(document):
        Console(width=140).print(view)


if __name__ == "__main__":
    main()
