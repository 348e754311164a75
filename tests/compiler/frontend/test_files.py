"""Files that are damaged, hostile, or just unlike what exporters usually write."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError


@pytest.fixture
def model(net):
    """A small network, as a protobuf to damage."""
    n = net(1)
    y = n.quant(n.acc((3, 4, 4), 4), 4, 0.3, name="act")
    y = n.op("Flatten", y, name="flat")
    return onnx.load_model_from_string(n.model(n.op("MatMul", y, n.weight((64, 3)), name="fc")))


def refused(model, match):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    begin = time.perf_counter()
    with pytest.raises(CompileError, match=match) as error:
        frontend.import_qonnx(data)
    assert time.perf_counter() - begin < 5
    assert "\n" not in str(error.value)


def node(model, name):
    return next(n for n in model.graph.node if n.name == name)


def tensor(model, name):
    return next(t for t in model.graph.initializer if t.name == name)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" * 99, b"\x80\x04\x95pickle" * 9, b"\xff" * 99])
def test_something_else_than_onnx(data):
    refused(data, "must be an ONNX file|must have nodes")


def test_truncation_at_every_length(model):
    data = model.SerializeToString()
    for size in [*range(0, len(data), 131), len(data) - 1]:
        try:
            frontend.import_qonnx(data[:size])
        except CompileError as error:
            assert "\n" not in str(error)


def test_a_circle_names_a_node_in_it(model):
    node(model, "act").input[0] = node(model, "fc").output[0]
    refused(model, r'Node "(act|flat|fc)" .*its own output')


def test_nodes_in_any_order_are_sorted(model):
    want = frontend.import_qonnx(model.SerializeToString())
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert {n.name for n in frontend.import_qonnx(model.SerializeToString()).nodes} == {
        n.name for n in want.nodes
    }


def test_nodes_that_nobody_needs_are_left_out(model):
    model.graph.node.append(helper.make_node("Einsum", ["x", "x"], ["unused"], equation="a"))
    model.graph.input.append(helper.make_tensor_value_info("spare", TensorProto.FLOAT, None))
    said = []
    graph = frontend.import_qonnx(model.SerializeToString(), progress=said.append)
    assert [source.name for source in graph.inputs] == ["x"]
    assert said == ['input "spare" is left out: no output depends on it']


def test_names_that_are_missing_or_doubled_become_unique(model):
    for n in model.graph.node:
        n.name = "same" if n.op_type in ("Conv", "MatMul") else ""
    names = [n.name for n in frontend.import_qonnx(model.SerializeToString()).nodes]
    assert names[0] == "same" and names[-1] == "same#2"


def test_a_tensor_made_twice(model):
    node(model, "flat").output[0] = node(model, "act").output[0]
    refused(model, 'Node "flat".*must be made once')


def test_a_missing_initializer(model):
    name = node(model, "acc").input[1]
    model.graph.node.remove(next(n for n in model.graph.node if name in n.output))
    refused(model, f'Node "acc" .*"{name}" must be computed before')


def test_shapes_that_do_not_fit(model):
    weight = next(t for t in model.graph.initializer if list(t.dims) == [64, 3])
    weight.CopyFrom(numpy_helper.from_array(np.ones((60, 3), np.float32), weight.name))
    refused(model, 'Node "fc" .*64 features, not 60')


def test_data_that_does_not_fill_its_shape(model):
    weight = next(t for t in model.graph.initializer if list(t.dims) == [64, 3])
    weight.raw_data = weight.raw_data[:-4]
    refused(model, "data must fill shape")


@pytest.mark.parametrize("dims", [[1 << 20, 1 << 20], [1 << 40], [-1, 4], [1 << 62, 1 << 62]])
def test_absurd_sizes_of_tensors(model, dims):
    weight = next(t for t in model.graph.initializer if list(t.dims) == [64, 3])
    del weight.dims[:]
    weight.dims.extend(dims)
    refused(model, "at most")


@pytest.mark.parametrize("size", [0, 1 << 20, 1 << 40, -5])
def test_absurd_sizes_of_inputs(model, size):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = size
    refused(model, "Input|Node|tensor")


@pytest.mark.parametrize("shape", [None, [], [5], [1, 2, 3, 4, 5]])
def test_inputs_of_another_rank(model, shape):
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    refused(model, 'Input "x": shape must be')


def test_a_batch_of_any_size_is_taken_frame_by_frame(model):
    want = frontend.import_qonnx(model.SerializeToString())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    assert frontend.import_qonnx(model.SerializeToString()) == want
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 32
    assert frontend.import_qonnx(model.SerializeToString()) == want


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_scales_that_are_no_scales(model, value):
    name = node(model, "act").input[1]
    tensor(model, name).CopyFrom(numpy_helper.from_array(np.float32(value), name))
    refused(model, 'Node "act" .*(finite|positive)')


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "weights.bin"])
def test_external_data_is_never_read(model, location):
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    refused(model, "must be in the model file itself")


def test_names_that_are_no_text(model):
    data = model.SerializeToString().replace(b"\x04flat", b"\x04\xff\xfe\xff\xfe")
    refused(data, "text|ONNX file")


def test_subgraphs_and_unknown_operators(model):
    branch = helper.make_graph([], "branch", [], [])
    loop = helper.make_node("If", ["x"], ["z"], name="if", then_branch=branch, else_branch=branch)
    model.graph.node.append(loop)
    node(model, "fc").input[0] = "z"
    refused(model, r'Node "if" \(If\): the operator must be one of those in docs/operators.md')


def test_tensors_of_text(model):
    name = node(model, "act").input[1]
    tensor(model, name).CopyFrom(helper.make_tensor(name, TensorProto.STRING, [1], [b"0.3"]))
    refused(model, "must hold real numbers")


def test_attributes_of_the_wrong_type(model):
    conv = node(model, "acc")
    conv.attribute.append(helper.make_attribute("group", "two"))
    refused(model, 'Node "acc" .*attribute "group" must be of type int')


def test_a_folder_instead_of_a_file(tmp_path):
    with pytest.raises(CompileError, match="cannot be read"):
        frontend.import_qonnx(tmp_path)


def test_half_precision_constants(net, same):
    n = net(2)
    y = n.op("Mul", n.acc(gains=False), n.constant([[[[0.3]], [[1]], [[2]], [[-1]]]], np.float16))
    model = n.model(n.quant(y, 4, 0.25))
    whole = onnx.load_model_from_string(model)
    half = next(t for t in whole.graph.initializer if t.data_type == TensorProto.FLOAT16)
    half.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), half.name)
    )
    want = frontend.import_qonnx(whole.SerializeToString())
    assert frontend.import_qonnx(model) == want


def test_all_the_reasons_are_counted(net):
    n = net(3)
    x = n.codes((3, 4, 4))
    bad = [n.op("Einsum", x, name=f"bad{k}", equation="a->a") for k in range(3)]
    y = n.op("Sum", *bad)
    with pytest.raises(CompileError, match=r'Node "bad0".*and 2 more: sqwire inspect'):
        frontend.import_qonnx(n.model(y))
