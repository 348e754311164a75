"""The integer graph while it is built, and one ONNX node with the values it works on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from sqwire.hw.ranges import Range

from .. import ops
from ..errors import CompileError
from ..graph import Node
from ..host import Input
from ..ops import Tensor
from .functions import IDENTITY, Affine, Function
from .layout import Layout
from .rational import Number, exact
from .rounding import Quantizer, Rounding
from .staircase import float_steps
from .values import Array, Real, Refused, Value, Weight, channelwise

__all__ = ["Blank", "Call", "Context", "Source", "check_size", "float32"]

MAX_ELEMENTS = 1 << 24
MAX_CHANNELS = 1 << 17
MAX_ACCUMULATOR = 1 << 62


UNIT = Affine((Fraction(1),), (Fraction(0),))


class Blank(CompileError):
    """Raised where an input was refused before: the node itself is not to blame."""


@dataclass
class Source:
    """An input of the network, and how the host quantizes it once that is known."""

    name: str
    shape: tuple[int, ...]
    layout: Layout
    node: str
    """By which name nodes refer to its codes."""
    integers: Quantizer | None
    """What it holds, where the file says that these are integers."""
    assumed: bool = False
    """It stands for what a refused node would have put out."""
    fixed: Input | None = None
    how: tuple[Function, Quantizer] | None = None


@dataclass
class Context:
    """The integer graph as far as it is built."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    """The network's inputs, by what :class:`Real` calls their real values."""
    names: set[str] = field(default_factory=set)
    weights: dict[str, int] = field(default_factory=dict)
    """How many weights of the file each ``Linear`` holds."""
    placed: dict[tuple[str, int], tuple[Real, Real]] = field(default_factory=dict)
    """What :mod:`sqwire.compiler.frontend.place` has made of a tensor, so that it does so once."""

    def add(self, name: str, op: ops.Op, *inputs: str) -> str:
        """Append a node; its name, which differs from ``name`` where that is taken."""
        if isinstance(op, ops.Linear):
            self._bound(op, self.tensors[inputs[0]])
        name = self.unique(name)
        tensor = op.infer(*(self.tensors[i] for i in inputs))
        check_size(*tensor.shape)
        self.names.add(name)
        self.tensors[name] = tensor
        self.nodes.append(Node(name, op, inputs))
        return name

    def unique(self, name: str) -> str:
        """``name``, with a number behind it where another node has it."""
        result, count = name, 1
        while result in self.names:
            count += 1
            result = f"{name}#{count}"
        return result

    def assume(self, shape: tuple[int, ...]) -> Real:
        """A tensor to go on with where a node was refused, to find what else would be."""
        raw = self.unique("?")
        self.names.add(raw)
        layout = Layout(shape, (*(1, 1, *shape[2:])[-2:], shape[1]))  # type: ignore[arg-type]
        self.sources[raw] = Source(raw, shape[1:], layout, raw + ".codes", None, assumed=True)
        return Real(raw, IDENTITY, layout)

    @staticmethod
    def _bound(op: ops.Linear, tensor: Tensor) -> None:
        largest = max(abs(tensor.range.lo), abs(tensor.range.hi))
        rows = np.abs(op.weight.astype(np.float64)).sum(axis=(1, 2, 3))
        reach = float(rows.max(initial=0)) * largest
        if reach > MAX_ACCUMULATOR:
            raise CompileError(
                f"an accumulator must have at most 62 bits, not reach {reach:.3g}; use fewer bits"
            )

    def settle(self, real: Real) -> Real:
        """``real`` as a function of codes; integer inputs that nobody quantizes are codes."""
        if real.terms is not None:
            left, right = (side.function.scales() for side in (real.terms.left, real.terms.right))
            raise CompileError(
                f'the sum "{real.terms.name}" of activations with scales {left} and {right} must '
                "be quantized before it is computed with; put a Quant behind it, or use one scale"
            )
        source = self.sources.get(real.node)
        if source is None:
            return real
        if source.assumed:
            raise Blank("the input was refused")
        if source.integers is None:
            raise CompileError(
                f'the network input "{source.name}" must be quantized before it is computed with; '
                "put a Quant behind it, or give it an integer type"
            )
        codes = self.quantize_input(replace(real, function=IDENTITY), source.integers)
        function = codes.function if source.integers.value != UNIT else IDENTITY
        for step in real.function.steps:
            function = function.then(step)
        return replace(real, node=codes.node, function=function)

    def quantize_input(self, real: Real, quantizer: Quantizer) -> Real:
        """The codes that the host makes of an input of the network."""
        source = self.sources[real.node]
        how = (real.function, quantizer)
        if source.fixed is None:
            source.how, source.fixed = how, _host_input(source, *how)
            self.tensors[source.node] = source.fixed.tensor
        elif source.how != how:
            raise CompileError(
                f'the network input "{source.name}" must be quantized in one way, not in two; '
                "use one quantizer for it"
            )
        return Real(source.node, Function((quantizer.value,)), real.layout)


def _host_input(source: Source, function: Function, quantizer: Quantizer) -> Input:
    layout: Literal["CHW", "HWC"] = "CHW" if source.layout.first else "HWC"
    scale = quantizer.value.gain[0]
    if isinstance(quantizer, Rounding):
        scale = quantizer.scale[0]
    if function == IDENTITY and isinstance(quantizer, Rounding) and quantizer.plain:
        domain = Range(quantizer.lo[0], quantizer.hi[0])
        return Input(source.name, source.shape, float(scale), domain, layout)
    steps = float_steps(function, quantizer, source.layout.channels)
    levels = np.concatenate([own for _, own in steps])
    return Input(
        source.name,
        source.shape,
        float(scale),
        Range(levels.min(), levels.max()),
        layout,
        steps=tuple((tuple(t.tolist()), tuple(own.tolist())) for t, own in steps),
    )


