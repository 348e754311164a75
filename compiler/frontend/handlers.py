"""One small function an ONNX operator: what it makes of real tensors and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sqwire.hw.ranges import Range

from .. import ops
from ..errors import CompileError
from ..graph import INPUT, Node
from ..host import Input
from ..ops import Tensor
from .real import Affine, Quantizer, Real, Relu, exact, quantize, steps

__all__ = ["HANDLERS", "Call", "Context", "Unquantized", "Value"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Unquantized:
    """The network's input before its first quantizer: real values from the host."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """A quantized constant: ``scale[k] * codes`` along the first axis (or one scale)."""

    codes: NDArray[np.int64]
    scale: tuple[Fraction, ...]


Value = Array | Real | Unquantized | Weight


@dataclass
class Context:
    """The integer graph as far as it is built."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    input: Input | None = None

    def add(self, name: str, op: ops.Op, *inputs: str) -> str:
        """Append a node; its name."""
        if name in self.tensors:
            raise CompileError(f"the name must be unique, not twice in the graph: {name!r}")
        self.tensors[name] = op.infer(*(self.tensors[i] for i in inputs))
        self.nodes.append(Node(name, op, inputs))
        return name


@dataclass(frozen=True)
class Call:
    """One ONNX node with the values of its inputs."""

    context: Context
    name: str
    node: onnx.NodeProto
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]

    def real(self, k: int = 0) -> Real:
        """Input ``k``, which must be a tensor computed from quantized values."""
        value = self.inputs[k]
        if not isinstance(value, Real):
            what = {Unquantized: "the unquantized network input", Weight: "a quantized constant"}
            raise CompileError(
                f"input {k} must be an activation, not {what.get(type(value), 'a constant')}; "
                "put a Quant before it"
            )
        return value

    def codes(self, k: int = 0) -> tuple[str, Fraction, Real]:
        """Input ``k`` as plain codes: the node that holds them, and their one scale."""
        real = self.real(k)
        if real.scale is None:
            raise CompileError(
                f"input {k} must be quantized with one positive scale for all channels; "
                "put a Quant before it"
            )
        return real.node, real.scale, real

    def weight(self, k: int = 1) -> Weight:
        """Input ``k``, which must be a quantized constant."""
        value = self.inputs[k]
        if not isinstance(value, Weight):
            raise CompileError(f"input {k} must be a quantized weight; put a Quant before it")
        return value

    def constant(self, k: int) -> Array:
        """Input ``k``, which must be a constant."""
        value = self.inputs[k]
        if not isinstance(value, np.ndarray):
            raise CompileError(f"input {k} must be a constant")
        return value

    def per_channel(self, k: int, channels: int) -> tuple[Fraction, ...]:
        """A constant that broadcasts over everything but channels (axis 1)."""
        array = self.constant(k)
        if array.size == 1:
            return exact(array)
        axis = array.ndim - (3 if array.ndim in (3, 4) else 1)
        if array.shape[axis] != channels or array.size != channels:
            raise CompileError(
                f"input {k} must be one constant, or one a channel ({channels}), "
                f"not of shape {array.shape}"
            )
        return exact(array)


Handler = Callable[[Call], Value]


def _quant(call: Call) -> Value:
    x = call.inputs[0]
    scale, zero, bits = exact(call.constant(1)), call.constant(2), call.constant(3)
    if any(s <= 0 for s in scale):
        raise CompileError(f"scale must be positive, not {float(min(scale)):g}")
    if np.any(zero != 0):
        raise CompileError(f"zero point must be 0, not {np.max(np.abs(zero)):g}")
    if bits.size != 1 or not 1 <= float(bits.reshape(-1)[0]) <= 32 or np.any(bits % 1):
        raise CompileError(f"bit width must be one integer from 1 to 32, not {bits.tolist()}")
    rounding = call.attributes.get("rounding_mode", b"ROUND")
    if rounding not in (b"ROUND", b"HALF_EVEN"):
        raise CompileError(f"rounding_mode must be ROUND, not {rounding.decode()}")
    width, narrow = int(bits.reshape(-1)[0]), bool(call.attributes.get("narrow", 0))
    if call.attributes.get("signed", 1):
        domain = Range.signed(width, narrow=narrow)
    else:
        domain = Range(0, Range.unsigned(width).hi - narrow)
    if isinstance(x, np.ndarray):
        return _quant_constant(x, call.constant(1), scale, domain)
    if isinstance(x, Unquantized):
        if len(scale) != 1:
            raise CompileError("the input's scale must be one for all channels")
        context = call.context
        if context.input is not None:
            raise CompileError("the network input must be quantized once, not twice")
        context.input = Input(x.name, x.shape, float(scale[0]), domain)
        context.tensors[INPUT] = context.input.tensor
        return Real(INPUT, (Affine(scale, (Fraction(0),)),))
    real = call.real()
    tensor = call.context.tensors[real.node]
    if len(scale) not in (1, tensor.channels):
        raise CompileError(f"scale must be one, or one a channel ({tensor.channels})")
    quantizer = Quantizer(scale, domain)
    functions = tuple(
        steps(real.chain, channel, tensor.ranges[channel], quantizer)
        for channel in range(tensor.channels)
    )
    node = call.context.add(call.name, ops.Staircase(functions), real.node)
    return Real(node, (Affine(scale, (Fraction(0),) * len(scale)),), real.order)


def _quant_constant(x: Array, scales: Array, scale: tuple[Fraction, ...], domain: Range) -> Weight:
    exact(x)
    if len(scale) == 1:
        return Weight(quantize(x, scale[0], domain), scale)
    if scales.shape[0] != len(scale) or x.shape[0] != len(scale):
        raise CompileError(
            f"weight scales must run along the first axis ({x.shape[0]}), "
            f"not have shape {scales.shape}"
        )
    rows = [quantize(row, s, domain) for row, s in zip(x, scale, strict=True)]
    return Weight(np.stack(rows), scale)


def _affine(call: Call, gain: tuple[Fraction, ...], offset: tuple[Fraction, ...]) -> Value:
    count = max(len(gain), len(offset))
    gain, offset = (v * count if len(v) == 1 else v for v in (gain, offset))
    real = call.real(0 if isinstance(call.inputs[0], Real) else 1)
    if real.order is not None and count > 1:
        raise CompileError("a flattened tensor must be scaled alike in all channels")
    return real.then(Affine(gain, offset))


def _channels(call: Call) -> int:
    real = call.real(0 if isinstance(call.inputs[0], Real) else 1)
    return call.context.tensors[real.node].channels


def _mul(call: Call) -> Value:
    constant = 0 if isinstance(call.inputs[0], np.ndarray) else 1
    return _affine(call, call.per_channel(constant, _channels(call)), (Fraction(0),))


def _div(call: Call) -> Value:
    divisor = call.per_channel(1, _channels(call))
    if not all(divisor):
        raise CompileError("a divisor must not be zero")
    return _affine(call, tuple(1 / d for d in divisor), (Fraction(0),))


def _add(call: Call) -> Value:
    left, right = call.inputs[:2]
    if isinstance(left, Real) and isinstance(right, Real):
        (a, a_scale, real), (b, b_scale, _) = call.codes(0), call.codes(1)
        if a_scale != b_scale:
            raise CompileError(
                f"both inputs must have the same scale, not {float(a_scale):g} and "
                f"{float(b_scale):g}; quantize both with one scale"
            )
        return Real(call.context.add(call.name, ops.Add(), a, b), real.chain, real.order)
    constant = 0 if isinstance(left, np.ndarray) else 1
    return _affine(call, (Fraction(1),), call.per_channel(constant, _channels(call)))


def _relu(call: Call) -> Value:
    return call.real().then(Relu())


def _spatial(call: Call, kernel: tuple[int, int]) -> dict[str, Any]:
    """Stride, padding and dilation of a two-dimensional operator."""
    given = call.attributes
    if given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise CompileError(f"auto_pad must be NOTSET, not {given['auto_pad'].decode()}")
    sizes = {
        "stride": tuple(given.get("strides", (1, 1))),
        "padding": tuple(given.get("pads", (0, 0, 0, 0))),
        "dilation": tuple(given.get("dilations", (1, 1))),
    }
    if tuple(given.get("kernel_shape", kernel)) != kernel or len(sizes["padding"]) != 4:
        raise CompileError(
            f"kernel and padding must be two-dimensional and fit the weight {kernel}"
        )
    return sizes


def _linear(
    call: Call, weight: NDArray[np.int64], scale: tuple[Fraction, ...], **spatial: Any
) -> Value:
    node, in_scale, _ = call.codes()
    op = ops.Linear(weight, np.zeros(len(weight), dtype=np.int64), **spatial)
    name = call.context.add(call.name, op, node)
    return Real(name, (Affine(tuple(s * in_scale for s in scale), (Fraction(0),) * len(scale)),))


def _conv(call: Call) -> Value:
    weight = call.weight()
    if weight.codes.ndim != 4:
        raise CompileError(f"a weight must have 4 axes, not {weight.codes.ndim}")
    if call.attributes.get("group", 1) != 1:
        raise CompileError(f"group must be 1, not {call.attributes['group']}")
    out, _, rows, columns = weight.codes.shape
    result = _linear(
        call,
        weight.codes.transpose(0, 2, 3, 1),
        weight.scale,
        **_spatial(call, (rows, columns)),
    )
    return _bias(call, result, out)


def _bias(call: Call, value: Value, channels: int) -> Value:
    if len(call.inputs) < 3:
        return value
    assert isinstance(value, Real)
    bias = call.inputs[2]
    if isinstance(bias, Weight):
        count = len(bias.codes)
        scales = bias.scale * count if len(bias.scale) == 1 else bias.scale
        offset = tuple(s * int(c) for s, c in zip(scales, bias.codes.reshape(-1), strict=True))
    else:
        offset = call.per_channel(2, channels)
    return value.then(Affine((Fraction(1),) * len(offset), offset))


def _matmul(call: Call) -> Value:
    weight, real = call.weight(), call.real()
    if len(weight.scale) != 1:
        raise CompileError("a MatMul weight must have one scale")
    return _fully_connected(call, weight.codes.T, weight.scale, real)


def _gemm(call: Call) -> Value:
    weight, real = call.weight(), call.real()
    given = call.attributes
    if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0 or given.get("transA", 0):
        raise CompileError("alpha and beta must be 1 and transA 0; fold them into the weights")
    codes = weight.codes if given.get("transB", 0) else weight.codes.T
    if len(weight.scale) != 1 and not given.get("transB", 0):
        raise CompileError("weight scales a channel need transB = 1")
    return _bias(call, _fully_connected(call, codes, weight.scale, real), len(codes))


def _fully_connected(
    call: Call, codes: NDArray[np.int64], scale: tuple[Fraction, ...], real: Real
) -> Value:
    if codes.ndim != 2:
        raise CompileError(f"a weight must have 2 axes, not {codes.ndim}")
    tensor = call.context.tensors[real.node]
    if tensor.positions != 1 or codes.shape[1] != tensor.channels:
        raise CompileError(
            f"input must be {codes.shape[1]} features, not {tensor.shape}; flatten it first"
        )
    if real.order is not None:
        placed = np.zeros_like(codes)
        placed[:, list(real.order)] = codes
        codes = placed
    return _linear(call, codes[:, None, None, :], scale)


def _maxpool(call: Call) -> Value:
    node, _, real = call.codes()
    kernel = tuple(call.attributes["kernel_shape"])
    if call.attributes.get("ceil_mode", 0):
        raise CompileError("ceil_mode must be 0, not 1")
    sizes = _spatial(call, kernel)
    return Real(call.context.add(call.name, ops.MaxPool(kernel, **sizes), node), real.chain)


def _average(call: Call, kernel: tuple[int, int]) -> Value:
    node, scale, _ = call.codes()
    name = call.context.add(call.name, ops.SumPool(kernel), node)
    return Real(name, (Affine((scale / (kernel[0] * kernel[1]),), (Fraction(0),)),))


def _average_pool(call: Call) -> Value:
    kernel = tuple(call.attributes["kernel_shape"])
    sizes = _spatial(call, kernel)
    if sizes["stride"] != kernel or any(sizes["padding"]) or call.attributes.get("ceil_mode", 0):
        raise CompileError(
            f"strides must equal the kernel {kernel} without padding or ceil_mode, "
            f"not {sizes['stride']} and {sizes['padding']}"
        )
    return _average(call, kernel)


def _global_average_pool(call: Call) -> Value:
    tensor = call.context.tensors[call.real().node]
    return _average(call, (tensor.height, tensor.width))


def _flatten(call: Call) -> Value:
    if call.attributes.get("axis", 1) != 1:
        raise CompileError(f"axis must be 1, not {call.attributes['axis']}")
    node, _, real = call.codes()
    if real.order is not None:
        return real
    height, width, channels = call.context.tensors[node].shape
    if height * width == 1:
        return real
    order = np.arange(height * width * channels).reshape(height, width, channels)
    flat = tuple(int(k) for k in order.transpose(2, 0, 1).reshape(-1))
    return Real(call.context.add(call.name, ops.Flatten(), node), real.chain, flat)


def _constant(call: Call) -> Value:
    return np.asarray(onnx.numpy_helper.to_array(call.attributes["value"]))


def _identity(call: Call) -> Value:
    return call.inputs[0]


HANDLERS: Mapping[str, Handler] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "Constant": _constant,
    "Conv": _conv,
    "Div": _div,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "Identity": _identity,
    "MatMul": _matmul,
    "MaxPool": _maxpool,
    "Mul": _mul,
    "Quant": _quant,
    "Relu": _relu,
}
"""The operators the compiler knows."""
