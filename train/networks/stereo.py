"""Stereo networks: two towers with one set of weights, a cost volume, a small hourglass over it.

Input (frames, 2, height, width): left and right grey picture, 0 to 255, multiples of 8 (``half``)
or 16 (``quarter``) unless edges pad it. Output in training: a score for each shift, at a half or a
quarter of the size; in evaluation: disparities in pixels (frames, 1, height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..matching import CostVolume, Disparity, PadCrop
from .units import unit

__all__ = ["Stereo", "stereo_half", "stereo_quarter", "stereo_twin"]


class Stereo(nn.Module):
    """Towers, cost volume, hourglass, scores.

    ==============  =========================================================
    tower           3x3 units, the first strides; a 1x1 unit makes descriptors
    cost            sum of absolute differences for each shift, turned round
    a1              3x3 on costs and left descriptors
    a2, a3          3x3 at half of that, a2 strides
    a4, a5          3x3 at a quarter, a4 strides
    u1, a6          1x1, up x2, concat with a3, 3x3
    u2, a7          1x1, up x2, concat with a1, 3x3 to a score for each shift
    ==============  =========================================================

    Weights that lead from a shift to itself begin with a small blur beside what is random, so that
    training starts near a box filter over differences of which the winner takes all.

    Parameters
    ----------
    shifts
        Disparities considered, each of as many pixels as the tower strides.
    tower
        (channels, stride) of each 3x3 unit.
    descriptor
        Channels that are compared.
    widths
        Channels of a2, a3, a4, a5, a6.
    size
        (height, width) of the pictures; a frame of another size than a multiple of what the
        network strides is padded below and on the right, and the result cropped. None takes any
        multiple.
    smooth
        Dilations of the 3x3 medians that the head takes of what it has found, one after the other.
    """

    def __init__(
        self,
        shifts: int,
        tower: Sequence[tuple[int, int]],
        descriptor: int,
        widths: Sequence[int],
        size: tuple[int, int] | None = None,
        *,
        smooth: Sequence[int] = (),
    ):
        super().__init__()
        factor, channels = 1, 1
        units = []
        for out, stride in tower:
            units.append(unit(channels, out, stride=stride))
            channels, factor = out, factor * stride
        self.shifts, self.factor = shifts, factor
        self.tower = nn.Sequential(*units, unit(channels, descriptor, 1))
        self.cost = CostVolume(shifts)
        self.match = nn.Sequential(nn.BatchNorm2d(shifts), nn.ReLU())
        nn.init.constant_(self.match[0].weight, 0.5)  # type: ignore[arg-type]
        second, third, fourth, fifth, sixth = widths
        self.a1 = unit(shifts + descriptor, shifts)
        self.a2, self.a3 = unit(shifts, second, stride=2), unit(second, third)
        self.a4, self.a5 = unit(third, fourth, stride=2), unit(fourth, fifth)
        self.u1 = nn.Sequential(unit(fifth, third, 1), nn.Upsample(scale_factor=2))
        self.a6 = unit(2 * third, sixth)
        self.u2 = nn.Sequential(unit(sixth, shifts, 1), nn.Upsample(scale_factor=2))
        self.a7 = nn.Conv2d(2 * shifts, shifts, 3, padding=1, bias=False)
        below, aside = (0, 0) if size is None else (-s % (4 * factor) for s in size)
        self.pad = PadCrop((0, 0, below, aside)) if below or aside else nn.Identity()
        self.head = Disparity(16, factor, (0, 0, -below, -aside), smooth=smooth)
        self._begin()

    def _begin(self) -> None:
        shift = torch.arange(self.shifts)
        blur = torch.tensor([1.0, 2.0, 1.0])
        blur = blur[:, None] * blur / 16
        with torch.no_grad():
            nn.init.normal_(self.a7.weight, std=0.01)
            first: Any = self.a1[0]
            first.weight *= 0.5
            first.weight[shift, shift] += blur
            self.a7.weight[shift, shift + self.shifts] += 2 * blur

    def forward(self, x: Tensor) -> Tensor:
        x = self.pad(x)
        left, right = self.tower(x[:, :1]), self.tower(x[:, 1:])
        match = self.match(-1.0 * self.cost(left, right))
        fine = self.a1(torch.cat([match, left], 1))
        middle = self.a3(self.a2(fine))
        coarse = self.u1(self.a5(self.a4(middle)))
        coarse = self.u2(self.a6(torch.cat([coarse, middle], 1)))
        return self.head(self.a7(torch.cat([coarse, fine], 1)))


def stereo_half(
    size: tuple[int, int] | None = None, shifts: int = 40, *, smooth: Sequence[int] = ()
) -> Stereo:
    """At a half of the size, 40 shifts of two pixels; meant for 450x375."""
    tower = ((16, 2), (24, 1), (24, 1))
    return Stereo(shifts, tower, 12, (64, 64, 96, 96, 64), size, smooth=smooth)


def stereo_quarter(
    size: tuple[int, int] | None = None, shifts: int = 48, *, smooth: Sequence[int] = ()
) -> Stereo:
    """At a quarter of the size, 48 shifts of four pixels; meant for 1242x375."""
    tower = ((16, 2), (32, 2), (32, 1))
    return Stereo(shifts, tower, 16, (64, 64, 80, 80, 64), size, smooth=smooth)


def stereo_twin(
    size: tuple[int, int] | None = None, shifts: int = 8, *, smooth: Sequence[int] = ()
) -> Stereo:
    """A scaled-down one for tests: 8 shifts of two pixels, meant for 64x48."""
    return Stereo(shifts, ((4, 2), (6, 1)), 4, (8, 8, 8, 8, 8), size, smooth=smooth)
