"""The layers of a network in training. They pass :class:`Coded` where a tensor is quantized, and
plain tensors where it is not: after a sum, until the next quantizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .coded import Coded
from .method import Weights
from .quantizer import Step

__all__ = [
    "Add", "AvgPool", "Concat", "Flatten", "Input", "Linear", "MaxPool", "Noise", "Pointwise",
    "Upsample", "outputs_first", "real",
]  # fmt: skip


def outputs_first(weight: Tensor, groups: int) -> Tensor:
    """The weight of a transposed convolution, (in, out / groups, ...), as that of any other layer,
    (out, in / groups, ...), so that what is done for each output is done along the first axis;
    and back."""
    first, second, *kernel = weight.shape
    parts = weight.reshape(groups, first // groups, second, *kernel).transpose(1, 2)
    return parts.reshape(groups * second, first // groups, *kernel)


def real(x: Coded | Tensor) -> Tensor:
    """Real numbers, whether quantized or not."""
    return x.value if isinstance(x, Coded) else x


class Input(nn.Module):
    """The network's input, always quantized: ``clamp(round(x / step), low, high)``."""

    def __init__(self, shape: tuple[int, ...], bits: int, step: Step, *, signed: bool):
        super().__init__()
        self.shape = shape
        self.bits = bits
        self.step = step
        self.signed = signed
        self.enabled = True
        self.low = -(2 ** (bits - 1)) if signed else 0
        self.high = self.low + 2**bits - 1

    def forward(self, x: Tensor) -> Coded:
        scale = self.step.value
        codes = (x / scale).round().clamp(self.low, self.high)
        # A step of 1 in plain float, as everywhere, so that tensors may meet.
        return Coded(codes, scale) if self.enabled else Coded.plain(codes * scale)


class Linear(nn.Module):
    """Convolution (one or two axes, grouped, dilated, transposed) or fully connected.

    ``acc = linear(x.codes, w.codes)``; what comes out is ``acc * x.scale * w.scale + bias``.
    In evaluation ``acc`` is rounded, since fast kernels may be off by less than a half.
    ``weights`` have the outputs first, also where torch does not.
    """

    def __init__(self, source: nn.Module, weights: Weights):
        super().__init__()
        self.weights = weights
        self.kind = type(source)
        bias = source.bias
        self.bias = bias if isinstance(bias, nn.Parameter) else None
        self.transposed = isinstance(source, nn.ConvTranspose1d | nn.ConvTranspose2d)
        self.conv = isinstance(source, nn.Conv1d | nn.Conv2d) or self.transposed
        self.stride: tuple[int, ...] = ()
        self.padding: tuple[int, ...] = ()
        self.dilation: tuple[int, ...] = ()
        self.output_padding: tuple[int, ...] = ()
        self.groups = 1
        # Whether sums go on as they are in evaluation, to a layer that compares them exactly.
        self.compared = False
        if self.conv:
            self._settings(source)

    def _settings(self, source: Any) -> None:
        if source.padding_mode != "zeros":
            raise ValueError(f'padding_mode must be "zeros", not "{source.padding_mode}"')
        self.stride = tuple(source.stride)
        self.dilation = tuple(source.dilation)
        self.groups = source.groups
        self.output_padding = tuple(source.output_padding)
        if source.padding == "valid":
            self.padding = (0,) * len(self.stride)
        elif source.padding == "same":
            reach = [d * (k - 1) for d, k in zip(self.dilation, source.kernel_size, strict=True)]
            if any(r % 2 for r in reach):
                raise ValueError('padding "same" must be the same on both sides: odd kernels only')
            self.padding = tuple(r // 2 for r in reach)
        else:
            self.padding = tuple(source.padding)

    def accumulate(self, x: Tensor, weight: Tensor) -> Tensor:
        """The sums of products, without bias."""
        if not self.conv:
            return functional.linear(x, weight)
        if self.transposed:
            weight = outputs_first(weight, self.groups)
        functions: dict[type, Callable[..., Tensor]] = {
            nn.Conv1d: functional.conv1d,
            nn.Conv2d: functional.conv2d,
            nn.ConvTranspose1d: functional.conv_transpose1d,
            nn.ConvTranspose2d: functional.conv_transpose2d,
        }
        function = functions[self.kind]
        rest: tuple[Any, ...]
        if self.transposed:
            rest = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        else:
            rest = (self.stride, self.padding, self.dilation, self.groups)
        return function(x, weight, None, *rest)

    def forward(self, x: Coded) -> Coded | Tensor:
        w: Coded = self.weights()
        if self.compared and not self.training and self.weights.enabled:
            return Coded(self.accumulate(x.codes, w.codes).round(), w.scale * x.scale)
        if self.training or not self.weights.enabled:
            # The same numbers; scaling the weights costs less than scaling the sums.
            y = self.accumulate(x.codes, w.codes * (w.scale * x.scale))
        else:
            scale = (w.scale * x.scale).reshape(-1)
            y = self.accumulate(x.codes, w.codes).round() * self._by_channel(scale)
        return y if self.bias is None else y + self._by_channel(self.bias)

    def _by_channel(self, values: Tensor) -> Tensor:
        return values.reshape((-1,) + (1,) * len(self.stride))


class Pointwise(nn.Module):
    """A function of one number, or a batch norm: plain tensors in and out."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Coded | Tensor) -> Tensor:
        return self.function(real(x))


class Noise(nn.Module):
    """Dropout: acts on what comes, codes or not, and does nothing in evaluation."""

    def __init__(self, function: nn.Module):
        super().__init__()
        self.function = function

    def forward(self, x: Coded | Tensor) -> Coded | Tensor:
        if isinstance(x, Coded):
            return Coded(self.function(x.codes), x.scale)
        y: Tensor = self.function(x)
        return y


class Add(nn.Module):
    """The sum of two tensors of one step."""

    def forward(self, x: Coded, y: Coded) -> Tensor:
        return (x.codes + y.codes) * x.scale


class Concat(nn.Module):
    """Channels of tensors of one step, one after the other."""

    def forward(self, *parts: Coded) -> Coded:
        return Coded(torch.cat([part.codes for part in parts], dim=1), parts[0].scale)


class MaxPool(nn.Module):
    """The largest code under a window."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]):
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.padding = padding

    def forward(self, x: Coded) -> Coded:
        pool = functional.max_pool1d if len(self.kernel) == 1 else functional.max_pool2d
        return Coded(pool(x.codes, self.kernel, self.stride, self.padding), x.scale)


class AvgPool(nn.Module):
    """The mean under a window that does not overlap, or of the whole frame (``kernel`` None)."""

    def __init__(self, kernel: tuple[int, ...] | None, stride: tuple[int, ...] | None):
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Coded) -> Tensor:
        if self.kernel is None:
            return x.codes.mean(tuple(range(2, x.codes.ndim)), keepdim=True) * x.scale
        pool: Any = functional.avg_pool1d if len(self.kernel) == 1 else functional.avg_pool2d
        y: Tensor = pool(x.codes, self.kernel, self.stride)
        return y * x.scale


class Upsample(nn.Module):
    """Every position repeated."""

    def __init__(self, factor: tuple[int, ...]):
        super().__init__()
        self.factor = factor

    def forward(self, x: Coded) -> Coded:
        scale = tuple(float(f) for f in self.factor)
        return Coded(functional.interpolate(x.codes, scale_factor=scale), x.scale)


class Flatten(nn.Module):
    """All channels and positions side by side; channels outermost."""

    def forward(self, x: Coded) -> Coded:
        return Coded(x.codes.flatten(1), x.scale)
