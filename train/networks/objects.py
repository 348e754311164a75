"""A general detector at 416x416 with two heads and three anchors each, without pools."""

from __future__ import annotations

from torch import Tensor, nn

from .units import unit

__all__ = ["Objects", "objects"]

_ANCHORS = 3


class Objects(nn.Module):
    """Eleven 3x3 units down to a 32nd of the size; features come back to a 16th, are added, and go
    through one more.

    Input (frames, 3, height, width), multiples of 32; output the raw heads (frames, 3 * (5 +
    classes), height / 32, width / 32) and the same at a 16th, laid out as
    :data:`sqwire.boxes.VOC_HEADS`. ``width`` is that of the first layer, the others are multiples.
    """

    def __init__(self, classes: int = 20, width: int = 16):
        super().__init__()
        outputs = _ANCHORS * (5 + classes)
        two, four, eight, twelve = 2 * width, 4 * width, 8 * width, 12 * width
        self.fine = nn.Sequential(
            unit(3, width, stride=2), unit(width, two, stride=2), unit(two, two),
            unit(two, four, stride=2), unit(four, four), unit(four, four),
            unit(four, eight, stride=2), unit(eight, eight), unit(eight, eight),
        )  # fmt: skip
        self.coarse = nn.Sequential(unit(eight, twelve, stride=2), unit(twelve, twelve))
        self.head1 = nn.Conv2d(twelve, outputs, 1)
        self.up = nn.Sequential(unit(twelve, eight, 1), nn.Upsample(scale_factor=2))
        self.last = unit(eight, eight)
        self.head2 = nn.Conv2d(eight, outputs, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        return self.head1(coarse), self.head2(self.last(self.up(coarse) + fine))


def objects(classes: int = 20, width: int = 16) -> Objects:
    """The general detector; 1,226,790 parameters at the 20 classes of Pascal VOC."""
    return Objects(classes, width)
