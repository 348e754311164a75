"""The grids that weights live on: zero-anchored, symmetric, so that a zero is a zero in hardware.

Shared by all methods: which weights are zero is a mask, where the others lie is a grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .coded import Coded

__all__ = [
    "keep_largest", "largest_code", "masked_codes", "round_ste", "symmetric", "uniform_codes",
]  # fmt: skip

_TERNARY = 0.7
_GAUSSIAN = {3: 0.64, 4: 0.35, 5: 0.19}
# Scales that are tried at so many bits, as shares of the one that reaches the largest weight.
_TRIED = (3, 4, 5)
_SHARES = (0.85, 0.7, 0.55, 0.4)


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing had been rounded (straight-through)."""
    return x.round().detach() + (x - x.detach())


def largest_code(bits: int) -> int:
    """``2^(bits-1) - 1``: the largest code of a symmetric signed grid; the smallest is minus it."""
    return 2 ** (bits - 1) - 1


def symmetric(weight: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Codes on the zero-anchored symmetric grid ``-(2^(bits-1)-1) .. 2^(bits-1)-1``.

    ``code = sign(w) * clamp(round_half_even(|w| / scale), 1, 2^(bits-1)-1)``, and 0 for ``w = 0``:
    a weight that is not zero never rounds to zero, so the mask alone decides what is zero.
    """
    magnitude = (weight.abs() / scale).round().clamp(1, largest_code(bits))
    return weight.sign() * magnitude


def masked_codes(
    weight: Tensor,
    mask: Tensor,
    bits: int,
    *,
    per_channel: bool = False,
    masked: bool = False,
    clip: bool = False,
) -> Coded:
    """Codes and scale of what a mask keeps, with straight-through gradient.

    ``scale = max|w| / (2^(bits-1) - 1)`` over the survivors, with 2 bits their mean magnitude.
    With ``clip``, at 3 to 5 bits, it is that, 0.85, 0.7, 0.55 or 0.4 of it, whichever has the least
    squared error: a few large weights may be clipped. Of the whole tensor, or of each output
    channel (the first axis). No gradient goes to the scale. The gradient of ``scale * code`` is 1
    to every weight, pruned ones included, unless ``masked``, which stops it there.
    """
    kept = weight.detach() * mask
    scale = _scale(kept, mask, bits, per_channel, clip)
    codes = symmetric(kept, scale, bits)
    real = weight / scale
    if masked:
        real = real * mask
    return Coded(codes + (real - real.detach()), scale)


def uniform_codes(weight: Tensor, bits: int, *, per_channel: bool = False) -> Coded:
    """Codes and scale without any mask: ``clamp(round_half_even(w / scale))``, straight-through.

    ``scale = max|w| / (2^(bits-1) - 1)``, or less where fewer large weights are better clipped: at
    3, 4 and 5 bits it is at most 0.64, 0.35 and 0.19 times the root mean square, the steps that
    lose least of a Gaussian. With 2 bits the codes are -1, 0, 1 by the rule of ternary weight
    networks (Li and Liu, arXiv 1605.04711): 0 below 0.7 * mean|w|, the scale is the mean magnitude
    of the others.
    """
    plain = weight.detach()
    if bits == 2:
        magnitude = plain.abs()
        mask = magnitude >= _TERNARY * _over(magnitude, "mean", per_channel)
        return masked_codes(weight, mask, 2, per_channel=per_channel)
    scale = _over(plain.abs(), "max", per_channel) / largest_code(bits)
    if bits in _GAUSSIAN:
        rms = _over(plain.square(), "mean", per_channel).sqrt()
        scale = torch.minimum(scale, _GAUSSIAN[bits] * rms)
    scale = _floor(scale)
    top = largest_code(bits)
    codes = (plain / scale).round().clamp(-top, top)
    real = weight / scale
    return Coded(codes + (real - real.detach()), scale)


def keep_largest(scores: Tensor, zeros: float) -> Tensor:
    """Mask that drops the ``round(zeros * n)`` smallest scores, of equals those that come first."""
    drop = round(zeros * scores.numel())
    mask = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[scores.flatten().argsort(stable=True)[:drop]] = False
    return mask.reshape(scores.shape)


def _scale(kept: Tensor, mask: Tensor, bits: int, per_channel: bool, clip: bool) -> Tensor:
    if bits == 2:
        count = _over(mask.to(kept.dtype), "sum", per_channel).clamp(min=1)
        return _floor(_over(kept.abs(), "sum", per_channel) / count)
    largest = _floor(_over(kept.abs(), "max", per_channel) / largest_code(bits))
    if not clip or bits not in _TRIED:
        return largest
    best, least = largest, _error(kept, largest, bits, per_channel)
    for share in _SHARES:
        scale = _floor(largest * share)
        error = _error(kept, scale, bits, per_channel)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best


def _error(kept: Tensor, scale: Tensor, bits: int, per_channel: bool) -> Tensor:
    lost = symmetric(kept, scale, bits) * scale - kept
    return _over(lost.square(), "sum", per_channel)


def _over(x: Tensor, how: str, per_channel: bool) -> Tensor:
    """Largest, sum or mean of everything, or of each output channel with axes kept."""
    axes = tuple(range(1, x.ndim)) if per_channel else tuple(range(x.ndim))
    if how == "max":
        return x.amax(axes, keepdim=per_channel)
    return x.sum(axes, keepdim=per_channel) if how == "sum" else x.mean(axes, keepdim=per_channel)


def _floor(scale: Tensor) -> Tensor:
    """Never zero, so that a layer of zeros stays finite."""
    return scale.clamp(min=torch.finfo(scale.dtype).tiny)
