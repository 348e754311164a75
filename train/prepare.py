"""From any traceable module to a network that trains sparse and quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .build import Builder
from .method import Method
from .qat import QAT
from .trace import LINEAR, Traced, trace
from .uniform import Uniform

__all__ = ["Select", "prepare"]

Select = str | Callable[[str, nn.Module], bool]
"""A layer's name, or a predicate of name and module."""

EXCLUDED_BITS = 8


def prepare(
    model: nn.Module,
    method: Method,
    example: Tensor,
    *,
    exclude: Iterable[Select] = (),
    own: Mapping[Select, Mapping[str, Any]] | None = None,
    input_bits: int | None = None,
    input_scale: float | None = None,
    input_signed: bool | None = None,
    steps_per_epoch: int = 1,
) -> QAT:
    """A copy of ``model`` that trains with ``method``; the model itself stays as it is.

    Parameters
    ----------
    example
        A batch of inputs as they will come: gives the shape, the grid of the input where that is
        not given, and the first clip levels. Without given grid: integers from 0 get step 1 and
        as many bits as they need; anything else 8 bits over its range, signed where negative.
    exclude
        Layers that the method leaves alone: their weights get 8 bits and no zeros.
    own
        Settings of the method that single layers have otherwise, by name or predicate.
    steps_per_epoch
        How many calls of ``qat.step()`` the method counts as an epoch; with 1 its epochs are
        steps.

    Activations are quantized where they are used by a layer, added, concatenated or pooled; batch
    norms and activation functions before that see real numbers, and become part of the staircase
    when frozen. Tensors that meet in an add or a concat share one scale, and a sum keeps it.

    Raises
    ------
    ValueError
        If something in the model has no circuit, a selection matches no layer, a setting is out of
        range, or ``example`` is not finite; names the layer.
    """
    if not torch.isfinite(example).all():
        raise ValueError("prepare: the example must be finite, and holds inf or nan")
    if steps_per_epoch < 1:
        raise ValueError(f"prepare: steps_per_epoch must be at least 1, not {steps_per_epoch}")
    traced, outputs = trace(model)
    chosen = _methods(traced, method, exclude, own or {})
    grid = _input_grid(example, input_bits, input_scale, input_signed)
    qat = Builder(traced, outputs, chosen, method, grid, tuple(example.shape[1:])).build(
        steps_per_epoch
    )
    qat.to(example.device)
    qat.first_pass(example)
    return qat


def _methods(
    traced: list[Traced],
    method: Method,
    exclude: Iterable[Select],
    own: Mapping[Select, Mapping[str, Any]],
) -> dict[str, Method]:
    """The method of every layer with weights."""
    modules = {t.name: t.layer for t in traced if isinstance(t.layer, LINEAR)}
    chosen = dict.fromkeys(modules, method)
    for select, settings in own.items():
        for name in _matches(select, modules):
            try:
                chosen[name] = replace(chosen[name], **settings)  # type: ignore[type-var]
            except TypeError as error:
                known = ", ".join(method.__dataclass_fields__)  # type: ignore[attr-defined]
                raise ValueError(
                    f'prepare: settings of "{name}" must be among {known}, not {dict(settings)}'
                ) from error
    for select in exclude:
        for name in _matches(select, modules):
            chosen[name] = Uniform(weight_bits=EXCLUDED_BITS, act_bits=method.act_bits)
    return chosen


def _matches(select: Select, modules: Mapping[str, nn.Module]) -> list[str]:
    if callable(select):
        found = [name for name, module in modules.items() if select(name, module)]
    else:
        found = [name for name in modules if name == select]
    if not found:
        what = getattr(select, "__name__", select)
        raise ValueError(
            f'prepare: "{what}" must select layers with weights ({", ".join(modules)}), and '
            "selects none"
        )
    return found


def _input_grid(
    example: Tensor, bits: int | None, scale: float | None, signed: bool | None
) -> tuple[int, float, bool]:
    """Bits, step and sign of the input's codes."""
    low, high = float(example.min()), float(example.max())
    signed = low < 0 if signed is None else signed
    if bits is None and scale is None and not signed and bool((example == example.round()).all()):
        return max(1, int(high).bit_length()), 1.0, False
    bits = 8 if bits is None else bits
    if not 1 <= bits <= 16:
        raise ValueError(f"prepare: input_bits must be 1 to 16, not {bits}")
    if scale is None:
        largest = max(abs(low), abs(high)) or 1.0
        scale = float(torch.tensor(largest / (2 ** (bits - signed) - 1)))
    if not 0 < scale < float("inf"):
        raise ValueError(f"prepare: input_scale must be above 0, not {scale}")
    return bits, float(torch.tensor(scale)), signed
