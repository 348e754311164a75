"""Sums of products with constants, against qonnx's interpreter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.compiler import frontend, ops
from sqwire.compiler.errors import CompileError

seeds = st.integers(0, 999)


@given(
    seed=seeds,
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_convolutions_of_two_axes(net, same, seed, kernel, stride, dilation, pads):
    n = net(seed)
    scale = n.rng.uniform(0.05, 0.3, (3, 1, 1, 1)).astype(np.float32)
    y = n.op(
        "Conv", n.codes((2, 6, 7)), n.weight((3, 2, *kernel), scale=scale), n.rng.normal(0, 1, 3),
        kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads,
    )  # fmt: skip
    same(n.model(y), frames=2)


@given(
    seed=seeds,
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.tuples(*[st.integers(0, 2)] * 2),
)
def test_convolutions_of_one_axis(net, same, seed, kernel, stride, dilation, pads):
    n = net(seed)
    y = n.op(
        "Conv", n.codes((2, 9)), n.weight((3, 2, kernel)),
        kernel_shape=[kernel], strides=[stride], dilations=[dilation], pads=pads,
    )  # fmt: skip
    y = n.op("MaxPool", n.quant(n.op("Relu", y), 4, 0.3, signed=0), kernel_shape=[2])
    same(n.model(y), frames=2)


@given(seed=seeds, groups=st.sampled_from([1, 2, 4]), multiplier=st.integers(1, 3))
def test_groups_and_depthwise_with_channel_multiplier(net, same, seed, groups, multiplier):
    n = net(seed)
    weight = n.weight((4 * multiplier, 4 // groups, 3, 3))
    y = n.op("Conv", n.codes((4, 5, 5)), weight, group=groups, pads=[1] * 4)
    same(n.model(y), frames=2)


@given(seed=seeds)
def test_depthwise_with_a_scale_for_each_input_channel(net, same, seed):
    n = net(seed)
    x = n.quant(n.input((4, 5, 5)), 4, n.rng.uniform(0.1, 0.9, (1, 4, 1, 1)), signed=1)
    same(n.model(n.op("Conv", x, n.weight((4, 1, 3, 3)), group=4)), frames=2)


def test_scales_of_input_channels_in_ratios_of_small_integers_add_up(net, same):
    n = net(1)
    x = n.quant(n.input((3, 4, 4)), 4, [[[[0.3]], [[0.6]], [[0.15]]]], signed=1)
    same(n.model(n.op("Conv", x, n.weight((2, 3, 3, 3)))))


def test_scales_of_input_channels_without_a_ratio_are_refused_with_both(net):
    n = net(1)
    x = n.quant(n.input((2, 4, 4)), 4, [[[[0.3]], [[0.7]]]], signed=1)
    y = n.op("Conv", x, n.weight((2, 2, 3, 3), scale=1.0, zeros=0), name="conv")
    with pytest.raises(CompileError, match=r'"conv" \(Conv\): .*0\.3 and 0\.7'):
        frontend.import_qonnx(n.model(y))


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad(net, same, auto, stride):
    n = net(2)
    y = n.op(
        "Conv", n.codes((2, 6, 7)), n.weight((3, 2, 4, 3)),
        auto_pad=auto, kernel_shape=[4, 3], strides=[stride] * 2,
    )  # fmt: skip
    same(n.model(y), frames=2)


@given(
    seed=seeds,
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    dilation=st.integers(1, 2),
    pads=st.tuples(*[st.integers(0, 1)] * 4),
    groups=st.sampled_from([1, 2]),
)
def test_transposed_convolutions(net, same, seed, kernel, stride, dilation, pads, groups):
    n = net(seed)
    extra = [s - 1 for s in stride]
    bias = n.rng.normal(0, 1, 2 * groups)
    y = n.op(
        "ConvTranspose", n.codes((4, 3, 4)), n.weight((4, 2, *kernel)), bias,
        kernel_shape=kernel, strides=stride, dilations=[dilation] * 2, pads=pads, group=groups,
        output_padding=extra,
    )  # fmt: skip
    same(n.model(y), frames=2)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "NOTSET"])
def test_transposed_convolutions_to_a_given_size(net, same, auto):
    n = net(3)
    more = {"output_shape": [7, 9]} if auto == "NOTSET" else {"auto_pad": auto}
    y = n.op("ConvTranspose", n.codes((2, 4, 5)), n.weight((2, 3, 3, 3)), strides=[2, 2], **more)
    same(n.model(y), frames=2)


def test_a_transposed_convolution_of_bipolar_codes(net, same):
    n = net(4)
    x = n.op("BipolarQuant", n.input((2, 4, 4)), 1.0)
    y = n.op("ConvTranspose", x, n.weight((2, 3, 3, 3)), strides=[2, 2], pads=[1] * 4)
    same(n.model(y), frames=2)


@given(seed=seeds, turned=st.booleans(), bias=st.sampled_from([None, (5,), (1, 5), (1,)]))
def test_gemm(net, same, seed, turned, bias):
    n = net(seed)
    scale = n.rng.uniform(0.1, 0.5, (5, 1) if turned else (1, 5)).astype(np.float32)
    weight = n.weight((5, 6) if turned else (6, 5), scale=scale)
    inputs = [n.codes((6,)), weight]
    inputs += [] if bias is None else [n.rng.normal(0, 1, bias)]
    same(n.model(n.op("Gemm", *inputs, transB=int(turned), alpha=0.7, beta=1.3)))


@given(seed=seeds)
def test_fully_connected_behind_a_flatten_has_its_weights_in_order(net, same, seed):
    n = net(seed)
    y = n.op("Flatten", n.quant(n.acc((2, 3, 4), 3), 3, 0.4))
    same(n.model(n.op("MatMul", y, n.weight((36, 5)))))


@given(seed=seeds)
def test_matmul_of_positions_and_channels(net, same, seed):
    # (N, C, H, W) -> (N, H * W, C), a fully connected layer at each position, and back.
    n = net(seed)
    y = n.op("Reshape", n.codes((3, 4, 2)), n.constant([1, 3, 8], np.int64))
    y = n.op("MatMul", n.op("Transpose", y, perm=[0, 2, 1]), n.weight((3, 5)))
    y = n.quant(n.op("Transpose", y, perm=[0, 2, 1]), 4, 0.3)
    y = n.op("Reshape", y, n.constant([1, 5, 4, 2], np.int64))
    same(n.model(n.op("Conv", y, n.weight((2, 5, 1, 1)))))


def test_a_weight_on_the_left(net, same):
    n = net(5)
    y = n.op("MatMul", n.weight((4, 3)), n.codes((3, 6)))
    same(n.model(y))


def test_scales_of_weights_along_any_axis(net, same):
    for shape in [(4, 1, 1, 1), (1, 1, 1, 1), (), (4, 2, 3, 3)]:
        n = net(6)
        scale = np.where(n.rng.random(shape) < 0.5, 0.25, 0.5)
        same(n.model(n.op("Conv", n.codes((2, 5, 5)), n.weight((4, 2, 3, 3), scale=scale))))


def test_weights_without_a_quantizer_that_are_integers_in_disguise(net, same):
    n = net(7)
    weight = n.rng.integers(-7, 8, (4, 2, 3, 3)) / 64
    same(n.model(n.op("Conv", n.codes((2, 5, 5)), weight)), dyadic=True)


def test_weights_without_a_quantizer_are_refused(net):
    n = net(8)
    y = n.op("Conv", n.codes((2, 5, 5)), n.rng.normal(0, 1, (4, 2, 3, 3)), name="conv")
    with pytest.raises(CompileError, match=r'"conv" \(Conv\): a weight must be quantized'):
        frontend.import_qonnx(n.model(y))


def test_weights_that_are_scaled_and_moved_after_their_quantizer(net, same):
    n = net(9)
    weight = n.op("Transpose", n.weight((6, 2, 9)), perm=[0, 1, 2])
    weight = n.op("Reshape", weight, n.constant([6, 2, 3, 3], np.int64))
    weight = n.op("Mul", weight, n.rng.uniform(0.1, 1, (6, 1, 1, 1)))
    same(n.model(n.op("Conv", n.codes((2, 5, 5)), weight)))


def test_offsets_of_the_input_become_offsets_of_the_output(net, same):
    n = net(10)
    x = n.op("Add", n.codes((3, 4, 4)), [[[[0.1]], [[-7.3]], [[0.0]]]])
    same(n.model(n.op("Conv", x, n.weight((2, 3, 3, 3)))))


def test_a_layer_without_weights_is_zero(net, same):
    n = net(11)
    weight = n.quant(n.constant(np.zeros((3, 2, 3, 3))), 3, 0.25)
    same(n.model(n.op("Conv", n.codes((2, 4, 4)), weight, [0.5, 0.0, -1.0])), dyadic=True)


def test_bipolar_inputs_without_padding_stay_one_bit(net, same):
    n = net(12)
    x = n.op("BipolarQuant", n.input((3, 4, 4)), 1.0)
    graph = same(n.model(n.op("Conv", x, n.weight((2, 3, 3, 3)))))
    assert graph.input.range.bits == 1
    assert [type(node.op) for node in graph.nodes] == [ops.Linear]


def refused(n, y, match):
    with pytest.raises(CompileError, match=match):
        frontend.import_qonnx(n.model(y))


@pytest.mark.parametrize(
    "attributes",
    [
        {"group": 3},
        {"group": 0},
        {"strides": [0, 1]},
        {"strides": [1]},
        {"pads": [1, 1]},
        {"pads": [1 << 40] * 4},
        {"dilations": [1 << 40, 1]},
        {"kernel_shape": [5, 5]},
        {"auto_pad": "SOME"},
        {"pads": [-1, 0, 0, 0]},
        {"strides": 2},
    ],
)
def test_attributes_that_do_not_fit_are_refused(net, attributes):
    n = net()
    refused(
        n, n.op("Conv", n.codes((2, 6, 6)), n.weight((4, 2, 3, 3)), name="c", **attributes), '"c"'
    )


def test_two_activations_in_a_product_are_refused(net):
    n = net()
    x = n.codes((6, 6))
    refused(n, n.op("MatMul", x, n.op("Relu", x), name="mm"), '"mm".*constant')


def test_accumulators_beyond_62_bits_are_refused(net):
    n = net()
    codes = n.constant(np.full((1, 2, 1, 1), 2**31 - 1), np.int32)
    weight = n.op("DequantizeLinear", codes, 1.0)
    y = n.op("Conv", n.quant(n.input((2, 3, 3)), 32, 1.0), weight, name="wide")
    refused(n, y, '"wide".*62 bits')
