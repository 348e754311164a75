"""Quantizers: where real numbers become codes, and codes that are real numbers again."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ... import ops
from ...errors import CompileError
from ..context import Call
from ..functions import Affine, Function
from ..rational import exact, gcd
from ..residual import quantize_sum
from ..rounding import MODES, Counting, Quantizer, Rounding
from ..staircase import constants, staircases
from ..values import Array, Real, Value, Weight, channelwise

__all__ = [
    "apply", "bipolar_quant", "int_quant", "multi_threshold", "positive", "quantize", "trunc",
]  # fmt: skip

# Trunc (version 1) does not clip; no accumulator reaches beyond these.
_UNBOUNDED = 1 << 52
_NEVER = 1e300


def int_quant(call: Call) -> Value:
    """A Staircase; for the network's input the host does it; a constant becomes integer weights.

    Every rounding mode; signed and narrow; scale, zero point and bit width for the tensor or a
    channel, as constants of any shape that broadcasts. One signed bit is a sign. Costs nothing
    where the tensor is quantized alike already. Refused: scales that are not positive, widths
    beyond 32 bits, an input of the network that is quantized in two ways.
    """
    narrow, signed = bool(call.integer("narrow")), bool(call.integer("signed"))
    mode = call.text("rounding_mode", "ROUND").upper()
    if mode not in MODES:
        raise CompileError(f"rounding_mode must be one of {', '.join(MODES)}, not {mode}")
    return apply(
        call,
        [positive(call, 1), exact(call.constant(2)), _bits(call, 3)],
        lambda scale, zero, bits: _rounding(scale, zero, bits, signed, narrow, mode),
    )


def bipolar_quant(call: Call) -> Value:
    """A Staircase of one step: 1 where the value is at least 0, else -1, carried as one bit.

    Where zeros are padded around it or inserted between, a table makes codes -1 and 1 of it.
    """
    return apply(call, [positive(call, 1)], lambda scale: _sign(scale, (Fraction(0),)))


def trunc(call: Call) -> Value:
    """A Staircase: rounds to the input's scale, then to the output's.

    Version 1 (five inputs) and version 2 (six inputs: output scale, signed, narrow).
    """
    mode = call.text("rounding_mode", "FLOOR").upper()
    if mode not in MODES:
        raise CompileError(f"rounding_mode must be one of {', '.join(MODES)}, not {mode}")
    scale, zero = positive(call, 1), exact(call.constant(2))
    if len(call.inputs) < 6:
        (before,), (after,) = _single(_bits(call, 3), 3), _single(_bits(call, 4), 4)
        return apply(
            call,
            [scale, zero],
            lambda s, z: Rounding(
                s, z, (-_UNBOUNDED,), (_UNBOUNDED,), *_shown(s, z), mode, before - after
            ),
        )
    (ratio,) = _single(positive(call, 4), 4)
    (unit,) = _single(scale, 1)
    shift = round(math.log2(ratio / unit))
    narrow, signed = bool(call.integer("narrow", 0)), bool(call.integer("signed", 1))

    def second(out: Any, z: Any, bits: Any) -> Rounding:
        rule = _rounding(out, z, bits, signed, narrow, mode, one_bit=False)
        assert isinstance(rule, Rounding)
        zero = tuple(v / Fraction(2) ** shift for v in z)
        origin, value = _shown(out, zero)
        return replace(rule, scale=(unit,), origin=origin, value=value, shift=shift)

    return apply(call, [positive(call, 4), zero, _bits(call, 5)], second)


def multi_threshold(call: Call) -> Value:
    """A Staircase with the thresholds given.

    One row of thresholds, or one a channel; out_scale, out_bias; data_layout NCHW, NHWC, NC, NWC.
    """
    real, thresholds = call.real(), call.constant(1).astype(np.float64)
    if thresholds.ndim != 2 or np.isnan(thresholds).any():
        raise CompileError(f"thresholds must be (channels, steps), not {thresholds.shape}")
    layout = call.text("data_layout", "")
    if not layout:
        layout = {2: "NC", 3: "NWC", 4: "NCHW"}.get(len(real.shape), "NC")
    axis = layout.index("C") if "C" in layout else 1
    rows = exact(np.clip(thresholds, -_NEVER, _NEVER))
    table = tuple(tuple(sorted(row)) for row in rows.tolist())
    if len(table) > 1:
        if axis >= len(real.shape) or len(table) != real.shape[axis]:
            raise CompileError(
                f"thresholds must be for 1 or all channels along axis {axis} of {real.shape}, "
                f"not {len(table)}"
            )
        along = np.arange(len(table)).reshape(-1, *[1] * (len(real.shape) - axis - 1))
        table = tuple(table[k] for k in channelwise(real.layout, along).tolist())
    scale, bias = call.number("out_scale", 1.0), call.number("out_bias", 0.0)
    whole = bool(scale) and (bias / scale).denominator == 1
    value = Affine((scale,), (Fraction(0) if whole else bias,))
    return quantize(call, real, Counting(table, int(bias / scale) if whole else 0, value))


def quantize(call: Call, real: Real, quantizer: Quantizer) -> Real:
    """The codes of a tensor: by the host, by a staircase, or those it is made of already."""
    if real.terms is not None:
        return quantize_sum(call, real, quantizer)
    if real.node in call.context.sources:
        return call.context.quantize_input(real, quantizer)
    result = replace(real, function=Function((quantizer.value,)))
    tensor = call.tensor(real)
    if _changes_nothing(real, quantizer, tensor.range.lo, tensor.range.hi):
        return result
    steps = staircases(real.function, tensor.ranges, quantizer)
    node = call.context.add(call.name, ops.Staircase(steps), real.node)
    return replace(result, node=node)


def _changes_nothing(real: Real, quantizer: Quantizer, lo: int, hi: int) -> bool:
    """Whether each code is its own code: the tensor has been quantized alike before."""
    if not isinstance(quantizer, Rounding) or quantizer.shift is not None:
        return False
    step = real.function.affine
    count = max(real.function.parameters, quantizer.parameters)
    if (
        step is None
        or any(quantizer.value.offset)
        or any(z.denominator > 1 for z in quantizer.zero)
    ):
        return False
    return all(
        step.at(c) == (_pick(quantizer.scale, c), Fraction(0))
        and _pick(quantizer.lo, c) - _pick(quantizer.origin, c) <= lo
        and hi <= _pick(quantizer.hi, c) - _pick(quantizer.origin, c)
        for c in range(count)
    )


def _pick(values: tuple[Any, ...], channel: int) -> Any:
    return values[channel if len(values) > 1 else 0]


def apply(call: Call, parameters: list[Array], rule: Any) -> Value:
    """Input 0 quantized by ``rule``, which makes a quantizer of the parameters a channel."""
    x = call.value(0)
    if not isinstance(x, np.ndarray | Weight):
        real = call.real()
        columns = (tuple(channelwise(real.layout, p).tolist()) for p in parameters)
        return quantize(call, real, rule(*columns))
    values = x.values() if isinstance(x, Weight) else x
    if values.dtype != object and not np.isfinite(values).all():
        raise CompileError("constants must be finite, not NaN or infinite; check the export")
    shape = np.broadcast_shapes(*(p.shape for p in parameters))
    shape = (1,) * (values.ndim - len(shape)) + shape
    if np.broadcast_shapes(shape, values.shape) != values.shape:
        raise CompileError(
            f"scale and zero point of shape {shape} must broadcast to the constant's {values.shape}"
        )
    columns = (tuple(np.broadcast_to(p, shape).reshape(-1).tolist()) for p in parameters)
    quantizer: Quantizer = rule(*columns)
    groups = np.arange(math.prod(shape)).reshape(shape)
    codes = constants(values, np.broadcast_to(groups, values.shape), quantizer)
    # gain * code + offset as a multiple of one number, group by group.
    pairs: list[tuple[Any, Any]] = [quantizer.value.at(k) for k in range(groups.size)]
    units = [gcd(pair) for pair in pairs]
    factor, start = (
        np.array([int(pair[n] / unit) for pair, unit in zip(pairs, units, strict=True)])
        for n in range(2)
    )
    codes = codes * factor.reshape(shape) + start.reshape(shape)
    scale = np.empty(len(units), dtype=object)
    scale[:] = units
    return Weight(codes, scale.reshape(shape))


def _rounding(
    scale: Any, zero: Any, bits: Any, signed: bool, narrow: bool, mode: str, one_bit: bool = True
) -> Quantizer:
    if signed and one_bit and 1 in bits:
        if set(bits) != {1}:
            raise CompileError("bit widths must be all 1 or all above, not mixed, where signed")
        return _sign(scale, zero)
    if signed:
        lo = tuple(-(1 << b - 1) + narrow for b in bits)
        hi = tuple((1 << b - 1) - 1 for b in bits)
    else:
        lo, hi = (0,), tuple((1 << b) - 1 - narrow for b in bits)
    return Rounding(scale, zero, lo, hi, *_shown(scale, zero), mode)


def _shown(scale: Any, zero: Any) -> tuple[tuple[int, ...], Affine]:
    """The origin that codes are counted from and what they then mean: ``(code - zero) * scale``."""
    if max(map(abs, zero)) > 1 << 32:
        raise CompileError(f"zero point must be a code, not {float(max(zero, key=abs)):g}")
    origin = tuple(int(z) if z.denominator == 1 else 0 for z in zero)
    count = max(len(scale), len(zero))
    scale, zero, start = (v * count if len(v) == 1 else v for v in (scale, zero, origin))
    offset = tuple((o - z) * s for s, z, o in zip(scale, zero, start, strict=True))
    return origin, Affine(scale, offset)


def _sign(scale: Any, zero: Any) -> Counting:
    """QONNX's signed quantizer of one bit: ``x / scale + zero >= 0``."""
    count = max(len(scale), len(zero))
    scale, zero = (v * count if len(v) == 1 else v for v in (scale, zero))
    pairs = list(zip(scale, zero, strict=True))
    value = Affine(tuple(2 * s for s in scale), tuple(-s * (1 + z) for s, z in pairs))
    thresholds = tuple((-z * s,) for s, z in pairs)
    return Counting(thresholds if len(set(thresholds)) > 1 else thresholds[:1], 0, value)


def positive(call: Call, k: int) -> Array:
    scale = exact(call.constant(k))
    for value in scale.reshape(-1).tolist():
        if not isinstance(value, Fraction) or value <= 0:
            raise CompileError(f"scale must be positive, not {float(value):g}")
    if not scale.size:
        raise CompileError("scale must not be empty")
    return scale


def _bits(call: Call, k: int) -> Array:
    bits = exact(call.constant(k))
    if not bits.size or any(b.denominator != 1 or not 1 <= b <= 32 for b in bits.reshape(-1)):
        raise CompileError(f"bit width must be integer, from 1 to 32, not {call.constant(k)}")
    return np.array([int(b) for b in bits.reshape(-1)], dtype=object).reshape(bits.shape)


def _single(values: Array, k: int) -> tuple[Any]:
    if values.size != 1:
        raise CompileError(f"input {k} must be one number, not of shape {values.shape}")
    return (values.reshape(-1)[0],)
