"""What stands between an accumulator and the next code, folded into as few functions as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .functions import Affine, Clip, Function, HardSwish, LeakyRelu, Relu, Sigmoid, Silu
from .trace import Scalar

__all__ = ["Line", "divided", "double", "line_or_function", "rounded"]

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """Gain and bias of each channel in float64, until they are rounded once, at the end."""

    gain: Real
    bias: Real


def divided(
    functions: Sequence[Line | Function], scale: float, channels: int
) -> tuple[Function, ...]:
    """``functions`` one after the other, divided by ``scale``, in float32.

    The division goes into the last affine function before functions that commute with it; where
    there are others it is an affine function of its own, at the end. What does nothing is left
    out.
    """
    parts = list(functions)
    where = len(parts) - 1
    while where >= 0 and not isinstance(part := parts[where], Line) and part.homogeneous:
        where -= 1
    if where >= 0 and isinstance(part := parts[where], Line):
        parts[where] = Line(part.gain / scale, part.bias / scale)
        for k in range(where + 1, len(parts)):
            function = parts[k]
            assert not isinstance(function, Line)
            parts[k] = function.scaled(scale)
    else:
        parts.append(Line(np.full(channels, 1 / scale), np.zeros(channels)))
    return tuple(rounded(p) for p in parts if not _is_identity(p))


def line_or_function(module: Any, channels: int) -> Line | Function | None:
    """What a pointwise module is in evaluation."""
    match module:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            variance = double(module.running_var)
            gain = 1 / np.sqrt(variance + module.eps)
            bias = np.zeros(channels)
            if module.affine:
                gain, bias = gain * double(module.weight), double(module.bias)
            return Line(gain, bias - double(module.running_mean) * gain)
        case Scalar():
            return Line(np.full(channels, module.gain), np.full(channels, module.bias))
        case nn.ReLU6():
            return Clip(0.0, 6.0)
        case nn.Hardtanh():
            return Clip(*(float(np.float32(v)) for v in (module.min_val, module.max_val)))
        case nn.ReLU():
            return Relu()
        case nn.LeakyReLU():
            return LeakyRelu(float(np.float32(module.negative_slope)))
        case nn.Hardswish():
            return HardSwish()
        case nn.SiLU():
            return Silu()
        case nn.Sigmoid():
            return Sigmoid()
        case nn.Dropout() | nn.Dropout1d() | nn.Dropout2d():
            return None
    raise ValueError(f"{type(module).__name__} cannot be frozen")


def rounded(part: Line | Function) -> Function:
    """With constants in float32, rounded once."""
    if isinstance(part, Line):
        with np.errstate(over="ignore"):
            return Affine(part.gain.astype(np.float32), part.bias.astype(np.float32))
    return part


def _is_identity(part: Line | Function) -> bool:
    # Steps are float32, so a quotient of two equal ones is 1 to within their rounding.
    return (
        isinstance(part, Line)
        and bool((part.gain.astype(np.float32) == 1).all())
        and not part.bias.any()
    )


def double(tensor: Tensor | None) -> Real:
    """A tensor in float64."""
    assert tensor is not None
    return tensor.detach().cpu().numpy().astype(np.float64)