def check_size(height: int, width: int, channels: int) -> None:
    """Refuse a tensor that no circuit will ever hold, before memory for it is taken."""
    if (
        min(height, width, channels) < 1
        or channels > MAX_CHANNELS
        or (height * width * channels > MAX_ELEMENTS)
    ):
        raise CompileError(
            f"a tensor must have 1 to {MAX_CHANNELS} channels and at most {MAX_ELEMENTS} "
            f"elements, not {channels} channels at {height} x {width} positions"
        )


@dataclass(frozen=True)
class Call:
    """One ONNX node with the values of its inputs; None where an optional one is left out."""

    context: Context
    name: str
    kind: str
    inputs: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    outputs: int = 1

    def value(self, k: int) -> Value | None:
        """Input ``k``, None if it is left out."""
        return self.inputs[k] if k < len(self.inputs) else None

    def has(self, k: int) -> bool:
        """Whether input ``k`` is given."""
        return self.value(k) is not None

    def real(self, k: int = 0, *, tail: bool = False) -> Real:
        """Input ``k``, which must be computed from the network's input."""
        value = self.value(k)
        if isinstance(value, Refused):
            if value.reason:
                raise CompileError(f"input {k} must be available: {value.reason}")
            raise Blank("an input was refused")
        if not isinstance(value, Real):
            what = "left out" if value is None else "a constant"
            raise CompileError(f"input {k} must depend on the network's input, not be {what}")
        if value.tail and not tail:
            raise CompileError(f"nothing may follow a {value.tail}, which the host computes")
        return value

    def activation(self) -> int:
        """Which of the first two inputs is computed; the other one must be a constant."""
        computed = [k for k in range(2) if isinstance(self.value(k), Real | Refused)]
        if len(computed) != 1:
            raise CompileError("one input must be a constant and the other one an activation")
        return computed[0]

    def constant(self, k: int) -> Array:
        """Input ``k``, which must be a constant."""
        value = self.value(k)
        if isinstance(value, Weight):
            return value.values()
        if not isinstance(value, np.ndarray):
            what = "left out" if value is None else "computed"
            raise CompileError(f"input {k} must be a constant, not {what}; fold it first")
        return value if value.dtype.kind in "fiubO" else value.astype(np.int64)

    def integers(self, k: int) -> tuple[int, ...]:
        """Input ``k``, which must be a constant list of integers."""
        array = self.constant(k)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise CompileError(f"input {k} must be integers, not {array.dtype}")
        return tuple(int(v) for v in array.reshape(-1))

    def scalar(self, k: int) -> Number:
        """Input ``k``, which must be one constant number."""
        array = exact(self.constant(k))
        if array.size != 1:
            raise CompileError(f"input {k} must be one number, not of shape {array.shape}")
        number: Number = array.reshape(-1)[0]
        return number

    def per_channel(self, real: Real, k: int) -> tuple[Any, ...]:
        """A constant that broadcasts over everything but channels: its exact values."""
        return tuple(exact(channelwise(real.layout, self.constant(k))).tolist())

    def tensor(self, real: Real) -> Tensor:
        """The integer tensor behind ``real``."""
        return self.context.tensors[real.node]

    def ints(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        value = self._attribute(name, list, default)
        if not all(isinstance(v, int) for v in value):
            raise CompileError(f'attribute "{name}" must be integers')
        return tuple(value)

    def integer(self, name: str, default: int | None = None) -> int:
        """An attribute that is an integer."""
        value: int = self._attribute(name, int, default)
        return value

    def number(self, name: str, default: float | None = None) -> Fraction:
        """An attribute that is a float: its exact value."""
        value = self._attribute(name, float, None if default is None else float32(default))
        if not math.isfinite(value):
            raise CompileError(f'attribute "{name}" must be finite, not {value}')
        return Fraction(value)

    def numbers(self, name: str) -> tuple[Fraction, ...]:
        """An attribute that is a list of floats: their exact values."""
        values = self._attribute(name, list, None)
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            raise CompileError(f'attribute "{name}" must be finite numbers')
        return tuple(Fraction(v) for v in values)

    def text(self, name: str, default: str, *allowed: str) -> str:
        """An attribute that is one of some words."""
        value: str = self._attribute(name, str, default)
        if allowed and value not in allowed:
            raise CompileError(
                f"{name} must be {' or '.join(dict.fromkeys(allowed))}, not {value or 'empty'}"
            )
        return value

    def _attribute(self, name: str, kind: type, default: Any) -> Any:
        value = self.attributes.get(name, default)
        if value is None:
            raise CompileError(f'attribute "{name}" must be given; the file is incomplete')
        if not isinstance(value, kind | tuple if kind is list else kind):
            raise CompileError(
                f'attribute "{name}" must be of type {kind.__name__}, not {type(value).__name__}'
            )
        return value

    def renamed(self, suffix: str) -> Call:
        """The same call under a name of its own, for a node that becomes several."""
        return replace(self, name=f"{self.name}.{suffix}")


def float32(value: float) -> float:
    """A decimal default as the float32 that ONNX means."""
    return float(np.float32(value))
