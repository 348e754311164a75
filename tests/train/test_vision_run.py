"""Recipes for stereo and detection become folders; one clear line for each mistake."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sqwire import train
from sqwire.cli import app
from sqwire.compiler import frontend
from sqwire.train.stepping import StepSchedule
from sqwire.train.vision_recipe import Boxes, Cells, Scenes, Stereo, VisionRecipe

RECIPES = Path(__file__).parents[2] / "train" / "recipes"
FILES = ["card.json", "model.onnx", "train.log", "vectors.npz"]
STEREO = """
task = "stereo"
seed = 3
steps_per_epoch = 2
data = {crop = [24, 48], size = [30, 50]}
network = {name = "twin", smooth = [2, 1]}
method = {name = "Taylor", zeros = 0.5, end = 1, quantize = 1, per_channel = true}
own = {a7 = {per_channel = false}}
schedule = {steps = 5, batch = 2}
float_schedule = {steps = 3}
"""
DETECTION = """
task = "detection"
steps_per_epoch = 2
method = {{name = "SQuantizer", zeros = 0.5, scope = "global", delay = 0}}
network = {{width = 2, count = 7, threshold = 0.01}}
schedule = {{steps = 3, batch = 2}}
[data]
folder = "{}"
"""
BOX = (
    "<object><name>RBC</name><bndbox><xmin>20</xmin><ymin>16</ymin><xmax>60</xmax>"
    "<ymax>52</ymax></bndbox></object>"
)


@pytest.fixture
def cells(tmp_path):
    folder = tmp_path / "cells"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, split in (("a", "train"), ("b", "val")):
        picture = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"JPEGImages/{name}.jpg")
        (folder / f"Annotations/{name}.xml").write_text(
            f"<annotation><size><width>128</width><height>96</height></size>{BOX}</annotation>"
        )
        (folder / f"ImageSets/Main/{split}.txt").write_text(f"{name}\n")
    return folder


def whole(folder, shape):
    """The vectors of a run, which its model gives."""
    assert sorted(f.name for f in folder.iterdir()) == FILES
    vectors = np.load(folder / "vectors.npz")
    assert sorted(vectors.files) == ["x", "y"]
    graph = frontend.import_qonnx(folder / "model.onnx")
    assert graph.input.shape == shape
    found = graph.output.dequantize(graph.run(graph.input.quantize(vectors["x"])))
    assert np.array_equal(found, vectors["y"])
    card = json.loads((folder / "card.json").read_text())
    assert 0.4 < card["zeros"] < 0.7 and card["recipe"]["task"] in ("stereo", "detection")
    return vectors


def test_stereo_from_a_recipe_twice_the_same(tmp_path):
    recipe = train.parse_recipe(STEREO)
    events = []
    one = train.run(recipe, tmp_path / "one", progress=events.append)
    assert one.accuracy is None and one.card.facts["data"] == "rendered scenes"
    assert [(e.stage, e.done, e.total) for e in events] == [
        ("float", 1, 2), ("float", 2, 2),
        ("quantized", 1, 3), ("quantized", 2, 3), ("quantized", 3, 3),
    ]  # fmt: skip
    assert len((one.path / "train.log").read_text().splitlines()) == 5
    assert whole(one.path, (2, 30, 50))["y"].shape == (4, 1, 30, 50)
    assert "head.median" in one.frozen.nodes
    # Scores with a scale for each disparity would first have to be brought to one.
    assert [name for name in one.frozen.nodes if name.startswith("a7")] == ["a7"]
    assert recipe.method.per_channel and recipe.own == {"a7": {"per_channel": False}}
    train.run(recipe, tmp_path / "two")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_detection_from_a_recipe_by_the_command(tmp_path, cells):
    file = tmp_path / "cells.toml"
    file.write_text(DETECTION.format(cells.as_posix()))
    done = CliRunner().invoke(app, ["train", str(file), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "accuracy" not in done.output and "% zeros" in done.output
    assert whole(tmp_path / "out", (3, 48, 64))["y"].shape == (2, 9, 1, 7)


def test_an_interrupted_training_goes_on(tmp_path):
    recipe = train.parse_recipe(STEREO)

    def stop(event):
        if event.stage == "quantized":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.run(recipe, tmp_path / "out", progress=stop)
    assert (tmp_path / "out.partial" / "float.pt").is_file()
    with pytest.raises(ValueError, match="must be left by the same recipe"):
        train.run(train.parse_recipe(STEREO + "threads = 2"), tmp_path / "out")
    stages = []
    train.run(recipe, tmp_path / "out", progress=lambda event: stages.append(event.stage))
    assert stages == ["quantized"] * 3
    whole(tmp_path / "out", (2, 30, 50))


def test_a_layer_that_is_not_there_is_said_before_training(tmp_path):
    recipe = train.parse_recipe(STEREO.replace("a7", "a8"))
    with pytest.raises(ValueError, match='"a8" must select layers'):
        train.run(recipe, tmp_path / "out")
    assert not list(tmp_path.glob("*/float.pt"))


@pytest.mark.parametrize(
    ("name", "parts"), [("stereo", (Scenes, Stereo)), ("bccd", (Boxes, Cells))]
)
def test_recipes_that_come_along_name_every_setting(name, parts):
    file = RECIPES / f"{name}.toml"
    recipe = train.load_recipe(file)
    assert isinstance(recipe.data, parts[0]) and isinstance(recipe.network, parts[1])
    assert recipe.method.zeros == (0.95 if name == "stereo" else 0.9)
    assert (recipe.schedule.lr, recipe.float_schedule.lr) == (1.5e-3, 2e-3)
    steps = recipe.schedule.steps, recipe.float_schedule.steps
    assert steps == ((20_000, 20_000) if name == "stereo" else (4500, 4000))
    text = file.read_text()
    for part in (VisionRecipe, StepSchedule, *parts):
        for field in fields(part):
            assert field.name in text, field.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task = 'tracking'", "task must be classification, stereo or detection, not 'tracking'"),
        ("task = ['stereo']", "task must be classification, stereo or detection"),
        ("task = 3", "task must be classification, stereo or detection, not 3"),
        ("task = 'stereo'\nown = {a7 = {zero = 1}}", r'\[own.a7\] keys must be among'),
        ("task = 'stereo'\nown = {a7 = {delay = 300}}", "must have settled by the last step"),
        ("task = 'stereo'\nexclude = []", r'among seed, threads, steps_per_epoch, not "exclude"'),
        ("task = 'stereo'\n[data]\ncrop = [8, 9]", "data crop must be height and width, 16 to"),
        ("task = 'stereo'\n[data]\nsize = [99]", r"data size must be .*, not \[99\]"),
        ("task = 'stereo'\n[network]\nname = 'demo'", 'half, quarter or twin, not "demo"'),
        ("task = 'stereo'\n[network]\nwidth = 3", 'keys must be among name, smooth, not "width"'),
        ("task = 'stereo'\n[network]\nsmooth = [1, 0]", r"dilations from 1 to 64, not \[1, 0\]"),
        ("task = 'stereo'\n[schedule]\nepochs = 3", r'\[schedule\] keys must be among steps, '),
        ("task = 'stereo'\n[schedule]\nsteps = 0", "steps must be at least 1, not 0"),
        ("task = 'stereo'\nseed = -1", r"seed must be 0 to 2\^32 - 1"),
        ("task = 'stereo'\nthreads = 0", "threads must be 1 to 1024"),
        ("task = 'stereo'\nsteps_per_epoch = 0", "steps_per_epoch must be at least 1"),
        (
            "task = 'stereo'\nmethod = {name = 'Taylor'}\nschedule = {steps = 100}",
            r"must have settled by the last step \(epoch 1\)",
        ),
        ("task = 'detection'", "data folder must say where the pictures lie"),
        ("task = 'detection'\n[data]\nfolder = 'a'\nshrink = 0", "data shrink must be 1 to 64"),
        ("task = 'detection'\n[data]\nfolder = 'a'\nclasses = []", "data classes must be some"),
        *(
            (f"task = 'detection'\ndata = {{folder = 'a'}}\nnetwork = {{{given}}}", said)
            for given, said in (
                ("name = 'yolo'", 'network name must be cells, not "yolo"'),
                ("width = 0", "network width must be 1 to 256"),
                ("count = -1", "network count must be 0 to"),
                ("threshold = 1", "network threshold must be between 0 and 1, not 1.0"),
            )
        ),
    ],
)  # fmt: skip
def test_mistakes_are_named(text, said):
    with pytest.raises(ValueError, match=said):
        train.parse_recipe(text)


def test_data_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"train\.txt: it must be a text file"):
        train.run(train.parse_recipe(DETECTION.format(tmp_path.as_posix())), tmp_path / "out")
    text = STEREO.replace("data = {", f'data = {{photos = "{tmp_path.as_posix()}", ')
    with pytest.raises(ValueError, match="it must hold pictures of at least 64x64"):
        train.run(train.parse_recipe(text), tmp_path / "out")
    assert not (tmp_path / "out").exists()
