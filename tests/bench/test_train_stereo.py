"""The training of stereo networks runs from pictures to a file, and goes on where it stopped."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sqwire.compiler import frontend

FILE = Path(__file__).parents[2] / "bench" / "train_stereo.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_train_stereo", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["Taylor", "SQuantizer"])
def test_from_pictures_to_a_network(bench, tmp_path, name, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (70, 80), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    arguments = [
        str(tmp_path / "out"), "--photos", str(tmp_path), "--network", "twin", "--method", name,
        "--float-steps", "3", "--steps", "5", "--zeros", "0.5", "--crop", "24", "48",
        "--size", "30", "50", "--again", "2", "--smooth", "2", "1", "--taught",
    ]  # fmt: skip
    bench.main(arguments)
    model = (tmp_path / "out" / "model.onnx").read_bytes()
    assert frontend.import_qonnx(model).input.shape == (2, 30, 50)
    assert "% zeros" in capsys.readouterr().out
    bench.main(arguments)
    assert (tmp_path / "out" / "model.onnx").read_bytes() == model
