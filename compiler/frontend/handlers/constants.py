"""Operators on constants: done now, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...errors import CompileError
from ..context import MAX_ELEMENTS, Call
from ..rational import Root, divide, exact, multiply, root
from ..values import Array, Value, Weight

__all__ = ["FOLDS", "constant"]


def constant(call: Call) -> Value:
    """A constant."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in call.attributes:
            value = call.attributes[name]
            kind = np.float32 if "float" in name else np.int64
            return value if isinstance(value, np.ndarray) else np.array(value, dtype=kind)
    raise CompileError("a constant must have a value of numbers")


def _both(
    on_integers: Callable[[Array, Array], Array], exactly: Callable[[Any, Any], Any]
) -> Callable[[Call], Value]:
    """Two operands that broadcast: integers as ONNX computes them, the rest in fractions."""

    def fold(call: Call) -> Value:
        a, b = call.constant(0), call.constant(1)
        shape = np.broadcast_shapes(a.shape, b.shape)
        if math.prod(shape) > MAX_ELEMENTS:
            raise CompileError(f"constants must have at most {MAX_ELEMENTS} elements, not {shape}")
        if a.dtype.kind in "iub" and b.dtype.kind in "iub":
            return np.asarray(on_integers(a.astype(np.int64), b.astype(np.int64)))
        return _map(exactly, exact(a), exact(b))

    return fold


def _map(function: Callable[..., Any], *arrays: Array) -> Array:
    return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), dtype=object)


def _times(call: Call) -> Value:
    """A product; a quantized constant stays one."""
    return _scaled(call, multiply, np.multiply)


def _over(call: Call) -> Value:
    return _scaled(call, divide, _truncated)


def _scaled(call: Call, exactly: Callable[[Any, Any], Any], integers: Any) -> Value:
    a, b = call.value(0), call.value(1)
    if isinstance(b, Weight) and isinstance(a, np.ndarray) and exactly is multiply:
        a, b = b, a
    if isinstance(a, Weight) and isinstance(b, np.ndarray):
        if np.broadcast_shapes(a.shape, b.shape) == a.shape:
            return Weight(a.codes, _map(exactly, a.scale, exact(b)))
    return _both(integers, exactly)(call)


def _truncated(a: Array, b: Array) -> Array:
    if not b.all():
        raise CompileError("a divisor must not be zero")
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))


def _sum(a: Any, b: Any) -> Any:
    if isinstance(a, Root) and isinstance(b, Root) and a.radicand == b.radicand:
        return root(a.factor + b.factor, a.radicand)
    if isinstance(a, Root) or isinstance(b, Root):
        if not a or not b:
            return a or b
        raise CompileError("a square root and a fraction must not be added; fold constants first")
    return a + b


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, Root) or isinstance(b, Root):
        raise CompileError("powers of square roots must be folded first")
    if b.denominator == 1 and abs(b) <= 64:
        return divide(Fraction(1), a ** int(-b)) if b < 0 else a ** int(b)
    if abs(b) == Fraction(1, 2):
        value = root(Fraction(1), a)
        return value if b > 0 else divide(Fraction(1), value)
    raise CompileError(f"an exponent must be a small integer or a half, not {float(b):g}")


def _one(exactly: Callable[[Any], Any]) -> Callable[[Call], Value]:
    def fold(call: Call) -> Value:
        a = call.constant(0)
        result = _map(exactly, exact(a))
        return result.astype(np.int64) if a.dtype.kind in "iu" else result

    return fold


def _cast(call: Call) -> Value:
    to = call.integer("to")
    value = call.constant(0)
    if to in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        kind: Any = np.float32 if to == onnx.TensorProto.FLOAT else np.float64
        return value if value.dtype == object else value.astype(kind)
    kinds: Mapping[int, Any] = {
        onnx.TensorProto.INT64: np.int64, onnx.TensorProto.INT32: np.int32,
        onnx.TensorProto.INT8: np.int8, onnx.TensorProto.UINT8: np.uint8,
        onnx.TensorProto.BOOL: np.bool_,
    }  # fmt: skip
    if to not in kinds:
        raise CompileError(f"to must be a float or an integer type, not {to}")
    numbers = exact(value)
    whole = np.array([math.trunc(v) for v in numbers.reshape(-1)], dtype=np.int64)
    return whole.reshape(value.shape).astype(kinds[to])


def _constant_of_shape(call: Call) -> Value:
    shape = call.integers(0)
    if math.prod(shape) > MAX_ELEMENTS or min(shape, default=0) < 0:
        raise CompileError(f"shape must have at most {MAX_ELEMENTS} elements, not {shape}")
    value = call.attributes.get("value", np.zeros(1, np.float32))
    return np.full(shape, np.asarray(value).reshape(-1)[0])


def _range(call: Call) -> Value:
    first, last, step = (int(call.integers(k)[0]) for k in range(3))
    if not step or abs((last - first) // step) > MAX_ELEMENTS:
        raise CompileError(f"a range must be finite, not {first} to {last} by {step}")
    return np.arange(first, last, step)


def _where(call: Call) -> Value:
    return np.where(call.constant(0).astype(bool), call.constant(1), call.constant(2))


def _compare(function: Callable[[Array, Array], Array]) -> Callable[[Call], Value]:
    return lambda call: np.asarray(function(call.constant(0), call.constant(1)), dtype=np.bool_)


def _product(call: Call) -> Value:
    axes = call.integers(1) if call.has(1) else call.ints("axes", ())
    keep = bool(call.integer("keepdims", 1))
    array = call.constant(0)
    return np.asarray(array.prod(axis=tuple(axes) or None, keepdims=keep))


FOLDS: Mapping[str, Callable[[Call], Value]] = {
    "Abs": _one(abs),
    "Add": _both(np.add, _sum),
    "Cast": _cast,
    "Ceil": _one(lambda v: Fraction(math.ceil(v))),
    "ConstantOfShape": _constant_of_shape,
    "Div": _over,
    "Equal": _compare(np.equal),
    "Floor": _one(lambda v: Fraction(math.floor(v))),
    "Greater": _compare(np.greater),
    "Less": _compare(np.less),
    "Max": _both(np.maximum, max),
    "Min": _both(np.minimum, min),
    "Mul": _times,
    "Neg": _one(lambda v: multiply(Fraction(-1), v)),
    "Pow": _both(np.power, _power),
    "Range": _range,
    "Reciprocal": _one(lambda v: divide(Fraction(1), v)),
    "ReduceProd": _product,
    "Relu": _one(lambda v: max(v, Fraction(0))),
    "Round": _one(lambda v: Fraction(round(v))),
    "Sign": _one(lambda v: Fraction((v > 0) - (v < 0))),
    "Sqrt": _one(lambda v: _power(v, Fraction(1, 2))),
    "Sub": _both(np.subtract, lambda a, b: _sum(a, multiply(Fraction(-1), b))),
    "Where": _where,
}
"""What is computed at once where every input is a constant."""
