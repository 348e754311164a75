"""A recipe becomes a folder: whole, reproducible, or not at all."""

import json
import os
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from sqwire import train
from sqwire.cli import app
from sqwire.compiler import frontend
from sqwire.train.recipe import DataChoice, NetworkChoice

ROOT = Path(__file__).parents[2]
FILES = ["card.json", "model.onnx", "train.log", "vectors.npz"]


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


def test_folder_holds_model_card_vectors_and_log(trained, digits):
    assert list(contents(trained.path)) == FILES
    vectors = np.load(trained.vectors)
    assert sorted(vectors.files) == ["label", "x", "y"]
    assert np.array_equal(vectors["x"], digits.test.x)
    assert np.array_equal(vectors["y"], trained.frozen(digits.test.x))
    assert np.array_equal(vectors["label"], digits.test.label)
    assert vectors["y"].dtype == np.float32
    log = [json.loads(line) for line in (trained.path / "train.log").read_text().splitlines()]
    assert [(line["stage"], line["done"]) for line in log] == [("quantized", k) for k in (1, 2, 3)]
    assert all(0 <= line["accuracy"] <= 1 for line in log)


def test_graph_agrees_with_the_frozen_network_on_the_whole_test_set(trained, digits):
    graph = frontend.import_qonnx(trained.model)
    traced = graph.trace(graph.input.quantize(digits.test.x))
    for name, codes in trained.frozen.trace(digits.test.x).items():
        assert np.array_equal(traced[name].transpose(0, 3, 1, 2), codes), name


def test_card_says_what_was_trained_and_how_well(trained, quick):
    document = json.loads((trained.path / "card.json").read_text())
    right = trained.frozen(np.load(trained.vectors)["x"]).argmax(1)
    label = np.load(trained.vectors)["label"]
    assert document["accuracy"] == trained.accuracy == (right == label).mean()
    assert document["float_accuracy"] is None
    assert document["recipe"]["seed"] == document["seed"] == quick.seed
    assert document["recipe"]["method"]["name"] == "SQuantizer"
    assert document["recipe"]["method"]["sigma"] == quick.method.sigma
    images = [document[f"{k}_images"] for k in ("train", "validation", "test")]
    assert sum(images[:2]) == 1257 and images[2] == 540 and images[1] > 100
    assert document["zeros"] == trained.card.zeros


def test_same_recipe_gives_the_same_bytes_and_another_seed_does_not(trained, quick, tmp_path):
    again = train.run(quick, tmp_path / "again")
    assert contents(again.path) == contents(trained.path)
    other = train.run(replace(quick, seed=quick.seed + 1), tmp_path / "other")
    assert other.model.read_bytes() != trained.model.read_bytes()


@pytest.mark.parametrize("from_float", [False, True])
def test_float_network_is_trained_first_where_asked(quick, tmp_path, from_float):
    recipe = replace(
        quick, compare_float=True, from_float=from_float, method=train.BSQ(search=1, interval=1),
        schedule=train.Schedule(epochs=1), float_schedule=train.Schedule(epochs=2),
    )  # fmt: skip
    events = []
    result = train.run(recipe, tmp_path / "run", progress=events.append)
    assert [(e.stage, e.total) for e in events] == [("float", 2)] * 2 + [("quantized", 1)]
    document = json.loads((result.path / "card.json").read_text())
    assert document["float_accuracy"] == result.float_accuracy
    assert (result.accuracy > 0.7) == from_float


