"""Resize: nearest neighbours at every way of counting coordinates that ONNX has, and linear."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CompileError
from ..context import MAX_ELEMENTS, Call
from ..rational import exact
from ..values import Value
from .matching import linear_resize
from .movement import move

__all__ = ["resize"]

_HALF = Fraction(1, 2)
_MAX_SIZE = 1 << 14

# Where element x of the output lies in the input, for sizes n -> m at the given scale.
_COORDINATES: dict[str, Any] = {
    "asymmetric": lambda x, scale, n, m: x / scale,
    "half_pixel": lambda x, scale, n, m: (x + _HALF) / scale - _HALF,
    "half_pixel_symmetric": lambda x, scale, n, m: (
        Fraction(n, 2) * (1 - m / (scale * n)) + (x + _HALF) / scale - _HALF
    ),
    "pytorch_half_pixel": lambda x, scale, n, m: (x + _HALF) / scale - _HALF if m > 1 else 0,
    "align_corners": lambda x, scale, n, m: Fraction(x * (n - 1), m - 1) if m > 1 else 0,
    "tf_half_pixel_for_nn": lambda x, scale, n, m: (x + _HALF) / scale,
}

_NEAREST: dict[str, Any] = {
    "round_prefer_floor": lambda x: math.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: math.floor(x + _HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}


def resize(call: Call) -> Value:
    """A Resize by whole factors; a Linear that skips positions where it shrinks; in mode linear a
    Bilinear.

    Every coordinate_transformation_mode and nearest_mode that repeats each position equally often;
    scales or sizes. Mode linear with asymmetric coordinates only. Refused: other modes, axes.
    """
    mode = call.text("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise CompileError(f"mode must be nearest or linear, not {mode}")
    real = call.real()
    old = call.kind == "Upsample" or len(call.inputs) < 3  # before opset 11
    coordinates = call.text(
        "coordinate_transformation_mode", "asymmetric" if old else "half_pixel", *_COORDINATES
    )
    nearest = call.text("nearest_mode", "floor" if old else "round_prefer_floor", *_NEAREST)
    if call.ints("axes", ()) or call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise CompileError("axes and keep_aspect_ratio_policy must be left out; give all sizes")
    shape = real.shape
    scales, sizes = _target(call, shape, old)
    if len(sizes) != len(shape) or min(sizes) < 1 or math.prod(sizes) > MAX_ELEMENTS:
        raise CompileError(f"sizes must be positive and fit {shape}, not {sizes}")
    if mode == "linear":
        if coordinates != "asymmetric":
            raise CompileError(
                f"coordinates of linear upsampling must be asymmetric, not {coordinates}"
            )
        return linear_resize(call, real, scales)
    moves = []
    for n, m, scale in zip(shape, sizes, scales, strict=True):
        if n == m and scale == 1:
            moves.append(np.arange(n))
            continue
        if m > _MAX_SIZE:
            raise CompileError(f"sizes must be at most {_MAX_SIZE}, not {m}")
        at = (
            _NEAREST[nearest](Fraction(_COORDINATES[coordinates](x, scale, n, m))) for x in range(m)
        )
        moves.append(_regular(n, np.array([min(max(k, 0), n - 1) for k in at])))
    return move(call, lambda array: array[np.ix_(*moves)])


def _regular(n: int, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """``at``, which must repeat each of ``n`` positions equally often, or skip equally many."""
    m = len(at)
    repeats = m % n == 0 and np.array_equal(at, np.arange(m) // (m // n))
    if not repeats and len(set(np.diff(at).tolist())) > 1:
        raise CompileError(
            f"each of {n} positions must be repeated equally often, not as {at[:12].tolist()}; "
            "use a whole factor and asymmetric or half_pixel coordinates"
        )
    return at


def _target(call: Call, shape: tuple[int, ...], old: bool) -> tuple[list[Fraction], list[int]]:
    """Scale and size of the result for each axis."""
    which = 1 if old else 2
    if not old and call.has(3):
        sizes = list(call.integers(3))
        return [Fraction(m, n) for m, n in zip(sizes, shape, strict=True)], sizes
    if call.has(which):
        scales = exact(call.constant(which)).reshape(-1).tolist()
    else:
        scales = [Fraction(s) for s in call.attributes.get("scales", ())]
    if len(scales) != len(shape) or min(scales) <= 0 or max(scales) > MAX_ELEMENTS:
        raise CompileError(f"scales must be positive, one an axis of {shape}, not {scales}")
    return scales, [math.floor(n * s) for n, s in zip(shape, scales, strict=True)]
