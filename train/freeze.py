"""From a trained network to its integers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import frozen
from .exact import Step, settle
from .frozen import ACC_LIMIT, Frozen, Node, Op
from .layers import Add, Conv2d, Input, Linear, MaxPool2d, Weights
from .network import Network
from .quantizer import ActQuantizer

__all__ = ["freeze"]

Real = NDArray[np.float64]


def freeze(network: Network) -> Frozen:
    """The integers of a trained network, with its batch norms folded into the staircases.

    All scales are 1 afterwards: what stands between two layers, scale and batch norm of the one
    and scale of the other, becomes one float32 gain and bias a channel, rounded once, here; from
    now on they are the truth. A bias is moved by a few millionths of a code where a reachable
    accumulator would otherwise lie so near a tie that float32 runtimes might round it wrongly.

    Raises
    ------
    ValueError
        If a float32 sum could reach 2^24 (names layer and value), a number is not finite, or a
        layer is not one of :mod:`sqwire.train.layers`.
    """
    freezer = _Freezer()
    with torch.no_grad():
        for name, layer in network.layers.items():
            try:
                freezer.add_layer(name, layer, network.inputs[name])
            except ValueError as error:
                raise ValueError(f'Layer "{name}": {error}') from error
    return Frozen(freezer.nodes)


class _Freezer:
    """The nodes so far, and for each layer the node that holds its codes, and their scale."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.codes: dict[str, tuple[str, float]] = {}

    def add_layer(self, name: str, layer: nn.Module, inputs: tuple[str, ...]) -> None:
        sources = [self.codes[i][0] for i in inputs]
        scales = {self.codes[i][1] for i in inputs} or {1.0}
        if len(scales) > 1:
            raise ValueError(
                f"its inputs must have one scale, not {sorted(scales)}; share a Clip between "
                "their quantizers"
            )
        (scale,) = scales
        match layer:
            case Input():
                node = self.add(name, frozen.Quantize(layer.shape, layer.bits))
            case Conv2d():
                weight, weight_scale = _integers(layer.weights)
                op = frozen.Conv(
                    weight, layer.weights.method.weight_bits, layer.stride, layer.padding
                )
                self.accumulate(name, op, sources[0])
                gain, bias = _folded(layer.norm)
                node = self.quantize(name, layer.act, gain * (weight_scale * scale), bias)
                scale = float(layer.act.scale)
            case Linear():
                weight, weight_scale = _integers(layer.weights)
                fully = frozen.FullyConnected(weight, layer.weights.method.weight_bits)
                self.accumulate(name, fully, sources[0])
                logits = frozen.Logits(np.float32(weight_scale * scale), layer.bias.numpy().copy())
                node = self.add(f"{name}.y", logits, name)
            case Add():
                self.add(name, frozen.AddCodes(), *sources)
                channels = len(self.nodes[name].bounds.low)
                node = self.quantize(name, layer.act, np.full(channels, scale), np.zeros(channels))
                scale = float(layer.act.scale)
            case MaxPool2d():
                node = self.add(name, frozen.MaxPool(layer.kernel), *sources)
            case _:
                raise ValueError(
                    f"it must be a layer of sqwire.train.layers, not {type(layer).__name__}; "
                    "build the network from those"
                )
        self.codes[name] = (node, scale)

    def add(self, name: str, op: Op, *inputs: str) -> str:
        bounds = op.bounds(*(self.nodes[i].bounds for i in inputs))
        self.nodes[name] = Node(op, inputs, bounds)
        return name

    def accumulate(self, name: str, op: frozen.Conv | frozen.FullyConnected, source: str) -> None:
        before = self.nodes[source].bounds
        largest = int(max(np.abs(before.low).max(), np.abs(before.high).max()))
        worst = int(np.abs(op.weight).reshape(len(op.weight), -1).sum(1).max()) * largest
        if worst >= ACC_LIMIT:
            raise ValueError(
                f"sum |weight| * max |x| must be below 2^24 ({ACC_LIMIT}) for exact float32 "
                f"sums, not {worst}; use fewer bits or fewer inputs"
            )
        self.add(name, op, source)

    def quantize(self, name: str, act: ActQuantizer, gain: Real, bias: Real) -> str:
        bounds = self.nodes[name].bounds
        scale = float(act.scale)
        steps = []
        for k in range(len(gain)):
            step = Step(np.float32(gain[k] / scale), np.float32(bias[k] / scale), act.low, act.high)
            steps.append(settle(step, np.arange(bounds.low[k], bounds.high[k] + 1)))
        op = frozen.Staircase(tuple(steps), not act.signed, act.bits)
        return self.add(f"{name}.act", op, name)


def _integers(weights: Weights) -> tuple[NDArray[np.int64], float]:
    coded = weights.method.weights(weights.weight)
    return coded.codes.numpy().astype(np.int64), float(coded.scale)


def _folded(norm: nn.BatchNorm2d) -> tuple[Real, Real]:
    """Gain and bias of a batch norm in evaluation."""
    mean, variance = _double(norm.running_mean), _double(norm.running_var)
    gain = _double(norm.weight) / np.sqrt(variance + norm.eps)
    return gain, _double(norm.bias) - mean * gain


def _double(tensor: Tensor | None) -> Real:
    assert tensor is not None
    return tensor.detach().numpy().astype(np.float64)
