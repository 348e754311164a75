"""``python bench/models.py FOLDER``: networks from elsewhere through the front door.

``FOLDER`` holds a folder for each network, with ``model.onnx`` and reference vectors
``golden.npz``. Each is compiled and its Verilog verified by ``sqwire``; wall seconds and peak
memory are those of these two commands.

With ``--fps N --clock MHZ`` it is planned for that rate instead, and synthesised, placed and routed
for the ULX3S 85F with ``--route-clock``; frames a second are those at the clock it then reaches. A
build that is in ``--work`` already is gone on with.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import sqwire
from sqwire.boards.catalog import find_board
from sqwire.boards.flow import synth

_SQWIRE = "from sqwire.cli import main; main()"
BOARD = "ulx3s_85f"
RESULTS = Path(__file__).parent / "results" / "models.json"


def timed(*arguments: str) -> tuple[dict[str, Any], float, float]:
    """What a verb says with ``--json``, its wall seconds, and its peak memory in MB."""
    start = time.monotonic()
    command = [sys.executable, "-c", _SQWIRE, *arguments, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        print(said.decode()[-2000:], file=sys.stderr)
        raise SystemExit(f"sqwire {arguments[0]} failed")
    return json.loads(said), time.monotonic() - start, usage.ru_maxrss / 1024


def measure(model: Path, work: Path, frames: int) -> dict[str, Any]:
    """One network: a row of the table."""
    build = work / model.name
    _, compile_s, compile_mb = timed("compile", str(model / "model.onnx"), "-o", str(build))
    report, verify_s, verify_mb = timed(
        "verify", str(build), "--vectors", str(model / "golden.npz"), "--frames", str(frames)
    )
    return {
        "network": model.name,
        "compile_s": round(compile_s, 1),
        "compile_mb": round(compile_mb),
        "frames": report["frames"],
        "float_roundings": len(report["float_roundings"]),
        "verify_s": round(verify_s, 1),
        "verify_mb": round(verify_mb),
        "cycles_per_frame": report["planned_cycles_per_frame"],
        "latency_cycles": report["latency_cycles"],
        "passed": report["passed"],
    }


def planned(
    model: Path, work: Path, frames: int, fps: float, clock: float, route_clock: float
) -> dict[str, Any]:
    """One network for a rate, down to the chip: a row of the other table."""
    build = work / f"{model.name}-{fps:g}"
    if not (build / "build.json").is_file():
        asked = "--fps", str(fps), "--clock", str(clock), "--board", BOARD
        timed("compile", str(model / "model.onnx"), "-o", str(build), *asked)
    report, _, _ = timed(
        "verify", str(build), "--vectors", str(model / "golden.npz"), "--frames", str(frames)
    )
    # A clock that is missed is no error here: the table has the one that is reached.
    routed = synth(
        build, find_board(BOARD), clock_hz=route_clock * 1e6, require_clock=False,
        progress=lambda stage: print(f"{model.name}: {stage}", file=sys.stderr),
    )  # fmt: skip
    cycles = report["planned_cycles_per_frame"]
    return {
        "network": model.name,
        "asked_fps": fps,
        "asked_clock_mhz": clock,
        "frames": report["frames"],
        "passed": report["passed"],
        "cycles_per_frame": cycles,
        "latency_cycles": report["latency_cycles"],
        "board": BOARD,
        "route_clock_mhz": route_clock,
        "network_cells": routed.network.to_json(),
        "design_cells": routed.design.to_json(),
        "fmax_mhz": round(routed.fmax_hz / 1e6, 1),
        "frames_per_s_at_fmax": routed.fmax_hz // cycles,
        "tools": dict(routed.tools),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/models"))
    parser.add_argument("--frames", type=int, default=20, help="frames through the Verilog")
    parser.add_argument("--only", help="one network")
    parser.add_argument("--fps", type=float, help="plan for this rate, and route")
    parser.add_argument("--clock", type=float, default=80.0, help="MHz that the plan counts on")
    parser.add_argument("--route-clock", type=float, default=70.0, help="MHz asked of nextpnr")
    given = parser.parse_args()
    table = "planned" if given.fps else "rows"
    for model in sorted(path.parent for path in given.folder.glob("*/model.onnx")):
        if given.only in (None, model.name):
            if given.fps:
                asked = given.fps, given.clock, given.route_clock
                row = planned(model, given.work, given.frames, *asked)
            else:
                row = measure(model, given.work, given.frames)
            row["date"] = date.today().isoformat()
            known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
            others = (r for r in known.get(table, []) if r["network"] != model.name)
            known[table] = sorted([*others, row], key=lambda r: r["network"])
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            document = {**known, "sqwire": sqwire.__version__, "cores": os.cpu_count()}
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
