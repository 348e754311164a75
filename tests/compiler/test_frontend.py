import numpy as np
import onnx
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError


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
        node(graph, "conv2.relu").op_type = "Einsum"

    refused(
        edit(residual_model(), change), r'Node "conv2.relu" \(Einsum\): the operator must be one of'
    )


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


def test_an_unknown_rounding_mode_is_named(residual_model):
    def change(graph):
        for attribute in node(graph, "conv1.act").attribute:
            if attribute.name == "rounding_mode":
                attribute.s = b"DITHER"

    refused(edit(residual_model(), change), "rounding_mode must be one of .*, not DITHER")


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
