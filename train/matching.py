"""Modules for networks that compare two pictures: plain torch, with the arithmetic of the circuits.

:func:`sqwire.train.prepare` knows them and takes them into the frozen network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = [
    "Consistency", "CostVolume", "Disparity", "Median", "PadCrop", "bilinear", "consistency",
    "median", "pad_crop", "subpixel",
]  # fmt: skip

FORMS = ("difference", "product")


class CostVolume(nn.Module):
    """``o[d, y, x] = sum over c of f(left[c, y, x], right[c, y, x - d])`` for d = 0 .. shifts - 1.

    ``f`` is ``|a - b|`` (form "difference") or ``a * b`` ("product"). Left of the frame, at x < d,
    ``right`` is 0, as padding is in a convolution. Shapes: two tensors (frames, channels, height,
    width), out (frames, shifts, height, width).

    Raises
    ------
    ValueError
        If there is no shift or the form is unknown.
    """

    def __init__(self, shifts: int, form: str = "difference"):
        super().__init__()
        if shifts < 1:
            raise ValueError(f"CostVolume: shifts must be at least 1, not {shifts}")
        if form not in FORMS:
            raise ValueError(f'CostVolume: form must be "difference" or "product", not "{form}"')
        self.shifts = shifts
        self.form = form

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        if self.form == "difference":
            result: Tensor = _Difference.apply(left, right, self.shifts)  # type: ignore[no-untyped-call]
            return result
        parts = [(left * _shifted(right, d)).sum(1) for d in range(self.shifts)]
        return torch.stack(parts, 1)


def _shifted(x: Tensor, d: int) -> Tensor:
    """``x`` moved right by ``d`` columns, zeros behind it."""
    width = x.shape[-1]
    d = min(d, width)
    return nn.functional.pad(x[..., : width - d], (d, 0))


class _Difference(torch.autograd.Function):
    """Sums of absolute differences; the differences are computed again for the gradient, since
    keeping them takes ``shifts`` times the memory of an input."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, shifts: int) -> Tensor:
        left, right = left.contiguous(), right.contiguous()
        ctx.save_for_backward(left, right)
        width = left.shape[-1]
        result = left.new_empty(left.shape[0], shifts, *left.shape[2:])
        alone = left.abs().sum(1)
        for d in range(shifts):
            k = min(d, width)
            result[:, d, :, :k] = alone[..., :k]
            result[:, d, :, k:] = (left[..., k:] - right[..., : width - k]).abs_().sum(1)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right = ctx.saved_tensors
        width = left.shape[-1]
        to_left, to_right = torch.zeros_like(left), torch.zeros_like(right)
        for d in range(g.shape[1]):
            k = min(d, width)
            to_left[..., :k] += left[..., :k].sign() * g[:, d, None, :, :k]
            part = (left[..., k:] - right[..., : width - k]).sign_() * g[:, d, None, :, k:]
            to_left[..., k:] += part
            to_right[..., : width - k] -= part
        return to_left, to_right, None


def subpixel(x: Tensor, parts: int) -> Tensor:
    """The place of the largest channel, in ``parts`` of a channel: (frames, 1, height, width).

    ``k`` is the first largest channel. Where it has two neighbours, a parabola through the three
    values ``a, b, c`` has its vertex ``(c - a) / (2 * (2 * b - a - c))`` from ``k``, at most a
    half; the result is ``parts * k + floor(parts * vertex + 1/2)``, and ``parts * k`` at the ends
    and where all three are equal. Integers that float64 holds are computed exactly.
    """
    wide = x.double()
    best = wide.argmax(1, keepdim=True)
    last = x.shape[1] - 1
    b = wide.gather(1, best)
    a = wide.gather(1, (best - 1).clamp(min=0))
    c = wide.gather(1, (best + 1).clamp(max=last))
    curve = 2 * b - a - c
    inner = (best > 0) & (best < last) & (curve > 0)
    safe = torch.where(inner, curve, torch.ones_like(curve))
    # floor((parts * (c - a) / curve + 1) / 2), one division of whole numbers.
    offset = torch.div(parts * (c - a) + safe, 2 * safe, rounding_mode="floor")
    return (parts * best + torch.where(inner, offset, torch.zeros_like(offset))).to(x.dtype)


def median(x: Tensor, dilation: int = 1) -> Tensor:
    """The median of each channel over 3x3 positions around each, ``dilation`` apart.

    ``o[y, x]`` is the middle one of the nine ``x[y + i, x + j]``, i, j = -d, 0, d, where a row or
    column outside the frame is replaced by ``y`` or ``x`` itself.
    """
    around = []
    for size in x.shape[2:]:
        own = torch.arange(size, device=x.device)
        near = [own + d for d in (-dilation, 0, dilation)]
        around.append([torch.where((at >= 0) & (at < size), at, own) for at in near])
    rows, columns = around
    return torch.stack([x[:, :, r][..., c] for r in rows for c in columns]).median(0).values


