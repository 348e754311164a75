"""Networks with several inputs and outputs: each output is what qonnx's interpreter computes."""

import numpy as np
import onnx
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError
from sqwire.hw.ports import as_tuple


def compare(model, *, frames=4, seed=0):
    """The integer graph of ``model``, all of whose scales are powers of two, which it equals."""
    graph = frontend.import_qonnx(model)
    rng = np.random.default_rng(seed)
    xs = [rng.uniform(-4, 4, (frames, *i.shape)).astype(np.float32) for i in graph.inputs]
    codes = [source.quantize(x) for source, x in zip(graph.inputs, xs, strict=True)]
    wrapper = ModelWrapper(onnx.load_model_from_string(model)).transform(InferShapes())
    runs = [
        execute_onnx(wrapper, {i.name: x[k][None] for i, x in zip(graph.inputs, xs, strict=True)})
        for k in range(frames)
    ]
    for output, got in zip(graph.outputs, as_tuple(graph.run(*codes)), strict=True):
        want = np.concatenate([run[output.name] for run in runs])
        assert output.matches(got, want, graph.tensors[output.node]).all(), output.name
        if not output.tail:
            assert np.array_equal(output.dequantize(got), want)
    return graph


def two_inputs(n, shape=(2, 4, 4)):
    return [
        n.quant(n.input(shape, name), 4, 0.25, signed=0, name=f"quant_{name}")
        for name in ("left", "right")
    ]


def test_two_inputs_concatenated_channel_wise(net):
    n = net(1)
    left, right = two_inputs(n)
    both = n.op("Concat", left, right, axis=1)
    y = n.quant(n.op("Conv", both, n.weight((3, 4, 3, 3)), pads=[1] * 4), 4, 0.5, name="act")
    graph = compare(n.model(y))
    assert [source.name for source in graph.inputs] == ["left", "right"]


def test_inputs_of_different_shape_and_bits(net):
    n = net(2)
    image = n.quant(n.input((2, 6, 6), "image"), 3, 0.25, signed=0, name="a")
    features = n.quant(n.input((5,), "features"), 6, 0.5, signed=1, name="b")
    y = n.quant(n.op("Conv", image, n.weight((4, 2, 3, 3)), strides=[2, 2]), 4, 0.5, name="act")
    flat = n.op("Flatten", y)
    both = n.op("Concat", flat, n.quant(features, 4, 0.5, name="c"), axis=1)
    graph = compare(n.model(n.op("MatMul", both, n.weight((21, 3)))))
    assert [source.range.bits for source in graph.inputs] == [3, 6]


def test_the_sum_of_two_inputs(net):
    n = net(3)
    left, right = two_inputs(n)
    compare(n.model(n.quant(n.op("Add", left, right), 4, 0.5, name="act")))


def test_two_heads_on_one_trunk(net):
    n = net(4)
    x = n.codes((3, 6, 6))
    trunk = n.quant(n.op("Conv", x, n.weight((4, 3, 3, 3))), 4, 0.5, signed=0, name="trunk")
    first = n.op("MatMul", n.op("Flatten", trunk), n.weight((64, 5)), name="fc")
    second = n.quant(n.op("Conv", trunk, n.weight((2, 4, 1, 1))), 4, 0.5, name="map")
    graph = compare(n.model(first, second))
    assert [output.node for output in graph.outputs] == ["fc", "map"]


def test_an_output_that_also_feeds_on(net):
    n = net(5)
    x = n.codes((3, 5, 5))
    trunk = n.quant(n.op("Conv", x, n.weight((4, 3, 3, 3))), 4, 0.5, signed=0, name="trunk")
    y = n.quant(n.op("Conv", trunk, n.weight((2, 4, 3, 3))), 4, 0.5, name="act")
    graph = compare(n.model(trunk, y))
    assert [output.node for output in graph.outputs] == ["trunk", "act"]


def test_the_same_tensor_twice(net):
    n = net(6)
    x = n.codes((3, 4, 4))
    y = n.quant(n.op("Conv", x, n.weight((4, 3, 1, 1))), 4, 0.5, name="act")
    graph = compare(n.model(y, n.op("Identity", y)))
    assert [output.node for output in graph.outputs] == ["act", "act"]


def test_outputs_that_are_functions_of_the_same_integer(net):
    n = net(7)
    x = n.codes((8,))
    acc = n.op("MatMul", x, n.weight((8, 4)), name="fc")
    half = n.op("Mul", acc, 0.5)
    graph = compare(n.model(acc, half, n.op("Softmax", acc), n.op("Relu", half)))
    assert [output.node for output in graph.outputs] == ["fc"] * 4
    assert [output.tail for output in graph.outputs] == ["", "", "Softmax", "Relu"]


