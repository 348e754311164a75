"""A scaled-down stereo network, trained a little: torch = onnx = graph = Verilog, all integers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from PIL import Image

from sqwire import train, verify
from sqwire.compiler import exact
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.reference import OPERATORS
from sqwire.depth import coloured
from sqwire.train.networks.stereo import Stereo, stereo_twin
from sqwire.train.scenes import Renderer

EXAMPLE = Path(__file__).parents[2] / "examples" / "stereo.py"
HEIGHT, WIDTH, SHIFTS, STEPS = 46, 62, 8, 80


def pairs(renderer: Renderer, seeds: range) -> tuple[torch.Tensor, torch.Tensor]:
    scenes = [renderer.render(k) for k in seeds]
    x = np.stack([np.stack([s.left, s.right]) for s in scenes]).astype(np.float32)
    return torch.tensor(x), torch.tensor(np.stack([s.disparity for s in scenes]))


def loss(scores: torch.Tensor, disparity: torch.Tensor) -> torch.Tensor:
    wanted = (disparity[:, ::2, ::2] / 2).round().long().clamp(max=SHIFTS - 1)
    return torch.nn.functional.cross_entropy(scores, wanted)


def learnt(renderer: Renderer) -> train.Frozen:
    """Float, then half of the weights zero at four bits."""
    torch.manual_seed(0)
    network: Stereo = stereo_twin((HEIGHT, WIDTH), smooth=(2, 1))
    x, _ = pairs(renderer, range(2))
    method = train.SQuantizer(zeros=0.5, delay=3 * STEPS // 4, scope="global")
    qat = train.prepare(network, method, x, input_bits=8, input_scale=1.0)
    optimizer = torch.optim.Adam(qat.parameters(), lr=1e-2)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - 0.8 * step / STEPS)
        x, disparity = pairs(renderer, range(4 * step, 4 * step + 4))
        wide = torch.nn.functional.pad(disparity, (0, 2, 0, 2), mode="replicate")
        total = qat.loss(loss(qat(x), wide))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        qat.step()
    return qat.freeze()


@pytest.fixture(scope="module")
def renderer():
    return Renderer(HEIGHT, WIDTH, 2 * SHIFTS)


@pytest.fixture(scope="module")
def frozen(renderer):
    return learnt(renderer)


@pytest.fixture(scope="module")
def images(renderer):
    x, disparity = pairs(renderer, range(10_000, 10_016))
    return x.numpy(), disparity.numpy()


@pytest.fixture(scope="module")
def build(frozen, tmp_path_factory) -> Build:
    folder = tmp_path_factory.mktemp("stereo")
    frozen.export(folder / "model.onnx")
    return compile_model(folder / "model.onnx", folder / "build")


def test_it_has_learnt_something(frozen, images):
    x, disparity = images
    found = frozen(x)[:, 0]
    assert found.shape == disparity.shape
    constant = np.median(np.abs(disparity - np.median(disparity)))
    assert np.median(np.abs(found - disparity)) < 0.75 * constant
    assert frozen.card.zeros > 0.45


def test_graph_equals_torch_in_every_layer(frozen, images, build):
    x, _ = images
    codes = build.graph.input.quantize(x)
    traced = build.graph.trace(codes)
    ours = frozen.trace(x)
    assert {type(node.op).__name__ for node in build.graph.nodes} >= {
        "CostVolume", "SubpixelArgMax", "Median", "Bilinear", "Pad", "Select", "Concat", "Resize",
        "Alternate", "Every",
    }  # fmt: skip
    for name, want in ours.items():
        codes = traced[name if name in traced else name.replace("@2", "")].transpose(0, 3, 1, 2)
        if codes.shape != want.shape:  # both towers in turn
            codes = codes[..., int("@2" in name) :: 2]
        assert np.array_equal(codes, want), name
    last = build.graph.nodes[-1].name
    assert np.array_equal(build.graph.output.dequantize(traced[last]), frozen(x))


def test_both_towers_have_one_set_of_numbers(frozen):
    twins = [name for name in frozen.nodes if "@2" in name]
    assert len(twins) == 6
    for name in twins:
        one, other = frozen.nodes[name.replace("@2", "")].op, frozen.nodes[name].op
        if hasattr(one, "weight"):
            assert np.array_equal(one.weight, other.weight)
        else:
            assert one.chain(np.arange(-50, 50)[None].repeat(one_size(one), 0)).tolist() == (
                other.chain(np.arange(-50, 50)[None].repeat(one_size(other), 0)).tolist()
            )


def one_size(op) -> int:
    return len(op.chain.functions[0].gain)


def test_onnx_itself_and_exact_arithmetic_give_the_same_numbers(images):
    """On a corner of the picture: both are slow."""
    x = images[0][:1, :, :14, :22]
    torch.manual_seed(1)
    method = train.SQuantizer(zeros=0.5, scope="global")
    qat = train.prepare(stereo_twin((14, 22), smooth=(2, 1)), method, torch.tensor(x), input_bits=8)
    frozen = qat.freeze()
    want = frozen(x)
    model = train.to_qonnx(frozen)
    (y,) = ReferenceEvaluator(model, new_ops=OPERATORS).run(None, {"x": x})
    assert np.array_equal(y, want)
    arbiter = exact.Arbiter(model.SerializeToString())
    places = [(0, 3, 5), (0, 13, 21)]
    assert [float(v) for v in arbiter.explain(x[0], "y", places)] == [want[0][p] for p in places]


def test_verilog_equals_torch(frozen, images, build, tmp_path):
    x, _ = images
    np.savez(tmp_path / "vectors.npz", x=x[:2], y=frozen(x[:2]))
    report = verify(build, vectors=tmp_path / "vectors.npz")
    assert report.passed, report.lines()
    assert report.frames == 2
    assert report.as_planned


def test_the_example_makes_a_picture_and_points(frozen, images, build, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("example_stereo", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    x, _ = images
    paths = [tmp_path / f"{side}.png" for side in ("left", "right")]
    for path, grey in zip(paths, x[0].astype(np.uint8), strict=True):
        Image.fromarray(grey).save(path)
    model, out, cloud = build.path / "model.onnx", tmp_path / "d.png", tmp_path / "c.ply"
    arguments = [str(p) for p in (*paths, "-o", out, "--ply", cloud)]
    example.main([str(model), *arguments])
    assert np.array_equal(np.asarray(Image.open(out)), coloured(frozen(x[:1])[0, 0]))
    assert "points" in capsys.readouterr().out and cloud.stat().st_size > 1000
    with pytest.raises(SystemExit, match="it must be a build"):
        example.main([str(model), *arguments, "--simulate"])
