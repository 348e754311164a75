"""QONNX's quantizers against qonnx's own interpreter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from sqwire.compiler import frontend, ops
from sqwire.compiler.errors import CompileError

MODES = ["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
seeds = st.integers(0, 999)


@pytest.mark.parametrize("mode", MODES)
@given(seed=seeds, bits=st.integers(1, 8), signed=st.booleans(), narrow=st.booleans())
def test_every_rounding_mode_sign_and_width(net, same, mode, seed, bits, signed, narrow):
    # Power-of-two scales make ties frequent, and float32 exact.
    if bits == 1 and narrow and not signed:
        return  # one level only
    n = net(seed)
    y = n.acc(gains=False)
    y = n.op("Mul", y, [[[[0.5]], [[-0.25]], [[1]], [[0]]]])
    same(n.model(n.quant(y, bits, 0.25, signed=signed, narrow=narrow, mode=mode)), dyadic=True)


@given(seed=seeds, bits=st.integers(1, 8), mode=st.sampled_from(MODES))
def test_scales_that_are_no_powers_of_two(net, same, seed, bits, mode):
    n = net(seed)
    scale = float(n.rng.uniform(0.05, 0.5))
    same(n.model(n.quant(n.acc(scale=0.3), bits, scale, mode=mode)))


@given(seed=seeds, mode=st.sampled_from(MODES))
def test_scale_zero_point_for_each_channel(net, same, seed, mode):
    n = net(seed)
    scale = n.rng.uniform(0.05, 0.5, (1, 4, 1, 1))
    zero = n.rng.integers(-3, 9, (1, 4, 1, 1))
    same(n.model(n.quant(n.acc(), 4, scale, zero, signed=0, mode=mode)))


@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1), (1, 1, 1, 1)])
def test_any_layout_that_broadcasts(net, same, shape):
    n = net(3)
    scale = n.rng.uniform(0.1, 0.4, shape)
    same(n.model(n.quant(n.acc(), 4, scale, np.zeros(shape))))


@pytest.mark.parametrize("zero", [0.5, -2.25, 7.0, 300.0])
def test_zero_points_of_any_kind(net, same, zero):
    n = net(1)
    same(n.model(n.quant(n.acc(), 5, 0.25, zero, signed=0)))


def test_a_zero_point_leaves_zero_a_code(net, same):
    # Padding with zeros needs the code of 0, which is not code 0 of the quantizer.
    n = net(2)
    y = n.quant(n.input((2, 4, 4)), 4, 0.25, 5.0, signed=0)
    y = n.op("Conv", y, n.weight((3, 2, 3, 3)), pads=[1, 1, 1, 1])
    same(n.model(n.quant(y, 6, 0.125)), dyadic=True)


@given(seed=seeds)
def test_weights_with_zero_points(net, same, seed):
    n = net(seed)
    values = n.rng.normal(0, 0.5, (4, 3, 1, 1))
    weight = n.quant(n.constant(values), 4, 0.2, float(n.rng.integers(0, 15)), signed=0)
    same(n.model(n.op("Conv", n.codes((3, 3, 3)), weight)))


@pytest.mark.parametrize("scale", [0.5, [[[[0.3]], [[0.7]], [[0.1]], [[1.1]]]]])
def test_bipolar_activations_are_one_bit(net, same, scale):
    n = net(5)
    y = n.op("BipolarQuant", n.acc(), scale)
    graph = same(n.model(y))
    assert graph.tensors[graph.nodes[-1].name].range.bits == 1


@given(seed=seeds)
def test_bipolar_weights_inputs_and_padding(net, same, seed):
    n = net(seed)
    x = n.op("BipolarQuant", n.input((2, 5, 5)), 1.0)
    weight = n.op("BipolarQuant", n.rng.normal(0, 1, (3, 2, 3, 3)), 0.5)
    y = n.op("BipolarQuant", n.op("Conv", x, weight, pads=[1, 0, 1, 1]), 1.0)
    weight = n.op("BipolarQuant", n.rng.normal(0, 1, (3 * 5 * 4, 2)), 0.5)
    y = n.op("MatMul", n.op("Flatten", y), weight)
    same(n.model(n.op("BipolarQuant", y, 1.0)), dyadic=True)


@given(seed=seeds, zero=st.sampled_from([0.0, 1.0, -1.0]))
def test_one_bit_signed_quant_is_a_sign(net, same, seed, zero):
    n = net(seed)
    same(n.model(n.quant(n.acc(), 1, 0.5, zero, signed=1, narrow=0)))


@pytest.mark.parametrize("mode", MODES)
@given(seed=seeds, before=st.integers(4, 9), after=st.integers(2, 4))
def test_trunc_of_version_1(net, same, mode, seed, before, after):
    n = net(seed)
    y = n.op("Mul", n.acc(gains=False), 2.0)
    y = n.op("Trunc", y, 0.125, 0.0, float(before), float(after), rounding_mode=mode)
    same(n.model(y), dyadic=True)


@pytest.mark.parametrize("mode", MODES)
@given(seed=seeds, signed=st.booleans(), narrow=st.booleans())
def test_trunc_of_version_2(net, same, mode, seed, signed, narrow):
    n = net(seed, version=2)
    y = n.op("Mul", n.acc(gains=False), 2.0)
    flags = {"rounding_mode": mode, "signed": int(signed), "narrow": int(narrow)}
    same(n.model(n.op("Trunc", y, 0.125, 2.0, 8.0, 0.5, 4.0, **flags)), dyadic=True)


@given(seed=seeds, steps=st.integers(1, 15), whole=st.booleans())
def test_multithreshold(net, same, seed, steps, whole):
    n = net(seed)
    thresholds = n.rng.normal(0, 2, (1 if whole else 4, steps))
    if seed % 2:
        thresholds = np.round(thresholds * 4) / 4  # met exactly
    scale, bias = [(1.0, 0.0), (2.0, -1.0), (0.3, -0.1), (-0.5, 1.0)][seed % 4]
    y = n.op(
        "MultiThreshold", n.acc(), np.sort(thresholds), out_dtype="INT8",
        out_scale=scale, out_bias=bias,
    )  # fmt: skip
    same(n.model(y))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_multithreshold_in_both_layouts(net, same, layout):
    n = net(7)
    y = n.acc()
    y = n.op("Transpose", y, perm=[0, 2, 3, 1]) if layout == "NHWC" else y
    thresholds = np.sort(n.rng.normal(0, 2, (4, 7)))
    same(n.model(n.op("MultiThreshold", y, thresholds, out_dtype="UINT4", data_layout=layout)))


def test_thresholds_that_never_or_always_fire(net, same):
    n = net(8)
    thresholds = [[-1e30, -500, 0.1, 900, 3e38]]
    same(n.model(n.op("MultiThreshold", n.acc(), thresholds, out_dtype="UINT4")))


@pytest.mark.parametrize("domain", ["finn.custom_op.general", "onnx.brevitas", ""])
def test_old_names_of_the_domain(net, same, run_reference, domain):
    today, old = net(9), net(9, domain=domain)
    models = [n.model(n.quant(n.acc(), 3, 0.3)) for n in (today, old)]
    x = np.random.default_rng(0).uniform(-1, 5, (3, 3, 4, 4)).astype(np.float32)
    same(models[1], x, reference=run_reference(models[0], x))


def test_intquant_is_quant(net, same):
    n = net(10)
    flags = {"signed": 1, "narrow": 1, "rounding_mode": "FLOOR"}
    same(n.model(n.op("IntQuant", n.acc(), 0.3, 0.0, 4.0, **flags)))


@given(seed=seeds)
def test_a_quantizer_of_quantized_codes_costs_nothing(net, same, seed):
    n = net(seed)
    y = n.quant(n.acc(), 4, 0.3, name="once")
    graph = same(n.model(n.quant(y, 8, 0.3, name="twice")))
    assert graph.nodes[-1].name == "once"


@given(seed=seeds, first=st.floats(0.05, 1), second=st.floats(0.05, 1))
def test_quantized_codes_quantized_otherwise(net, same, seed, first, second):
    n = net(seed)
    y = n.quant(n.acc(), 5, np.float32(first), signed=0)
    same(n.model(n.quant(y, 3, np.float32(second))))


@pytest.mark.parametrize("bits", [12, 16])
def test_many_bits(net, same, bits):
    n = net(11)
    same(n.model(n.quant(n.acc(), bits, 0.001)))


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("zero", [0, 3])
def test_quantize_linear_and_back(net, same, kind, zero):
    n = net(12, opset=13 if np.dtype(kind).itemsize == 1 else 21)
    parameters = (n.constant(0.3), n.constant(zero, kind))
    y = n.op("QuantizeLinear", n.acc(), *parameters)
    y = n.op("DequantizeLinear", y, *parameters)
    same(n.model(y), rounding=0.1)


@pytest.mark.parametrize("axis", [1, -3])
def test_quantize_linear_for_each_channel(net, same, axis):
    n = net(13)
    scale, zero = n.constant([0.3, 0.1, 0.7, 0.2]), n.constant([0, 1, -3, 5], np.int8)
    y = n.op("QuantizeLinear", n.acc(), scale, zero, axis=axis)
    same(n.model(n.op("DequantizeLinear", y, scale, zero, axis=axis)))


def qdq(n, x, scale, zero, kind=np.uint8):
    scale, zero = n.constant(scale), n.constant(zero, kind)
    return n.op("DequantizeLinear", n.op("QuantizeLinear", x, scale, zero), scale, zero)


@given(seed=seeds)
def test_a_convolution_between_quantize_and_dequantize(net, same, seed):
    n = net(seed)
    x = qdq(n, n.input((3, 5, 5)), 0.02, 100)
    codes = n.constant(n.rng.integers(-128, 128, (4, 3, 3, 3)), np.int8)
    scale = n.constant(n.rng.uniform(0.001, 0.01, 4))
    zero = n.constant(np.zeros(4), np.int8)
    weight = n.op("DequantizeLinear", codes, scale, zero, axis=0)
    bias = n.op(
        "DequantizeLinear", n.constant(n.rng.integers(-99, 99, 4), np.int32), 0.0001, axis=0
    )
    y = n.op("Relu", n.op("Conv", x, weight, bias, pads=[1, 1, 1, 1]))
    same(n.model(qdq(n, y, 0.03, 0)), rounding=0.1)


def test_qlinear_operators(net, same):
    n = net(14)
    u8 = lambda v: n.constant(v, np.uint8)  # noqa: E731
    x = n.op("QuantizeLinear", n.input((2, 5, 5)), 0.02, u8(100))
    weight = n.constant(n.rng.integers(-128, 128, (3, 2, 3, 3)), np.int8)
    bias = n.constant(n.rng.integers(-500, 500, 3), np.int32)
    scales = n.constant([0.004, 0.002, 0.003])
    y = n.op(
        "QLinearConv", x, 0.02, u8(100), weight, scales, n.constant([0, 0, 0], np.int8),
        0.05, u8(120), bias, name="conv", pads=[1, 1, 1, 1],
    )  # fmt: skip
    y = n.op("Reshape", y, n.constant([1, 75], np.int64))
    weight = n.constant(n.rng.integers(0, 256, (75, 4)), np.uint8)
    y = n.op("QLinearMatMul", y, 0.05, u8(120), weight, 0.003, u8(128), 0.2, u8(9), name="fc")
    y = n.op("DequantizeLinear", y, 0.2, u8(9))
    graph = same(n.model(y), rounding=0.2)
    names = [node.name for node in graph.nodes]
    assert [name for name in names if name.startswith(("conv", "fc"))] == [
        "conv", "conv.quant", "fc", "fc.quant",
    ]  # fmt: skip


def test_integer_operators(net, same):
    n = net(15)
    x = n.op("QuantizeLinear", n.input((2, 5, 5)), 0.02, n.constant(7, np.uint8))
    weight = n.constant(n.rng.integers(-9, 10, (3, 2, 3, 3)), np.int8)
    y = n.op("ConvInteger", x, weight, n.constant(7, np.uint8))
    y = n.op("Mul", n.op("Cast", y, to=TensorProto.FLOAT), 0.001)
    same(n.model(n.quant(y, 5, 0.01)), rounding=0.1)


def refused(n, y, match):
    with pytest.raises(CompileError, match=match) as error:
        frontend.import_qonnx(n.model(y))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf])
def test_scales_that_are_not_positive_are_refused(net, scale):
    n = net()
    refused(n, n.quant(n.acc(), 4, scale, name="bad"), 'Node "bad" .*(positive|finite)')


@pytest.mark.parametrize("bits", [0, 33, 2.5, [2, 3]])
def test_bit_widths_that_are_none_are_refused(net, bits):
    n = net()
    y = n.op("Quant", n.acc(), 0.5, 0.0, bits, signed=1, narrow=0, name="bad")
    refused(n, y, 'Node "bad"')


def test_an_input_quantized_in_two_ways_is_refused(net):
    n = net()
    x = n.input((2,))
    y = n.op("Add", n.quant(x, 4, 0.5), n.quant(x, 4, 0.25))
    refused(n, y, "quantized in one way")


def test_the_host_quantizes_the_input_by_the_graphs_own_rule(net, same):
    n = net(16)
    x = n.op("Sub", n.op("Mul", n.input((3, 4, 4)), [[[[2.0]], [[0.3]], [[-1]]]]), 1.0)
    y = n.op("Conv", n.quant(x, 3, 0.7, 1.0, mode="CEIL"), n.weight((2, 3, 1, 1)))
    graph = same(n.model(y), frames=9)
    assert len(graph.input.steps) == 3
    assert graph.nodes[0].name.startswith("n") and isinstance(graph.nodes[0].op, ops.Linear)


def test_ties_at_the_input_are_rounded_as_the_graph_says(net, same):
    for mode in MODES:
        n = net(17)
        x = np.arange(-20, 20).reshape(-1, 1).astype(np.float32) / 8
        weight = n.quant(n.constant([[1.0]]), 2, 1.0)
        y = n.op("MatMul", n.quant(n.input((1,)), 4, 0.25, mode=mode), weight)
        same(n.model(y), x, dyadic=True)


@pytest.mark.parametrize(
    ("kind", "lo", "hi"), [(TensorProto.UINT8, 0, 255), (TensorProto.INT8, -128, 127)]
)
def test_an_integer_image_is_its_own_code(net, kind, lo, hi):
    n = net(18)
    x = n.op("Cast", n.input((3, 4, 4), kind=kind), to=TensorProto.FLOAT)
    y = n.op("Conv", x, n.weight((2, 3, 3, 3)), pads=[1, 1, 1, 1])
    graph = frontend.import_qonnx(n.model(y))
    assert (graph.input.range.lo, graph.input.range.hi, graph.input.scale) == (lo, hi, 1.0)
