"""Operators that ONNX itself does not have, for onnx's own evaluator.

::

    from onnx.reference import ReferenceEvaluator
    from sqwire.compiler.reference import OPERATORS

    (y,) = ReferenceEvaluator("model.onnx", new_ops=OPERATORS).run(None, {"x": x})

Formulas are those of docs/operators; ``Quant`` is QONNX's, as our own export writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

__all__ = [
    "DOMAIN", "OPERATORS", "Candidates", "Consistency", "CostVolume", "Median", "Quant",
    "SubpixelArgMax",
]  # fmt: skip

DOMAIN = "sqwire"

Array = NDArray[Any]


class Candidates(OpRun):
    """``o[n, :, 0, m] = (p, x[n, :, p])`` for the m-th position ``p``, in raster order, at which
    ``x[n, channels[k], p] >= thresholds[k]`` for some k; ``(-1, 0, 0, ...)`` if there is none."""

    op_domain = DOMAIN

    def _run(
        self, x: Array, count: int, channels: Sequence[int], thresholds: Sequence[float]
    ) -> tuple[Array]:
        flat = x.reshape(*x.shape[:2], -1)
        limits = np.array(thresholds, dtype=np.float32)[:, None]
        records = np.zeros((len(x), 1 + x.shape[1], 1, count), dtype=x.dtype)
        records[:, 0] = -1
        for frame, record in zip(flat, records, strict=True):
            (at,) = np.nonzero((frame[list(channels)] >= limits).any(axis=0))
            at = at[:count]
            record[0, 0, : len(at)], record[1:, 0, : len(at)] = at, frame[:, at]
        return (records,)


class Consistency(OpRun):
    """1 where ``|left[n, 0, y, x] - right[n, 0, y, x - s]| <= tolerance``, ``s = floor(left[n, 0,
    y, x] / parts + 1/2)``, else and left of the frame 0."""

    op_domain = DOMAIN

    def _run(
        self, left: Array, right: Array, parts: float = 1.0, tolerance: float = 1.0
    ) -> tuple[Array]:
        shift = np.floor(left.astype(np.float64) / parts + 0.5).astype(np.int64)
        at = np.arange(left.shape[3]) - shift
        other = np.take_along_axis(right, np.maximum(at, 0), axis=3)
        near = np.abs(left.astype(np.float64) - other) <= tolerance
        return ((near & (at >= 0)).astype(left.dtype),)


class CostVolume(OpRun):
    """``o[n, d, y, x] = sum over c of f(left[n, c, y, x], right[n, c, y, x - d])``, ``f`` the
    absolute difference or the product; ``right`` is 0 at ``x < d``."""

    op_domain = DOMAIN

    def _run(
        self, left: Array, right: Array, shifts: int = 1, form: str = "difference"
    ) -> tuple[Array]:
        parts = []
        for d in range(shifts):
            shifted = np.zeros_like(right)
            shifted[..., d:] = right[..., : max(0, right.shape[-1] - d)]
            term = np.abs(left - shifted) if form == "difference" else left * shifted
            parts.append(term.sum(axis=1))
        return (np.stack(parts, axis=1),)


class SubpixelArgMax(OpRun):
    """``parts * k + floor(parts * v + 1/2)`` for the first largest channel ``k`` and the vertex
    ``v`` of the parabola through it and its neighbours; ``v`` is 0 at the ends and where it is
    flat."""

    op_domain = DOMAIN

    def _run(self, x: Array, parts: int = 16) -> tuple[Array]:
        wide = x.astype(np.float64)
        best = wide.argmax(axis=1)[:, None]
        last = x.shape[1] - 1
        b = np.take_along_axis(wide, best, 1)
        a = np.take_along_axis(wide, np.maximum(best - 1, 0), 1)
        c = np.take_along_axis(wide, np.minimum(best + 1, last), 1)
        curve = 2 * b - a - c
        inner = (best > 0) & (best < last) & (curve > 0)
        curve = np.where(inner, curve, 1)
        # One division of whole numbers, so that nothing is rounded before the floor.
        part = np.floor_divide(parts * (c - a) + curve, 2 * curve)
        return ((parts * best + np.where(inner, part, 0)).astype(x.dtype),)


class Median(OpRun):
    """``o[n, c, y, x]`` is the median of ``x`` over 3x3 positions ``dilation`` apart, where a row
    or column outside the frame is replaced by that of the position itself."""

    op_domain = DOMAIN

    def _run(self, x: Array, dilation: int = 1) -> tuple[Array]:
        rows, columns = (
            [np.where((k + d >= 0) & (k + d < size), k + d, k) for d in (-dilation, 0, dilation)]
            for size in x.shape[2:]
            for k in (np.arange(size),)
        )
        return (np.sort([x[:, :, r][..., c] for r in rows for c in columns], axis=0)[4],)


class Quant(OpRun):
    """QONNX's quantizer with rounding mode ROUND."""

    op_domain = "qonnx.custom_op.general"

    def _run(
        self,
        x: Array,
        scale: Array,
        zeropt: Array,
        bitwidth: Array,
        signed: int = 1,
        narrow: int = 0,
        rounding_mode: str = "ROUND",
    ) -> tuple[Array]:
        if rounding_mode != "ROUND":
            raise ValueError(f"Quant: rounding_mode must be ROUND here, not {rounding_mode}")
        bits = float(np.asarray(bitwidth).reshape(-1)[0])
        low = -(2.0 ** (bits - 1)) + narrow if signed else 0.0
        high = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1 - narrow
        codes = np.clip(np.rint(x / scale + zeropt), low, high)
        return (((codes - zeropt) * scale).astype(x.dtype),)


OPERATORS: list[type[OpRun]] = [Candidates, Consistency, CostVolume, Median, SubpixelArgMax, Quant]
"""What ``ReferenceEvaluator`` takes as ``new_ops``."""
