"""A single-scale detector for blood cells at 320x240, without anchors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..candidates import Candidates
from .units import unit

__all__ = ["Cells", "cells"]


class Cells(nn.Module):
    """One box a cell of 8x8 pixels: 4 box numbers, objectness, a score for each class.

    Nine 3x3 units, the coarsest at a sixteenth of the size; its features are brought back to an
    eighth and added. ``width`` is that of the first layer, the others are multiples of it. Input
    (frames, 3, height, width), 0 to 255, multiples of 16; output (frames, 5 + classes, height / 8,
    width / 8). With ``count``, in evaluation, records of the first so many cells whose objectness
    is at least ``threshold``, see :class:`sqwire.train.candidates.Candidates`.
    """

    def __init__(
        self, classes: int = 3, width: int = 16, count: int = 0, *, threshold: float = 0.25
    ):
        super().__init__()
        two, four, six = 2 * width, 4 * width, 6 * width
        self.fine = nn.Sequential(
            unit(3, width, stride=2), unit(width, two, stride=2), unit(two, two),
            unit(two, four, stride=2), unit(four, four), unit(four, four),
        )  # fmt: skip
        self.coarse = nn.Sequential(
            unit(four, six, stride=2), unit(six, six), unit(six, four, 1),
            nn.Upsample(scale_factor=2),
        )  # fmt: skip
        self.last = unit(four, four)
        self.head = nn.Conv2d(four, 5 + classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        bias: Any = self.head.bias
        with torch.no_grad():
            bias.zero_()
            bias[4] = -4.0  # few cells hold an object
        logit = math.log(threshold / (1 - threshold))
        self.pick = Candidates(count, logit) if count else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        y: Tensor = self.pick(self.head(self.last(self.coarse(fine) + fine)))
        return y


def cells(classes: int = 3, width: int = 16, count: int = 0, *, threshold: float = 0.25) -> Cells:
    """The detector of blood cells; 289,368 parameters at 3 classes."""
    return Cells(classes, width, count, threshold=threshold)
