"""Small QONNX networks for the tests, made from a seed."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sqwire.compiler.build import Build, compile_model

OPS = "qonnx.custom_op.general"


class QonnxBuilder:
    """Writes a QONNX graph node by node, in the dialect of docs/qonnx.md; weights are random."""

    def __init__(self, seed: int, shape: tuple[int, ...], bits: int = 4, scale: float = 0.25):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers, self.inputs = [], [], []
        self.last = self.input("x", shape, bits, scale, name="input")

    def input(self, tensor, shape, bits=4, scale=0.25, *, name) -> str:
        self.inputs.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, *shape]))
        return self.quant(name, tensor, bits, scale, signed=False)

    def constant(self, name: str, value) -> str:
        array = np.asarray(value, dtype=np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, name: str, inputs: list[str], domain: str = "", **attributes) -> str:
        output = f"{name}_out"
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=name, domain=domain, **attributes)
        )
        return output

    def quant(self, name, source, bits, scale, *, signed, narrow=False, rounding="ROUND") -> str:
        inputs = [
            source,
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero", 0.0),
            self.constant(f"{name}_bits", float(bits)),
        ]
        flags = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": rounding}
        return self.node("Quant", name, inputs, OPS, **flags)

    def weight(self, name, shape, *, zeros, bits=4, scale=0.125) -> str:
        most = 2 ** (bits - 1) - 1
        codes = self.rng.integers(-most, most + 1, shape) * (self.rng.random(shape) >= zeros)
        source = self.constant(f"{name}_weight", codes * scale)
        return self.quant(f"{name}_quant", source, bits, scale, signed=True, narrow=True)

    def conv(self, name, channels, out, kernel=3, *, stride=1, pad=1, zeros=0.6) -> str:
        weight = self.weight(name, (out, channels, kernel, kernel), zeros=zeros)
        self.last = self.node(
            "Conv", name, [self.last, weight],
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4,
        )  # fmt: skip
        return self.last

    def act(self, name, channels, bits=4, *, relu=True, scale=0.3) -> str:
        gain = self.rng.normal(0.5, 0.4, (1, channels, 1, 1))
        offset = self.rng.normal(0, 0.5, (1, channels, 1, 1))
        self.last = self.node("Mul", f"{name}.mul", [self.last, self.constant(f"{name}_g", gain)])
        self.last = self.node("Add", f"{name}.add", [self.last, self.constant(f"{name}_b", offset)])
        if relu:
            self.last = self.node("Relu", f"{name}.relu", [self.last])
        self.last = self.quant(f"{name}.act", self.last, bits, scale, signed=not relu)
        return self.last

    def linear(self, name, features, out, *, zeros=0.6) -> str:
        weight = self.weight(name, (features, out), zeros=zeros)
        self.last = self.node("MatMul", name, [self.last, weight])
        return self.last

    def model(self, shape: tuple[int, ...], **more: tuple[int, ...]) -> bytes:
        """The network; its outputs are the last tensor, of ``shape``, and those in ``more``."""
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *own])
            for name, own in ((self.last, shape), *more.items())
        ]
        graph = helper.make_graph(self.nodes, "network", self.inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(OPS, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def residual_network(seed: int = 0, *, size: int = 6, channels: int = 4) -> bytes:
    """Convolutions with padding and stride, a residual add, both pools, a fully connected layer."""
    net = QonnxBuilder(seed, (2, size, size))
    net.conv("conv1", 2, channels)
    net.act("conv1", channels)
    net.conv("conv2", channels, channels, stride=2)
    identity = net.act("conv2", channels)
    net.conv("conv3", channels, channels)
    net.act("conv3", channels, relu=False)
    net.last = net.node("Add", "add1", [net.last, identity])
    net.act("add1", channels)
    half = (size + 1) // 2
    net.last = net.node(
        "MaxPool", "pool1", [net.last], kernel_shape=[2, 2], strides=[1, 1], pads=[0] * 4
    )
    net.last = net.node("Flatten", "flatten", [net.last], axis=1)
    net.linear("fc", channels * (half - 1) ** 2, 5)
    return net.model((5,))


def crossed_network(seed: int = 0) -> bytes:
    """Inputs ``x`` and ``side`` that meet twice, each time one of them late; outputs ``fc_out``,
    ``trunk.act_out``, which also feeds on, and ``other_out``."""
    net = QonnxBuilder(seed, (2, 5, 5))
    x, side = net.last, net.input("side", (1, 5, 5), 3, 0.5, name="side.input")
    net.conv("early", 2, 3)
    net.last = net.node("Concat", "join", [net.act("early", 3, scale=0.5), side], axis=1)
    net.conv("trunk", 4, 3, stride=2)
    trunk = net.act("trunk", 3)
    net.last = side
    net.conv("late", 1, 2)
    other = net.node("Concat", "other", [x, net.act("late", 2, scale=0.25)], axis=1)
    net.last = net.node("Flatten", "flatten", [trunk], axis=1)
    net.linear("fc", 27, 4)
    return net.model((4,), **{trunk: (3, 3, 3), other: (4, 5, 5)})


@pytest.fixture
def residual_model() -> Callable[..., bytes]:
    """:func:`residual_network`."""
    return residual_network


@pytest.fixture(scope="session")
def residual_build(tmp_path_factory) -> Build:
    """The compiled :func:`residual_network`; read it, do not change it."""
    return compile_model(residual_network(0), tmp_path_factory.mktemp("build") / "residual")


@pytest.fixture(scope="session")
def crossed_build(tmp_path_factory) -> Build:
    """The compiled :func:`crossed_network`; read it, do not change it."""
    return compile_model(crossed_network(0), tmp_path_factory.mktemp("build") / "crossed")


@pytest.fixture(scope="session")
def qonnx_builder() -> type[QonnxBuilder]:
    """:class:`QonnxBuilder`."""
    return QonnxBuilder