def test_interrupted_run_leaves_no_folder_and_continues_to_the_same_model(
    trained, quick, tmp_path, monkeypatch
):
    monkeypatch.setattr("sqwire.train.loop._CHECKPOINT_SECONDS", -1.0)
    out, seen = tmp_path / "run", []

    def interrupt(event):
        seen.append(event.done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.run(quick, out, progress=interrupt)
    assert not out.exists()
    train.run(quick, out, progress=interrupt)
    assert seen == [1, 2, 3]
    got, want = contents(out), contents(trained.path)
    assert list(got) == FILES
    assert all(got[name] == want[name] for name in ("model.onnx", "card.json", "vectors.npz"))
    assert [f.name for f in tmp_path.iterdir()] == ["run"]


def test_work_of_another_recipe_is_not_continued_and_not_lost(quick, tmp_path, monkeypatch):
    monkeypatch.setattr("sqwire.train.loop._CHECKPOINT_SECONDS", -1.0)

    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.run(quick, tmp_path / "run", progress=stop)
    before = contents(tmp_path / "run.partial")
    with pytest.raises(ValueError, match=r"run\.partial: it must be left by the same recipe"):
        train.run(replace(quick, seed=9), tmp_path / "run")
    assert contents(tmp_path / "run.partial") == before


def test_folder_with_something_else_is_left_alone(quick, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds something else; choose another folder"):
        train.run(quick, tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_older_run_is_replaced(trained, quick, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "card.json").write_text("{}")
    (out / "stale").write_text("old")
    method = replace(quick.method, delay=0)
    train.run(replace(quick, method=method, schedule=train.Schedule(epochs=1)), out)
    assert list(contents(out)) == FILES
    assert [f.name for f in tmp_path.iterdir()] == ["run"]


def test_recipe_or_data_that_is_wrong_leaves_nothing_behind(quick, tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        train.run(tmp_path / "none.toml", tmp_path / "run")
    foreign = replace(quick, data=DataChoice("cifar10", str(tmp_path)))
    with pytest.raises(ValueError, match=r"there must be data_batch_1\.bin"):
        train.run(foreign, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_weights_are_loaded_strictly_and_never_unpickled(quick, tmp_path):
    good, bad, evil = (tmp_path / f"{n}.pth" for n in ("good", "bad", "evil"))
    torch.save(train.networks.demo((8, 20)).state_dict(), good)
    torch.save(train.networks.demo((4, 4)).state_dict(), bad)
    torch.save({"conv1.weight": types.SimpleNamespace()}, evil)
    recipe = replace(quick, schedule=train.Schedule(epochs=1),
                     method=train.Uniform())  # fmt: skip
    for file in (bad, evil):
        with pytest.raises(ValueError, match=r"Weights .*\.pth: they must be a state_dict of demo"):
            train.run(replace(recipe, network=NetworkChoice(weights=str(file))), tmp_path / "run")
    train.run(replace(recipe, network=NetworkChoice(weights=str(good))), tmp_path / "fine")


def test_tensorboard_gets_the_curves_and_is_asked_for_where_missing(quick, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            written.append((name, step))

        def close(self):
            written.append("closed")

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    recipe = replace(quick, tensorboard=True, schedule=train.Schedule(epochs=2))
    train.run(recipe, tmp_path / "run")
    assert ("quantized/loss", 2) in written
    assert ("quantized/validation accuracy", 1) in written
    assert written[-1] == "closed"
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="the package must be installed for tensorboard = true"):
        train.run(recipe, tmp_path / "other")


def test_command_trains_a_recipe_and_prints_the_card(tmp_path):
    recipe = tmp_path / "quick.toml"
    recipe.write_text("compare_float = false\n[schedule]\nepochs = 1\n")
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["train", str(recipe), "-o", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["epochs"] == 1
    assert list(contents(out)) == FILES


def test_bar_shows_every_stage():
    console = Console(record=True, width=110, force_terminal=True)
    with train.bar(console) as progress:
        progress(train.Event("float", 1, 2, 0.5))
        progress(train.Event("float", 2, 2, 0.25))
        progress(train.Event("quantized", 1, 2, 0.125, 0.875))
    text = console.export_text()
    assert "train float" in text
    assert "2/2 epochs, loss 0.250" in text
    assert "1/2 epochs, loss 0.125, validation 87.5 %" in text


def test_command_runs_in_two_processes_and_the_first_one_writes(tmp_path):
    recipe = tmp_path / "quick.toml"
    recipe.write_text(
        "compare_float = false\n[network]\nchannels = [2, 2]\n[schedule]\nepochs = 1\n"
    )
    call = "from sqwire.cli import main; main()"
    script = tmp_path / "call.py"
    script.write_text(call)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(script), "train", str(recipe), "-o", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(contents(tmp_path / "out")) == FILES
    log = (tmp_path / "out" / "train.log").read_text().splitlines()
    assert len(log) == 1
