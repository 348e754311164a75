"""The demo's training over several seeds: float and quantized accuracy, zeros, time.

    python bench/demo.py [--seeds N]

Trains the network of ``sqwire demo`` in plain float and with SQuantizer for each seed, prints a
table and writes ``bench/results/demo.json``. Times are CPU seconds of one thread.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import sklearn
import torch
from rich.console import Console
from rich.table import Table

from sqwire import __version__
from sqwire.train import bar, demo_recipe, run

HERE = Path(__file__).parent


def measure(recipe, folder, console):
    """One seed, as a row."""
    seconds, last = {}, time.process_time()
    with bar(console) as show:

        def progress(event):
            nonlocal last
            now = time.process_time()
            seconds[event.stage] = seconds.get(event.stage, 0.0) + now - last
            last = now
            show(event)

        result = run(recipe, folder, progress=progress)
    layers = [layer for layer in result.card.layers if layer.weights]
    return {
        "seed": recipe.seed,
        "float_accuracy": result.float_accuracy,
        "accuracy": result.accuracy,
        "zeros": result.card.zeros,
        "nonzeros": {layer.name: layer.nonzeros for layer in layers},
        "weights": {layer.name: layer.weights for layer in layers},
        "compression": result.card.compression,
        "papers_compression": result.card.papers_compression,
        "cpu_seconds": {stage: round(value, 1) for stage, value in seconds.items()},
    }


def mean(rows):
    """The mean of every number over the seeds, and the spread of the accuracies."""
    names = ("float_accuracy", "accuracy", "zeros", "compression", "papers_compression")
    result = {name: float(np.mean([row[name] for row in rows])) for name in names}
    for name in ("float_accuracy", "accuracy"):
        result[f"{name}_deviation"] = float(np.std([row[name] for row in rows]))
    result["least_zeros"] = min(row["zeros"] for row in rows)
    result["nonzeros"] = float(np.mean([sum(row["nonzeros"].values()) for row in rows]))
    result["cpu_seconds"] = float(np.mean([sum(row["cpu_seconds"].values()) for row in rows]))
    return result


def table(rows, means):
    layers = list(rows[0]["nonzeros"])
    view = Table(title="digits, 540 test images")
    for name in ("seed", "float", "quantized", "zeros", *layers, "honest", "papers", "CPU s"):
        view.add_column(name, justify="right")
    for row in rows:
        view.add_row(
            str(row["seed"]),
            f"{row['float_accuracy']:.2%}",
            f"{row['accuracy']:.2%}",
            f"{row['zeros']:.1%}",
            *(str(row["nonzeros"][name]) for name in layers),
            f"{row['compression']:.1f}x",
            f"{row['papers_compression']:.1f}x",
            f"{sum(row['cpu_seconds'].values()):.0f}",
        )
    view.add_section()
    view.add_row(
        "mean",
        f"{means['float_accuracy']:.2%}",
        f"{means['accuracy']:.2%}",
        f"{means['zeros']:.1%}",
        *(f"{np.mean([row['nonzeros'][name] for row in rows]):.0f}" for name in layers),
        f"{means['compression']:.1f}x",
        f"{means['papers_compression']:.1f}x",
        f"{means['cpu_seconds']:.0f}",
    )
    return view


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results" / "demo.json")
    given = parser.parse_args()
    console, rows = Console(), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            recipe = demo_recipe(seed)
            rows.append(measure(recipe, Path(folder) / str(seed), console))
    means = mean(rows)
    console.print(table(rows, means))
    document = {
        "tools": {
            "sqwire": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "processor": platform.machine(),
        "mean": means,
        "seeds": rows,
    }
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
