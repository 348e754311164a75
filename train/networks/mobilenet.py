"""MobileNet-v2 (Sandler et al., arXiv 1801.04381), with the module names of torchvision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MobileNetV2", "mobilenet_v2"]

# Expansion, channels, blocks, stride of the first; table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class _Inverted(nn.Module):
    """1x1 up, 3x3 depthwise, 1x1 down without activation; added to the input where shapes agree."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int):
        super().__init__()
        wide = channels * expansion
        parts: list[nn.Module] = [] if expansion == 1 else [_unit(channels, wide, 1)]
        parts += [_unit(wide, wide, 3, stride, wide), nn.Conv2d(wide, out, 1, bias=False)]
        self.conv = nn.Sequential(*parts, nn.BatchNorm2d(out))
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Input (frames, 3, height, width), multiples of 32; output (frames, classes)."""

    def __init__(self, classes: int = 1000):
        super().__init__()
        features: list[nn.Module] = [_unit(3, 32, 3, 2)]
        channels = 32
        for expansion, out, count, stride in _STAGES:
            for k in range(count):
                features.append(_Inverted(channels, out, 1 if k else stride, expansion))
                channels = out
        features.append(_unit(channels, 1280, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), 1)
        return self.classifier(torch.flatten(x, 1))


def mobilenet_v2(classes: int = 1000) -> MobileNetV2:
    """MobileNet-v2 at width 1; 3,504,872 parameters at 1000 classes."""
    return MobileNetV2(classes)


def _unit(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))
