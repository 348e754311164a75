"""The frozen network as a QONNX file, in the dialect of docs/qonnx.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from . import functions, matching_ops, ops
from .candidates import Chosen
from .frozen import Frozen
from .qat import QAT

__all__ = ["check", "export", "to_qonnx"]

QUANT_DOMAIN = "qonnx.custom_op.general"
OWN_DOMAIN = "sqwire"
OPSET = 14  # the first with HardSwish
IR_VERSION = 8  # readers of QONNX refuse the newest ones
_CHUNK = 1 << 20


def export(network: Frozen, path: Path | str) -> None:
    """Write ``network`` to a QONNX file; the same network gives the same bytes.

    Raises
    ------
    ValueError
        If float64 computes another code than exact arithmetic for any accumulator that the
        network can reach; names the layer, the channel and the accumulator.
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
        if not isinstance(node.op, ops.Staircase):
            continue
        before = network.nodes[node.inputs[0]].bounds
        chain = node.op.chain
        for channel, (low, high) in enumerate(
            zip(before.low.tolist(), before.high.tolist(), strict=True)
        ):
            alone = chain.channel(channel)
            for start in range(low, high + 1, _CHUNK):
                acc = np.arange(start, min(start + _CHUNK, high + 1))[None]
                quick = np.clip(
                    np.rint(alone.double(acc.astype(np.float64))), chain.low, chain.high
                )
                exact = alone(acc)
                for _, k in np.argwhere(quick != exact)[:1]:
                    raise ValueError(
                        f'Layer "{name}", channel {channel}: float64 must give the exact code '
                        f"{exact[0, k]} for accumulator {acc[0, k]}, not {quick[0, k]:g}; "
                        "freeze the network again"
                    )
                compared += acc.size
    return compared


def to_qonnx(network: Frozen | QAT) -> onnx.ModelProto:
    """The network as a QONNX model; see :func:`export`. One in training is frozen first."""
    if isinstance(network, QAT):
        network = network.freeze()
    check(network)
    writer = _Writer(network)
    for name, node in network.nodes.items():
        writer.write(name, node.op, node.inputs)
    return writer.model()