def consistency(left: Tensor, right: Tensor, parts: float, tolerance: float) -> Tensor:
    """1 where the disparities of both views say the same, else 0; in ``parts`` of a position.

    ``o[y, x] = |left[y, x] - right[y, x - s]| <= tolerance`` with ``s = floor(left[y, x] / parts +
    1/2)``; left of the frame, at x < s, it is 0. Shapes: two tensors (frames, 1, height, width).
    """
    shift = (left.double() / parts + 0.5).floor().long()
    at = torch.arange(left.shape[3], device=left.device) - shift
    other = right.gather(3, at.clamp(min=0))
    near = (left.double() - other.double()).abs() <= tolerance
    return (near & (at >= 0)).to(left.dtype)


def bilinear(x: Tensor, factor: int) -> Tensor:
    """``factor^2`` times ``x`` upsampled: sample ``i`` stays at ``factor * i``, linear between.

    ``o[f*i + k] = (f - k) * x[i] + k * x[min(i + 1, n - 1)]`` along each axis, so what lies behind
    the last sample repeats it. ONNX calls it linear and asymmetric.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        following = torch.cat([x.narrow(axis, 1, size - 1), x.narrow(axis, size - 1, 1)], axis)
        mixed = [(factor - k) * x + k * following for k in range(factor)]
        shape = list(x.shape)
        shape[axis] *= factor
        x = torch.stack(mixed, axis + 1).reshape(shape)
    return x


def pad_crop(x: Tensor, edges: tuple[int, int, int, int]) -> Tensor:
    """Zeros around the frame at (top, left, bottom, right); negative edges crop."""
    top, left, bottom, right = edges
    return nn.functional.pad(x, (left, right, top, bottom))


class PadCrop(nn.Module):
    """Zeros around the frame, or less of it: see :func:`pad_crop`."""

    def __init__(self, edges: tuple[int, int, int, int]):
        super().__init__()
        self.edges = edges

    def forward(self, x: Tensor) -> Tensor:
        return pad_crop(x, self.edges)


class Median(nn.Module):
    """A 3x3 median of each channel: see :func:`median`.

    Raises
    ------
    ValueError
        If ``dilation`` is below one.
    """

    def __init__(self, dilation: int = 1):
        super().__init__()
        if dilation < 1:
            raise ValueError(f"Median: dilation must be at least 1, not {dilation}")
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        return median(x, self.dilation)


class Disparity(nn.Module):
    """The head of a stereo network: scores of shifts in; out the disparity in pixels of the input.

    In training the scores pass as they are, for a loss on them. In evaluation :func:`subpixel`
    takes the best shift in ``parts`` of a shift, a :func:`median` of each dilation in ``smooth``
    follows, one after the other, :func:`bilinear` brings it to ``factor`` times the size, and
    ``edges`` crop it. A shift is ``factor`` pixels.

    Raises
    ------
    ValueError
        If ``parts`` is not even from 2 to 64, ``factor`` is not 1, 2 or 4, or a dilation is below
        one.
    """

    def __init__(
        self,
        parts: int = 16,
        factor: int = 2,
        edges: tuple[int, int, int, int] = (0, 0, 0, 0),
        *,
        smooth: Sequence[int] = (),
    ):
        super().__init__()
        if parts % 2 or not 2 <= parts <= 64:
            raise ValueError(f"Disparity: parts must be an even number from 2 to 64, not {parts}")
        if factor not in (1, 2, 4):
            raise ValueError(f"Disparity: factor must be 1, 2 or 4, not {factor}")
        if any(dilation < 1 for dilation in smooth):
            raise ValueError(f"Disparity: smooth must be dilations of at least 1, not {smooth}")
        self.parts, self.factor, self.edges = parts, factor, edges
        self.smooth = tuple(smooth)

    @property
    def unit(self) -> float:
        """Pixels that a code of 1 stands for."""
        return 1 / (self.parts * self.factor)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return x
        codes = subpixel(x, self.parts)
        for dilation in self.smooth:
            codes = median(codes, dilation)
        return pad_crop(bilinear(codes, self.factor), self.edges) * self.unit


class Consistency(nn.Module):
    """Whether the disparities of the left and the right view, from two :class:`Disparity`, say the
    same to within ``tolerance`` pixels: see :func:`consistency`. In training the left scores pass.

    Raises
    ------
    ValueError
        If ``tolerance`` is negative.
    """

    def __init__(self, tolerance: float = 1.0):
        super().__init__()
        if not tolerance >= 0:
            raise ValueError(f"Consistency: tolerance must not be negative, not {tolerance}")
        self.tolerance = tolerance

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        if self.training:
            return left
        return consistency(left, right, 1.0, self.tolerance)
