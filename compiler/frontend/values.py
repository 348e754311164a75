"""What an ONNX tensor is here: a constant, a quantized constant, or codes in a circuit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompileError
from .functions import Function, Step
from .layout import Index, Layout

__all__ = ["Array", "Real", "Refused", "Terms", "Value", "Weight", "channelwise"]

Array = NDArray[Any]
"""A constant: numbers as the file has them, or an object array of exact ones."""


@dataclass(frozen=True, eq=False)
class Real:
    """A real tensor: ``function`` of the codes that node ``node`` puts out, laid out as ``layout``.

    ``node`` may be an input of the network that no quantizer has been met for yet.
    """

    node: str
    function: Function
    layout: Layout
    tail: str = ""
    """What the host does last (softmax, ...); nothing can follow."""
    terms: Terms | None = None
    """If given, ``function`` is one of this sum and not of codes; a quantizer must follow."""

    def then(self, *steps: Step) -> Real:
        """The tensor after more steps of its function."""
        function = self.function
        for step in steps:
            function = function.then(step)
        return replace(self, function=function)

    def moved(self, index: Index, by: str) -> Real:
        """The tensor with its elements elsewhere."""
        return replace(self, layout=self.layout.moved(index, by))

    @property
    def shape(self) -> tuple[int, ...]:
        """The ONNX shape, for one frame."""
        return self.layout.shape


@dataclass(frozen=True, eq=False)
class Terms:
    """A sum of two activations that are laid out alike, made by the ONNX node ``name``."""

    name: str
    left: Real
    right: Real


@dataclass(frozen=True, eq=False)
class Weight:
    """A quantized constant: exactly ``scale * codes``; ``scale`` broadcasts to ``codes``."""

    codes: NDArray[np.int64]
    scale: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self.codes.shape

    def values(self) -> Array:
        """The exact real numbers."""
        return np.asarray(self.codes.astype(object) * self.scale, dtype=object)

    def scales(self) -> tuple[Fraction, ...]:
        """The scales that occur."""
        return tuple(dict.fromkeys(self.scale.reshape(-1).tolist()))


@dataclass(frozen=True)
class Refused:
    """What a refused node would have put out; whoever uses it is not to blame."""

    shape: tuple[int, ...] | None = None
    reason: str = ""
    """Why it is not there, where the node itself was not refused."""


Value = Array | Real | Weight | Refused


def channelwise(layout: Layout, array: Array) -> Array:
    """One entry a channel of the integer tensor (or one for all) from a constant that broadcasts.

    Raises
    ------
    CompileError
        If it does not broadcast to the tensor, or differs within a channel.
    """
    if array.size == 1:
        return array.reshape(1)
    try:
        whole = np.broadcast_shapes(array.shape, layout.shape)
    except ValueError:
        whole = ()
    if whole != layout.shape:
        raise CompileError(
            f"a constant of shape {array.shape} must broadcast to the tensor's {layout.shape}"
        )
    aligned = array.reshape((1,) * (len(layout.shape) - array.ndim) + array.shape)
    if isinstance(layout.order, str) and len(layout.shape) > 1:
        axis = 1 if layout.first else -1
        if aligned.shape[axis] == aligned.size == layout.channels:
            return aligned.reshape(-1)
    channel = layout.channel_of().reshape(-1)
    values = np.broadcast_to(aligned, layout.shape).reshape(-1)
    nothing = Fraction(0) if array.dtype == object else 0
    result = np.full(layout.channels, nothing, dtype=array.dtype)
    result[channel] = values
    if not np.array_equal(result[channel], values):
        raise CompileError(
            f"a constant of shape {array.shape} must be the same at every position of a channel"
        )
    return result
