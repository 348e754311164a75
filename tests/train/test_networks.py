"""Shapes and parameter counts of the originals, and names of their state dicts."""

import hashlib

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
    # 1,224,048 weights in the table of layers that it was drawn up from; norms and biases beside.
    "objects": 1_224_048 + 2 * 1_296 + 150,
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
        ("objects", (3, 416, 416), [(75, 13, 13), (75, 26, 26)]),
    ],
)
def test_shapes_are_those_of_the_original(name, shape, want):
    with torch.device("meta"):
        network = getattr(networks, name)().eval()
        y = network(torch.zeros(2, *shape))
    found = y if isinstance(y, tuple) else (y,)
    assert [tuple(t.shape[1:]) for t in found] == want


# SHA-256 of the lines "name shape" of the state_dicts of torchvision 0.29.2, in their order.
TORCHVISION = {
    "resnet18": (122, "84fb10d9c6905a1cbb020b284537dc97c4f4ec55fb2a780a41152a23a2dd0e9d"),
    "resnet50": (320, "d7e4f8bb0a5363446a59c81c3887ccf66900a11651a0ae2dec96d1bb1eb6ea81"),
    "mobilenet_v2": (314, "37bbbce8932fd0c49fe8e941719a7aa7b25b60c17b428749b72562f754135844"),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_state_dict_is_that_of_torchvision(name):
    """Every name, every shape, in the same order, so that a file of theirs loads strictly."""
    with torch.device("meta"):
        state = getattr(networks, name)().state_dict()
    text = "\n".join(f"{key} {tuple(value.shape)}" for key, value in state.items())
    assert (len(state), hashlib.sha256(text.encode()).hexdigest()) == TORCHVISION[name]


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
