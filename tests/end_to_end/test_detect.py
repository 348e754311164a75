"""A scaled-down detector, trained a little: torch = graph = Verilog, and the example runs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sqwire import train, verify
from sqwire.compiler.build import Build, compile_model
from sqwire.train.detection import fit_detector
from sqwire.train.networks.cells import cells
from sqwire.train.stepping import StepSchedule
from sqwire.train.voc import Annotation

EXAMPLE = Path(__file__).parents[2] / "examples" / "detect.py"
SIZE = (48, 64)
COUNT = 20


def samples(count: int):
    """Discs of three colours and sizes on a noisy ground."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices(SIZE)
    made = []
    for _ in range(count):
        picture = rng.integers(150, 200, (*SIZE, 3)).astype(np.uint8)
        boxes, labels = [], []
        for label, (radius, colour) in enumerate(((9, 0), (14, 1), (5, 2))):
            y, x = rng.integers(radius, SIZE[0] - radius), rng.integers(radius, SIZE[1] - radius)
            picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2, colour] = 30
            boxes.append((x - radius, y - radius, x + radius, y + radius))
            labels.append(label)
        made.append((picture, Annotation(np.array(boxes, np.float32), np.array(labels), SIZE)))
    return made


@pytest.fixture(scope="module")
def frozen() -> train.Frozen:
    torch.manual_seed(0)
    pictures = samples(12)
    example = torch.tensor(np.stack([p for p, _ in pictures[:4]]).transpose(0, 3, 1, 2)).float()
    method = train.SQuantizer(zeros=0.5, delay=40, scope="global")
    network = cells(width=2, count=COUNT, threshold=0.01)
    qat = train.prepare(network, method, example, input_bits=8, input_scale=1.0)
    losses: list[float] = []
    fit_detector(
        qat, pictures, StepSchedule(60, 4, 1e-2, warmup=5),
        progress=lambda step, loss: losses.append(loss),
    )  # fmt: skip
    assert losses[-1] < losses[0]
    return qat.freeze()


@pytest.fixture(scope="module")
def images():
    return np.stack([p for p, _ in samples(3)]).transpose(0, 3, 1, 2).astype(np.float32)


@pytest.fixture(scope="module")
def build(frozen, tmp_path_factory) -> Build:
    folder = tmp_path_factory.mktemp("cells")
    frozen.export(folder / "model.onnx")
    return compile_model(folder / "model.onnx", folder / "build")


def test_graph_equals_torch_in_every_layer(frozen, images, build):
    traced = build.graph.trace(build.graph.input.quantize(images))
    for name, want in frozen.trace(images).items():
        assert np.array_equal(traced[name].transpose(0, 3, 1, 2), want), name


def test_records_come_instead_of_the_map(frozen, images, build):
    found = frozen(images)
    assert found.shape == (3, 9, 1, COUNT)
    counts = (found[:, 0, 0] >= 0).sum(1)
    assert counts.any() and counts.max() <= COUNT
    assert build.graph.output.shape == (9, 1, COUNT)


def test_verilog_equals_torch(frozen, images, build, tmp_path):
    np.savez(tmp_path / "vectors.npz", x=images[:2], y=frozen(images[:2]))
    report = verify(build, vectors=tmp_path / "vectors.npz")
    assert report.passed, report.lines()
    assert report.frames == 2 and report.as_planned


def test_the_example_marks_boxes(images, build, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("example_detect", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    picture = images[0].transpose(1, 2, 0).astype(np.uint8)
    Image.fromarray(np.kron(picture, np.ones((2, 2, 1), np.uint8))).save(tmp_path / "a.png")
    out = tmp_path / "cells.png"
    example.main([str(build.path / "model.onnx"), str(tmp_path / "a.png"), "-o", str(out)])
    assert "red cells" in capsys.readouterr().out
    assert np.asarray(Image.open(out)).shape == (*SIZE, 3)
    with pytest.raises(SystemExit, match=r"none\.png"):
        example.main([str(build.path / "model.onnx"), str(tmp_path / "none.png")])
