"""Small networks: the one of the demo, and one after VGG."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Demo", "demo", "vgg"]


class Demo(nn.Module):
    """Three convolutions with a residual add, max pool, fully connected; for 8x8 digits.

    ======  ==============================  =================
    layer   what                            output
    ======  ==============================  =================
    conv1   3x3, padding 1                  channels[0] x 8 x 8
    conv2   3x3, padding 1, stride 2        channels[1] x 4 x 4
    conv3   3x3, padding 1, without ReLU    channels[1] x 4 x 4
    add     conv3 + conv2, ReLU             channels[1] x 4 x 4
    pool    largest of 2x2                  channels[1] x 2 x 2
    fc      all to the classes              classes
    ======  ==============================  =================
    """

    def __init__(self, channels: Sequence[int] = (8, 20), classes: int = 10):
        super().__init__()
        narrow, wide = channels
        self.conv1 = nn.Conv2d(1, narrow, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, wide, 3, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.conv3 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(wide)
        self.pool1 = nn.MaxPool2d(2)
        self.fc = nn.Linear(4 * wide, classes)
        for layer in (self.conv1, self.conv2, self.conv3, self.fc):
            nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x)))
        x = torch.relu(self.norm3(self.conv3(x)) + x)
        return self.fc(torch.flatten(self.pool1(x), 1))


def demo(channels: Sequence[int] = (8, 20), classes: int = 10) -> Demo:
    """The network of ``sqwire demo``; 6,018 parameters in all as it is."""
    return Demo(channels, classes)


def vgg(
    widths: Sequence[int] = (64, 128, 256), classes: int = 10, channels: int = 3, size: int = 32
) -> nn.Sequential:
    """Pairs of 3x3 convolutions with a pool behind each, then one fully connected layer.

    After Simonyan and Zisserman, arXiv 1409.1556, with batch norm. Input (frames, channels, size,
    size), ``size`` a multiple of ``2^len(widths)``; output (frames, classes).
    """
    parts: list[nn.Module] = []
    before = channels
    for width in widths:
        for _ in range(2):
            parts += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            before = width
        parts.append(nn.MaxPool2d(2))
    side = size >> len(widths)
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(before * side * side, classes))
