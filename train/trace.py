"""From a user's module to a list of plain layers, by torch.fx."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize

from . import candidates, layers, matching, matching_layers
from .calls import arguments, as_module
from .layers import Pointwise

__all__ = ["Scalar", "Traced", "trace"]

LINEAR = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Linear)
NORM = (nn.BatchNorm1d, nn.BatchNorm2d)
FUNCTION = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.Hardswish, nn.SiLU, nn.Sigmoid)
OWN = (
    candidates.Candidates, matching.Consistency, matching.CostVolume, matching.Disparity,
    matching.Median, matching.PadCrop,
)  # fmt: skip
NOISE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
KNOWN = (
    "Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear, BatchNorm, ReLU, ReLU6, Hardtanh, "
    "LeakyReLU, Hardswish, SiLU, Sigmoid, max and average pools, add, cat, Upsample, interpolate, "
    "flatten, Dropout, slices of channels, Candidates, Consistency, CostVolume, Disparity, "
    "Median, PadCrop"
)


class Scalar(nn.Module):
    """``gain * x + bias`` with Python numbers."""

    def __init__(self, gain: float, bias: float):
        super().__init__()
        self.gain = gain
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x + self.bias


@dataclass(frozen=True)
class Traced:
    """One layer of the network and the names of those it reads.

    ``layer`` is one of :mod:`sqwire.train.layers`, or a convolution or linear module of torch.
    """

    name: str
    layer: nn.Module
    inputs: tuple[str, ...]


def trace(model: nn.Module) -> tuple[list[Traced], list[str]]:
    """The layers of a copy of ``model`` in the order in which they run, and its outputs.

    The first one is the placeholder "input", of layer ``nn.Identity``. Modules keep their names;
    functions are numbered: add1, concat1.

    Raises
    ------
    ValueError
        If torch.fx cannot trace the model, it has several inputs, does something for which
        there is no circuit, or has a layer that the trace does not meet; names it.
    """
    if isinstance(model, (*LINEAR, *NORM, *FUNCTION)):
        model = nn.Sequential(model)  # a module of torch itself would be traced inside
    model = copy.deepcopy(model)
    try:
        traced = fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:  # user code runs here, and raises what it likes
        line = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{type(model).__name__}: torch.fx must be able to trace it, and stops ({line}); "
            "take control flow that depends on data out of forward"
        ) from error
    found = _Walk(traced).run()
    _all_seen(model, traced)
    return found


def _all_seen(model: nn.Module, traced: fx.GraphModule) -> None:
    """Refuse a network with layers of which nothing would be left."""
    seen = set(traced.modules())
    for name, module in model.named_modules():
        if isinstance(module, LINEAR) and module not in seen:
            raise ValueError(
                f'Layer "{name}": the trace must meet every layer with weights, and does not meet '
                "this one; use it in forward in the mode that the model is in (train or eval), "
                "or delete it"
            )


class _Tracer(fx.Tracer):
    """Our own modules are layers, not to be looked into."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, OWN) or super().is_leaf_module(m, module_qualified_name)


