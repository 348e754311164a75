"""Small graphs, run by qonnx's interpreter and by the integer graph, and compared code by code."""

from fractions import Fraction

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, settings
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from sqwire.compiler import exact, frontend

settings.register_profile(
    "frontend",
    derandomize=True,
    deadline=None,
    max_examples=10,
    suppress_health_check=list(HealthCheck),
    database=None,
)
settings.load_profile("frontend")

QONNX = "qonnx.custom_op.general"
QONNX_OPS = ("Quant", "IntQuant", "BipolarQuant", "Trunc", "MultiThreshold", "QuantAvgPool2d")


class Net:
    """An ONNX graph, node by node; tensors are their names."""

    def __init__(self, seed=0, opset=13, domain=QONNX, version=1):
        self.rng = np.random.default_rng(seed)
        self.opset, self.domain, self.version = opset, domain, version
        self.nodes, self.constants, self.inputs, self.annotations = [], [], [], []

    def input(self, shape, name="x", kind=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, [1, *shape]))
        return name

    def constant(self, value, kind=np.float32):
        name = f"c{len(self.constants)}"
        array = np.asarray(value).astype(kind)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind, *inputs, name=None, outputs=1, domain=None, **attributes):
        name = name or f"n{len(self.nodes)}"
        names = [f"{name}_out{k}" if k else f"{name}_out" for k in range(outputs)]
        if domain is None:
            domain = self.domain if kind in QONNX_OPS else ""
        inputs = [
            "" if i is None else i if isinstance(i, str) else self.constant(i) for i in inputs
        ]
        self.nodes.append(
            helper.make_node(kind, inputs, names, name=name, domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def quant(self, x, bits=4, scale=0.25, zero=0.0, *, signed=1, narrow=0, mode="ROUND", **more):
        flags = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": mode}
        return self.op("Quant", x, scale, zero, float(bits), **flags, **more)

    def codes(self, shape, bits=4, scale=0.25, *, signed=0):
        """The quantized input."""
        return self.quant(self.input(shape), bits, scale, signed=signed, name="input")

    def weight(self, shape, bits=3, scale=0.125, zeros=0.4):
        most = 2 ** (bits - 1) - 1
        codes = self.rng.integers(-most, most + 1, shape) * (self.rng.random(shape) >= zeros)
        values = codes * np.broadcast_to(scale, shape)
        return self.quant(self.constant(values), bits, scale, narrow=1)

    def acc(self, shape=(3, 4, 4), out=4, *, gains=True, scale=0.25):
        """Accumulators with gains of both signs and 0, and offsets; not quantized."""
        x = self.codes(shape, scale=scale)
        ones = [1] * (len(shape) - 1)
        if len(shape) == 1:
            y = self.op("MatMul", x, self.weight((shape[0], out)), name="acc")
        else:
            y = self.op("Conv", x, self.weight((out, shape[0], *ones)), name="acc")
        if not gains:
            return y
        gain = self.rng.normal(0, 1, (1, out, *ones)).astype(np.float32)
        gain.reshape(-1)[0] = 0
        y = self.op("Mul", y, gain, name="gain")
        return self.op("Add", y, self.rng.normal(0, 0.5, (1, out, *ones)), name="offset")

    def model(self, *outputs, shapes=None):
        infos = [helper.make_empty_tensor_value_info(name) for name in outputs]
        for k, name in enumerate(outputs):
            maker = next(node for node in self.nodes if name in node.output)
            index = maker.op_type == "ArgMax" or maker.op_type == "TopK" and name[-1] == "1"
            kind = TensorProto.INT64 if index else TensorProto.FLOAT
            shape = shapes[k] if shapes else None
            infos[k] = helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(self.nodes, "net", self.inputs, infos, self.constants)
        graph.quantization_annotation.extend(self.annotations)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets.append(helper.make_opsetid(self.domain, self.version))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return model.SerializeToString()


def interpret(model, x):
    """What qonnx's own interpreter computes, in float32, frame by frame."""
    wrapper = cleanup_model(ModelWrapper(onnx.load_model_from_string(model)))
    name, out = wrapper.graph.input[0].name, wrapper.graph.output[0].name
    return np.concatenate([execute_onnx(wrapper, {name: frame[None]})[out] for frame in x])


def frames_for(graph, count, seed):
    """Random frames that reach beyond the range of the input, extremes first."""
    rng = np.random.default_rng(seed)
    source = graph.input
    reach = max(abs(source.range.lo), abs(source.range.hi)) * source.scale * 1.2
    x = rng.uniform(-reach, reach, (count, *source.shape)).astype(np.float32)
    x[0], x[-1] = reach, -reach
    return x


def is_exact(graph, model, x, codes, place):
    """Whether the code at ``place`` (frame, row, column, channel) is the graph's real number."""
    frame, row, column, channel = (int(v) for v in place)
    output = graph.output
    flat = output.positions(graph.tensors[graph.nodes[-1].name])[row, column, channel]
    index = tuple(int(v) for v in np.unravel_index(flat, output.shape))
    arbiter = exact.Arbiter(model)
    (value,) = arbiter.explain(x[frame], arbiter.model.outputs[0].name, [index])
    scale, offset = Fraction(output.scale[channel]), Fraction(output.offset[channel])
    ours = scale * int(codes[frame, row, column, channel]) + offset
    return not scale or abs(value - ours) < abs(scale) / 4


def compare(model, x=None, *, frames=3, seed=0, reference=None, rounding=0.03, dyadic=False):
    """The integer graph of ``model``, after it has been found to compute what the model does.

    Where float32 came to another code, the exact value must be ours; never with ``dyadic``
    numbers, which float32 adds up exactly. A few elements are evaluated exactly in any case.
    """
    graph = frontend.import_qonnx(model)
    x = frames_for(graph, frames, seed) if x is None else x
    codes = graph.run(graph.input.quantize(x))
    tensor = graph.tensors[graph.nodes[-1].name]
    y = interpret(model, x) if reference is None else reference
    wrong = ~graph.output.matches(codes, y, tensor)
    if dyadic:
        assert not wrong.any()
    if graph.output.tail:
        assert not wrong.any()
        return graph
    assert wrong.sum() <= max(2, rounding * wrong.size), (int(wrong.sum()), wrong.size)
    rng = np.random.default_rng(seed)
    some = [tuple(rng.integers(0, n) for n in codes.shape) for _ in range(3)]
    for place in [*np.argwhere(wrong), *some]:
        assert is_exact(graph, model, x, codes, place), place
    return graph


@pytest.fixture
def net():
    """:class:`Net`."""
    return Net


@pytest.fixture
def same():
    """:func:`compare`."""
    return compare


@pytest.fixture
def run_reference():
    """:func:`interpret`."""
    return interpret
