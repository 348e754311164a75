"""The layers of a network that can become a circuit. Each takes and gives :class:`Coded`."""

from __future__ import annotations

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
        self.weight = nn.Parameter(nn.init.kaiming_normal_(_empty(shape)))
        self.method = method
        self.enabled = True

    def forward(self) -> Coded:
        return self.method.weights(self.weight) if self.enabled else Coded.plain(self.weight)


class Conv2d(nn.Module):
    """Convolution without bias, batch norm, quantizer.

    ``acc = conv(x.codes, w.codes)``; ``code = act(bn(acc * x.scale * w.scale))``. In evaluation
    the accumulator is rounded, since fast convolution algorithms may be off by less than a half.
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
        w = self.weights()
        acc = functional.conv2d(x.codes, w.codes, stride=self.stride, padding=self.padding)
        if self.weights.enabled and not self.training:
            acc = acc.round()
        result: Coded = self.act(self.norm(acc * (x.scale * w.scale)))
        return result


class Linear(nn.Module):
    """Fully connected, on the flattened input; its real output ends the network: the logits."""

    def __init__(self, features: int, out: int, method: SQuantizer):
        super().__init__()
        self.weights = Weights((out, features), method)
        self.bias = nn.Parameter(_empty((out,)).zero_())

    def forward(self, x: Coded) -> Coded:
        w = self.weights()
        acc = functional.linear(x.codes.flatten(1), w.codes)
        if self.weights.enabled and not self.training:
            acc = acc.round()
        return Coded.plain(acc * (x.scale * w.scale) + self.bias)


class Add(nn.Module):
    """The sum of two tensors of one scale, then a quantizer."""

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


def _empty(shape: tuple[int, ...]) -> Tensor:
    return Tensor(*shape)
