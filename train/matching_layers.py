"""Layers of a network in training that compare two pictures, on codes: see
:mod:`sqwire.train.matching` for what they compute."""

from __future__ import annotations

from torch import Tensor, nn

from .coded import Coded
from .matching import Consistency, CostVolume, Disparity, Median, PadCrop, median, pad_crop

__all__ = ["Agreement", "Channels", "Cost", "Edges", "Head", "Middle"]


class Agreement(nn.Module):
    """Whether two heads of stereo networks say the same."""

    def __init__(self, source: Consistency):
        super().__init__()
        self.source = source

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        result: Tensor = self.source(left, right)
        return result


class Channels(nn.Module):
    """Some channels that follow each other: ``x[:, start:stop]``."""

    def __init__(self, part: slice):
        super().__init__()
        self.part = part

    def forward(self, x: Coded) -> Coded:
        return Coded(x.codes[:, self.part], x.scale)

    def chosen(self, channels: int) -> range:
        """Which of so many channels are left."""
        return range(channels)[self.part]


class Cost(nn.Module):
    """A cost volume of two tensors of one step; real numbers come out."""

    def __init__(self, source: CostVolume):
        super().__init__()
        self.volume = source

    @property
    def positive(self) -> bool:
        """Whether no sum is negative, whatever the codes."""
        return self.volume.form == "difference"

    def forward(self, left: Coded, right: Coded) -> Tensor:
        result: Tensor = self.volume(left.codes, right.codes)
        if self.positive:
            return result * left.scale
        return result * (left.scale * right.scale)


class Edges(nn.Module):
    """Zeros around the frame, or less of it."""

    def __init__(self, source: PadCrop):
        super().__init__()
        self.edges = source.edges

    def forward(self, x: Coded) -> Coded:
        return Coded(pad_crop(x.codes, self.edges), x.scale)


class Middle(nn.Module):
    """The median of each channel over 3x3 positions."""

    def __init__(self, source: Median):
        super().__init__()
        self.dilation = source.dilation

    def forward(self, x: Coded) -> Coded:
        return Coded(median(x.codes, self.dilation), x.scale)


class Head(nn.Module):
    """The head of a stereo network, on scores that share a scale."""

    def __init__(self, source: Disparity):
        super().__init__()
        self.head = source

    def forward(self, x: Coded | Tensor) -> Tensor:
        if isinstance(x, Coded):
            # Without the scale, which decides nothing, codes are exact; in training it matters.
            x = x.value if self.training else x.codes
        result: Tensor = self.head(x)
        return result
