"""A recipe becomes a folder: whole, reproducible, or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from sqwire import train

FILES = ["card.json", "model.onnx", "train.log", "vectors.npz"]


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


def test_folder_holds_model_card_vectors_and_log(trained, test_images):
    assert list(contents(trained.path)) == FILES
    vectors = np.load(trained.vectors)
    assert sorted(vectors.files) == ["label", "x", "y"]
    assert np.array_equal(vectors["x"], test_images.x)
    assert np.array_equal(vectors["y"], trained.frozen(test_images.x))
    assert np.array_equal(vectors["label"], test_images.label)
    assert vectors["y"].dtype == np.float32
    log = [json.loads(line) for line in (trained.path / "train.log").read_text().splitlines()]
    assert [(line["stage"], line["done"]) for line in log] == [("quantized", k) for k in (1, 2, 3)]


def test_card_says_what_was_trained_and_how_well(trained, quick):
    document = json.loads((trained.path / "card.json").read_text())
    right = trained.frozen(np.load(trained.vectors)["x"]).argmax(1)
    label = np.load(trained.vectors)["label"]
    assert document["accuracy"] == trained.accuracy == (right == label).mean()
    assert document["float_accuracy"] is None
    assert document["recipe"]["seed"] == quick.seed
    assert document["recipe"]["method"]["sigma"] == quick.method.sigma
    assert (document["train_images"], document["test_images"]) == (1257, 540)
    assert document["zeros"] == trained.card.zeros


def test_same_recipe_gives_the_same_bytes(trained, quick, tmp_path):
    again = train.run(quick, tmp_path / "again")
    assert contents(again.path) == contents(trained.path)


def test_another_seed_gives_another_network(trained, quick, tmp_path):
    other = train.run(replace(quick, seed=quick.seed + 1), tmp_path / "other")
    assert other.model.read_bytes() != trained.model.read_bytes()


def test_float_network_is_trained_first_where_asked(quick, tmp_path):
    recipe = replace(
        quick,
        compare_float=True,
        method=replace(quick.method, delay=0),
        schedule=replace(quick.schedule, epochs=1),
    )
    events = []
    result = train.run(recipe, tmp_path / "run", progress=events.append)
    assert [e.stage for e in events] == ["float", "quantized"]
    assert 0 <= result.float_accuracy <= 1
    document = json.loads((result.path / "card.json").read_text())
    assert document["float_accuracy"] == result.float_accuracy


def test_interrupted_run_leaves_no_folder_and_continues_to_the_same_model(
    trained, quick, tmp_path, monkeypatch
):
    monkeypatch.setattr("sqwire.train.loop._CHECKPOINT_EPOCHS", 1)
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


def test_work_of_another_recipe_is_not_continued(quick, tmp_path):
    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.run(quick, tmp_path / "run", progress=stop)
    with pytest.raises(ValueError, match=r"run\.partial: it must be left by the same recipe"):
        train.run(replace(quick, seed=9), tmp_path / "run")


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
    short = replace(
        quick,
        method=replace(quick.method, delay=0),
        schedule=replace(quick.schedule, epochs=1),
    )
    train.run(short, out)
    assert list(contents(out)) == FILES
    assert [f.name for f in tmp_path.iterdir()] == ["run"]


def test_recipe_file_that_is_wrong_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        train.run(tmp_path / "none.toml", tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_bar_shows_every_stage():
    console = Console(record=True, width=100, force_terminal=True)
    with train.bar(console) as progress:
        progress(train.Event("float", 1, 2, 0.5))
        progress(train.Event("float", 2, 2, 0.25))
        progress(train.Event("quantized", 1, 2, 0.125))
    text = console.export_text()
    assert "train float" in text
    assert "2/2 epochs, loss 0.250" in text
    assert "1/2 epochs, loss 0.125" in text
