"""Shapes and parameter counts of the originals, and names of their state dicts."""

import pytest
import torch

from sqwire import train
from sqwire.train import networks

COUNTS = {
    "resnet18": 11_689_512,  # torchvision's
    "resnet50": 25_557_032,  # torchvision's
    "mobilenet_v2": 3_504_872,  # torchvision's
    "yolov3": 61_949_149,  # the authors' yolov3.cfg, without running statistics
    "yolov3_tiny": 8_852_366,  # the authors' yolov3-tiny.cfg, likewise
    # 0.27 M in the paper: 269,722 with parameter-free shortcuts, and two 1x1 convolutions with
    # their batch norms (512 + 64, 2,048 + 128) here.
    "resnet20": 272_474,
    "demo": 6_018,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_those_of_the_original(name):
    with torch.device("meta"):
        network = getattr(networks, name)()
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name]
    if name == "resnet20":
        assert COUNTS[name] - 512 - 64 - 2048 - 128 == 269_722


@pytest.mark.parametrize(
    ("name", "shape", "want"),
    [
        ("resnet18", (3, 224, 224), [(1000,)]),
        ("resnet50", (3, 224, 224), [(1000,)]),
        ("mobilenet_v2", (3, 224, 224), [(1000,)]),
        ("resnet20", (3, 32, 32), [(10,)]),
        ("vgg", (3, 32, 32), [(10,)]),
        ("demo", (1, 8, 8), [(10,)]),
        ("yolov3", (3, 416, 416), [(255, 13, 13), (255, 26, 26), (255, 52, 52)]),
        ("yolov3_tiny", (3, 416, 416), [(255, 13, 13), (255, 26, 26)]),
    ],
)
def test_shapes_are_those_of_the_original(name, shape, want):
    with torch.device("meta"):
        network = getattr(networks, name)().eval()
        y = network(torch.zeros(2, *shape))
    found = y if isinstance(y, tuple) else (y,)
    assert [tuple(t.shape[1:]) for t in found] == want


def test_names_are_those_of_torchvision():
    with torch.device("meta"):
        r18, r50, mobile = (
            getattr(networks, n)() for n in ("resnet18", "resnet50", "mobilenet_v2")
        )
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7), "bn1.running_mean": (64,),
        "layer1.0.conv1.weight": (64, 64, 3, 3), "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.running_var": (128,), "layer4.1.bn2.bias": (512,),
        "fc.weight": (1000, 512),
    }.items():  # fmt: skip
        assert tuple(r18.state_dict()[name].shape) == shape, name
    assert len(r18.state_dict()) == 122
    assert tuple(r50.state_dict()["layer1.0.downsample.0.weight"].shape) == (256, 64, 1, 1)
    assert len(r50.state_dict()) == 320
    for name, shape in {
        "features.0.0.weight": (32, 3, 3, 3), "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1), "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.2.conv.3.weight": (24,), "features.18.1.running_mean": (1280,),
        "classifier.1.weight": (1000, 1280),
    }.items():  # fmt: skip
        assert tuple(mobile.state_dict()[name].shape) == shape, name
    assert len(mobile.state_dict()) == 314


@pytest.mark.parametrize(("name", "size"), [("resnet20", 32), ("yolov3_tiny", 32), ("vgg", 16)])
def test_networks_can_be_prepared_and_frozen(name, size):
    made = {
        "resnet20": lambda: networks.resnet20(width=4),
        "yolov3_tiny": lambda: networks.yolov3_tiny(1),
        "vgg": lambda: networks.vgg((4, 8), size=16),
    }[name]()
    x = torch.randn(1, 3, size, size)
    qat = train.prepare(made, train.SQuantizer(zeros=0.9, weight_bits=2), x).eval()
    if name == "resnet20":
        frozen = qat.freeze()
        assert {"layer1.0.conv1", "layer2.0.downsample.0", "fc"} <= set(frozen.nodes)
    else:
        assert all(weights.bits == 2 for _, weights in qat.weights())
