"""Records of candidates: the graph, onnx's evaluator and exact arithmetic say the same."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sqwire.compiler import codec, exact, frontend
from sqwire.compiler.errors import CompileError
from sqwire.compiler.reference import OPERATORS

QONNX = "qonnx.custom_op.general"
SIZE = (1, 4, 3, 5)
GAIN = [0.25, 3.0, 1.0, -2.0]


def model(count=4, channels=(1,), thresholds=(1.0,), gain=GAIN, offset=0.0, size=SIZE):
    """``x`` -> Quant -> Mul -> Candidates -> Mul -> Add -> ``y``."""
    depth = size[1]
    records = 1 + depth
    numbers = {
        "scale": 0.5, "zero": 0.0, "bits": 4.0,
        "gain": np.resize(gain, depth).reshape(1, -1, 1, 1), "offset": offset,
        "times": np.array([1.0, *range(2, 2 + depth)]).reshape(1, -1, 1, 1),
        "plus": np.array([0.0, *range(depth)]).reshape(1, -1, 1, 1),
    }  # fmt: skip
    given = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in numbers.items()]
    nodes = [
        helper.make_node(
            "Quant", ["x", "scale", "zero", "bits"], ["q"], domain=QONNX, name="q",
            signed=1, narrow=0, rounding_mode="ROUND",
        ),
        helper.make_node("Mul", ["q", "gain"], ["s"], "s"),
        helper.make_node("Add", ["s", "offset"], ["r"], "r"),
        helper.make_node(
            "Candidates", ["r"], ["c"], "chosen", domain="sqwire", count=count,
            channels=list(channels), thresholds=[float(t) for t in thresholds],
        ),
        helper.make_node("Mul", ["c", "times"], ["m"], "m"),
        helper.make_node("Add", ["m", "plus"], ["y"], "p"),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, records, 1, count))], given,
    )  # fmt: skip
    opsets = [helper.make_opsetid(d, v) for d, v in (("", 14), (QONNX, 1), ("sqwire", 1))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    "case",
    [
        model(),
        model(channels=(2, 0), thresholds=(2.5, 0.3)),
        model(count=15, thresholds=(-100.0,)),
        model(thresholds=(1e6,)),
        model(gain=[0.5]),
    ],
    ids=["one", "two channels", "all", "none", "one scale"],
)
def test_graph_equals_onnx_equals_exact_arithmetic(case):
    x = np.random.default_rng(4).uniform(-5, 5, SIZE).astype(np.float32)
    graph = frontend.import_qonnx(case.SerializeToString())
    found = graph.output.dequantize(graph.run(graph.input.quantize(x)))
    (want,) = ReferenceEvaluator(case, new_ops=OPERATORS).run(None, {"x": x})
    assert np.array_equal(found, want)
    arbiter = exact.Arbiter(case.SerializeToString())
    places = [(0, 0, 0), (2, 0, 1), tuple(n - 1 for n in want.shape[1:])]
    assert [float(v) for v in arbiter.explain(x[0], "y", places)] == [want[0][p] for p in places]
    assert codec.from_json(codec.to_json(graph)) == graph


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (model(count=16), r"count must be 1 to the number of positions \(15\), not 16"),
        (model(channels=(4,)), r"channels must be 0 to 3, not \[4\]"),
        (model(channels=(3,)), r"must be above 0, not \['-1'\]"),
        (model(thresholds=(1, 2)), r"as many as channels \(1\), not 2"),
        (model(thresholds=(np.inf,)), '"thresholds" must be finite'),
    ],
)
def test_what_has_no_circuit_is_refused(case, said):
    with pytest.raises(CompileError, match=said):
        frontend.import_qonnx(case.SerializeToString())


def test_zero_stays_the_empty_record_where_channels_have_an_offset():
    case = model(offset=0.75)
    x = np.random.default_rng(5).uniform(-5, 5, SIZE).astype(np.float32)
    graph = frontend.import_qonnx(case.SerializeToString())
    found = graph.output.dequantize(graph.run(graph.input.quantize(x)))
    (want,) = ReferenceEvaluator(case, new_ops=OPERATORS).run(None, {"x": x})
    assert np.array_equal(found, want)
