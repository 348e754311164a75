from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError
from sqwire.compiler.frontend.real import Affine, Quantizer, Relu, quantize, steps
from sqwire.hw.ranges import Range


def interpreter(model: bytes, x):
    """What qonnx's own interpreter computes, in float32."""
    wrapper = cleanup_model(ModelWrapper(onnx.load_model_from_string(model)))
    name, out = wrapper.graph.input[0].name, wrapper.graph.output[0].name
    results = [execute_onnx(wrapper, {name: frame[None]})[out] for frame in x]
    return np.concatenate(results)


@pytest.mark.parametrize("seed", range(4))
def test_graph_equals_the_qonnx_interpreter(residual_model, seed):
    model = residual_model(seed)
    graph = frontend.import_qonnx(model)
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 5, (6, *graph.input.shape)).astype(np.float32)
    codes = graph.run(graph.input.quantize(x))
    last = graph.tensors[graph.nodes[-1].name]
    assert np.array_equal(codes, graph.output.codes(interpreter(model, x), last))


def test_average_pools_equal_the_interpreter(qonnx_builder):
    # Averages of four codes often lie on a tie; a power-of-two scale keeps float32 exact there.
    net = qonnx_builder(5, (3, 4, 4))
    net.conv("conv1", 3, 4)
    net.act("conv1", 4, scale=0.25)
    net.last = net.node(
        "AveragePool", "pool1", [net.last], kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4
    )
    net.last = net.quant("pool1.act", net.last, 4, 0.25, signed=False)
    net.last = net.node("GlobalAveragePool", "pool2", [net.last])
    model = net.model((4, 1, 1))
    graph = frontend.import_qonnx(model)
    x = np.random.default_rng(0).uniform(0, 4, (5, 3, 4, 4)).astype(np.float32)
    codes = graph.run(graph.input.quantize(x))
    assert np.array_equal(codes, graph.output.codes(interpreter(model, x), graph.tensors["pool2"]))


def test_nodes_keep_their_names_and_order(residual_model):
    graph = frontend.import_qonnx(residual_model())
    assert [node.name for node in graph.nodes] == [
        "conv1", "conv1.act", "conv2", "conv2.act", "conv3", "conv3.act",
        "add1", "add1.act", "pool1", "flatten", "fc",
    ]  # fmt: skip


def test_staircase_is_exact_at_ties():
    # x / 2 is a tie at every odd x, in float64 and in truth: half goes to even.
    half = Affine((Fraction(1, 2),), (Fraction(0),))
    got = steps([half], 0, Range(-9, 9), Quantizer((Fraction(1),), Range(-3, 3)))
    want = [min(max(round(Fraction(x, 2)), -3), 3) for x in range(-9, 10)]
    assert got(np.arange(-9, 10)).tolist() == want


def test_staircase_is_exact_a_hair_beside_a_tie():
    # The offset is far below what float64 sees beside 2**30, and decides the rounding.
    hair = Fraction(1, 2**60)
    for sign, want in ((1, 2**29 + 1), (-1, 2**29)):
        chain = [Affine((Fraction(1, 2),), (Fraction(1, 2) * 0 + sign * hair,))]
        quantizer = Quantizer((Fraction(1),), Range(0, 2**31))
        x = 2**30 + 1
        assert steps(chain, 0, Range(x, x), quantizer)(np.array([x])).tolist() == [want]


def test_staircase_of_relu_and_negative_gain_equals_fractions():
    rng = np.random.default_rng(0)
    for _ in range(20):
        gain, offset = (Fraction(float(np.float32(v))) for v in rng.normal(0, 1, 2))
        scale = Fraction(float(np.float32(rng.uniform(0.1, 2))))
        chain = [Affine((gain,), (offset,)), Relu()]
        got = steps(chain, 0, Range(-40, 40), Quantizer((scale,), Range(0, 15)))
        want = [
            min(max(round(max(gain * x + offset, Fraction(0)) / scale), 0), 15)
            for x in range(-40, 41)
        ]
        assert got(np.arange(-40, 41)).tolist() == want


def test_constants_are_rounded_half_to_even_and_clipped():
    x = np.array([[0.5, 1.5], [-2.5, 99]], np.float32)
    assert quantize(x, Fraction(1), Range(-7, 7)).tolist() == [[0, 2], [-2, 7]]


def refused(model, match):
    with pytest.raises(CompileError, match=match) as error:
        frontend.import_qonnx(model)
    assert "\n" not in str(error.value)


def edit(model: bytes, change) -> bytes:
    proto = onnx.load_model_from_string(model)
    change(proto.graph)
    return proto.SerializeToString()


def node(graph, name):
    return next(n for n in graph.node if n.name == name)


def test_unknown_operator_is_named_with_its_node(residual_model):
    def change(graph):
        node(graph, "conv2.relu").op_type = "Erf"

    refused(
        edit(residual_model(), change), r'Node "conv2.relu" \(Erf\): the operator must be one of'
    )


def test_unequal_scales_at_an_add_are_named(residual_model):
    def change(graph):
        scale = next(i for i in graph.initializer if i.name == "conv3.act_scale")
        scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(0.5), scale.name))

    refused(edit(residual_model(), change), r'"add1" \(Add\): .*0\.5 and 0\.3')


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_bad_scales_are_refused(residual_model, value):
    def change(graph):
        scale = next(i for i in graph.initializer if i.name == "conv1.act_scale")
        scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(value), scale.name))

    refused(edit(residual_model(), change), r'Node "conv1.act" \(Quant\)')


def test_an_unquantized_activation_is_named(residual_model):
    def change(graph):
        node(graph, "conv2").input[0] = node(graph, "conv1.relu").output[0]

    refused(edit(residual_model(), change), r'Node "conv2" \(Conv\): .*put a Quant before it')


def test_a_missing_initializer_is_named(residual_model):
    def change(graph):
        kept = [i for i in graph.initializer if i.name != "conv2_weight"]
        del graph.initializer[:]
        graph.initializer.extend(kept)

    refused(edit(residual_model(), change), '"conv2_weight" must be computed before')


def test_an_unsupported_rounding_mode_is_named(residual_model):
    def change(graph):
        for attribute in node(graph, "conv1.act").attribute:
            if attribute.name == "rounding_mode":
                attribute.s = b"FLOOR"

    refused(edit(residual_model(), change), "rounding_mode must be ROUND, not FLOOR")


def test_two_inputs_are_refused(residual_model):
    def change(graph):
        graph.input.append(helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1, 2]))

    refused(edit(residual_model(), change), "one input and one output, not 2 and 1")


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 1000, 0.5, 0.9])
def test_truncated_files_are_refused(residual_model, keep):
    model = residual_model()
    refused(
        model[: int(keep * len(model)) if isinstance(keep, float) else keep],
        "Model|Node|Tensor|Input|Output",
    )


def test_something_else_is_refused(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"PK\x03\x04 not a model" * 50)
    refused(file, r"Model model\.onnx: it must be an ONNX file")


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.onnx", "cannot be read")


def test_external_data_is_refused(residual_model):
    def change(graph):
        tensor = graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL

    refused(edit(residual_model(), change), "without external data")


def test_absurd_sizes_are_refused(residual_model):
    def change(graph):
        del graph.initializer[0].dims[:]
        graph.initializer[0].dims.extend([2**20, 2**20])

    refused(edit(residual_model(), change), "at most")
