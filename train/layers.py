"""The layers of a network that can become a circuit. Each takes and gives :class:`Coded`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .coded import Coded
from .quantizer import ActQuantizer
from .squantizer import SQuantizer

__all__ = ["Add", "Conv2d", "Input", "Linear", "MaxPool2d", "Weights"]


class Input(nn.Module):
    """The network's input: integers ``0 .. 2^bits - 1`` as they come, with scale 1."""

    def __init__(self, shape: tuple[int, int, int], bits: int):
        super().__init__()
        self.shape = shape
        self.bits = bits

    def forward(self, x: Tensor) -> Coded:
        return Coded.plain(x.round().clamp(0, 2**self.bits - 1))


class Weights(nn.Module):
    """A weight tensor that is sparsified and quantized in every forward pass."""

    def __init__(self, shape: tuple[int, ...], method: SQuantizer):
        super().__init__()
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(shape)))
        self.method = method
        self.enabled = True

    def forward(self) -> Coded:
        return self.method.weights(self.weight) if self.enabled else Coded.plain(self.weight)

    def exact(self, acc: Tensor) -> Tensor:
        """The accumulator as the integer it is; fast kernels may be off by less than a half."""
        return acc.round() if self.enabled and not self.training else acc


class Conv2d(nn.Module):
    """Square convolution without bias, batch norm, quantizer.

    ``acc = conv(x.codes, w.codes)``, ``codes = act(bn(acc * x.scale * w.scale))``.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        method: SQuantizer,
        act: ActQuantizer,
        *,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
    ):
        super().__init__()
        self.weights = Weights((out, channels, kernel, kernel), method)
        self.norm = nn.BatchNorm2d(out)
        self.act = act
        self.stride = stride
        self.padding = padding

    def forward(self, x: Coded) -> Coded:
        w: Coded = self.weights()
        acc = functional.conv2d(x.codes, w.codes, stride=self.stride, padding=self.padding)
        result: Coded = self.act(self.norm(self.weights.exact(acc) * (x.scale * w.scale)))
        return result


class Linear(nn.Module):
    """Fully connected, on the flattened input; what comes out is real, and ends the network."""

    def __init__(self, features: int, out: int, method: SQuantizer):
        super().__init__()
        self.weights = Weights((out, features), method)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Coded) -> Coded:
        w: Coded = self.weights()
        acc = functional.linear(x.codes.flatten(1), w.codes)
        return Coded.plain(self.weights.exact(acc) * (x.scale * w.scale) + self.bias)


class Add(nn.Module):
    """The sum of two tensors whose quantizers share a :class:`Clip`, then a quantizer."""

    def __init__(self, act: ActQuantizer):
        super().__init__()
        self.act = act

    def forward(self, x: Coded, y: Coded) -> Coded:
        result: Coded = self.act((x.codes + y.codes) * x.scale)
        return result


class MaxPool2d(nn.Module):
    """The largest code under a square window that moves by its own size."""

    def __init__(self, kernel: int):
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Coded) -> Coded:
        return Coded(functional.max_pool2d(x.codes, self.kernel), x.scale)
