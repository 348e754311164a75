"""The frozen network against integer arithmetic written a second time, in numpy and fractions."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from sqwire import train
from sqwire.train.frozen import Conv, Logits, Staircase
from sqwire.train.layers import Add, Conv2d, Input, Linear
from sqwire.train.quantizer import ActQuantizer, Clip

TRACED = [
    "conv1", "conv1.act", "conv2", "conv2.act", "conv3", "conv3.act",
    "add1", "add1.act", "pool1", "fc",
]  # fmt: skip


def conv(x, weight, stride):
    """3x3 with padding 1 in int64, position by position."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    size = (x.shape[2] - 3) // stride + 1
    out = np.zeros((len(x), len(weight), size, size), dtype=np.int64)
    for i in range(size):
        for j in range(size):
            window = x[:, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
            out[:, :, i, j] = np.einsum("nchw,ochw->no", window, weight)
    return out


def staircase(acc, op):
    """Every distinct accumulator of every channel by fractions."""
    out = np.empty_like(acc)
    for channel, (gain, bias) in enumerate(zip(op.gain, op.bias, strict=True)):
        values, where = np.unique(acc[:, channel], return_inverse=True)
        codes = [round(Fraction(float(gain)) * int(v) + Fraction(float(bias))) for v in values]
        low, high = (0, 15) if op.relu else (-8, 7)
        out[:, channel] = np.clip(codes, low, high)[where.reshape(acc[:, channel].shape)]
    return out


def integers(network, frozen, x):
    """The whole network again; weights and staircases are all it takes from the code."""
    weight = {
        name: w.method.weights(w.weight.detach()).codes.numpy().astype(np.int64)
        for name, w in network.weights()
    }
    act = {name: frozen.nodes[name].op for name in TRACED if name.endswith(".act")}
    t = {}
    t["conv1"] = conv(x.astype(np.int64), weight["conv1"], 1)
    t["conv1.act"] = staircase(t["conv1"], act["conv1.act"])
    t["conv2"] = conv(t["conv1.act"], weight["conv2"], 2)
    t["conv2.act"] = staircase(t["conv2"], act["conv2.act"])
    t["conv3"] = conv(t["conv2.act"], weight["conv3"], 1)
    t["conv3.act"] = staircase(t["conv3"], act["conv3.act"])
    t["add1"] = t["conv3.act"] + t["conv2.act"]
    t["add1.act"] = np.clip(t["add1"], 0, 15)
    pooled = t["add1.act"].reshape(len(x), -1, 2, 2, 2, 2)
    t["pool1"] = pooled.max(axis=(3, 5))
    t["fc"] = (t["pool1"].reshape(len(x), -1) @ weight["fc"].T)[:, :, None, None]
    return t


def test_every_code_of_every_layer_equals_independent_integers(random_net, test_images):
    frozen = train.freeze(random_net)
    x = test_images.x[:100]
    want = integers(random_net, frozen, x)
    got = frozen.trace(x)
    assert list(got) == TRACED
    for name in TRACED:
        assert got[name].dtype == np.int64
        assert np.array_equal(got[name], want[name]), name
        assert len(np.unique(got[name])) > 5, name


def test_logits_are_gain_and_bias_on_the_last_accumulators(random_net, test_images):
    frozen = train.freeze(random_net)
    acc = frozen.trace(test_images.x)["fc"][:, :, 0, 0].astype(np.float32)
    logits = frozen.nodes["fc.y"].op
    y = frozen(test_images.x)
    assert y.dtype == np.float32
    assert np.array_equal(y, acc * logits.gain + logits.bias)


def test_frozen_answers_as_the_network_in_evaluation_does(random_net, test_images):
    with torch.no_grad():
        y = random_net(torch.tensor(test_images.x)).numpy()
    assert np.allclose(train.freeze(random_net)(test_images.x), y, rtol=1e-4, atol=1e-3)


def test_bounds_hold_every_code_and_extreme_inputs_reach_them(random_net, test_images):
    frozen = train.freeze(random_net)
    for name, codes in frozen.trace(test_images.x).items():
        bounds = frozen.nodes[name].bounds
        repeat = codes.shape[1] // len(bounds.low)
        low, high = (np.repeat(b, repeat)[:, None, None] for b in (bounds.low, bounds.high))
        assert (codes >= low).all() and (codes <= high).all(), name

    weight = frozen.nodes["conv1"].op.weight
    for sign, side in ((1, "high"), (-1, "low")):
        x = np.zeros((len(weight), 1, 8, 8), dtype=np.float32)
        x[:, :, 1:4, 1:4] = np.where(sign * weight > 0, 31, 0)
        acc = frozen.trace(x)["conv1"]
        reached = [acc[k, k, 2, 2] for k in range(len(weight))]
        assert reached == getattr(frozen.nodes["conv1"].bounds, side).tolist()


def test_batch_norm_and_scales_leave_the_weights_alone(random_net):
    frozen = train.freeze(random_net)
    for name, weights in random_net.weights():
        codes = weights.method.weights(weights.weight.detach()).codes.numpy()
        assert np.array_equal(frozen.nodes[name].op.weight, codes), name


def test_no_reachable_accumulator_is_near_a_tie(random_net):
    frozen = train.freeze(random_net)
    for node in frozen.nodes.values():
        if isinstance(node.op, Staircase):
            before = frozen.nodes[node.inputs[0]].bounds
            for step, low, high in zip(node.op.steps, before.low, before.high, strict=True):
                assert step.doubtful(np.arange(low, high + 1)) == 0


def test_residual_sum_is_only_clamped(random_net):
    assert train.freeze(random_net).nodes["add1.act"].op.plain


def wide(features, out=2):
    """Input of 8 bits and one fully connected layer whose codes are all 7."""
    method = train.SQuantizer(sigma=-3.0, delay=0)
    layer = Linear(features, out, method)
    layer.weights.weight.data.fill_(1.0)
    network = train.Network({"input": (Input((features, 1, 1), 8), ()), "fc": (layer, ("input",))})
    network.quantize(True)
    return network.eval()


def test_accumulator_that_reaches_2_to_the_24_is_refused_with_layer_and_value():
    most = (2**24 - 1) // (7 * 255)
    assert train.freeze(wide(most)).nodes["fc"].bounds.high[0] == most * 7 * 255
    with pytest.raises(ValueError, match=rf'Layer "fc": .*2\^24.* not {(most + 1) * 7 * 255}'):
        train.freeze(wide(most + 1))


def test_largest_allowed_accumulator_is_exact():
    most = (2**24 - 1) // (7 * 255)
    x = np.full((1, most, 1, 1), 255, dtype=np.float32)
    assert train.freeze(wide(most)).trace(x)["fc"].reshape(-1).tolist() == [most * 7 * 255] * 2


def test_addition_of_two_scales_is_refused():
    method = train.SQuantizer()
    layers = {"input": (Input((1, 4, 4), 4), ())}
    for name, level in (("a", 1.0), ("b", 2.0)):
        layers[name] = (Conv2d(1, 2, method, ActQuantizer(4, Clip(level))), ("input",))
    layers["add"] = (Add(ActQuantizer(4, Clip())), ("a", "b"))
    with pytest.raises(ValueError, match='Layer "add": its inputs must have one scale'):
        train.freeze(train.Network(layers))


def test_layer_of_another_kind_is_refused():
    network = train.Network(
        {"input": (Input((1, 4, 4), 4), ()), "odd": (torch.nn.Identity(), ("input",))}
    )
    with pytest.raises(ValueError, match='Layer "odd": .* not Identity'):
        train.freeze(network)


def test_diverged_network_is_refused(random_net):
    random_net.layers["conv2"].norm.bias.data[3] = float("nan")
    with pytest.raises(ValueError, match='Layer "conv2": .*must be finite'):
        train.freeze(random_net)


def test_layer_that_reads_a_later_one_is_refused():
    with pytest.raises(ValueError, match='Layer "a": its inputs must come before it, and "b"'):
        train.Network({"a": (torch.nn.Identity(), ("b",))})


def test_kinds_of_nodes(random_net):
    nodes = train.freeze(random_net).nodes
    assert list(nodes) == ["input", *TRACED, "fc.y"]
    assert isinstance(nodes["conv1"].op, Conv)
    assert isinstance(nodes["fc.y"].op, Logits)
