"""A network on every board: area, clock, frames a second, or why it does not fit.

    python bench/boards.py BUILD [--only ulx3s_85f ...] [--out results/boards.json]

Each board is routed for its own clock, whatever comes out is reported. Minutes a board.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sqwire.boards.catalog import boards
from sqwire.boards.fit import formats_of
from sqwire.boards.flow import run_flow
from sqwire.boards.link.codec import line_bytes
from sqwire.compiler.build import Build
from sqwire.compiler.emit import TOP


def measure(build, board):
    """One row: what the flow gave, or the line with which it refused."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = run_flow(
                build.path / "design.il", TOP, *build.inputs, *build.outputs, board, Path(folder),
                formats=formats_of(build), require_clock=False,
                cycles_per_frame=build.plan.cycles_per_frame,
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            return {"refused": str(error).split("; see ")[0]}
    line = 10 * line_bytes(formats_of(build)[0].frame_bytes(packed=True)) / board.baud
    return {
        "network": result.network.to_json(),
        "design": result.design.to_json(),
        "fmax_mhz": round(result.fmax_hz / 1e6, 1),
        "clock_mhz": board.clock_hz / 1e6,
        "frames_per_second": round(
            min(result.fmax_hz, board.clock_hz) / build.plan.cycles_per_frame
        ),
        "frames_per_second_line": round(1 / line),
        "seconds": round(time.monotonic() - started),
    }


def table(rows):
    """A line a board."""
    view = Table(title="one network on every board, with the link to the host")
    for heading in (
        "board", "area", "with link", "of", "FF", "block RAM", "Fmax MHz", "clock MHz",
        "frames/s", "over the line",
    ):  # fmt: skip
        view.add_column(heading, justify="left" if heading == "board" else "right")
    sizes = {board.name: board.resources.lut4 for board in boards()}
    for name, row in rows.items():
        if "refused" in row:
            view.add_row(name, row["refused"])
            continue
        design = row["design"]
        cells = [row["network"]["area"], design["area"], sizes[name], design["ff"], design["bram"]]
        keys = ("fmax_mhz", "clock_mhz", "frames_per_second", "frames_per_second_line")
        view.add_row(name, *map(str, [*cells, *(row[key] for key in keys)]))
    return view


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build", type=Path, help="build folder written by sqwire compile")
    parser.add_argument("--only", nargs="*", default=[], help="names of boards")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    build, rows = Build.load(arguments.build), {}
    for board in boards():
        if not arguments.only or board.name in arguments.only:
            rows[board.name] = measure(build, board)
            print(f"{board.name}: {json.dumps(rows[board.name])}", flush=True)
    Console(width=140).print(table(rows))
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
