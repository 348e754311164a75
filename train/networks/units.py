"""What several networks are put together from."""

from __future__ import annotations

from torch import nn

__all__ = ["unit"]


def unit(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (or divides it by ``stride``), batch norm, ReLU."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU())
