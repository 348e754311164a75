"""Graphs with channels last, as qonnx's own transformation and as Keras writes them."""

import numpy as np
import onnx
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.util.cleanup import cleanup_model

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError

LAST = "qonnx.custom_op.channels_last"


def channels_last(model: bytes, whole: bool) -> bytes:
    """The model as qonnx turns it round; ``whole`` with its inputs and outputs."""
    wrapper = cleanup_model(ModelWrapper(onnx.load_model_from_string(model)))
    turned = wrapper.transform(ConvertToChannelsLastAndClean(make_input_channels_last=whole))
    return turned.model.SerializeToString()


@pytest.mark.parametrize("whole", [False, True])
def test_networks_that_qonnx_turned_round(net, whole):
    n = net(1)
    sizes = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    y = n.op("Conv", n.codes((3, 6, 6)), n.weight((4, 3, 3, 3)), pads=[1] * 4, **sizes)
    y = n.op("BatchNormalization", y, *(n.rng.uniform(0.2, 2, 4) for _ in range(4)))
    y = n.quant(n.op("Relu", y), 4, 0.3, signed=0)
    y = n.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    y = n.op("Conv", y, n.weight((2, 4, 3, 3)), pads=[0] * 4, **sizes)
    plain = n.model(n.quant(y, 4, 0.3))
    turned = channels_last(plain, whole)
    assert LAST.encode() in turned
    graphs = [frontend.import_qonnx(model) for model in (plain, turned)]
    x = np.random.default_rng(0).uniform(0, 4, (4, 3, 6, 6)).astype(np.float32)
    codes = [
        graph.run(graph.input.quantize(x.transpose(0, 2, 3, 1) if k and whole else x))
        for k, graph in enumerate(graphs)
    ]
    assert np.array_equal(*codes)
    assert graphs[1].input.layout == ("HWC" if whole else "CHW")


def test_max_pool_nhwc(net):
    n = net(2)
    x = n.quant(n.input((6, 6, 3)), 4, 0.25, signed=0)
    y = n.op("MaxPoolNHWC", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4,
             domain="qonnx.custom_op.general")  # fmt: skip
    graph = frontend.import_qonnx(n.model(y))
    codes = np.random.default_rng(0).integers(0, 16, (2, 6, 6, 3))
    want = codes.reshape(2, 3, 2, 3, 2, 3).max(axis=(2, 4))
    assert np.array_equal(graph.run(codes), want)
    assert (graph.input.layout, graph.output.layout) == ("HWC", "HWC")


def test_operators_that_have_no_channels_last_form_are_refused(net):
    n = net(3)
    x = n.quant(n.input((6, 6, 3)), 4, 0.25, signed=0)
    y = n.op("AveragePool", x, kernel_shape=[2, 2], name="avg", domain=LAST)
    with pytest.raises(CompileError, match='"avg".*with channels last there are only Conv'):
        frontend.import_qonnx(n.model(y))


def test_a_dense_layer_on_channels_last(net, same):
    n = net(4)
    x = n.quant(n.input((4, 5, 3)), 4, 0.25, signed=0)
    graph = same(n.model(n.quant(n.op("MatMul", x, n.weight((3, 6))), 4, [0.3] * 6)))
    assert graph.input.tensor.shape == (4, 5, 3)


def test_a_mean_over_positions_of_channels_last(net, same):
    n = net(5)
    y = n.op("Transpose", n.input((5, 4, 3)), perm=[0, 3, 1, 2])
    y = n.op("Conv", n.quant(y, 4, 0.3), n.weight((4, 3, 3, 3)))
    y = n.quant(n.op("Transpose", y, perm=[0, 2, 3, 1]), 4, 0.3)
    y = n.op("ReduceMean", y, axes=[1, 2], keepdims=0)
    same(n.model(n.op("MatMul", y, n.weight((4, 2)))))


def test_a_domain_that_nobody_knows_is_named():
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="odd", domain="my.ops")
    info = [helper.make_tensor_value_info(name, 1, [1, 2]) for name in "xy"]
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    model = helper.make_model(graph).SerializeToString()
    with pytest.raises(CompileError, match=r'Node "odd" .*not my\.ops\.Conv'):
        frontend.import_qonnx(model)
