"""What a recipe for detection makes can be measured."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sqwire import train
from sqwire.train.stepping import StepSchedule
from sqwire.train.vision_recipe import Boxes, Cells, VisionRecipe

BENCH = Path(__file__).parents[2] / "bench"
BOX = (
    "<object><name>RBC</name><bndbox><xmin>20</xmin><ymin>16</ymin><xmax>60</xmax>"
    "<ymax>52</ymax></bndbox></object>"
)


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_from_a_folder_to_precision(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "cells"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, split in (("a", "train"), ("b", "val"), ("c", "test")):
        picture = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"JPEGImages/{name}.jpg")
        (folder / f"Annotations/{name}.xml").write_text(
            "<annotation><size><width>128</width><height>96</height></size>" + BOX + "</annotation>"
        )
        (folder / f"ImageSets/Main/{split}.txt").write_text(f"{name}\n")
    recipe = VisionRecipe(
        "detection", Boxes(str(folder)), Cells(width=2), train.Uniform(),
        StepSchedule(3, 2), StepSchedule(2, 2),
    )  # fmt: skip
    train.run(recipe, tmp_path / "out")
    detect = loaded("detect")
    model = tmp_path / "out" / "model.onnx"
    monkeypatch.setattr(sys, "argv", ["detect.py", str(folder), str(model)])
    detect.main()
    assert "mAP50" in capsys.readouterr().out