class _Walk:
    """Layers so far, and what each fx node became: a layer's name, or a shape."""

    def __init__(self, traced: fx.GraphModule):
        self.traced = traced
        self.modules: Mapping[str, nn.Module] = dict(traced.named_modules())
        self.layers: list[Traced] = []
        self.names: dict[fx.Node, str] = {}
        self.shapes: set[fx.Node] = set()
        self.outputs: list[str] = []
        self.taken: set[str] = set()

    def run(self) -> tuple[list[Traced], list[str]]:
        for node in self.traced.graph.nodes:
            try:
                self.step(node)
            except ValueError as error:
                raise ValueError(f'Layer "{self.title(node)}": {error}') from error
        return self.layers, self.outputs

    def title(self, node: fx.Node) -> str:
        return str(node.target) if node.op == "call_module" else node.name

    def step(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.layers:
                raise ValueError("the network must have one input, not several")
            self.add(node, "input", nn.Identity())
        elif node.op == "output":
            found = node.args[0]
            listed = list(found) if isinstance(found, tuple | list) else [found]
            for part in listed:
                if not isinstance(part, fx.Node) or part not in self.names:
                    raise ValueError("outputs must be a tensor, or a tuple of tensors")
                self.outputs.append(self.names[part])
        elif node.op == "call_module":
            self.module(node, str(node.target), self.modules[str(node.target)])
        elif node.op in ("call_function", "call_method"):
            self.function(node)
        else:
            raise ValueError(
                f'a bare parameter or buffer ("{node.target}") has no circuit; use a module '
                f"of {KNOWN}"
            )

    def sources(self, node: fx.Node, count: int) -> tuple[str, ...]:
        """The layers of the first arguments, which must be tensors."""
        chosen = node.args[:count]
        for part in chosen:
            if not isinstance(part, fx.Node) or part not in self.names:
                raise ValueError(f"its inputs must be tensors of the network, not {part}")
        if len(chosen) < count:
            raise ValueError("its inputs must be given by position, not by name")
        return tuple(self.names[part] for part in chosen if isinstance(part, fx.Node))

    def add(self, node: fx.Node, name: str, layer: nn.Module, *sources: str) -> None:
        unique, count = name, 1
        while unique in self.taken:
            count += 1
            unique = f"{name}@{count}"
        self.taken.add(unique)
        self.layers.append(Traced(unique, layer, sources))
        self.names[node] = unique

    def number(self, kind: str) -> str:
        count = 1
        while f"{kind}{count}" in self.taken:
            count += 1
        return f"{kind}{count}"

    def module(self, node: fx.Node, name: str, module: nn.Module) -> None:
        if isinstance(module, matching.CostVolume):
            self.add(node, name, matching_layers.Cost(module), *self.sources(node, 2))
            return
        if isinstance(module, matching.Consistency):
            self.add(node, name, matching_layers.Agreement(module), *self.sources(node, 2))
            return
        (source,) = self.sources(node, 1)
        _check_plain(module)
        match module:
            case matching.PadCrop():
                self.add(node, name, matching_layers.Edges(module), source)
            case matching.Median():
                self.add(node, name, matching_layers.Middle(module), source)
            case candidates.Candidates():
                self.add(node, name, candidates.Records(module), source)
            case matching.Disparity():
                self.add(node, name, matching_layers.Head(module), source)
            case nn.Identity():
                self.names[node] = source
            case _ if isinstance(module, LINEAR):
                self.add(node, name, module, source)
            case nn.LeakyReLU() if not 0 <= module.negative_slope <= 1:
                raise ValueError(f"a slope must be 0 to 1, not {module.negative_slope}")
            case _ if isinstance(module, (*NORM, *FUNCTION)):
                self.add(node, name, Pointwise(module), source)
            case _ if isinstance(module, NOISE):
                self.add(node, name, layers.Noise(module), source)
            case nn.MaxPool1d() | nn.MaxPool2d():
                self.add(node, name, self.max_pool(module), source)
            case nn.AvgPool1d() | nn.AvgPool2d():
                self.add(node, name, self.avg_pool(module), source)
            case nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
                self.whole(module.output_size)
                self.add(node, name, layers.AvgPool(None, None), source)
            case nn.Upsample():
                self.add(node, name, _upsample(module.mode, module.scale_factor), source)
            case nn.Flatten():
                if module.start_dim != 1 or module.end_dim != -1:
                    raise ValueError("flatten must take all axes from 1 on")
                self.add(node, name, layers.Flatten(), source)
            case _:
                raise ValueError(f"{type(module).__name__} has no circuit; there are {KNOWN}")

    def max_pool(self, module: Any) -> layers.MaxPool:
        axes = 1 if isinstance(module, nn.MaxPool1d) else 2
        if module.ceil_mode or any(d != 1 for d in _pair(module.dilation, axes)):
            raise ValueError("a max pool must have ceil_mode False and dilation 1")
        sizes = (_pair(v, axes) for v in (module.kernel_size, module.stride, module.padding))
        return layers.MaxPool(*sizes)

    def avg_pool(self, module: Any) -> layers.AvgPool:
        axes = 1 if isinstance(module, nn.AvgPool1d) else 2
        kernel, stride = _pair(module.kernel_size, axes), _pair(module.stride, axes)
        if any(_pair(module.padding, axes)) or module.ceil_mode:
            raise ValueError("an average pool must have no padding and ceil_mode False")
        return layers.AvgPool(kernel, stride)

    def whole(self, size: Any) -> None:
        if any(s != 1 for s in _pair(size, 2)):
            raise ValueError(f"an adaptive average pool must give one position, not {size}")

    def function(self, node: fx.Node) -> None:
        target: Any = node.target
        key = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        if key in ("size", "shape") or (key == "getattr" and node.args[1:] == ("shape",)):
            self.shapes.add(node)
            return
        if node.args and isinstance(node.args[0], fx.Node) and node.args[0] in self.shapes:
            # What is computed from shapes is used only to flatten.
            self.shapes.add(node)
            return
        if key in _ARITHMETIC:
            self.arithmetic(node, _ARITHMETIC[key])
        elif key in ("cat", "concat"):
            self.concat(node)
        elif key == "getitem":
            self.part(node)
        elif key == "contiguous":
            (self.names[node],) = self.sources(node, 1)
        elif (found := as_module(key, node)) is not None:
            kind, module = found
            parts = list(module) if isinstance(module, nn.Sequential) else [module]
            self.module(node, self.number(kind), parts[0])
            if len(parts) > 1:  # a mean that drops the axes it is over
                self.add(node, self.number("flatten"), layers.Flatten(), self.names[node])
        else:
            raise ValueError(f"{key} has no circuit; there are {KNOWN}")

    def arithmetic(self, node: fx.Node, kind: str) -> None:
        """Of two tensors only a sum; of a tensor and a number a function of one number."""
        if len(node.args) != 2 or node.kwargs:
            raise ValueError(f"{kind} must be of two things, without further settings")
        left, right = node.args
        tensors = [a for a in (left, right) if isinstance(a, fx.Node)]
        if len(tensors) == 2:
            if kind != "add":
                raise ValueError(
                    f"{kind} of two tensors has no circuit; for x * sigmoid(x) use SiLU"
                )
            self.add(node, self.number("add"), layers.Add(), *self.sources(node, 2))
            return
        (tensor,) = tensors
        if tensor not in self.names:
            raise ValueError(f"{kind} must be of a tensor of the network, not {tensor}")
        number = float(right if tensor is left else left)  # type: ignore[arg-type]
        if kind == "div" and (tensor is not left or not number):
            raise ValueError("division must be by a number that is not 0")
        gain, bias = {
            "add": lambda: (1.0, number),
            "sub": lambda: (1.0, -number) if tensor is left else (-1.0, number),
            "mul": lambda: (number, 0.0),
            "div": lambda: (1 / number, 0.0),
        }[kind]()
        self.add(node, self.number("scale"), Pointwise(Scalar(gain, bias)), self.names[tensor])

    def part(self, node: fx.Node) -> None:
        """Of slices only those of channels."""
        (source,) = self.sources(node, 1)
        chosen: Any = node.args[1]
        if not (
            isinstance(chosen, tuple)
            and len(chosen) >= 2
            and all(isinstance(c, slice) for c in chosen)
            and all(c == slice(None) for k, c in enumerate(chosen) if k != 1)
            and chosen[1].step in (None, 1)
        ):
            raise ValueError(f"a slice must be of channels, as x[:, 1:3], not x[{chosen}]")
        self.add(node, self.number("part"), matching_layers.Channels(chosen[1]), source)

    def concat(self, node: fx.Node) -> None:
        given = arguments(node, dim=0, axis=None)
        parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
        axis = given["dim"] if given["axis"] is None else given["axis"]
        if axis not in (1, -3):
            raise ValueError(f"cat must be along channels (axis 1), not {axis}")
        if not all(isinstance(p, fx.Node) and p in self.names for p in parts):
            raise ValueError("cat must be of tensors of the network")
        self.add(node, self.number("concat"), layers.Concat(), *(self.names[p] for p in parts))


_ARITHMETIC = {
    "add": "add", "iadd": "add", "add_": "add", "sub": "sub", "isub": "sub", "sub_": "sub",
    "mul": "mul", "imul": "mul", "mul_": "mul",
    "truediv": "div", "itruediv": "div", "div": "div", "div_": "div",
}  # fmt: skip


def _pair(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * axes


def _check_plain(module: nn.Module) -> None:
    """Refuse what would be lost: of a module only its parameters and settings are used."""
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(
            "it must have no forward hooks, and has some (the older weight_norm and spectral_norm "
            "are ones); remove them"
        )
    if parametrize.is_parametrized(module):
        raise ValueError(
            "its weights must be plain parameters, and are parametrized; call "
            "torch.nn.utils.parametrize.remove_parametrizations"
        )


def _upsample(mode: str, factor: Any) -> layers.Upsample:
    factors = _pair(factor, 2) if factor is not None else ()
    whole = bool(factors) and all(float(f) == int(f) >= 1 for f in factors)
    if mode != "nearest" or not whole:
        raise ValueError('upsampling must have mode "nearest" and whole factors')
    return layers.Upsample(tuple(int(f) for f in factors))
