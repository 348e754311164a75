"""The bench of training: what is done is kept, and what differs is counted."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from sqwire import train

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """bench/train.py with two lines and results of its own."""
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.delitem(sys.modules, "train_lines", raising=False)
    spec = importlib.util.spec_from_file_location("bench_train", BENCH / "train.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_train", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "train.json")
    monkeypatch.setattr(module, "TABLE", tmp_path / "train.md")
    few = train.Taylor(zeros=0.9, end=0.5, quantize=0.6, interval=0.1)
    lines = [module.Config("Taylor 90%", few), module.Config("Uniform W4", train.Uniform())]
    monkeypatch.setattr(module, "digit_lines", lambda epochs: lines)
    return module


def call(bench, tmp_path, monkeypatch, *options):
    """The results behind a call."""
    given = ["digits", "--seeds", "1", "--epochs", "1", "--work", str(tmp_path / "work"), *options]
    monkeypatch.setattr(sys, "argv", ["train.py", *given])
    bench.main()
    return json.loads((tmp_path / "train.json").read_text())["runs"]


def test_runs_are_kept_and_continued_and_become_circuits(bench, tmp_path, monkeypatch, capsys):
    runs = call(bench, tmp_path, monkeypatch, "--only", "train")
    assert [run["config"] for run in runs] == ["float", "Taylor 90%", "Uniform W4"]
    assert all(run["cpu_seconds"] > 0 for run in runs)
    assert runs[1]["zeros"] == pytest.approx(0.9, abs=1e-3)
    assert runs == call(bench, tmp_path, monkeypatch, "--only", "train")
    # From its checkpoint a run is the same; what that took is not known to anyone.
    bench.change(lambda document: document["runs"].pop(1))
    again = call(bench, tmp_path, monkeypatch, "--only", "train")[2]
    assert "cpu_seconds" not in again
    assert again["accuracy"] == runs[1]["accuracy"]
    built = call(bench, tmp_path, monkeypatch, "--only", "circuit")
    for run in built[1:]:
        assert run["agreement"]["images"] == 540
        assert run["agreement"]["integers"] > 1e6
        assert run["agreement"]["mismatches"] == run["agreement"]["wrong"] == 0
        assert run["hardware"]["paced"]["cycles"] <= run["hardware"]["paced"]["interval"]
    luts = {run["config"]: run["hardware"]["spatial"]["luts"] for run in built[1:]}
    assert luts["Taylor 90%"] < luts["Uniform W4"]
    table = (tmp_path / "train.md").read_text()
    assert "| Taylor 90% | 1 | " in table
    assert "| 540 | 0 | " in table
    # Another network in the work folder is noticed.
    bench.change(lambda document: document["runs"][1].update(accuracy=0.123))
    with pytest.raises(SystemExit, match="the network in .* must be that of the table"):
        call(bench, tmp_path, monkeypatch, "--only", "circuit", "--again")


def test_lines_are_chosen_by_how_their_names_begin(bench, tmp_path, monkeypatch):
    runs = call(bench, tmp_path, monkeypatch, "--only", "train", "--lines", "Uniform", "none")
    assert [run["config"] for run in runs] == ["float", "Uniform W4"]


def test_an_integer_that_differs_is_counted(bench, tmp_path):
    frozen, other = (
        train.prepare(
            train.networks.demo((4, 4)), train.Uniform(), bench.torch.ones(2, 1, 8, 8)
        ).eval().freeze(data="ones", seed=seed)
        for seed in (0, 1)
    )  # fmt: skip
    x = np.random.default_rng(0).integers(0, 17, (3, 1, 8, 8)).astype(np.float32)
    file = tmp_path / "model.onnx"
    frozen.export(file)
    y = frozen(x)
    good = bench.agreement(frozen, file, x, y)
    assert good["mismatches"] == good["wrong"] == 0
    assert bench.agreement(other, file, x, y)["wrong"] == 3
    swapped = bench.agreement(frozen, file, x, y[[0, 2, 1]])
    assert swapped["wrong"] == 2
    assert 0 < swapped["mismatches"] <= 20
    assert swapped["integers"] == good["integers"]
