"""What stands at the end of a network, and what the host does there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.compiler import frontend, ops
from sqwire.compiler.errors import CompileError

seeds = st.integers(0, 999)


@given(seed=seeds)
def test_an_accumulator_is_delivered_with_its_scale_and_offset(net, same, seed):
    n = net(seed)
    graph = same(n.model(n.acc((6,), 4)))
    assert isinstance(graph.nodes[-1].op, ops.Linear)
    assert len(graph.output.scale) == len(graph.output.offset) == 4


def test_a_scale_with_a_square_root(net, same):
    n = net(1)
    y = n.op("BatchNormalization", n.acc((6,), 4), *(n.rng.uniform(0.1, 2, 4) for _ in range(4)))
    same(n.model(y))


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [11, 13])
def test_softmax_is_left_to_the_host(net, same, kind, opset, run_reference):
    n = net(2, opset=opset)
    y = n.op(kind, n.op("Mul", n.acc((6,), 4, gains=False), 3.7), axis=1)
    model = n.model(y)
    graph = same(model)
    assert graph.output.tail == kind and isinstance(graph.nodes[-1].op, ops.Linear)
    x = np.random.default_rng(0).uniform(0, 4, (4, 6)).astype(np.float32)
    y = graph.output.dequantize(graph.run(graph.input.quantize(x)))
    assert np.allclose(y, run_reference(model, x), rtol=1e-4)


def test_softmax_over_channels_of_an_image(net, same):
    n = net(3)
    same(n.model(n.op("Softmax", n.acc((2, 3, 3), 4), axis=1)))
    n = net(3)
    y = n.op("Transpose", n.acc((2, 3, 3), 4), perm=[0, 2, 3, 1])
    same(n.model(n.op("Softmax", y, axis=-1)))


def test_a_wrong_code_behind_a_softmax_is_noticed(net, run_reference):
    n = net(4)
    model = n.model(n.op("Softmax", n.acc((6,), 4, gains=False), axis=1))
    graph = frontend.import_qonnx(model)
    x = np.random.default_rng(0).uniform(0, 4, (5, 6)).astype(np.float32)
    codes = graph.run(graph.input.quantize(x))
    y, tensor = run_reference(model, x), graph.tensors[graph.nodes[-1].name]
    assert graph.output.matches(codes, y, tensor).all()
    codes[2, 0, 0, 1] += 1
    assert not graph.output.matches(codes, y, tensor).all()
    with pytest.raises(ValueError, match="no inverse"):
        graph.output.codes(y, tensor)


@pytest.mark.parametrize("kind", ["Sigmoid", "Tanh", "Relu"])
def test_a_last_activation_without_quantizer_is_left_to_the_host(net, same, kind):
    n = net(5)
    graph = same(n.model(n.op(kind, n.acc((6,), 4))))
    assert graph.output.tail == kind


@pytest.mark.parametrize("before", [None, "Softmax", "Sigmoid", "Mul"])
@pytest.mark.parametrize("keep", [0, 1])
def test_argmax_in_hardware(net, same, before, keep):
    n = net(6)
    y = n.acc((6,), 5, gains=False)
    if before:
        y = n.op(before, y, 0.3) if before == "Mul" else n.op(before, y)
    graph = same(n.model(n.op("ArgMax", y, axis=1, keepdims=keep)), frames=9)
    assert isinstance(graph.nodes[-1].op, ops.ArgMax) and not graph.output.tail


@pytest.mark.parametrize("last", [0, 1])
def test_argmax_of_equal_values(net, same, last):
    n = net(7)
    y = n.quant(n.acc((6,), 9), 2, 1.0)
    same(n.model(n.op("ArgMax", y, axis=1, select_last_index=last)), frames=9, dyadic=True)


def test_argmax_over_channels_of_an_image(net, same):
    n = net(8)
    y = n.quant(n.acc((2, 3, 4), 5), 3, 0.3)
    same(n.model(n.op("ArgMax", y, axis=1, keepdims=0)))


def test_argmax_of_channels_with_different_scales_is_left_to_the_host(net, same):
    n = net(9)
    graph = same(n.model(n.op("ArgMax", n.acc((6,), 5), axis=1)), frames=9)
    assert graph.output.tail == "ArgMax"


def test_the_index_of_top_k(net, same):
    n = net(10)
    y = n.acc((6,), 5, gains=False)
    _, index = n.op("TopK", y, n.constant([1], np.int64), outputs=2, axis=1)
    graph = same(n.model(index), frames=9)
    assert isinstance(graph.nodes[-1].op, ops.ArgMax)


@pytest.mark.parametrize("k", [1, 2])
def test_values_of_top_k_are_refused(net, k):
    n = net(11)
    y = n.acc((6,), 5, gains=False)
    values, index = n.op("TopK", y, n.constant([k], np.int64), outputs=2, axis=1, name="top")
    with pytest.raises(CompileError, match="only the indices|k must be 1"):
        frontend.import_qonnx(n.model(values if k == 1 else index))


def test_nothing_may_follow_a_softmax(net):
    n = net(12)
    y = n.op("Mul", n.op("Softmax", n.acc((6,), 4)), 2.0, name="after")
    with pytest.raises(CompileError, match='"after".*nothing may follow a Softmax'):
        frontend.import_qonnx(n.model(y))


def test_an_output_that_is_no_straight_line_is_refused(net):
    n = net(13)
    with pytest.raises(CompileError, match='Output "n9_out".*put a Quant'):
        y = n.op("Elu", n.acc((6,), 4))
        frontend.import_qonnx(n.model(n.op("Sigmoid", y, name="n9")))


def test_an_output_that_is_a_constant_is_refused(net):
    n = net(14)
    n.acc((6,), 4)
    y = n.op("Add", n.constant([1.0]), n.constant([2.0]))
    with pytest.raises(CompileError, match="must be computed from"):
        frontend.import_qonnx(n.model(y))


def test_a_network_that_computes_nothing_is_refused(net):
    n = net(15)
    with pytest.raises(CompileError, match="something to compute"):
        frontend.import_qonnx(n.model(n.quant(n.input((3,)), 4, 0.5)))
