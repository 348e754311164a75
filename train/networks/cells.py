"""A single-scale detector for blood cells at 320x240, without anchors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Cells", "cells"]


def _unit(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU())


class Cells(nn.Module):
    """One box a cell of 8x8 pixels: 4 box numbers, objectness, a score for each class.

    Nine 3x3 units, the coarsest at a sixteenth of the size; its features are brought back to an
    eighth and added. Input (frames, 3, height, width), 0 to 255, multiples of 16; output (frames,
    5 + classes, height / 8, width / 8).
    """

    def __init__(self, classes: int = 3):
        super().__init__()
        self.fine = nn.Sequential(
            _unit(3, 16, stride=2), _unit(16, 32, stride=2), _unit(32, 32),
            _unit(32, 64, stride=2), _unit(64, 64), _unit(64, 64),
        )  # fmt: skip
        self.coarse = nn.Sequential(
            _unit(64, 96, stride=2), _unit(96, 96), _unit(96, 64, 1), nn.Upsample(scale_factor=2)
        )
        self.last = _unit(64, 64)
        self.head = nn.Conv2d(64, 5 + classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        bias: Any = self.head.bias
        with torch.no_grad():
            bias.zero_()
            bias[4] = -4.0  # few cells hold an object

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        y: Tensor = self.head(self.last(self.coarse(fine) + fine))
        return y


def cells(classes: int = 3) -> Cells:
    """The detector of blood cells; 289,368 parameters at 3 classes."""
    return Cells(classes)
