"""Sums of two activations: the residual adds of a network, at whatever scales."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.compiler import frontend, ops
from sqwire.compiler.errors import CompileError
from sqwire.compiler.frontend import residual
from sqwire.hw.ranges import Range

seeds = st.integers(0, 999)


def adds(graph):
    return [node for node in graph.nodes if isinstance(node.op, ops.Add)]


def branches(n, scales, bits=(4, 4), shape=(3, 4, 4)):
    x = n.codes(shape)
    for scale, width in zip(scales, bits, strict=True):
        y = n.op("Conv", x, n.weight((4, shape[0], 1, 1)))
        yield n.quant(y, width, scale)


@given(seed=seeds, kind=st.sampled_from(["Add", "Sub", "Sum"]))
def test_equal_scales(net, same, seed, kind):
    n = net(seed)
    y = n.op(kind, *branches(n, (0.3, 0.3)), name="sum")
    graph = same(n.model(n.quant(n.op("Relu", y), 4, 0.17, signed=0)))
    assert adds(graph)[0].name == "sum"


@given(seed=seeds, ratio=st.sampled_from([2, 4, 0.75, 3, 1 / 8]))
def test_scales_in_a_ratio_of_small_integers(net, same, seed, ratio):
    n = net(seed)
    graph = same(n.model(n.op("Add", *branches(n, (0.25, 0.25 * ratio)))))
    assert max(adds(graph)[0].op.factors) <= 8


@given(seed=seeds, bits=st.tuples(st.integers(2, 5), st.integers(2, 8)), out=st.integers(2, 8))
def test_unrelated_scales_before_a_quantizer(net, same, seed, bits, out):
    n = net(seed)
    scales = n.rng.uniform(0.05, 0.7, 2)
    y = n.op("Add", *branches(n, scales, bits), name="sum")
    y = n.op("Add", n.op("Mul", y, n.rng.normal(0, 1, (1, 4, 1, 1))), 0.1)
    graph = same(n.model(n.quant(y, out, float(n.rng.uniform(0.02, 0.4)), name="q")))
    assert graph.nodes[-1].name == "q" and adds(graph)[0].name == "sum"


@given(seed=seeds)
def test_every_pair_of_codes_is_right(net, run_reference, seed):
    # One pixel, two inputs channels: all 16 * 16 pairs, against exact arithmetic.
    n = net(seed)
    scales = n.rng.uniform(0.05, 0.7, 2).astype(np.float32)
    x = n.codes((2, 1, 1), 4, 1.0)
    parts = n.op("Split", x, outputs=2, axis=1)
    y = n.op("Add", *(n.op("Mul", p, s) for p, s in zip(parts, scales, strict=True)))
    scale = np.float32(n.rng.uniform(0.05, 0.4))
    graph = frontend.import_qonnx(n.model(n.quant(y, 5, scale, signed=0)))
    pairs = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(-1, 1, 1, 2)
    s, t = (np.float64(v) for v in scales)
    want = np.clip(np.rint((pairs[..., 0] * s + pairs[..., 1] * t) / np.float64(scale)), 0, 31)
    assert np.array_equal(graph.run(pairs)[..., 0], want)


@given(seed=seeds)
def test_accumulators_with_a_batch_norm_beside_a_skip_connection(net, same, seed):
    n = net(seed)
    x = n.codes((4, 4, 4))
    y = n.op("Conv", x, n.weight((4, 4, 3, 3), zeros=0.8), pads=[1] * 4)
    parameters = [n.rng.uniform(0.2, 2, 4) * s for s in ([1, -1, 1, 1], [1] * 4, [1] * 4, [1] * 4)]
    y = n.op("BatchNormalization", y, *parameters)
    y = n.op("Relu", n.op("Add", y, x, name="sum"))
    same(n.model(n.quant(y, 4, 0.3, signed=0)))


def test_accumulators_beside_a_skip_connection_at_powers_of_two(net, same):
    n = net(3)
    x = n.codes((4, 4, 4))
    y = n.op("Conv", x, n.weight((4, 4, 3, 3)), pads=[1] * 4)
    graph = same(n.model(n.quant(n.op("Add", y, x), 4, 0.5)), dyadic=True)
    assert adds(graph)[0].op.factors == (1, 8)


def test_offsets_add_up(net, same):
    n = net(4)
    a, b = branches(n, (0.5, 0.25))
    y = n.op("Add", n.op("Add", a, 0.3), n.op("Sub", 1.7, b))
    same(n.model(n.quant(y, 5, 0.3)))


def test_a_sum_of_three(net, same):
    n = net(5)
    y = n.op("Sum", *branches(n, (0.5, 0.25, 0.5), (4, 4, 4)), name="sum")
    graph = same(n.model(n.quant(y, 5, 0.3)))
    assert [node.name for node in adds(graph)] == ["sum.1", "sum"]


def test_a_sum_that_moves_before_it_is_quantized(net, same):
    n = net(6)
    y = n.op("Flatten", n.op("Add", *branches(n, (0.31, 0.17))))
    same(n.model(n.op("MatMul", n.quant(y, 4, 0.3), n.weight((64, 3)))))


def test_a_sum_of_channels_last(net, same):
    n = net(7)
    left, right = (n.op("Transpose", y, perm=[0, 2, 3, 1]) for y in branches(n, (0.5, 0.5)))
    y = n.op("Transpose", n.op("Add", left, right), perm=[0, 3, 1, 2])
    same(n.model(n.quant(y, 4, 0.3)))


def test_unrelated_scales_that_nobody_quantizes_are_refused_with_both(net):
    n = net(8)
    y = n.op("Add", *branches(n, (0.3, 0.7)), name="sum")
    y = n.op("Conv", y, n.weight((2, 4, 1, 1)), name="conv")
    with pytest.raises(CompileError, match=r'"conv" .*"sum" .* 0\.3 and 0\.7'):
        frontend.import_qonnx(n.model(y))


def test_sums_of_different_shapes_are_refused(net):
    n = net(9)
    x = n.quant(n.acc((3, 4, 4)), 4, 0.3)
    y = n.op("Add", x, n.op("GlobalMaxPool", x), name="sum")
    with pytest.raises(CompileError, match='"sum" .*same shape'):
        frontend.import_qonnx(n.model(n.quant(y, 4, 0.3)))


def test_factors_are_candidates_of_rising_size():
    pairs = list(residual._ratios(residual.Fraction(3141, 1000)))
    sizes = [p + q for p, q in pairs]
    assert sizes == sorted(sizes) and (7, 22) in pairs and (1, 3) in pairs


def test_factors_that_do_not_tell_all_pairs_apart_do_not_fit():
    # code >= 1 begins at a = 2 for b = 0 and at a = 0 for b = 1: q / p must be within (1, 2].
    bounds, a, b = np.array([[2, 0]]), Range(0, 3), Range(0, 1)
    fits = [residual._fits(bounds, a, b, pair)[0] for pair in [(1, 0), (1, 1), (1, 2), (2, 1)]]
    assert fits == [False, False, True, False]
