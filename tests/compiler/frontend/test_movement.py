"""Shapes, slices, blocks: elements that only move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.compiler import frontend, ops
from sqwire.compiler.errors import CompileError

seeds = st.integers(0, 999)


def ints(n, *values):
    return n.constant(values, np.int64)


def kinds(graph):
    return [type(node.op).__name__ for node in graph.nodes]


def conv(n, x, channels):
    """Somebody who computes with ``x``, so that the movement has to happen."""
    return n.op("Conv", x, n.weight((2, channels, 2, 2)), name="reader")


def quantized(n, shape=(4, 4, 6), out=4):
    return n.quant(n.acc(shape, out), 4, 0.3, name="q")


@pytest.mark.parametrize("how", ["Flatten", "Reshape", "Squeeze", "shapes"])
def test_ways_to_flatten(net, same, how):
    n = net(1)
    x = quantized(n, (2, 3, 3))
    if how == "Flatten":
        y = n.op("Flatten", x)
    elif how == "Reshape":
        y = n.op("Reshape", x, ints(n, 0, -1))
    elif how == "Squeeze":
        y = n.op("Reshape", x, ints(n, 1, -1, 1, 1))
        y = n.op("Squeeze", y, ints(n, 2, 3))
    else:
        # As PyTorch writes x.view(x.shape[0], -1).
        batch = n.op("Gather", n.op("Shape", x), n.constant(0, np.int64), axis=0)
        batch = n.op("Unsqueeze", batch, ints(n, 0))
        y = n.op("Reshape", x, n.op("Concat", batch, ints(n, -1), axis=0))
    same(n.model(n.op("MatMul", y, n.weight((36, 3)))))


def test_flatten_before_the_input_is_quantized(net, same):
    n = net(2)
    y = n.op("Reshape", n.input((1, 3, 4)), ints(n, 1, 12))
    y = n.op("MatMul", n.quant(y, 3, 0.5), n.weight((12, 3)))
    graph = same(n.model(y))
    assert graph.input.tensor.shape == (3, 4, 1)


def test_a_flattened_tensor_is_quantized_before_it_is_flattened(net, same):
    n = net(3)
    y = n.quant(n.op("Flatten", n.acc((2, 3, 3), 4)), 3, 0.4)
    graph = same(n.model(n.op("MatMul", y, n.weight((36, 3)))))
    assert kinds(graph) == ["Linear", "Staircase", "Flatten", "Linear"]


def test_transposes_that_undo_each_other_cost_nothing(net, same):
    n = net(4)
    y = n.op("Transpose", quantized(n), perm=[0, 2, 3, 1])
    y = n.op("Relu", n.op("Mul", y, [0.5, -0.5, 1.5, 2.0]))
    y = n.quant(n.op("Transpose", y, perm=[0, 3, 1, 2]), 4, 0.3)
    graph = same(n.model(conv(n, y, 4)))
    assert kinds(graph) == ["Linear", "Staircase", "Staircase", "Linear"]


def test_a_network_that_takes_and_gives_channels_last(net, same):
    n = net(5)
    y = n.op("Transpose", n.input((5, 6, 3)), perm=[0, 3, 1, 2])
    y = n.op("Conv", n.quant(y, 4, 0.3), n.weight((4, 3, 3, 3)), pads=[1] * 4)
    y = n.quant(n.op("Transpose", y, perm=[0, 2, 3, 1]), 4, [0.3, 0.2, 0.4, 0.1])
    graph = same(n.model(y))
    assert graph.input.layout == graph.output.layout == "HWC"
    assert graph.input.tensor.shape == (5, 6, 3)


def test_a_transpose_of_positions_is_refused(net):
    n = net(6)
    y = conv(n, n.op("Transpose", quantized(n), perm=[0, 1, 3, 2]), 4)
    with pytest.raises(CompileError, match='"reader".*raster order.*store the frame'):
        frontend.import_qonnx(n.model(y))


@given(
    seed=seeds, start=st.integers(-4, 3), size=st.integers(1, 4), step=st.sampled_from([1, 2, -1])
)
def test_slices_of_channels(net, same, seed, start, size, step):
    n = net(seed)
    end = start + size if step > 0 else start - size
    if step > 0 and start < 0 <= end or step < 0 and end < 0 <= start:
        end = 99 if step > 0 else -99
    kept = len(range(4)[start : None if end == -99 else end : step])
    if not kept:
        return
    y = n.op("Slice", quantized(n), ints(n, start), ints(n, end), ints(n, 1), ints(n, step))
    same(n.model(conv(n, y, kept)), frames=2)


@given(
    seed=seeds,
    top=st.integers(0, 2),
    left=st.integers(0, 3),
    step=st.tuples(*[st.integers(1, 2)] * 2),
)
def test_slices_of_positions(net, same, seed, top, left, step):
    n = net(seed)
    starts, ends = ints(n, top, left), ints(n, 4, 6)
    y = n.op("Slice", quantized(n), starts, ends, ints(n, 2, 3), ints(n, *step))
    y = n.op("Conv", y, n.weight((2, 4, 1, 1)))
    same(n.model(y), frames=2)


def test_split_and_concat_in_another_order_are_wires(net, same):
    n = net(7)
    parts = n.op("Split", quantized(n), ints(n, 1, 2, 1), outputs=3, axis=1)
    y = n.op("Concat", parts[2], parts[0], parts[1], axis=1)
    graph = same(n.model(conv(n, y, 4)))
    assert kinds(graph) == ["Linear", "Staircase", "Select", "Linear"]


def test_split_into_equal_parts(net, same):
    n = net(8)
    first, second = n.op("Split", quantized(n), outputs=2, axis=1)
    left = n.quant(n.op("Conv", first, n.weight((3, 2, 1, 1))), 4, 0.3)
    right = n.quant(n.op("Conv", second, n.weight((3, 2, 1, 1))), 4, 0.3)
    same(n.model(n.op("Add", left, right)))


def test_gather_of_channels(net, same):
    n = net(9)
    y = n.op("Gather", quantized(n), ints(n, 3, 0, 0, -2), axis=1)
    same(n.model(conv(n, y, 4)))


@given(seed=seeds)
def test_concat_of_different_scales_keeps_each(net, same, seed):
    n = net(seed)
    x = n.codes((3, 4, 4))
    left = n.quant(n.op("Conv", x, n.weight((2, 3, 1, 1))), 4, 0.31)
    right = n.quant(n.op("Conv", x, n.weight((3, 3, 1, 1))), 3, 0.17)
    y = n.op("Concat", left, right, axis=1)
    y = n.op("MaxPool", n.quant(y, 5, 0.09), kernel_shape=[2, 2])
    same(n.model(y))


def test_concat_of_scales_in_a_ratio_feeds_a_convolution(net, same):
    n = net(10)
    x = n.codes((3, 4, 4))
    left = n.quant(n.op("Conv", x, n.weight((2, 3, 1, 1))), 4, 0.5)
    right = n.quant(n.op("Conv", x, n.weight((3, 3, 1, 1))), 3, 0.75)
    same(n.model(conv(n, n.op("Concat", left, right, axis=1), 5)))


def test_concat_of_unrelated_scales_before_a_convolution_is_refused_with_both(net):
    n = net(10)
    x = n.codes((3, 4, 4))
    left = n.quant(n.op("Conv", x, n.weight((2, 3, 1, 1))), 4, 0.3)
    right = n.quant(n.op("Conv", x, n.weight((3, 3, 1, 1))), 3, 0.7)
    y = n.op("Concat", left, right, axis=1)
    weight = n.weight((2, 5, 2, 2), zeros=0, scale=1.0)
    y = n.op("Conv", y, weight, name="reader")
    with pytest.raises(CompileError, match=r'"reader".*0\.3 and 0\.7'):
        frontend.import_qonnx(n.model(y))


def test_concat_of_features(net, same):
    n = net(11)
    x = n.codes((3, 4, 4))
    left = n.op("Flatten", n.quant(n.op("Conv", x, n.weight((2, 3, 1, 1))), 4, 0.5))
    right = n.op("Flatten", n.op("GlobalMaxPool", x))
    y = n.op("Concat", left, right, axis=1)
    same(n.model(n.op("MatMul", y, n.weight((35, 4)))))


def test_concat_channels_last(net, same):
    n = net(12)
    x = n.codes((3, 4, 4))
    parts = [
        n.op(
            "Transpose", n.quant(n.op("Conv", x, n.weight((k, 3, 1, 1))), 4, 0.5), perm=[0, 2, 3, 1]
        )
        for k in (2, 3)
    ]
    y = n.op("Concat", *parts, axis=3)
    same(n.model(conv(n, n.op("Transpose", y, perm=[0, 3, 1, 2]), 5)))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("block", [2, 3])
def test_depth_to_space(net, same, mode, block):
    n = net(13)
    y = n.op("DepthToSpace", quantized(n, (2, 3, 2), 2 * block**2), blocksize=block, mode=mode)
    graph = same(n.model(conv(n, y, 2)))
    assert "DepthToSpace" in kinds(graph)


def test_pixel_shuffle_as_reshapes_and_a_transpose(net, same):
    n = net(14)
    y = n.op("Reshape", quantized(n, (2, 3, 2), 12), ints(n, 1, 3, 2, 2, 3, 2))
    y = n.op("Transpose", y, perm=[0, 1, 4, 2, 5, 3])
    graph = same(n.model(conv(n, n.op("Reshape", y, ints(n, 1, 3, 6, 4)), 3)))
    op = next(node.op for node in graph.nodes if isinstance(node.op, ops.DepthToSpace))
    assert op.mode == "CRD"


def test_depth_to_space_of_accumulators_is_done_behind_their_quantizer(net, same):
    n = net(15)
    y = n.op("DepthToSpace", n.acc((2, 3, 2), 8), blocksize=2, mode="CRD")
    graph = same(n.model(n.quant(y, 8, 0.05)))
    assert kinds(graph) == ["Linear", "Staircase", "DepthToSpace"]


def test_space_to_depth(net, same):
    n = net(16)
    same(n.model(conv(n, n.op("SpaceToDepth", quantized(n), blocksize=2), 16)))


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel"])
@pytest.mark.parametrize("factor", [(2, 2), (3, 1), (1, 2)])
def test_nearest_upsampling(net, same, coordinates, factor):
    n = net(17)
    nearest = "floor" if coordinates == "asymmetric" else "round_prefer_floor"
    y = n.op(
        "Resize", quantized(n), None, n.constant([1.0, 1.0, *factor]), mode="nearest",
        coordinate_transformation_mode=coordinates, nearest_mode=nearest,
    )  # fmt: skip
    graph = same(n.model(conv(n, y, 4)))
    assert [n.op.factor for n in graph.nodes if isinstance(n.op, ops.Resize)] == [factor]


def test_upsampling_to_sizes_and_by_the_old_operator(net, same):
    n = net(18)
    y = n.op("Resize", quantized(n), None, None, ints(n, 1, 4, 8, 12), mode="nearest")
    same(n.model(conv(n, y, 4)))
    n = net(18, opset=9)
    y = n.op("Upsample", quantized(n), n.constant([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    same(n.model(conv(n, y, 4)))


def test_nearest_downsampling_skips(net, same):
    n = net(19)
    y = n.op(
        "Resize", quantized(n), None, n.constant([1.0, 1.0, 0.5, 0.5]), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    same(n.model(conv(n, y, 4)))


@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "linear"},
        {"mode": "cubic"},
        {"mode": "nearest", "coordinate_transformation_mode": "align_corners"},
    ],
)
def test_other_ways_to_resize_are_refused(net, attributes):
    n = net(20)
    scales = n.constant([1.0, 1.0, 3.0, 3.0])
    y = n.op("Resize", quantized(n), None, scales, name="up", **attributes)
    with pytest.raises(CompileError, match="up"):
        frontend.import_qonnx(n.model(conv(n, y, 4)))


@given(seed=seeds, pads=st.tuples(*[st.integers(-1, 2)] * 4))
def test_pads_of_both_signs(net, same, seed, pads):
    n = net(seed)
    top, left, bottom, right = pads
    y = n.op("Pad", quantized(n), ints(n, 0, 0, top, left, 0, 0, bottom, right), n.constant(0.0))
    same(n.model(conv(n, y, 4)), frames=2)


@pytest.mark.parametrize("value", [0.0, 0.25, -1.0])
def test_padding_values_that_are_codes(net, same, value):
    n = net(21, opset=9)
    y = n.quant(n.acc((3, 3, 3)), 4, 0.25)
    same(n.model(conv(n, n.op("Pad", y, pads=[0, 0, 1, 1, 0, 0, 0, 1], value=value), 4)))


def test_padding_values_that_are_no_codes_are_refused(net):
    n = net(22)
    y = n.quant(n.acc((3, 3, 3)), 4, 0.25)
    y = n.op("Pad", y, ints(n, 0, 0, 1, 1, 0, 0, 1, 1), n.constant(0.1), name="pad")
    with pytest.raises(CompileError, match=r'"pad".*0\.1 must be one of the values'):
        frontend.import_qonnx(n.model(conv(n, y, 4)))


def test_zeros_around_bipolar_codes(net, same):
    n = net(23)
    y = n.op("BipolarQuant", n.acc((3, 3, 3)), 1.0)
    y = n.op("Pad", y, ints(n, 0, 0, 1, 1, 0, 0, 1, 1))
    same(n.model(conv(n, y, 4)))


def test_identity_dropout_cast_and_reshapes_leave_no_trace(net, same):
    n = net(24)
    y = n.op("Identity", quantized(n))
    y = n.op("Dropout", y)
    y = n.op("Cast", y, to=1)
    y = n.op("Unsqueeze", n.op("Reshape", y, ints(n, 4, 4, 6)), ints(n, 0))
    graph = same(n.model(conv(n, y, 4)))
    assert kinds(graph) == ["Linear", "Staircase", "Linear"]


def test_an_output_in_any_order_the_circuit_can_give(net, same):
    n = net(25)
    same(n.model(n.op("Slice", quantized(n), ints(n, 1), ints(n, 3), ints(n, 1))))
    n = net(26)
    same(n.model(n.op("Reshape", quantized(n), ints(n, 1, -1))))
    n = net(27)
    same(n.model(n.op("Reshape", quantized(n), ints(n, 1, 4, 24))))


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes"),
    [
        ("Reshape", [(7, 7)], {}),
        ("Reshape", [(-1, -1)], {}),
        ("Reshape", [(1 << 40, 1 << 40)], {}),
        ("Transpose", [], {"perm": [0, 1]}),
        ("Transpose", [], {"perm": [0, 1, 2, 9]}),
        ("Squeeze", [(1,)], {}),
        ("Unsqueeze", [(99,)], {}),
        ("Slice", [(0,), (0,), (1,)], {}),
        ("Slice", [(0, 1), (3,), (1,)], {}),
        ("Gather", [(9,)], {"axis": 1}),
        ("DepthToSpace", [], {"blocksize": 3}),
        ("DepthToSpace", [], {"blocksize": 0}),
        ("SpaceToDepth", [], {"blocksize": 5}),
        ("Pad", [(1, 1, 1)], {}),
        ("Pad", [(0, 1, 0, 0, 0, 1, 0, 0)], {}),
        ("Pad", [(0, 0, 1 << 40, 0, 0, 0, 0, 0)], {}),
        ("Flatten", [], {"axis": 9}),
        ("Tile", [(1, 1, 1 << 30, 1 << 30)], {}),
        ("Expand", [(1 << 30, 4, 4, 6)], {}),
    ],
)
def test_movements_that_cannot_be_are_refused(net, kind, inputs, attributes):
    n = net(28)
    y = n.op(kind, quantized(n), *(ints(n, *v) for v in inputs), name="move", **attributes)
    with pytest.raises(CompileError, match='"move"') as error:
        frontend.import_qonnx(n.model(conv(n, y, 4)))
    assert "fit together" not in str(error.value)
