"""From a trained network to its integers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from . import candidates, layers, matching_layers, matching_ops, ops
from .exact import Chain, settle
from .fold import Line, divided, double, line_or_function, rounded
from .frozen import Frozen, Node
from .functions import Affine, Function
from .grid import largest_code
from .ops import ACC_LIMIT, Op
from .qat import QAT
from .quantizer import ActQuantizer

__all__ = ["freeze"]

Real = NDArray[np.float64]


@dataclass(frozen=True)
class _Open:
    """Real numbers: functions of the integers of a node."""

    node: str
    functions: tuple[Line | Function, ...]


@dataclass(frozen=True)
class _Closed:
    """The codes of a node and their step."""

    node: str
    scale: float


def freeze(qat: QAT, facts: Mapping[str, Any] | None = None) -> Frozen:
    """The integers of a trained network, with its batch norms folded into the staircases.

    All scales are 1 afterwards: what stands between two layers, scale and batch norm of the one
    and scale of the other, becomes one float32 gain and bias a channel, rounded once, here; from
    now on they are the truth. A bias is moved by a few millionths of a code where a reachable
    accumulator would otherwise lie so near a tie that float32 runtimes might round it wrongly.

    A layer that has no weights left and goes into an addition is removed: what is left of it is
    a bias there.

    Raises
    ------
    ValueError
        If the network still trains in plain float, a float32 sum could reach 2^24 (names layer
        and value), or a number is not finite.
    """
    if not qat.quantizing:
        raise ValueError(
            f"freeze: the method must have begun to quantize, and after {qat.epoch:g} epochs has "
            "not; train beyond its delay"
        )
    if any(module.enabled and module.pending for module in _quantizers(qat)):
        raise ValueError(
            "freeze: every clip level must be set, and the network has not run since it "
            "quantizes; run it on a batch"
        )
    freezer, training = _Freezer(qat), qat.training
    qat.eval()
    try:
        freezer.run()
    finally:
        qat.train(training)
    nodes = freezer.alive()
    removed = {n: w.weight.numel() for n, w in qat.weights() if n not in nodes}
    return Frozen(nodes, {**_facts(qat), "removed": removed, **(facts or {})})


class _Freezer:
    """The nodes so far, and for each site what it became."""

    def __init__(self, qat: QAT) -> None:
        self.qat = qat
        self.nodes: dict[str, Node] = {}
        self.values: dict[str, _Open | _Closed] = {}
        # Codes of layers without weights: constant in each channel.
        self.constants: dict[str, Real] = {}

    @torch.no_grad()
    def run(self) -> None:
        """Every site, and every output."""
        for name, inputs in self.qat.sites.items():
            try:
                self.add_site(name, self.qat.layer(name), inputs)
            except ValueError as error:
                raise ValueError(f'Layer "{name}": {error}') from error
        for number, name in enumerate(self.qat.outputs):
            self.add_output(name, "y" if len(self.qat.outputs) == 1 else f"y{number}")

    def add(self, name: str, op: Op, *inputs: str) -> str:
        bounds = op.bounds(*(self.nodes[i].bounds for i in inputs))
        self.nodes[name] = Node(op, inputs, bounds)
        return name

    def channels(self, name: str) -> int:
        return len(self.nodes[name].bounds.low)

    def add_site(self, name: str, layer: nn.Module, inputs: tuple[str, ...]) -> None:
        values = [self.values[i] for i in inputs]
        match layer, values:
            case layers.Input(), []:
                scale = float(layer.step.value)
                op = ops.Quantize(layer.shape, layer.bits, layer.signed, scale)
                self.values[name] = _Closed(self.add(name, op), scale)
            case layers.Linear(), [_Closed() as x]:
                self.values[name] = self.linear(name, layer, x)
            case layers.Pointwise(), [x]:
                self.values[name] = self.pointwise(self.opened(x), layer.function)
            case layers.Noise(), [x]:
                self.values[name] = x
            case layers.Add(), [_Closed() as x, _Closed() as y]:
                self.values[name] = self.addition(name, x, y)
            case layers.AvgPool(), [_Closed() as x]:
                self.values[name] = self.average(name, layer, x)
            case ActQuantizer(), [_Open() as x]:
                self.values[name] = self.quantizer(name, layer, x)
            case layers.Flatten(), [_Closed() as x]:
                self.values[name] = x
            case layers.Concat(), [_Closed(scale=scale), *_]:
                parts = [v.node for v in values]
                self.values[name] = _Closed(self.add(name, ops.Concat(), *parts), scale)
            case layers.MaxPool(), [_Closed() as x]:
                pool = ops.MaxPool(layer.kernel, layer.stride, layer.padding)
                self.moved(name, pool, x)
            case layers.Upsample(), [_Closed() as x]:
                self.moved(name, ops.Upsample(layer.factor), x)
            case matching_layers.Channels(), [_Closed() as x]:
                chosen = layer.chosen(self.channels(x.node))
                part = matching_ops.Channels(chosen.start, chosen.stop)
                self.moved(name, part, x)
                if x.node in self.constants:
                    self.constants[name] = self.constants[x.node][chosen.start : chosen.stop]
            case matching_layers.Edges(), [_Closed() as x]:
                self.moved(name, matching_ops.PadCrop(layer.edges), x)
            case matching_layers.Middle(), [_Closed() as x]:
                self.moved(name, matching_ops.Median(layer.dilation), x)
            case matching_layers.Cost(), [_Closed() as x, _Closed() as y]:
                self.values[name] = self.cost(name, layer, x, y)
            case matching_layers.Head(), [x]:
                self.values[name] = self.head(name, layer, x)
            case matching_layers.Agreement(), [_Open() as x, _Open() as y]:
                self.values[name] = self.agreement(name, layer.source.tolerance, x, y)
            case candidates.Records(), [x]:
                self.values[name] = self.records(name, layer.source, self.opened(x))
            case _:
                raise ValueError(f"{type(layer).__name__} cannot be frozen here")

    def moved(self, name: str, op: Op, x: _Closed) -> None:
        self.values[name] = _Closed(self.add(name, op, x.node), x.scale)
        if x.node in self.constants:
            self.constants[name] = self.constants[x.node]

    def opened(self, x: _Open | _Closed) -> _Open:
        if isinstance(x, _Open):
            return x
        count = self.channels(x.node)
        return _Open(x.node, (Line(np.full(count, x.scale), np.zeros(count)),))

    def linear(self, name: str, layer: layers.Linear, x: _Closed) -> _Open:
        coded = layer.weights()
        codes = coded.codes
        if layer.transposed:
            codes = layers.outputs_first(codes, layer.groups)  # back to how torch has them
        weight = codes.round().cpu().numpy().astype(np.int64)
        bits = max(2, layer.weights.bits)
        if int(np.abs(weight).max()) > largest_code(bits):
            raise ValueError(
                f"its codes must fit {bits} bits, and reach {np.abs(weight).max()}; train until "
                "the method has settled"
            )
        if layer.conv:
            op: ops.Conv | ops.FullyConnected = ops.Conv(
                weight, bits, layer.stride, layer.padding, layer.dilation, layer.groups,
                layer.transposed, layer.output_padding,
            )  # fmt: skip
            grouped = op.by_output if isinstance(op, ops.Conv) else weight
        else:
            op, grouped = ops.FullyConnected(weight, bits), weight[None, :, :, None]
        worst = ops.largest_sum(grouped, [self.nodes[x.node].bounds])
        if worst >= ACC_LIMIT:
            raise ValueError(
                f"sum |weight| * max |x| must be below 2^24 ({ACC_LIMIT}) for exact float32 "
                f"sums, not {worst}; use fewer bits or fewer inputs"
            )
        self.add(name, op, x.node)
        count = self.channels(name)
        gain = np.broadcast_to(double(coded.scale).reshape(-1) * x.scale, (count,))
        bias = np.zeros(count) if layer.bias is None else double(layer.bias)
        if not weight.any():
            self.constants[name] = np.zeros(count)
        return _Open(name, (Line(gain, bias),))

    def pointwise(self, x: _Open, function: Any) -> _Open:
        step = line_or_function(function, len(self.nodes[x.node].bounds.low))
        before = x.functions[-1] if x.functions else None
        if isinstance(step, Line) and isinstance(before, Line):
            merged = Line(before.gain * step.gain, before.bias * step.gain + step.bias)
            return _Open(x.node, (*x.functions[:-1], merged))
        return _Open(x.node, x.functions if step is None else (*x.functions, step))

    def addition(self, name: str, x: _Closed, y: _Closed) -> _Open:
        if abs(x.scale - y.scale) > 1e-6 * x.scale:
            raise ValueError(f"its inputs must have one step, not {x.scale} and {y.scale}")
        for one, other in ((x, y), (y, x)):
            if other.node in self.constants:
                bias = self.constants[other.node] * x.scale
                return _Open(one.node, (Line(np.full(len(bias), x.scale), bias),))
        self.add(name, ops.AddCodes(), x.node, y.node)
        count = self.channels(name)
        return _Open(name, (Line(np.full(count, x.scale), np.zeros(count)),))

    def cost(self, name: str, layer: matching_layers.Cost, x: _Closed, y: _Closed) -> _Open:
        if layer.positive and abs(x.scale - y.scale) > 1e-6 * x.scale:
            raise ValueError(f"its inputs must have one step, not {x.scale} and {y.scale}")
        op = matching_ops.CostVolume(layer.volume.shifts, layer.volume.form)
        self.add(name, op, x.node, y.node)
        if (worst := self.nodes[name].bounds.magnitude) >= ACC_LIMIT:
            raise ValueError(f"its sums must be below 2^24 for exact float32, not {worst}")
        gain = x.scale if layer.positive else x.scale * y.scale
        return _Open(name, (Line(np.full(op.shifts, gain), np.zeros(op.shifts)),))

    def head(self, name: str, layer: matching_layers.Head, x: _Open | _Closed) -> _Open:
        """The integers of the head; the scores' common scale decides nothing."""
        head = layer.head
        node = self.add(name, matching_ops.SubpixelArgMax(head.parts), x.node)
        taps = 1
        for number, dilation in enumerate(head.smooth):
            title = f"{name}.median{number + 1 if number else ''}"
            node = self.add(title, matching_ops.Median(dilation), node)
        if head.factor > 1:
            up = matching_ops.Bilinear(head.factor)
            node, taps = self.add(f"{name}.up", up, node), up.taps
        if any(head.edges):
            node = self.add(f"{name}.crop", matching_ops.PadCrop(head.edges), node)
        # A code of subpixel is 1 / parts of a shift, and a shift is `factor` pixels.
        return _Open(node, (Line(np.full(1, head.factor / (head.parts * taps)), np.zeros(1)),))

    def agreement(self, name: str, tolerance: float, x: _Open, y: _Open) -> _Open:
        """Of codes of both heads, which are the same part of a pixel."""
        units = []
        for value in (x, y):
            (line,) = value.functions
            assert isinstance(line, Line)
            units.append(float(line.gain[0]))
        parts = round(1 / units[0])
        if units[0] != units[1] or parts not in (2, 4, 8, 16, 32, 64) or parts * units[0] != 1:
            raise ValueError(
                "parts * factor of both heads must be one power of two from 2 to 64, not "
                f"{1 / units[0]:g} and {1 / units[1]:g}"
            )
        op = matching_ops.Consistency(parts, math.floor(tolerance * parts))
        return _Open(self.add(name, op, x.node, y.node), (Line(np.ones(1), np.zeros(1)),))

    def records(self, name: str, source: candidates.Candidates, x: _Open) -> _Open:
        """Records of accumulators: a threshold of what they stand for is one of themselves."""
        (line,) = x.functions
        assert isinstance(line, Line)
        single, bounds = rounded(line), self.nodes[x.node].bounds
        assert isinstance(single, Affine)
        shape = self.spatial(x.node)
        if len(shape) != 2:
            raise ValueError(f"its input must have two axes of positions, not {shape}")
        thresholds = []
        for c in source.channels:
            if single.gain[c] <= 0:
                raise ValueError(f"the gain of channel {c} must be above 0, not {single.gain[c]}")
            ends = int(bounds.low[c]), int(bounds.high[c])
            thresholds.append(
                candidates.first_code(single.gain[c], single.bias[c], source.threshold, *ends)
            )
        op = candidates.Chosen(math.prod(shape), source.count, source.channels, tuple(thresholds))
        self.add(name, op, x.node)
        return _Open(name, (Line(np.append(1, line.gain), np.append(0, line.bias)),))

    def average(self, name: str, layer: layers.AvgPool, x: _Closed) -> _Open:
        kernel, stride, whole = layer.kernel, layer.stride, layer.kernel is None
        if kernel is None:
            kernel = stride = self.spatial(x.node)
        assert kernel is not None and stride is not None
        pool = ops.SumPool(kernel, stride, whole)
        if (worst := self.nodes[x.node].bounds.magnitude * pool.taps) >= ACC_LIMIT:
            raise ValueError(f"its sums must be below 2^24 for exact float32, not {worst}")
        self.add(name, pool, x.node)
        count = self.channels(name)
        return _Open(name, (Line(np.full(count, x.scale / pool.taps), np.zeros(count)),))

    def spatial(self, node: str) -> tuple[int, ...]:
        """Height and width after a node."""
        return Frozen(self.nodes).shapes()[node][1:]

    def quantizer(self, name: str, act: ActQuantizer, x: _Open) -> _Closed:
        scale = float(act.step.value)
        functions = divided(x.functions, scale, self.channels(x.node))
        bounds = self.nodes[x.node].bounds
        chain = Chain(functions, act.low, act.high)
        if functions:
            reach = list(zip(bounds.low.tolist(), bounds.high.tolist(), strict=True))
            chain = settle(chain, reach)
        self.add(name, ops.Staircase(chain, act.bits, act.signed), x.node)
        if x.node in self.constants:
            codes = chain(self.constants[x.node].astype(np.int64)[:, None])
            self.constants[name] = codes[:, 0].astype(np.float64)
        return _Closed(name, scale)

    def add_output(self, name: str, title: str) -> None:
        value = self.values[name]
        if isinstance(value, _Closed):
            value = self.opened(value)
        (affine,) = value.functions
        assert isinstance(affine, Line)
        single = rounded(affine)
        assert isinstance(single, Affine)
        self.add(title, ops.Logits(single.gain, single.bias), value.node)

    def alive(self) -> dict[str, Node]:
        """The nodes that an output depends on."""
        needed = {name for name, node in self.nodes.items() if isinstance(node.op, ops.Logits)}
        for name in reversed(self.nodes):
            if name in needed:
                needed.update(self.nodes[name].inputs)
        ends = [n.inputs[0] for n in self.nodes.values() if isinstance(n.op, ops.Logits)]
        if all(end in self.constants for end in ends):
            raise ValueError(
                "freeze: the output must depend on the input, and nothing of it is left; "
                "compress less"
            )
        return {name: node for name, node in self.nodes.items() if name in needed}


def _quantizers(qat: QAT) -> list[ActQuantizer]:
    return [module for module in qat.modules() if isinstance(module, ActQuantizer)]


def _facts(qat: QAT) -> dict[str, Any]:
    first: dict[nn.Module, str] = {}
    shared = {}
    for name in qat.sites:
        if isinstance(layer := qat.layer(name), layers.Linear):
            owner = first.setdefault(layer.weights, name)
            if owner != name:
                shared[name] = owner
    return {
        "method": type(qat.method).__name__,
        "settings": asdict(qat.method),  # type: ignore[call-overload]
        "epochs": qat.epoch,
        "seed": torch.initial_seed(),
        "data": "a loop of the user's own",
        "calibration": "clip levels from the first quantized batch, then learned",
        "shared": shared,
        "excluded": [n for n, w in qat.weights() if type(w.method) is not type(qat.method)],
    }
