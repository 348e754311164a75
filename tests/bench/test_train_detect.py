"""The detector's training runs from a folder to a file that the bench can measure."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
from PIL import Image

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
    loaded("train_detect").main([
        str(tmp_path / "out"), str(folder), "--float-steps", "2", "--steps", "5", "--batch", "2",
        "--width", "2", "--zeros", "0.5",
    ])  # fmt: skip
    assert "% zeros" in capsys.readouterr().out
    detect = loaded("detect")
    model = tmp_path / "out" / "model.onnx"
    monkeypatch.setattr(sys, "argv", ["detect.py", str(folder), str(model)])
    detect.main()
    assert "mAP50" in capsys.readouterr().out
