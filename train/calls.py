"""Calls of functions in a traced network, as the modules that do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

__all__ = ["arguments", "as_module"]


def as_module(key: str, node: fx.Node) -> tuple[str, nn.Module] | None:
    """What to name a layer after, and its module; None where there is none.

    Raises
    ------
    ValueError
        If the call has arguments for which there is no module.
    """
    make = _CALLS.get(key)
    return make(node) if make else None


def arguments(node: fx.Node, **defaults: Any) -> dict[str, Any]:
    """Arguments behind the first, by position or by name."""
    values = dict(defaults)
    for name, value in zip(defaults, node.args[1:], strict=False):
        values[name] = value
    return values | {name: value for name, value in node.kwargs.items() if name in values}


def _pointwise(name: str, kind: type[nn.Module], **defaults: Any) -> Callable[..., Any]:
    def make(node: fx.Node) -> tuple[str, nn.Module]:
        return name, kind(**arguments(node, **defaults))

    return make


def _clamp(node: fx.Node) -> tuple[str, nn.Module]:
    given = arguments(node, min=None, max=None)
    low, high = (float("-inf") if given["min"] is None else given["min"], given["max"])
    return "clamp", nn.Hardtanh(low, float("inf") if high is None else high)


def _pool(kind: type[Any]) -> Callable[..., Any]:
    def make(node: fx.Node) -> tuple[str, nn.Module]:
        given = arguments(
            node, kernel_size=None, stride=None, padding=0,
            **({"dilation": 1} if "Max" in kind.__name__ else {}), ceil_mode=False,
        )  # fmt: skip
        return "pool", kind(**given)

    return make


def _whole(kind: type[Any]) -> Callable[..., Any]:
    return lambda node: ("pool", kind(arguments(node, output_size=1)["output_size"]))


def _mean(node: fx.Node) -> tuple[str, nn.Module]:
    given = arguments(node, dim=None, keepdim=False)
    axes = given["dim"]
    if not isinstance(axes, tuple | list) or sorted(a % 4 for a in axes) != [2, 3]:
        raise ValueError(f"mean must be over axes (2, 3), not {axes}")
    pool = nn.AdaptiveAvgPool2d(1)
    return "pool", pool if given["keepdim"] else nn.Sequential(pool, nn.Flatten())


def _interpolate(node: fx.Node) -> tuple[str, nn.Module]:
    given = arguments(node, size=None, scale_factor=None, mode="nearest")
    return "upsample", nn.Upsample(**given)


def _flatten(node: fx.Node) -> tuple[str, nn.Module]:
    given = arguments(node, start_dim=0, end_dim=-1)
    return "flatten", nn.Flatten(given["start_dim"], given["end_dim"])


def _view(node: fx.Node) -> tuple[str, nn.Module]:
    sizes = node.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    # view(-1, 400) says how many features there are; another number fails at the next layer.
    if len(sizes) != 2 or -1 not in sizes:
        raise ValueError("it must flatten all axes but the first, as flatten(x, 1) does")
    return "flatten", nn.Flatten()


_RELU = _pointwise("relu", nn.ReLU)
_CALLS: Mapping[str, Callable[[fx.Node], tuple[str, nn.Module]]] = {
    "relu": _RELU,
    "relu_": _RELU,
    "relu6": _pointwise("relu", nn.ReLU6),
    "hardtanh": _pointwise("clamp", nn.Hardtanh, min_val=-1.0, max_val=1.0),
    "clamp": _clamp,
    "leaky_relu": _pointwise("relu", nn.LeakyReLU, negative_slope=0.01),
    "hardswish": _pointwise("hardswish", nn.Hardswish),
    "silu": _pointwise("silu", nn.SiLU),
    "sigmoid": _pointwise("sigmoid", nn.Sigmoid),
    "dropout": _pointwise("dropout", nn.Dropout, p=0.5),
    "max_pool1d": _pool(nn.MaxPool1d),
    "max_pool2d": _pool(nn.MaxPool2d),
    "avg_pool1d": _pool(nn.AvgPool1d),
    "avg_pool2d": _pool(nn.AvgPool2d),
    "adaptive_avg_pool1d": _whole(nn.AdaptiveAvgPool1d),
    "adaptive_avg_pool2d": _whole(nn.AdaptiveAvgPool2d),
    "mean": _mean,
    "interpolate": _interpolate,
    "flatten": _flatten,
    "view": _view,
    "reshape": _view,
}
