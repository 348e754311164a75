"""Our own operators: the graph, onnx's evaluator and exact arithmetic say the same."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sqwire.compiler import codec, exact, frontend
from sqwire.compiler.errors import CompileError
from sqwire.compiler.reference import OPERATORS

QONNX = "qonnx.custom_op.general"
SIZE = (1, 6, 4, 5)


def model(nodes, shape, constants=()):
    """``x`` -> Quant ``q`` -> nodes -> ``y``."""
    numbers = {"scale": 0.5, "zero": 0.0, "bits": 4.0, **dict(constants)}
    given = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in numbers.items()]
    sizes = {"s0": [0], "s1": [3], "s2": [6], "s1a": [1], "s1b": [4], "axis": [1]}
    given += [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in sizes.items()]
    quant = helper.make_node(
        "Quant", ["x", "scale", "zero", "bits"], ["q"], domain=QONNX, name="q",
        signed=1, narrow=0, rounding_mode="ROUND",
    )  # fmt: skip
    graph = helper.make_graph(
        [quant, *nodes], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SIZE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], given,
    )  # fmt: skip
    opsets = [helper.make_opsetid(d, v) for d, v in (("", 14), (QONNX, 1), ("sqwire", 1))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def halves():
    return [helper.make_node("Slice", ["q", a, b, "axis"], [o], name=o)
            for a, b, o in (("s0", "s1", "left"), ("s1", "s2", "right"))]  # fmt: skip


def cost(shifts, form, **given):
    node = helper.make_node(
        "CostVolume", ["left", "right"], ["y"], name="cost", domain="sqwire",
        shifts=shifts, form=form, **given,
    )  # fmt: skip
    return model([*halves(), node], (1, shifts, *SIZE[2:]))


def subpixel(parts):
    node = helper.make_node("SubpixelArgMax", ["q"], ["y"], "best", domain="sqwire", parts=parts)
    return model([node], (1, 1, *SIZE[2:]))


def consistency(parts=2.0, tolerance=0.5, times=None):
    """Of channels 0 and 3 as they are above 0."""
    nodes = [
        helper.make_node("Relu", ["q"], ["p"], "p"),
        helper.make_node("Slice", ["p", "s0", "s1a", "axis"], ["l"], "l"),
        helper.make_node("Slice", ["p", "s1", "s1b", "axis"], ["r"], "r"),
        helper.make_node("Mul", ["l", "times"], ["lt"], "lt"),
        helper.make_node(
            "Consistency", ["lt", "r"], ["y"], "same", domain="sqwire", parts=parts,
            tolerance=tolerance,
        ),
    ]  # fmt: skip
    return model(nodes, (1, 1, *SIZE[2:]), {"times": times or 1.0}.items())


def median(by=None, **attributes):
    """Of codes, or of their products with ``by``."""
    times = [helper.make_node("Mul", ["q", "by"], ["z"], "z")] if by is not None else []
    source = "z" if times else "q"
    node = helper.make_node("Median", [source], ["y"], "middle", domain="sqwire", **attributes)
    return model([*times, node], SIZE, {"by": by}.items() if times else ())


def linear(factor, mode="asymmetric"):
    node = helper.make_node(
        "Resize", ["q", "", "scales"], ["y"], name="up", mode="linear",
        coordinate_transformation_mode=mode,
    )  # fmt: skip
    shape = (1, SIZE[1], SIZE[2] * 2, SIZE[3] * 2)
    return model([node], shape, {"scales": factor}.items())


CASES = {
    "difference": cost(4, "difference"),
    "product": cost(4, "product"),
    "more shifts than columns": cost(11, "difference"),
    "subpixel": subpixel(16),
    "consistency": consistency(),
    "consistency of one shift": consistency(32.0, 1.3),
    "median": median(),
    "median of positions that are apart": median(dilation=2),
    "median of channels of unlike scale and sign": median(
        np.array([1, -2, 0.5, 0.25, -1, 3]).reshape(1, 6, 1, 1)
    ),
    "twice": linear([1, 1, 2, 2]),
    "four times": linear([1, 1, 4, 4]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_graph_equals_onnx_equals_exact_arithmetic(case):
    x = np.random.default_rng(4).uniform(-5, 5, SIZE).astype(np.float32)
    graph = frontend.import_qonnx(case.SerializeToString())
    found = graph.output.dequantize(graph.run(graph.input.quantize(x)))
    (want,) = ReferenceEvaluator(case, new_ops=OPERATORS).run(None, {"x": x})
    assert np.array_equal(found, want)
    arbiter = exact.Arbiter(case.SerializeToString())
    places = [(0, 0, 0), tuple(n - 1 for n in want.shape[1:]), (0, 3, 4)]
    assert [float(v) for v in arbiter.explain(x[0], "y", places)] == [want[0][p] for p in places]
    assert codec.from_json(codec.to_json(graph)) == graph


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (cost(0, "difference"), "shifts must be 1 to"),
        (cost(4, "census"), "form must be difference or product, not census"),
        (consistency(0.7), "parts must be a whole number of the inputs' scale"),
        (consistency(1.5), "parts must be a power of two from 2 to 64, not 3"),
        (consistency(tolerance=-1.0), "tolerance must not be negative"),
        (consistency(times=2.0), "must have the same scale, not 1 and 1/2"),
        (subpixel(3), "parts must be an even number"),
        (linear([1, 1, 2, 3]), r"by one whole factor .* not by \['1', '1', '2', '3'\]"),
        (linear([1, 1, 1.5, 1.5]), "by one whole factor"),
        (linear([1, 1, 2, 2], "half_pixel"), "must be asymmetric, not half_pixel"),
    ],
)
def test_what_has_no_circuit_is_refused(case, said):
    with pytest.raises(CompileError, match=said):
        frontend.import_qonnx(case.SerializeToString())


def test_pictures_of_unlike_scale_are_refused():
    factor = helper.make_node("Mul", ["right", "two"], ["doubled"], name="doubled")
    node = helper.make_node(
        "CostVolume", ["left", "doubled"], ["y"], "cost", domain="sqwire", shifts=2,
        form="difference",
    )  # fmt: skip
    case = model([*halves(), factor, node], (1, 2, *SIZE[2:]), {"two": 2.0}.items())
    with pytest.raises(CompileError, match="must have the same scale, not 1/2 and 1"):
        frontend.import_qonnx(case.SerializeToString())


def test_channels_of_unlike_scale_have_no_largest():
    gain = np.arange(1, 7).reshape(1, 6, 1, 1)
    nodes = [
        helper.make_node("Mul", ["q", "gain"], ["z"], name="z"),
        helper.make_node("SubpixelArgMax", ["z"], ["y"], "best", domain="sqwire", parts=4),
    ]
    case = model(nodes, (1, 1, *SIZE[2:]), {"gain": gain}.items())
    with pytest.raises(CompileError, match="all channels must have one scale"):
        frontend.import_qonnx(case.SerializeToString())
