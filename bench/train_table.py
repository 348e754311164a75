"""The tables of bench/train.py as markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

# A column: its heading, the field of a run, and how its mean is written.
COLUMNS = (
    ("zeros", "zeros", "{:.1%}"),
    ("mean bits", "mean_bits", "{:.2f}"),
    ("compression, all counted", "compression", "{:.1f}"),
    ("papers' way: sparsity", "papers_compression", "{:.1f}"),
    ("papers' way: widths", "papers_width_compression", "{:.1f}"),
    ("BOPs", "bops_share", "{:.3%}"),
    ("CPU s", "cpu_seconds", "{:.0f}"),
)
HARDWARE = (
    ("spatial: LUTs", "spatial", "luts"),
    ("paced: LUTs", "paced", "luts"),
    ("DSPs", "paced", "dsps"),
    ("BRAMs", "paced", "brams"),
    ("program bits", "paced", "program_bits"),
    ("in a fixed room: cycles", "room", "cycles"),
)

# Lines and what they must beat.
PAIRS = (
    ("DFQ budget 3", "Uniform W3"), ("DFQ budget 3", "DFQ budget 3, widths by lot"),
    ("DFQ budget 4", "Uniform W4"), ("DFQ budget 4", "DFQ budget 4, widths by lot"),
    ("Taylor 90%", "Magnitude 90%"), ("Taylor 95%", "Magnitude 95%"),
    ("Taylor 98%", "Magnitude 98%"), ("Taylor 90%", "Random 90%"), ("Taylor 95%", "Random 95%"),
    ("Taylor 98%", "Random 98%"), ("SQuantizer W2 sigma 0", "SQuantizer W4 sigma 0"),
    ("SQuantizer W2 sigma 0.5", "SQuantizer W4 sigma 0.5"),
    ("SQuantizer W2 sigma 1", "SQuantizer W4 sigma 1"),
    ("SQuantizer W2 sigma 2", "SQuantizer W4 sigma 2"),
    ("SQuantizer W4 sigma 0", "float"), ("SQuantizer W4 sigma 0.5", "float"),
    ("BSQ alpha 0.003", "float"), ("BSQ alpha 0.03", "float"), ("BSQ alpha 0.1", "float"),
)  # fmt: skip
# Student's t, two-sided 95 %, by the number of differences.
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}

Runs = dict[str, list[dict[str, Any]]]


def table(document: dict[str, Any]) -> str:
    """Everything: means and deviations over the seeds that are there."""
    lines = ["# What training reaches", ""]
    lines += ["Written by `python bench/train.py table` from `train.json`, which has each run.", ""]
    groups: dict[tuple[str, str], Runs] = {}
    for run in document["runs"]:
        groups.setdefault((run["data"], run["stage"]), {}).setdefault(run["config"], []).append(run)
    for (data, stage), rows in groups.items():
        lines += [f"## {data}{': ' + stage if stage else ''}", ""]
        lines += [*_facts(rows), "", *_accuracy(rows), ""]
        lines += _against(rows)
        if any("hardware" in run for runs in rows.values() for run in runs):
            lines += _hardware(data, rows)
    if document.get("time"):
        lines += _time(document["time"])
    return "\n".join(lines)


def _facts(rows: Runs) -> list[str]:
    """How the lines came about; those that did alike together."""
    ways: dict[str, list[str]] = {}
    for name, runs in rows.items():
        run = runs[0]
        parts = [
            schedule(run["schedule"]),
            run["machine"],
            f"torch {run['torch']}",
            run["note"],
        ]
        ways.setdefault("; ".join(filter(None, parts)), []).append(name)
    if len(ways) == 1:
        return [f"{next(iter(ways))}."]
    most = max(ways, key=lambda way: len(ways[way]))
    return [
        f"- {'All others' if way == most else ', '.join(names)}: {way}."
        for way, names in sorted(ways.items(), key=lambda item: item[0] == most)
    ]


def schedule(made: dict[str, Any]) -> str:
    """Epochs, batch and learning rate in words."""
    if not made:
        return "trained elsewhere"
    many = "s" * (made["epochs"] > 1)
    text = f"{made['epochs']} epoch{many}, batch {made['batch']}, learning rate {made['lr']:g}"
    if made.get("crops"):
        text += ", images cut to " + ", then ".join(str(side) for side in made["crops"])
    return text + (", plain float in bfloat16" if made.get("bfloat16") else "")


def _accuracy(rows: Runs) -> list[str]:
    heads = ["", "seeds", "test accuracy", *(head for head, _, _ in COLUMNS)]
    heads += ["graph = module: images", "mismatches", "dates"]
    lines = [_line(heads), "|---|" + "--:|" * (len(heads) - 2) + "---|"]
    for name, runs in rows.items():
        score = [run["accuracy"] for run in runs]
        spread = f" ± {np.std(score, ddof=1) * 100:.2f}" if len(runs) > 1 else ""
        cells = [name, str(len(runs)), f"{np.mean(score):.2%}{spread}"]
        cells += [_mean(runs, (field,), form) for _, field, form in COLUMNS]
        compared = [run["agreement"] for run in runs if "agreement" in run]
        cells += [str(sum(c[what] for c in compared)) if compared else ""
                  for what in ("images", "mismatches")]  # fmt: skip
        dates = sorted({run["date"] for run in runs})
        cells.append(dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}")
        lines.append(_line(cells))
    return lines


def _against(rows: Runs) -> list[str]:
    """Differences of lines and their controls, of the same seeds."""
    made = []
    for name, control in PAIRS:
        if name not in rows or control not in rows:
            continue
        theirs = {run["seed"]: run["accuracy"] for run in rows[control]}
        found = [100 * (r["accuracy"] - theirs[r["seed"]])
                 for r in rows[name] if r["seed"] in theirs]  # fmt: skip
        if len(found) not in STUDENT:
            continue
        mean = float(np.mean(found))
        sure = STUDENT[len(found)] * float(np.std(found, ddof=1)) / len(found) ** 0.5
        verdict = "no difference shown"
        if abs(mean) > sure:
            verdict = "better" if mean > 0 else "worse"
        cells = [name, control, str(len(found)), f"{mean:+.2f} ± {sure:.2f}", verdict]
        sizes = [_mean(rows[line], ("compression",), "{:.1f}") for line in (name, control)]
        made.append(_line([*cells, " to ".join(sizes) if all(sizes) else ""]))
    if not made:
        return []
    heads = ["", "against", "seeds", "points of accuracy", "", "compression, all counted"]
    return [
        "Differences seed by seed, with the 95 % interval of their mean (Student):", "",
        _line(heads), "|---|---|--:|--:|---|--:|", *made, "",
    ]  # fmt: skip


def _hardware(data: str, rows: Runs) -> list[str]:
    """What the compiler's plan says of the networks."""
    some = next(r["hardware"] for runs in rows.values() for r in runs if "hardware" in r)
    pace = f"{some['paced']['interval']:,}"
    columns = [column for column in HARDWARE if column[1] in some]
    heads = ["", "seeds", "zeros", *(head for head, _, _ in columns)]
    text = (
        f"By the plan of the compiler (ECP5, its cost model): `spatial` takes a frame in "
        f"{some['spatial']['cycles']:,} cycles whatever the weights are; `paced` is the "
        f"cheapest circuit for a frame in {pace} cycles"
    )
    if "room" in some:
        text += (
            f"; the fixed room has {some['room']['luts_at_most']:,.0f} LUTs, and the fewest cycles "
            "a frame within it are those of seed 0"
        )
    lines = [f"### {data}: what the zeros are worth as a circuit", "", f"{text}.", ""]
    lines += [_line(heads), "|---|" + "--:|" * (len(heads) - 1)]
    for name, every in rows.items():
        if runs := [run for run in every if "hardware" in run]:
            cells = [name, str(len(runs)), _mean(runs, ("zeros",), "{:.1%}")]
            cells += [_mean(runs, ("hardware", kind, what), "{:,.0f}")
                      for _, kind, what in columns]  # fmt: skip
            lines.append(_line(cells))
    return [*lines, ""]


def _time(rows: list[dict[str, Any]]) -> list[str]:
    base = next(r for r in rows if r["config"] == "NoneType")
    lines = ["## A training step, ResNet-20, batch 128, one thread", ""]
    lines += ["| | CPU s a step | of float | peak MiB | date |", "|---|--:|--:|--:|---|"]
    for r in rows:
        name = "float" if r["config"] == "NoneType" else r["config"]
        share = r["cpu_seconds_a_step"] / base["cpu_seconds_a_step"]
        step = f"{r['cpu_seconds_a_step']:.2f}"
        lines.append(_line([name, step, f"{share:.2f}", str(r["peak_mib"]), r["date"]]))
    return [*lines, ""]


def _mean(runs: list[dict[str, Any]], path: tuple[str, ...], form: str) -> str:
    """The mean of a field over the runs that have it; nothing where none has."""
    values = []
    for run in runs:
        value: Any = run
        for name in path:
            value = value.get(name) if value else None
        if value is not None:
            values.append(value)
    return form.format(np.mean(values)) if values else ""


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
