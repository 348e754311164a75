"""Pools against qonnx's interpreter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.compiler import frontend, ops
from sqwire.compiler.errors import CompileError

seeds = st.integers(0, 999)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(seed=seeds, kernel=pairs, stride=pairs, dilation=pairs, ceil=st.booleans())
def test_max_pools(net, same, seed, kernel, stride, dilation, ceil):
    n = net(seed)
    pads = [min(1, k // 2) for k in kernel] * 2
    y = n.op(
        "MaxPool", n.quant(n.acc((3, 7, 8)), 4, 0.3), kernel_shape=kernel, strides=stride,
        dilations=dilation, pads=pads, ceil_mode=int(ceil),
    )  # fmt: skip
    same(n.model(y), frames=2)


@given(seed=seeds)
def test_max_pools_of_accumulators_with_gains_of_both_signs(net, same, seed):
    n = net(seed)
    y = n.op("MaxPool", n.op("Relu", n.acc((3, 6, 6))), kernel_shape=[2, 2], strides=[2, 2])
    same(n.model(n.quant(y, 4, 0.2, signed=0)), frames=2)


def test_max_pools_of_functions_that_rise_and_fall(net, same):
    n = net(1)
    y = n.op("Abs", n.quant(n.acc((3, 6, 6)), 4, 0.3))
    same(n.model(n.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])))


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_max_pools_with_auto_pad(net, same, auto):
    n = net(2)
    y = n.op("MaxPool", n.codes((3, 7, 8)), kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto)
    same(n.model(n.op("Conv", y, n.weight((2, 3, 1, 1)))))


@given(seed=seeds, kernel=pairs, stride=pairs, pads=st.booleans())
def test_average_pools(net, same, seed, kernel, stride, pads):
    n = net(seed)
    edges = [k // 2 for k in kernel] * 2 if pads else [0] * 4
    y = n.op(
        "AveragePool", n.quant(n.acc((3, 6, 6)), 4, 0.3), kernel_shape=kernel, strides=stride,
        pads=edges, count_include_pad=1,
    )  # fmt: skip
    same(n.model(n.quant(y, 5, 0.11)), frames=2)


def test_average_pools_that_do_not_overlap_are_sum_pools(net, same):
    n = net(3)
    y = n.op("AveragePool", n.codes((3, 7, 6)), kernel_shape=[2, 3], strides=[2, 3])
    graph = same(n.model(n.quant(y, 5, 0.11)))
    assert isinstance(graph.nodes[0].op, ops.SumPool)


def test_averages_of_bipolar_codes(net, same):
    n = net(4)
    y = n.op("BipolarQuant", n.acc((3, 4, 4)), 0.5)
    same(n.model(n.op("GlobalAveragePool", y)))


def test_a_divisor_that_differs_by_position_is_refused(net):
    n = net(5)
    y = n.op("AveragePool", n.codes((3, 6, 6)), kernel_shape=[3, 3], pads=[1] * 4, name="avg")
    with pytest.raises(CompileError, match='"avg".*count_include_pad must be 1'):
        frontend.import_qonnx(n.model(y))


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(net, same, kind):
    n = net(6)
    y = n.op(kind, n.quant(n.acc((3, 5, 4)), 4, 0.3))
    same(n.model(n.op("MatMul", n.op("Flatten", n.quant(y, 6, 0.05)), n.weight((4, 3)))))


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions_over_positions(net, same, kind, keep):
    n = net(7)
    y = n.op(kind, n.quant(n.acc((3, 5, 4)), 4, 0.3), axes=[2, -1], keepdims=keep)
    same(n.model(n.quant(y, 6, 0.05)))


def test_reduce_sum_with_axes_as_an_input(net, same):
    n = net(8)
    y = n.op("ReduceSum", n.codes((3, 5, 4)), n.constant([2, 3], np.int64), keepdims=0)
    same(n.model(n.op("MatMul", y, n.weight((3, 2)))))


def test_pools_of_one_axis(net, same):
    n = net(9)
    y = n.quant(n.acc((3, 9)), 4, 0.3)
    y = n.op("MaxPool", y, kernel_shape=[2], strides=[2], pads=[1, 0])
    y = n.op("AveragePool", y, kernel_shape=[2], strides=[1])
    same(n.model(n.op("GlobalAveragePool", n.quant(y, 6, 0.1))))


def test_averages_truncated_as_brevitas_does(net, same):
    n = net(10)
    y = n.op("AveragePool", n.quant(n.acc((3, 4, 4)), 4, 0.25, signed=0), kernel_shape=[4, 4])
    y = n.op("Mul", y, 16.0)
    same(n.model(n.op("Trunc", y, 0.25, 0.0, 8.0, 4.0, rounding_mode="FLOOR")), dyadic=True)


@pytest.mark.parametrize("stride", [2, 1])
def test_quant_avg_pool(net, same, stride):
    n = net(11)
    y = n.quant(n.acc((3, 4, 4)), 4, 1.0, signed=0)
    y = n.op("QuantAvgPool2d", y, kernel=2, stride=stride, ibits=4, obits=4, signed=0)
    same(n.model(y), dyadic=True)


@pytest.mark.parametrize(
    "attributes", [{"kernel_shape": [9, 9]}, {"kernel_shape": [0, 2]}, {"kernel_shape": [2]}, {}]
)
def test_kernels_that_do_not_fit_are_refused(net, attributes):
    n = net(12)
    y = n.op("MaxPool", n.codes((3, 4, 4)), name="pool", **attributes)
    with pytest.raises(CompileError, match='"pool"'):
        frontend.import_qonnx(n.model(y))
