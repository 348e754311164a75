"""Small networks of the structure of large ones, weights drawn by lot, planned and in Verilog."""

import pytest
import torch
from torch import nn

import sqwire
from sqwire import train
from sqwire.compiler.build import compile_model
from sqwire.compiler.choose import Target
from sqwire.train.networks.objects import Objects
from sqwire.train.networks.resnet import Cifar


class Inverted(nn.Module):
    """MobileNet-v2 in little: 1x1 up, depthwise, 1x1 down, and the sum."""

    def __init__(self):
        super().__init__()
        self.first = self.unit(3, 16, 3, 2)
        self.up, self.deep = self.unit(16, 48, 1), self.unit(48, 48, 3, groups=48)
        self.down = nn.Sequential(nn.Conv2d(48, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.last = nn.Linear(16, 5)

    @staticmethod
    def unit(channels, out, kernel, stride=1, groups=1):
        conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())

    def forward(self, x):
        x = self.first(x)
        x = x + self.down(self.deep(self.up(x)))
        return self.last(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class TwoHeads(nn.Module):
    """YOLOv3-tiny in little: pools, a head, upsampling, a concatenation, a second head."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (
            Inverted.unit(3, 8, 3),
            Inverted.unit(8, 8, 3),
            Inverted.unit(8, 16, 3),
        )
        self.pool = nn.MaxPool2d(2)
        self.side = Inverted.unit(16, 8, 1)
        self.one, self.two = nn.Conv2d(16, 6, 1), nn.Conv2d(16, 6, 1)

    def forward(self, x):
        fine = self.b(self.pool(self.a(x)))
        coarse = self.c(self.pool(fine))
        up = nn.functional.interpolate(self.side(coarse), scale_factor=2)
        return self.one(coarse), self.two(torch.cat([up, fine], 1))


NETS = {
    "resnet": (lambda: Cifar(1, width=8), 16, 8000),
    "mobilenet": (Inverted, 16, 16000),
    "yolo": (TwoHeads, 16, 8000),
    "objects": (lambda: Objects(1, width=4), 32, 4000),
}


def quantized(model, size, zeros=0.6):
    """Weights of 4 bits by lot, most of them zero; batch norms see noise."""
    lot = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shape = layer.weight.shape
            kept = torch.rand(shape, generator=lot) >= zeros
            layer.weight.data = torch.randint(-7, 8, shape, generator=lot) * kept / 7.0
            layer.weight.data.view(-1)[0] = 1.0
    images = torch.randint(0, 256, (8, 3, size, size), generator=lot) / 255
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(images)
    model.eval()
    return train.prepare(model, train.Uniform(weight_bits=4, act_bits=4), images).eval().freeze()


@pytest.mark.parametrize("name", NETS)
def test_planned_network_equals_its_graph_in_the_planned_cycles(name, tmp_path):
    make, size, interval = NETS[name]
    torch.manual_seed(0)
    file = tmp_path / "model.onnx"
    quantized(make(), size).export(file)
    build = compile_model(file, tmp_path / "build", Target(interval))
    layers = build.plan.layers
    assert any(layer.engine == "folded" for layer in layers)
    assert build.plan.cycles_per_frame <= interval
    report = sqwire.verify(build, frames=2)
    assert report.passed, report.lines()
