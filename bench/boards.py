"""A network on every board: area, clock, frames a second, or why it does not fit.

    python bench/boards.py [MODEL.onnx] [--cycles 2048] [--only ulx3s_85f ...] [--work build/boards]

Without a model it is that of ``sqwire demo``, trained first. For each board it is planned for a
frame in ``--cycles`` cycles, or in twice as many where that does not fit, and so on; ``--spatial``
tries every weight as a wire before. Each is routed for the board's own clock; whatever comes out is
reported. Minutes a board; those in the table for the same network, tools and options are not
measured again. Writes ``results/boards.json`` and ``results/boards.md`` after each board.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from datetime import date
from pathlib import Path

import sqwire
from sqwire.boards.catalog import boards
from sqwire.boards.families import FAMILIES
from sqwire.boards.fit import formats_of, parts_for, target_for
from sqwire.boards.flow import run_flow
from sqwire.boards.link.codec import PART_HEAD_BYTES, line_bytes
from sqwire.boards.tools import YOSYS
from sqwire.compiler.build import compile_model
from sqwire.compiler.choose import Target
from sqwire.compiler.emit import TOP
from sqwire.compiler.errors import CompileError

RESULTS = Path(__file__).parent / "results"
# Where a layer can not be folded to one lane, slower ones are not tried.
_SLOWEST_CYCLES = 1 << 17


def targets(board, cycles, spatial):
    """What to try on a board, the fastest circuit first."""
    if spatial:
        yield "spatial", Target()
    while cycles <= _SLOWEST_CYCLES:
        yield f"{cycles} cycles", target_for(board, cycles)
        cycles *= 2


def measure(model, board, work, tries):
    """One row: what the flow gave, or the line with which it refused the last circuit."""
    refused, seen = [], set()
    for name, target in tries:
        try:
            build = compile_model(model, work / board.name, target)
        except CompileError as error:
            refused.append(f"{name}: {error}")
            continue
        if build.files["design.il"] in seen:
            continue
        seen.add(build.files["design.il"])
        row = route(build, board)
        if "refused" not in row:
            return {
                "circuit": name,
                "rtlil": build.files["design.il"][:8],
                "folded_layers": len(build.plan.folds),
                **row,
                "before": refused,
            }
        refused.append(f"{name}: {row['refused']}")
        print(f"{board.name}: {refused[-1]}", flush=True)
        if build.plan.folds and all(fold.lanes == 1 for fold in build.plan.folds.values()):
            break  # slower, it would not be smaller
    return {"refused": refused[-1].partition(": ")[2], "before": refused}


def route(build, board):
    """What the flow gives for a circuit."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = run_flow(
                build.path / "design.il", TOP, build.inputs, build.outputs, board, Path(folder),
                formats=formats_of(build), require_clock=False,
                cycles_per_frame=build.plan.cycles_per_frame,
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            return {"refused": str(error).split("; see ")[0]}
    into, _ = parts_for(formats_of(build), board)
    size = into.message_bytes(packed=True) + PART_HEAD_BYTES * into.is_cut
    line = 10 * into.messages * line_bytes(size) / board.baud
    clock = min(result.fmax_hz, board.clock_hz)
    return {
        "network": result.network.to_json(),
        "design": result.design.to_json(),
        "fmax_mhz": round(result.fmax_hz / 1e6, 1),
        "clock_mhz": board.clock_hz / 1e6,
        "cycles_per_frame": build.plan.cycles_per_frame,
        "latency_cycles": build.plan.latency_cycles,
        "frames_per_second": round(clock / build.plan.cycles_per_frame),
        "frames_per_second_line": round(1 / line),
        "seconds": round(time.monotonic() - started),
    }


def table(document):
    """The rows as Markdown."""
    known = {board.name: board for board in boards()}
    lines = [
        "# The network of `sqwire demo` on every board",
        "",
        f"{document['network']}, planned by `bench/boards.py` for {document['cycles']} cycles a",
        "frame or twice as many until it fits. LUT sites, flip-flops, multipliers, block RAMs: the",
        "whole design with its link, (the network alone), of what the device has. Frames a second",
        "at the board's clock, or at Fmax where that is lower; the serial line may be slower.",
        "RTLIL is the start of its SHA-256: rows of another one were planned by another version.",
        "",
        (
            "| board | layers folded | LUT sites | FF | DSP | BRAM | Fmax, MHz | clock, MHz "
            "| cycles a frame | frames/s | over the line | RTLIL | date |"
        ),
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    refused = []
    for name, row in sorted(document["rows"].items()):
        if "refused" in row:
            refused.append(f"- {name}, {row['date']}: {row['refused']}")
            continue
        have, cells, own = known[name].resources, row["design"], row["network"]
        sizes = {"area": have.lut4, "ff": have.ff, "dsp": have.dsp, "bram": have.bram}
        area = [f"{cells[key]:,} ({own[key]:,}) of {size:,}" for key, size in sizes.items()]
        rest = [row[key] for key in ("fmax_mhz", "clock_mhz", "cycles_per_frame")]
        rates = [f"{row[key]:,}" for key in ("frames_per_second", "frames_per_second_line")]
        how = row["folded_layers"]
        lines.append(
            "| "
            + " | ".join(map(str, [name, how, *area, *rest, *rates, row["rtlil"], row["date"]]))
            + " |"
        )
    if refused:
        lines += ["", "Too large, however slow:", "", *refused]
    tools = {f"{k} {v}" for row in document["rows"].values() for k, v in row["tools"].items()}
    lines += ["", f"Tools: {', '.join(sorted(tools))}; sqwire {document['sqwire']}.", ""]
    return "\n".join(lines)


def versions(board):
    family = FAMILIES[board.family]
    return {tool.package: tool.version for tool in (YOSYS, family.nextpnr, family.packer)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=Path, nargs="?", help="QONNX file; that of the demo if none")
    parser.add_argument("--only", nargs="*", default=[], help="names of boards")
    parser.add_argument("--work", type=Path, default=Path("build/boards"), help="folder for builds")
    parser.add_argument("--cycles", type=int, default=2048, help="cycles a frame to begin with")
    parser.add_argument("--spatial", action="store_true", help="try every weight as a wire before")
    given = parser.parse_args()
    options = {"cycles": given.cycles, "spatial": given.spatial}
    model = given.model
    if model is None:
        from sqwire.train import demo_recipe, run

        model = run(demo_recipe(0), given.work / "train").model
    file = RESULTS / "boards.json"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    document = json.loads(file.read_text()) if file.is_file() else {}
    if document.get("model_sha256") != digest:
        document = {"network": "Seed 0" if given.model is None else model.name, "rows": {}}
    document |= {"cycles": given.cycles, "model_sha256": digest, "sqwire": sqwire.__version__}
    # The largest devices last: they take longest.
    for board in sorted(boards(), key=lambda board: (board.resources.lut4, board.name)):
        known = document["rows"].get(board.name, {})
        if given.only and board.name not in given.only:
            continue
        if (known.get("tools"), known.get("options")) == (versions(board), options):
            continue
        tries = targets(board, given.cycles, given.spatial)
        row = {"options": options, **measure(model, board, given.work, tries)}
        row |= {"tools": versions(board), "date": date.today().isoformat()}
        document["rows"][board.name] = row
        print(f"{board.name}: {json.dumps(row)}", flush=True)
        file.write_text(json.dumps(document, indent=1) + "\n")
        file.with_suffix(".md").write_text(table(document))


if __name__ == "__main__":
    main()
