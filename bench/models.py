"""``python bench/models.py FOLDER``: networks from elsewhere through the front door.

``FOLDER`` holds a folder for each network, with ``model.onnx`` and reference vectors
``golden.npz``. Each is compiled and its Verilog verified by ``sqwire``; wall seconds and peak
memory are those of these two commands.
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

_SQWIRE = "from sqwire.cli import main; main()"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/models"))
    parser.add_argument("--frames", type=int, default=20, help="frames through the Verilog")
    parser.add_argument("--only", help="one network")
    given = parser.parse_args()
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else []
    for model in sorted(path.parent for path in given.folder.glob("*/model.onnx")):
        if given.only in (None, model.name):
            row = measure(model, given.work, given.frames)
            row["date"] = date.today().isoformat()
            rows = sorted([*(r for r in rows if r["network"] != model.name), row],
                          key=lambda r: r["network"])  # fmt: skip
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            document = {"sqwire": sqwire.__version__, "cores": os.cpu_count(), "rows": rows}
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
