"""Activations on a grid whose clip level is learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .coded import Coded

__all__ = ["ActQuantizer", "Step"]

_SMALLEST_LEVEL = 1e-3
_SPREAD = 2.5
_SIGNED_SPREAD = 1.5


class Step(nn.Module):
    """The real value of one code: ``level / (2^bits - 1)``, with a learned clip level.

    Tensors that meet in an addition or a concatenation must have one step, so their quantizers
    share one ``Step``. ``fixed`` gives one that is not learned: the network's input.

    The level is set from the first tensors that are quantized, see :meth:`calibrate`.
    """

    seen: Tensor

    def __init__(self, bits: int, fixed: float | None = None):
        super().__init__()
        self.bits = bits
        level = 3.0 if fixed is None else fixed * (2**bits - 1)
        self.level = nn.Parameter(torch.tensor(level), requires_grad=fixed is None)
        self.fixed = fixed
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def step(self) -> Tensor:
        """The step, with gradient to the level."""
        return self.level.clamp(min=_SMALLEST_LEVEL) / (2**self.bits - 1)

    @property
    def value(self) -> Tensor:
        """The step without gradient, a float32 scalar."""
        if self.fixed is not None:
            return torch.tensor(self.fixed, dtype=self.level.dtype, device=self.level.device)
        return self.step().detach()

    def calibrate(self, x: Tensor, signed: bool) -> None:
        """Widen the level to 2.5 times the root mean square of the positive part of ``x``, where
        ``signed`` (codes reach only half as far) to 3 times that of all of it. Of several tensors
        the widest counts; the same over all processes of a distributed training. Ours.
        """
        if self.fixed is not None:
            return
        with torch.no_grad():
            part = x if signed else x[x > 0]
            square = torch.stack([(part * part).sum(), part.new_tensor(float(part.numel()))])
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(square)
            rms = (square[0] / square[1].clamp(min=1)).sqrt()
            wanted = rms * (2 * _SIGNED_SPREAD if signed else _SPREAD)
            wanted = wanted.clamp(min=_SMALLEST_LEVEL)
            first = self.seen == 0
            # In place of data: a tensor of the same pass may need the level for its gradient.
            self.level.data.copy_(torch.where(first, wanted, torch.maximum(self.level, wanted)))
            self.seen += 1


class ActQuantizer(nn.Module):
    """Quantizes activations on a grid whose clip level is learned (PACT, Choi et al. 2018).

    ``code = clamp(round_half_even(x / step), low, high)`` with codes ``0 .. 2^bits - 1``, or
    ``-2^(bits-1) .. 2^(bits-1) - 1`` when ``signed``.

    Gradient of ``step * code``: to ``x`` 1 inside the clip range and 0 outside. To the step 0
    inside, ``high`` above and ``low`` below.

    While ``enabled`` is false it does nothing. The first quantized pass calibrates the step.
    """

    calibrated: Tensor

    def __init__(self, bits: int, step: Step, *, signed: bool = False):
        super().__init__()
        self.bits = bits
        self.step = step
        self.signed = signed
        self.enabled = True
        self.pending = True
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))

    @property
    def low(self) -> int:
        """The smallest code."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest code."""
        return self.low + 2**self.bits - 1

    def forward(self, x: Tensor) -> Coded:
        if not self.enabled:
            return Coded.plain(x)
        if self.pending:
            self.step.calibrate(x, self.signed)
            self.calibrated.fill_(True)
            self.pending = False
        step = self.step.step()
        return Coded(_Clamp.apply(x, step, self.low, self.high), step.detach())  # type: ignore[no-untyped-call]


class _Clamp(torch.autograd.Function):
    """Codes, with the gradients of :class:`ActQuantizer`; one function saves passes over ``x``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        scaled = x * step.reciprocal()
        ctx.save_for_backward(scaled, step)
        ctx.ends = (low, high)
        return scaled.round().clamp_(low, high)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None]:
        scaled, step = ctx.saved_tensors
        low, high = ctx.ends
        # One fused pass each, where masks would take three.
        inside = torch.ops.aten.hardtanh_backward(g, scaled, low, high)
        above = torch.ops.aten.threshold_backward(g, scaled, high).sum()
        to_step = above * high
        if low:
            to_step = to_step + (g.sum() - above - inside.sum()) * low
        return inside.div_(step), to_step / step, None, None
