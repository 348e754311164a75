"""ONNX's own quantized operators: integer tensors with scales and zero points beside them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...errors import CompileError
from ..context import Call
from ..functions import Affine, Unary
from ..rational import exact
from ..rounding import Rounding
from ..values import Array, Real, Value, Weight, channelwise
from . import linear
from .quantizers import apply, positive

__all__ = [
    "cast", "conv_integer", "dequantize_linear", "matmul_integer", "qlinear_conv",
    "qlinear_matmul", "quantize_linear",
]  # fmt: skip

_ONE, _ZERO = (Fraction(1),), (Fraction(0),)
_TYPES = {
    **{f"{'' if s else 'u'}int{b}": (s, b) for s in (0, 1) for b in (2, 4, 8, 16)},
    "int32": (1, 32),
}
_CODES = {
    int(onnx.TensorProto.UINT8): "uint8", int(onnx.TensorProto.INT8): "int8",
    int(onnx.TensorProto.UINT16): "uint16", int(onnx.TensorProto.INT16): "int16",
    int(onnx.TensorProto.UINT4): "uint4", int(onnx.TensorProto.INT4): "int4",
}  # fmt: skip


def cast(call: Call) -> Value:
    """Nothing; to an integer it cuts off the fraction.

    Refused: types other than FLOAT, DOUBLE, INT32 and INT64.
    """
    real, to = call.real(tail=True), call.integer("to")
    if to in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return real
    if to in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
        return real if real.tail else real.then(Unary("Fix"))
    raise CompileError(f"to must be FLOAT, DOUBLE, INT32 or INT64, not type {to}; leave it out")


def quantize_linear(call: Call) -> Value:
    """A Staircase; for the network's input the host does it; a constant becomes integers.

    Saturates to the type of its zero point, or output_dtype; axis. Refused: block_size.
    """
    _no_blocks(call)
    name = _CODES.get(call.integer("output_dtype", 0), "uint8")
    zero = _number(call, 2)
    if call.has(2):
        name = str(np.asarray(call.value(2)).dtype)
    x = call.value(0)
    rank = len(x.shape) if isinstance(x, np.ndarray | Real | Weight) else 0
    parameters = [_along(call, v, rank) for v in (positive(call, 1), zero)]
    result = _to_integers(call, parameters, name)
    if isinstance(result, Weight):
        return np.array(result.values().astype(np.int64))
    return result


def _to_integers(call: Call, parameters: list[Array], name: str) -> Value:
    """Input 0 by scale and zero point, saturated to the integer type ``name``."""
    if name not in _TYPES:
        raise CompileError(f"the zero point must be an integer of 2 to 32 bits, not {name}")
    signed, bits = _TYPES[name]
    lo = -(1 << bits - 1) if signed else 0
    hi = lo + (1 << bits) - 1

    def rule(scale: Any, zero: Any) -> Rounding:
        # The zero point is added after rounding, so codes are counted from it.
        least, most = (tuple(end - int(z) for z in zero) for end in (lo, hi))
        return Rounding(scale, _ZERO, least, most, (0,), Affine(_ONE, zero))

    return apply(call, parameters, rule)


def dequantize_linear(call: Call) -> Value:
    """Nothing: codes get their scale back; a constant becomes integer weights.

    Scale and zero point for the tensor or along axis. Refused: block_size.
    """
    _no_blocks(call)
    zero, scale = _number(call, 2), positive(call, 1)
    if isinstance(call.value(0), np.ndarray):
        rank = call.constant(0).ndim
        return _weight(call.constant(0), _along(call, scale, rank), _along(call, zero, rank))
    real = call.real()
    rank = len(real.shape)
    return _real(real, _along(call, scale, rank), _along(call, zero, rank))


def _real(real: Real, scale: Array, zero: Array) -> Real:
    """``(real - zero) * scale``."""
    gain, start = (tuple(channelwise(real.layout, v).tolist()) for v in (scale, zero))
    return real.then(Affine(_ONE, tuple(-z for z in start)), Affine(gain, _ZERO))


def _weight(codes: Array, scale: Array, zero: Array) -> Weight:
    """``(codes - zero) * scale``."""
    if codes.dtype.kind not in "iu":
        raise CompileError(f"a constant must be integer, not {codes.dtype}")
    scale, zero = (v.reshape((1,) * (codes.ndim - v.ndim) + v.shape) for v in (scale, zero))
    return Weight(codes.astype(np.int64) - zero.astype(np.int64), scale)


def conv_integer(call: Call) -> Value:
    """A Linear, as Conv, of integers."""
    real = _real(call.real(), _one(), _number(call, 2))
    weight = _weight(call.constant(1), _one(), _first(_number(call, 3), call.constant(1).ndim))
    return linear.conv(replace(call, inputs=(real, weight)))


def matmul_integer(call: Call) -> Value:
    """A Linear, as MatMul, of integers."""
    real = _real(call.real(), _one(), _number(call, 2))
    return linear.matmul(
        replace(call, inputs=(real, _weight(call.constant(1), _one(), _number(call, 3))))
    )


def qlinear_conv(call: Call) -> Value:
    """A Linear and a Staircase, which is named after the node and ".quant"."""
    rank = call.constant(3).ndim
    real = _real(call.real(), positive(call, 1), _number(call, 2))
    weight = _weight(
        call.constant(3), _first(positive(call, 4), rank), _first(_number(call, 5), rank)
    )
    inputs: tuple[Value, ...] = (real, weight)
    if call.has(8):
        inputs += (exact(call.constant(8)) * positive(call, 4) * positive(call, 1),)
    return _quantized(call, linear.conv(replace(call, inputs=inputs)), 6)


def qlinear_matmul(call: Call) -> Value:
    """A Linear and a Staircase, which is named after the node and ".quant"."""
    real = _real(call.real(), positive(call, 1), _number(call, 2))
    weight = _weight(call.constant(3), positive(call, 4), _number(call, 5))
    return _quantized(call, linear.matmul(replace(call, inputs=(real, weight))), 6)


def _quantized(call: Call, real: Value, k: int) -> Value:
    """``real`` by the scale and the zero point that are inputs ``k`` and ``k + 1``."""
    name = str(np.asarray(call.value(k + 1)).dtype) if call.has(k + 1) else "uint8"
    parameters = [_scalar(positive(call, k)), _scalar(_number(call, k + 1))]
    return _to_integers(replace(call.renamed("quant"), inputs=(real,)), parameters, name)


def _one() -> Array:
    return np.array(Fraction(1), dtype=object)


def _number(call: Call, k: int) -> Array:
    """A zero point: input ``k``, 0 where it is left out."""
    return exact(call.constant(k)) if call.has(k) else np.array(Fraction(0), dtype=object)


def _scalar(values: Array) -> Array:
    if values.size != 1:
        raise CompileError(f"output scale and zero point must be one, not of shape {values.shape}")
    return values.reshape(())


def _first(values: Array, rank: int) -> Array:
    """One a row of a weight with ``rank`` axes."""
    return values.reshape(()) if values.size == 1 else values.reshape(-1, *[1] * (rank - 1))


def _no_blocks(call: Call) -> None:
    if call.integer("block_size", 0):
        raise CompileError(f"block_size must be 0, not {call.integer('block_size', 0)}")


def _along(call: Call, values: Array, rank: int) -> Array:
    """Parameters of an ONNX quantizer along its axis, ready to broadcast."""
    if values.size == 1 or values.ndim != 1:
        return values.reshape(()) if values.size == 1 else values
    axis = call.integer("axis", 1)
    if not -rank <= axis < rank:
        raise CompileError(f"axis must be one of the {rank} axes, not {axis}")
    return values.reshape(-1, *[1] * (rank - axis % rank - 1))
