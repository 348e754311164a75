"""``python bench/calibrate.py``: fit the cost model of the plan to what Yosys makes of operators.

A grid of operators is mapped for an ECP5, alone. The coefficients of ``compiler/cost.json`` are
the least squares, not negative, over three quarters of the grid; the error is that of the rest.
Weights and functions are random, their seeds fixed. ``--fit`` only repeats the fit on the
netlists of the last run, which are in ``bench/results/calibrate.json``; ``--only KIND ...``
measures those operators again and keeps the rest of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from calibrate_frames import frames
from calibrate_grid import grid, serial
from calibrate_small import small

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
    return {
        "operator": kind(spec),
        "features": features(spec),
        "luts": cells.area + 2 * cells.lutram,
        "ffs": cells.ff,
        "dsps": cells.dsp,
        "brams": cells.bram,
        "planned_dsps": cost([spec]).dsps,
        "planned_brams": cost([spec]).brams,
    }


def kind(spec: Any) -> str:
    """Operators of a kind are fitted together."""
    split = isinstance(spec, Folded) and spec.program.split
    return "Split" if split else type(spec).__name__


def rows(only: set[str]) -> Iterator[dict[str, Any]]:
    """Of all operators, or of those of some kinds."""
    for how, specs in ((measure, grid()), (alone, chain(small(), serial(), frames()))):
        for spec in specs:
            if not only or kind(spec) in only:
                row = how(spec)
                print({k: v for k, v in row.items() if k != "features"}, flush=True)
                yield row


def least_squares(table: np.ndarray, wanted: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Coefficients of the least error of ``wanted``, a part of ``whole``; none below zero."""
    scale = 1 / np.maximum(whole, 1)
    active = list(range(table.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(table[:, active] * scale[:, None], wanted * scale, rcond=None)
        if (found >= 0).all():
            break
        active.pop(int(found.argmin()))
    result = np.zeros(table.shape[1])
    result[active] = found
    return result


def _fitted(names: list[str], what: str) -> list[int]:
    """Which coefficients are not known.

    LUT sites that a count gives cost one each. Flip-flops that are counted come with a few more.
    """
    ends = [name.rpartition(".")[2] for name in names]
    if what == "ffs" and "registers" in ends:
        return [k for k, end in enumerate(ends) if end in ("one", "registers")]
    return [k for k, end in enumerate(ends) if end not in ("sites", "registers")]


def fit(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coefficients by what they predict, and relative errors on operators that were held out."""
    coefficients: dict[str, Any] = {"luts": {}, "ffs": {}}
    errors: dict[str, Any] = {}
    for operator in sorted({row["operator"] for row in rows}):
        own = [row for row in rows if row["operator"] == operator]
        names = sorted({name for row in own for name in row["features"]})
        table = np.array([[row["features"].get(name, 0.0) for name in names] for row in own])
        held = np.arange(len(own)) % _HELD_OUT == _HELD_OUT - 1
        known = ~held if held.any() else np.ones(len(own), bool)
        for what in coefficients:
            wanted = np.array([row[what] for row in own], dtype=float)
            found = np.array([float(what == "luts" and n.endswith(".sites")) for n in names])
            fitted = _fitted(names, what)
            rest = wanted - table @ found
            found[fitted] = least_squares(table[known][:, fitted], rest[known], wanted[known])
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
    parser.add_argument("--only", nargs="+", metavar="KIND", default=[], help="only such operators")
    given = parser.parse_args()
    only = set(given.only)
    if given.fit or only:
        document = json.loads(RESULTS.read_text())
    else:
        document = {"yosys": YOSYS.version, "rows": []}
    if not given.fit:
        kept = [row for row in document["rows"] if row["operator"] not in only]
        document |= {"date": date.today().isoformat(), "rows": [*kept, *rows(only)]}
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