class _Writer:
    """ONNX nodes and constants so far, and the tensor in which each of our nodes ends."""

    def __init__(self, network: Frozen) -> None:
        self.network = network
        self.shapes = network.shapes()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.outputs: dict[str, str] = {}
        self.results: list[str] = []

    def write(self, name: str, op: ops.Op, inputs: tuple[str, ...]) -> None:
        sources = [self.outputs[i] for i in inputs]
        match op:
            case ops.Quantize():
                source = "x"
                if op.scale != 1:
                    step = self.constant(f"{name}_step", op.scale)
                    source = self.node("Div", f"{name}.div", ["x", step])
                out = self.quant(name, source, op.bits, signed=op.signed)
            case ops.Conv():
                out = self.conv(name, op, sources[0])
            case ops.FullyConnected():
                flat = self.node("Flatten", f"{name}.flatten", sources, axis=1)
                out = self.node("MatMul", name, [flat, self.weight(name, op.weight.T, op.bits)])
            case ops.Staircase():
                out = self.staircase(name, op, inputs[0], sources[0])
            case ops.AddCodes():
                out = self.node("Add", name, sources)
            case ops.Concat():
                out = self.node("Concat", name, sources, axis=1)
            case ops.MaxPool():
                out = self.node(
                    "MaxPool", name, sources, kernel_shape=list(op.kernel),
                    strides=list(op.stride), pads=list(op.padding) * 2,
                )  # fmt: skip
            case ops.SumPool(whole=True):
                out = self.node("GlobalAveragePool", name, sources)
            case ops.SumPool():
                out = self.node(
                    "AveragePool", name, sources, kernel_shape=list(op.kernel),
                    strides=list(op.stride), pads=[0] * 2 * len(op.kernel),
                )  # fmt: skip
            case ops.Upsample():
                out = self.upsample(name, op, sources[0])
            case matching_ops.Channels():
                out = self.cut(name, sources[0], [op.start], [op.stop], [1])
            case matching_ops.PadCrop():
                out = self.edges(name, op.edges, inputs[0], sources[0])
            case matching_ops.CostVolume():
                out = self.node(
                    "CostVolume", name, sources, domain=OWN_DOMAIN, shifts=op.shifts, form=op.form
                )
            case matching_ops.Consistency():
                # The mean of neighbours, not their sum, is what the tensors hold.
                taps = self.taps(inputs[0])
                out = self.node(
                    "Consistency", name, sources, domain=OWN_DOMAIN, parts=op.parts / taps,
                    tolerance=op.tolerance / taps,
                )  # fmt: skip
            case matching_ops.SubpixelArgMax():
                out = self.node("SubpixelArgMax", name, sources, domain=OWN_DOMAIN, parts=op.parts)
            case matching_ops.Median():
                out = self.node("Median", name, sources, domain=OWN_DOMAIN, dilation=op.dilation)
            case matching_ops.Bilinear():
                scales = self.constant(f"{name}_scales", [1.0, 1.0, op.factor, op.factor])
                out = self.node(
                    "Resize", name, [sources[0], "", scales], mode="linear",
                    coordinate_transformation_mode="asymmetric",
                )  # fmt: skip
            case Chosen():
                out = self.node(
                    "Candidates", name, sources, domain=OWN_DOMAIN, count=op.count,
                    channels=list(op.channels), thresholds=[float(t) for t in op.thresholds],
                )  # fmt: skip
            case ops.Logits():
                # The mean of a pool, not its sum, is what the tensor holds.
                gain = op.gain * self.taps(inputs[0])
                layer = self.title(inputs[0], name)
                out = self.affine(layer, sources[0], gain, op.bias, self.rank(inputs[0]))
                self.results.append(name)
            case _:
                raise TypeError(f"{type(op).__name__} has no QONNX form")
        self.outputs[name] = out

    def title(self, node: str, output: str) -> str:
        """A name for an output's nodes: that of its layer, unless others use it already."""
        taken = {n.name for n in self.nodes}
        return node if f"{node}.mul" not in taken and f"{node}.add" not in taken else output

    def rank(self, node: str) -> int:
        """Axes behind the channels in the file, where what is flat has none."""
        op = self.network.nodes[node].op
        return 0 if isinstance(op, ops.FullyConnected) else len(self.shapes[node]) - 1

    def flat(self, node: str) -> bool:
        """Whether a tensor has lost its positions in the file."""
        op, inputs = self.network.nodes[node].op, self.network.nodes[node].inputs
        if isinstance(op, ops.FullyConnected):
            return True
        return isinstance(op, ops.Staircase | ops.AddCodes) and self.flat(inputs[0])

    def taps(self, node: str) -> int:
        op, inputs = self.network.nodes[node].op, self.network.nodes[node].inputs
        if isinstance(op, matching_ops.PadCrop):
            return self.taps(inputs[0])
        return op.taps if isinstance(op, ops.SumPool | matching_ops.Bilinear) else 1

    def cut(
        self, name: str, source: str, starts: list[int], ends: list[int], axes: list[int]
    ) -> str:
        given = {"starts": starts, "ends": ends, "axes": axes}
        return self.node("Slice", name, [source, *(self.whole(f"{name}_{k}", v)
                                                   for k, v in given.items())])  # fmt: skip

    def edges(self, name: str, edges: tuple[int, int, int, int], before: str, source: str) -> str:
        top, left, bottom, right = edges
        if min(edges) < 0:
            _, height, width = self.shapes[before]
            starts = [max(0, -top), max(0, -left)]
            ends = [height - max(0, -bottom), width - max(0, -right)]
            title = f"{name}.crop" if max(edges) > 0 else name
            source = self.cut(title, source, starts, ends, [2, 3])
        if max(edges) > 0:
            top, left, bottom, right = (max(0, e) for e in edges)
            pads = self.whole(f"{name}_pads", [0, 0, top, left, 0, 0, bottom, right])
            source = self.node("Pad", name, [source, pads], mode="constant")
        return source

    def conv(self, name: str, op: ops.Conv, source: str) -> str:
        weight = self.weight(name, op.weight, op.bits)
        settings: dict[str, Any] = {
            "kernel_shape": list(op.weight.shape[2:]),
            "strides": list(op.stride),
            "pads": list(op.padding) * 2,
        }
        if any(d != 1 for d in op.dilation):
            settings["dilations"] = list(op.dilation)
        if op.groups != 1:
            settings["group"] = op.groups
        if op.transposed and any(op.output_padding):
            settings["output_padding"] = list(op.output_padding)
        kind = "ConvTranspose" if op.transposed else "Conv"
        return self.node(kind, name, [source, weight], **settings)

    def upsample(self, name: str, op: ops.Upsample, source: str) -> str:
        scales = self.constant(f"{name}_scales", [1.0, 1.0, *(float(f) for f in op.factor)])
        return self.node(
            "Resize", name, [source, "", scales], mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def staircase(self, name: str, op: ops.Staircase, before: str, source: str) -> str:
        layer, out, affines = name.removesuffix(".act"), source, 0
        rank = 0 if self.flat(before) else len(self.shapes[before]) - 1
        taps = self.taps(before)
        if taps != 1 and not isinstance(op.chain.functions[0], functions.Affine):
            raise ValueError(f'Layer "{name}": a mean must have an affine function behind it')
        for function in op.chain.functions:
            match function:
                case functions.Affine():
                    affines += 1
                    title = layer if affines == 1 else f"{layer}.post"
                    gain = function.gain * np.float32(taps if affines == 1 else 1)
                    out = self.affine(title, out, gain, function.bias, rank)
                case functions.Relu():
                    out = self.node("Relu", f"{layer}.relu", [out])
                case functions.LeakyRelu():
                    out = self.node("LeakyRelu", f"{layer}.leaky", [out], alpha=function.slope)
                case functions.Clip():
                    ends = [
                        self.constant(f"{layer}_low", function.low),
                        self.constant(f"{layer}_high", function.high),
                    ]
                    out = self.node("Clip", f"{layer}.clip", [out, *ends])
                case functions.HardSwish():
                    out = self.node("HardSwish", f"{layer}.hardswish", [out])
                case functions.Sigmoid():
                    out = self.node("Sigmoid", f"{layer}.sigmoid", [out])
                case functions.Silu():
                    gate = self.node("Sigmoid", f"{layer}.sigmoid", [out])
                    out = self.node("Mul", f"{layer}.silu", [out, gate])
                case _:
                    raise TypeError(f"{type(function).__name__} has no QONNX form")
        return self.quant(name, out, op.bits, signed=op.signed)

    def constant(self, name: str, value: ArrayLike) -> str:
        array = np.ascontiguousarray(value, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return name

    def whole(self, name: str, values: list[int]) -> str:
        """A constant of int64, as sizes are in ONNX."""
        self.constants.append(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
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
            "Quant", name, inputs, domain=QUANT_DOMAIN,
            signed=int(signed), narrow=int(narrow), rounding_mode="ROUND",
        )  # fmt: skip

    def weight(self, layer: str, codes: ArrayLike, bits: int) -> str:
        name = f"{layer}.weight"
        source = self.constant(f"{name}_codes", codes)
        return self.quant(name, source, bits, signed=True, narrow=True)

    def affine(self, layer: str, source: str, gain: Any, bias: Any, rank: int) -> str:
        shape = (1, -1) + (1,) * rank
        factor = self.constant(f"{layer}_gain", gain.reshape(shape))
        term = self.constant(f"{layer}_bias", bias.reshape(shape))
        scaled = self.node("Mul", f"{layer}.mul", [source, factor])
        return self.node("Add", f"{layer}.add", [scaled, term])

    def model(self) -> onnx.ModelProto:
        network = self.network
        shape = [1, *network.input.shape]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        results = []
        for name in self.results:
            end = self.outputs[name]
            for node in self.nodes:
                for k, output in enumerate(node.output):
                    if output == end:
                        node.output[k] = name
            before = network.nodes[name].inputs[0]
            size = self.shapes[before][:1] if self.flat(before) else self.shapes[before]
            results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *size]))
        graph = helper.make_graph(self.nodes, "sqwire", [x], results, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(QUANT_DOMAIN, 1)]
        if any(node.domain == OWN_DOMAIN for node in self.nodes):
            opsets.append(helper.make_opsetid(OWN_DOMAIN, 1))
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sqwire"
        )
        onnx.checker.check_model(model)
        return model
