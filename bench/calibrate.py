"""``python bench/calibrate.py``: fit the cost model of the plan to what Yosys makes of operators.

A grid of operators is mapped for an ECP5, alone. The coefficients of ``compiler/cost.json`` are
the least squares, not negative, over three quarters of the grid; the error is that of the rest.
Weights and functions are random, their seeds fixed. ``--fit`` only repeats the fit on the
netlists of the last run, which are in ``bench/results/calibrate.json``; ``--small`` measures small
operators only, without ports, and keeps the rest of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from calibrate_grid import grid, of_frames, serial, small

from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.boards.tools import YOSYS, Workshop
from sqwire.compiler.cost import MODEL, cost, features
from sqwire.compiler.emit import TOP, emit_rtlil, without_empty
from sqwire.hw.axis import Port
from sqwire.hw.folded.engine import Folded
from sqwire.hw.netlist import Library
from sqwire.hw.network import Network, Source, Stage

RESULTS = Path(__file__).parent / "results" / "calibrate.json"
# The AXI4-Stream ports around an operator count too; they are small.
_HELD_OUT = 4


def measure(spec: Any) -> dict[str, Any]:
    """Features and cells of one operator."""
    ports = tuple(Port(beat, spec.beats_in) for beat in spec.inputs)
    sources = tuple(Source(None, k) for k in range(len(ports)))
    ends = tuple(Source("operator", k) for k in range(len(spec.outputs)))
    network = Network(ports, (Stage("operator", spec, sources),), ends)
    return measured(spec, emit_rtlil(network))


def alone(spec: Any) -> dict[str, Any]:
    """The same without AXI4-Stream ports, which would be larger than a small operator."""
    library, part = Library(), spec.create()
    text = rtlil.convert(part, platform=library, name=TOP, emit_src=False)
    return measured(spec, without_empty(str(text)) + library.to_rtlil())


def measured(spec: Any, text: str) -> dict[str, Any]:
    """What Yosys makes of it."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "design.il").write_text(text)
        cells = yosys.netlist(Workshop(work, work, lambda _: None), TOP, find_board("ulx3s_85f"))
    split = isinstance(spec, Folded) and spec.program.split
    return {
        "operator": "Split" if split else type(spec).__name__,
        "features": features(spec),
        "luts": cells.area + 2 * cells.lutram,
        "ffs": cells.ff,
        "dsps": cells.dsp,
        "brams": cells.bram,
        "planned_dsps": cost([spec]).dsps,
        "planned_brams": cost([spec]).brams,
    }


def shown(row: dict[str, Any]) -> dict[str, Any]:
    print({k: v for k, v in row.items() if k != "features"}, flush=True)
    return row


def least_squares(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Coefficients of least relative error, none below zero."""
    scale = 1 / np.maximum(wanted, 1)
    active = list(range(table.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(table[:, active] * scale[:, None], wanted * scale, rcond=None)
        if (found >= 0).all():
            break
        active.pop(int(found.argmin()))
    result = np.zeros(table.shape[1])
    result[active] = found
    return result


def fit(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coefficients by what they predict, and relative errors on operators that were held out."""
    coefficients: dict[str, Any] = {"luts": {}, "ffs": {}}
    errors: dict[str, Any] = {}
    for operator in sorted({row["operator"] for row in rows}):
        own = [row for row in rows if row["operator"] == operator]
        names = sorted({name for row in own for name in row["features"]})
        table = np.array([[row["features"].get(name, 0.0) for name in names] for row in own])
        held = np.arange(len(own)) % _HELD_OUT == _HELD_OUT - 1
        for what in coefficients:
            wanted = np.array([row[what] for row in own], dtype=float)
            known = ~held if held.any() else np.ones(len(own), bool)
            found = least_squares(table[known], wanted[known])
            if held.any():
                off = np.abs(table[held] @ found - wanted[held]) / np.maximum(wanted[held], 1)
                errors[f"{operator}.{what}"] = {
                    "mean": round(float(off.mean()), 3),
                    "worst": round(float(off.max()), 3),
                    "held_out": int(held.sum()),
                }
            pairs = zip(names, found.tolist(), strict=True)
            coefficients[what] |= {name: round(value, 4) for name, value in pairs if value}
    return coefficients, errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="only fit again")
    parser.add_argument("--small", action="store_true", help="only small operators")
    given = parser.parse_args()
    if given.fit or given.small:
        document = json.loads(RESULTS.read_text())
    else:
        document = {"date": date.today().isoformat(), "yosys": YOSYS.version, "rows": []}
        document["rows"] = [shown(measure(spec)) for spec in grid()]
    if not given.fit:
        new = [shown(alone(spec)) for spec in chain(small(), serial(), of_frames())]
        kinds = {row["operator"] for row in new}
        document["rows"] = [row for row in document["rows"] if row["operator"] not in kinds] + new
    coefficients, errors = fit(document["rows"])
    for what in ("dsps", "brams"):
        wrong = sum(row[what] != row[f"planned_{what}"] for row in document["rows"])
        errors[what] = {"differ": wrong, "of": len(document["rows"])}
    document["errors"] = errors
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    model = {"yosys": document["yosys"], "coefficients": coefficients}
    MODEL.write_text(json.dumps(model, indent=1) + "\n")
    for name, error in errors.items():
        print(name, error)


if __name__ == "__main__":
    main()
