"""From a trained network to its integers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import frozen
from .exact import Step, settle
from .frozen import ACC_LIMIT, Frozen, Node, Op
from .layers import Add, Conv2d, Input, Linear, MaxPool2d
from .network import Network
from .quantizer import ActQuantizer

__all__ = ["freeze"]

Int = NDArray[np.int64]


def freeze(network: Network) -> Frozen:
    """The integers of a trained network, with its batch norms folded into the staircases.

    All scales are 1 afterwards: what stood between two layers, ``scale`` and batch norm of one
    and ``scale`` of the next, is one float32 gain and bias a channel, rounded once, here. They
    are the truth from now on. Biases are moved by a few millionths of a code where a reachable
    accumulator would lie so near a tie that float32 runtimes might round it wrongly.

    Raises
    ------
    ValueError
        If a float32 sum could reach 2^24, or a layer is not one of :mod:`sqwire.train.layers`.
    """
    freezer = _Freezer()
    with torch.no_grad():
        for name, layer in network.layers.items():
            freezer.add_layer(name, layer, network.inputs[name])
    return Frozen(freezer.nodes)


class _Freezer:
    """Nodes so far, and for each layer the node that holds its codes and their scale."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.codes: dict[str, tuple[str, float]] = {}

    def add(self, name: str, op: Op, *inputs: str) -> str:
        bounds = op.bounds(*(self.nodes[i].bounds for i in inputs))
        self.nodes[name] = Node(op, inputs, bounds)
        return name

    def add_layer(self, name: str, layer: nn.Module, inputs: tuple[str, ...]) -> None:
        sources = [self.codes[i][0] for i in inputs]
        scale = self.codes[inputs[0]][1] if inputs else 1.0
        match layer:
            case Input():
                self.add(name, frozen.Quantize(layer.shape, layer.bits))
            case Conv2d():
                weight, weight_scale = _integers(layer)
                bits = layer.weights.method.weight_bits
                op = frozen.Conv(weight, bits, layer.stride, layer.padding)
                self.accumulate(name, op, sources[0])
                gain, bias = _folded(layer.norm)
                name, scale = self.quantize(name, layer.act, gain * weight_scale * scale, bias)
            case Linear():
                weight, weight_scale = _integers(layer)
                bits = layer.weights.method.weight_bits
                self.accumulate(name, frozen.FullyConnected(weight, bits), sources[0])
                offset = tuple(layer.bias.numpy().astype(np.float32))
                self.add(f"{name}.y", frozen.Logits(np.float32(weight_scale * scale), offset), name)
            case Add():
                self.add(name, frozen.AddCodes(), *sources)
                channels = len(self.nodes[name].bounds.low)
                gain, bias = np.full(channels, scale), np.zeros(channels)
                name, scale = self.quantize(name, layer.act, gain, bias)
            case MaxPool2d():
                self.add(name, frozen.MaxPool(layer.kernel), *sources)
            case _:
                raise ValueError(
                    f'Layer "{name}": it must be a layer of sqwire.train.layers, '
                    f"not {type(layer).__name__}"
                )
        self.codes[name.removesuffix(".act")] = (name, scale)

    def accumulate(self, name: str, op: frozen.Conv | frozen.FullyConnected, source: str) -> None:
        before = self.nodes[source].bounds
        largest = int(max(np.abs(before.low).max(), np.abs(before.high).max()))
        worst = int(np.abs(op.weight).reshape(len(op.weight), -1).sum(1).max()) * largest
        if worst >= ACC_LIMIT:
            raise ValueError(
                f'Layer "{name}": sum |weight| * max |x| must be below 2^24 ({ACC_LIMIT}) for '
                f"exact float32 sums, not {worst}; use fewer bits or fewer inputs"
            )
        self.add(name, op, source)

    def quantize(
        self, name: str, act: ActQuantizer, gain: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> tuple[str, float]:
        scale = float(act.scale)
        bounds = self.nodes[name].bounds
        steps = []
        for k in range(len(gain)):
            step = Step(
                np.float32(gain[k] / scale), np.float32(bias[k] / scale), act.low, act.high
            )
            reachable = np.arange(bounds.low[k], bounds.high[k] + 1)
            steps.append(settle(step, reachable))
        op = frozen.Staircase(tuple(steps), not act.signed, act.bits)
        return self.add(f"{name}.act", op, name), scale


def _integers(layer: Conv2d | Linear) -> tuple[Int, float]:
    coded = layer.weights.method.weights(layer.weights.weight)
    return coded.codes.round().numpy().astype(np.int64), float(coded.scale)


def _folded(norm: nn.BatchNorm2d) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gain and bias of a batch norm in evaluation."""
    mean, variance = _double(norm.running_mean), _double(norm.running_var)
    gain = _double(norm.weight) / np.sqrt(variance + norm.eps)
    return gain, _double(norm.bias) - mean * gain


def _double(tensor: Tensor | None) -> NDArray[np.float64]:
    assert tensor is not None
    return tensor.detach().numpy().astype(np.float64)
