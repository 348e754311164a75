"""YOLOv3 and YOLOv3-tiny (Redmon and Farhadi, arXiv 1804.02767), as in the authors' cfg files.

Outputs are raw heads (frames, 3 * (5 + classes), height, width), coarsest first; boxes are decoded
on the host.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["YoloV3", "YoloV3Tiny", "yolov3", "yolov3_tiny"]

_ANCHORS = 3
_SLOPE = 0.1


def _unit(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, leaky ReLU."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.LeakyReLU(_SLOPE))


class _Residual(nn.Module):
    """1x1 to half the channels, 3x3 back, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            _unit(channels, channels // 2, 1), _unit(channels // 2, channels, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y


def _stage(out: int, count: int) -> nn.Sequential:
    """A convolution that halves the frame, and residual blocks."""
    return nn.Sequential(_unit(out // 2, out, 3, 2), *(_Residual(out) for _ in range(count)))


class _Neck(nn.Module):
    """Five convolutions; then a head from a sixth and a 1x1 one. Gives the fifth and the head."""

    def __init__(self, channels: int, width: int, outputs: int):
        super().__init__()
        self.body = nn.Sequential(
            _unit(channels, width, 1), _unit(width, 2 * width, 3), _unit(2 * width, width, 1),
            _unit(width, 2 * width, 3), _unit(2 * width, width, 1),
        )  # fmt: skip
        self.head = nn.Sequential(_unit(width, 2 * width, 3), nn.Conv2d(2 * width, outputs, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return x, self.head(x)


class YoloV3(nn.Module):
    """Darknet-53 and three heads. Input (frames, 3, height, width), multiples of 32."""

    def __init__(self, classes: int = 80):
        super().__init__()
        outputs = _ANCHORS * (5 + classes)
        self.stem = _unit(3, 32, 3)
        self.stage1, self.stage2, self.stage3, self.stage4, self.stage5 = (
            _stage(64 << k, count) for k, count in enumerate((1, 2, 8, 8, 4))
        )
        self.neck1 = _Neck(1024, 512, outputs)
        self.up1 = nn.Sequential(_unit(512, 256, 1), nn.Upsample(scale_factor=2))
        self.neck2 = _Neck(768, 256, outputs)
        self.up2 = nn.Sequential(_unit(256, 128, 1), nn.Upsample(scale_factor=2))
        self.neck3 = _Neck(384, 128, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.stage3(self.stage2(self.stage1(self.stem(x))))
        middle = self.stage4(fine)
        x, coarse_head = self.neck1(self.stage5(middle))
        x, middle_head = self.neck2(torch.cat([self.up1(x), middle], 1))
        _, fine_head = self.neck3(torch.cat([self.up2(x), fine], 1))
        return coarse_head, middle_head, fine_head


class YoloV3Tiny(nn.Module):
    """Seven convolutions with pools, and two heads. Input as :class:`YoloV3`.

    The sixth pool has window 2 and stride 1; the original pads below and on the right to keep the
    size. Here a window of 3 with padding 1 does, which has no one-sided padding.
    """

    def __init__(self, classes: int = 80):
        super().__init__()
        outputs = _ANCHORS * (5 + classes)
        parts: list[nn.Module] = [_unit(3, 16, 3)]
        for width in (16, 32, 64, 128):
            parts += [nn.MaxPool2d(2), _unit(width, 2 * width, 3)]
        self.fine = nn.Sequential(*parts)
        self.coarse = nn.Sequential(
            nn.MaxPool2d(2), _unit(256, 512, 3), nn.MaxPool2d(3, 1, 1), _unit(512, 1024, 3),
            _unit(1024, 256, 1),
        )  # fmt: skip
        self.head1 = nn.Sequential(_unit(256, 512, 3), nn.Conv2d(512, outputs, 1))
        self.up = nn.Sequential(_unit(256, 128, 1), nn.Upsample(scale_factor=2))
        self.head2 = nn.Sequential(_unit(384, 256, 3), nn.Conv2d(256, outputs, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        return self.head1(coarse), self.head2(torch.cat([self.up(coarse), fine], 1))


def yolov3(classes: int = 80) -> YoloV3:
    """YOLOv3; 61,949,149 parameters at 80 classes."""
    return YoloV3(classes)


def yolov3_tiny(classes: int = 80) -> YoloV3Tiny:
    """YOLOv3-tiny; 8,852,366 parameters at 80 classes."""
    return YoloV3Tiny(classes)