def test_an_input_that_is_an_output_too(net):
    n = net(8)
    x = n.codes((3, 4, 4))
    y = n.quant(n.op("Conv", x, n.weight((4, 3, 1, 1))), 4, 0.5, name="act")
    graph = compare(n.model(x, y))
    assert [output.node for output in graph.outputs] == ["input:x", "act"]


def test_inputs_with_steps_and_other_layouts(net):
    n = net(9)
    left = n.quant(n.op("Relu", n.input((2, 4, 4), "left")), 4, 0.25, name="a")
    last = n.op("Transpose", n.input((4, 4, 3), "right"), perm=[0, 3, 1, 2])
    right = n.quant(last, 4, 0.25, name="b")
    both = n.op("Concat", left, right, axis=1)
    graph = compare(n.model(n.op("Conv", both, n.weight((3, 5, 1, 1)))))
    assert graph.inputs[0].steps and graph.inputs[1].layout == "HWC"


def test_a_node_may_be_called_like_an_input(net):
    n = net(10)
    x = n.codes((3, 4, 4))
    y = n.quant(n.op("Conv", x, n.weight((4, 3, 1, 1)), name="input:x"), 4, 0.5, name="input:y")
    graph = compare(n.model(y))
    assert [node.name for node in graph.nodes] == ["input:x#2", "input:y"]


def test_an_input_that_is_not_quantized_is_named(net):
    n = net(11)
    left = n.quant(n.input((2, 4, 4), "left"), 4, 0.25, name="a")
    both = n.op("Concat", left, n.input((2, 4, 4), "right"), axis=1)
    with pytest.raises(CompileError, match='the network input "right" must be quantized'):
        frontend.import_qonnx(n.model(n.op("Conv", both, n.weight((3, 4, 1, 1)))))


def test_an_output_that_depends_on_no_input_is_named(net):
    n = net(12)
    x = n.codes((3, 4, 4))
    y = n.op("Conv", x, n.weight((4, 3, 1, 1)))
    z = n.op("Identity", np.ones((1, 3)))
    with pytest.raises(CompileError, match=f'Output "{z}": it must be computed from'):
        frontend.import_qonnx(n.model(y, z))


def test_nothing_to_compute_is_refused(net):
    n = net(13)
    left, right = two_inputs(n)
    with pytest.raises(CompileError, match="something to compute between input and output"):
        frontend.import_qonnx(n.model(left, right))


def test_an_input_that_no_output_depends_on_is_left_out_with_a_note(net):
    n = net(14)
    left, right = two_inputs(n)
    n.op("Conv", right, n.weight((3, 2, 1, 1)))
    model = n.model(n.op("Conv", left, n.weight((3, 2, 1, 1))))
    said = []
    graph = frontend.import_qonnx(model, progress=said.append)
    assert graph.input.name == "left"
    assert said == ['input "right" is left out: no output depends on it']
    assert frontend.inspect(model).notes == tuple(said)


def test_inspection_lists_inputs_and_outputs(net):
    n = net(15)
    left, right = two_inputs(n)
    y = n.quant(n.op("Add", left, right, name="sum"), 4, 0.5, signed=0, name="act")
    found = frontend.inspect(n.model(y, left))
    assert [(end.name, end.shape, end.lo, end.hi) for end in found.inputs] == [
        ("left", (4, 4, 2), 0, 15),
        ("right", (4, 4, 2), 0, 15),
    ]
    assert [(end.name, end.node) for end in found.outputs] == [(y, "act"), (left, "input:left")]


def test_the_order_of_the_file_counts_and_not_that_of_use(net):
    n = net(16)
    n.input((2, 4, 4), "second_used")
    first = n.quant(n.input((2, 4, 4), "first_used"), 4, 0.25, name="a")
    second = n.quant("second_used", 4, 0.25, name="b")
    both = n.op("Concat", first, second, axis=1)
    graph = compare(n.model(n.op("Conv", both, n.weight((3, 4, 1, 1)))))
    assert [source.name for source in graph.inputs] == ["second_used", "first_used"]


def test_an_input_with_an_initializer_is_a_constant(net):
    """Old files list initializers among the inputs, too."""
    n = net(17)
    y = n.op("Conv", n.codes((3, 4, 4)), n.weight((4, 3, 1, 1)))
    n.inputs += [helper.make_tensor_value_info(c.name, c.data_type, c.dims) for c in n.constants]
    assert [source.name for source in frontend.import_qonnx(n.model(y)).inputs] == ["x"]
