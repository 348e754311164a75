"""The frozen network as a QONNX file, in the dialect of docs/qonnx.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from . import frozen
from .frozen import Frozen, Staircase

__all__ = ["check", "export", "to_qonnx"]

QUANT_DOMAIN = "qonnx.custom_op.general"
OPSET = 13
IR_VERSION = 8  # the one of opset 13; readers of QONNX refuse the newest ones
_CHUNK = 1 << 20


def export(network: Frozen, path: Path | str) -> None:
    """Write ``network`` to a QONNX file; the same network gives the same bytes.

    Raises
    ------
    ValueError
        If torch computes another code than exact arithmetic for any accumulator that the network
        can reach; names the layer, the channel and the accumulator.
    """
    Path(path).write_bytes(to_qonnx(network).SerializeToString(deterministic=True))


def check(network: Frozen) -> int:
    """Compare every staircase on every accumulator it can reach with exact arithmetic.

    Gives the number of accumulators compared.

    Raises
    ------
    ValueError
        As :func:`export`.
    """
    compared = 0
    for name, node in network.nodes.items():
        if not isinstance(node.op, Staircase):
            continue
        before = network.nodes[node.inputs[0]].bounds
        for channel, step in enumerate(node.op.steps):
            low, high = int(before.low[channel]), int(before.high[channel])
            alone = replace(node.op, steps=(step,))
            for start in range(low, high + 1, _CHUNK):
                acc = np.arange(start, min(start + _CHUNK, high + 1))
                frame = torch.tensor(acc, dtype=torch.float32)[None, None, None]
                codes = alone(frame).numpy().reshape(-1).astype(np.int64)
                exact = step(acc)
                for k in np.flatnonzero(codes != exact)[:1]:
                    raise ValueError(
                        f'Layer "{name}", channel {channel}: torch must give the exact code '
                        f"{exact[k]} for accumulator {acc[k]}, not {codes[k]}; "
                        "freeze the network again"
                    )
                compared += len(acc)
    return compared


def to_qonnx(network: Frozen) -> onnx.ModelProto:
    """The network as a QONNX model; see :func:`export`."""
    check(network)
    writer = _Writer()
    for name, node in network.nodes.items():
        writer.write(name, node.op, node.inputs)
    return writer.model(network)


class _Writer:
    """ONNX nodes and constants so far, and the tensor in which each of our nodes ends."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.outputs: dict[str, str] = {}

    def write(self, name: str, op: frozen.Op, inputs: tuple[str, ...]) -> None:
        sources = [self.outputs[i] for i in inputs]
        match op:
            case frozen.Quantize():
                out = self.quant(name, "x", op.bits, signed=False)
            case frozen.Conv():
                weight = self.weight(name, op.weight, op.bits)
                kernel = list(op.weight.shape[2:])
                out = self.node(
                    "Conv",
                    name,
                    [*sources, weight],
                    kernel_shape=kernel,
                    strides=[op.stride] * 2,
                    pads=[op.padding] * 4,
                )
            case frozen.FullyConnected():
                flat = self.node("Flatten", f"{name}.flatten", sources, axis=1)
                out = self.node("MatMul", name, [flat, self.weight(name, op.weight.T, op.bits)])
            case frozen.Staircase():
                layer = name.removesuffix(".act")
                (out,) = sources
                if not op.plain:
                    gain, bias = (v.reshape(1, -1, 1, 1) for v in (op.gain, op.bias))
                    out = self.affine(layer, out, gain, bias)
                if op.relu:
                    out = self.node("Relu", f"{layer}.relu", [out])
                out = self.quant(name, out, op.bits, signed=not op.relu)
            case frozen.AddCodes():
                out = self.node("Add", name, sources)
            case frozen.MaxPool():
                size = [op.kernel] * 2
                out = self.node(
                    "MaxPool", name, sources, kernel_shape=size, strides=size, pads=[0] * 4
                )
            case frozen.Logits():
                layer = name.removesuffix(".y")
                out = self.affine(layer, sources[0], op.gain, op.bias)
            case _:
                raise TypeError(f"{type(op).__name__} has no QONNX form")
        self.outputs[name] = out

    def constant(self, name: str, value: ArrayLike) -> str:
        array = np.ascontiguousarray(value, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return name

    def node(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{name}_out"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def quant(
        self, name: str, source: str, bits: int, *, signed: bool, narrow: bool = False
    ) -> str:
        inputs = [
            source,
            self.constant(f"{name}_scale", 1.0),
            self.constant(f"{name}_zeropt", 0.0),
            self.constant(f"{name}_bits", float(bits)),
        ]
        return self.node(
            "Quant",
            name,
            inputs,
            domain=QUANT_DOMAIN,
            signed=int(signed),
            narrow=int(narrow),
            rounding_mode="ROUND",
        )

    def weight(self, layer: str, codes: ArrayLike, bits: int) -> str:
        name = f"{layer}.weight"
        source = self.constant(f"{name}_codes", codes)
        return self.quant(name, source, bits, signed=True, narrow=True)

    def affine(self, layer: str, source: str, gain: ArrayLike, bias: ArrayLike) -> str:
        scaled = self.node("Mul", f"{layer}.mul", [source, self.constant(f"{layer}_gain", gain)])
        return self.node("Add", f"{layer}.add", [scaled, self.constant(f"{layer}_bias", bias)])

    def model(self, network: Frozen) -> onnx.ModelProto:
        *_, last = network.nodes.values()
        shape = [1, *network.input.shape]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, len(last.bounds.low)])
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(self.nodes, "sqwire", [x], [y], self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(QUANT_DOMAIN, 1)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sqwire"
        )
        onnx.checker.check_model(model)
        return model
