"""The frozen network against integer arithmetic written a second time, and its limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from torch import nn

from sqwire import train
from sqwire.train.exact import Chain
from sqwire.train.ops import Conv, Staircase

TRACED = [
    "conv1", "conv1.act", "conv2", "conv2.act", "conv3", "conv3.act",
    "add1", "add1.act", "pool1", "fc",
]  # fmt: skip


@pytest.fixture
def qat(stir, digits):
    """The demo network with random weights and batch norms, in evaluation."""
    x = torch.tensor(digits.train.x[:64])
    net = stir(train.networks.demo((8, 16)))
    return train.prepare(net, train.SQuantizer(sigma=0.5), x, input_bits=5, input_scale=1.0).eval()


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
    (affine, *_) = op.chain.functions
    for channel, (gain, bias) in enumerate(zip(affine.gain, affine.bias, strict=True)):
        values, where = np.unique(acc[:, channel], return_inverse=True)
        codes = [round(Fraction(float(gain)) * int(v) + Fraction(float(bias))) for v in values]
        out[:, channel] = np.clip(codes, op.chain.low, op.chain.high)[
            where.reshape(acc[:, channel].shape)
        ]
    return out


def integers(qat, frozen, x):
    """The whole network again; weights and staircases are all it takes from the code."""
    weight = {n: w().codes.detach().numpy().astype(np.int64) for n, w in qat.weights()}
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


def test_every_code_of_every_layer_equals_independent_integers(qat, digits):
    frozen = qat.freeze()
    x = digits.test.x[:100]
    want, got = integers(qat, frozen, x), frozen.trace(x)
    assert list(got) == TRACED
    for name in TRACED:
        assert got[name].dtype == np.int64
        assert np.array_equal(got[name], want[name]), name
        assert len(np.unique(got[name])) > 3, name


def test_sum_is_only_clamped_since_it_keeps_the_step(qat):
    assert qat.freeze().nodes["add1.act"].op.plain


def test_logits_are_gain_and_bias_on_the_last_accumulators(qat, digits):
    frozen = qat.freeze()
    acc = frozen.trace(digits.test.x)["fc"][:, :, 0, 0].astype(np.float32)
    op = frozen.nodes["y"].op
    assert np.array_equal(frozen(digits.test.x), acc * op.gain + op.bias)


def test_bounds_hold_every_code_and_extreme_inputs_reach_them(qat, digits):
    frozen = qat.freeze()
    for name, codes in frozen.trace(digits.test.x).items():
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


def test_no_reachable_accumulator_is_near_a_tie(qat):
    frozen = qat.freeze()
    for node in frozen.nodes.values():
        if isinstance(node.op, Staircase) and not node.op.plain:
            before = frozen.nodes[node.inputs[0]].bounds
            for k, (low, high) in enumerate(zip(before.low, before.high, strict=True)):
                acc = np.arange(low, high + 1)[None]
                assert node.op.chain.channel(k).doubtful(acc)[0] == 0


def wide(features):
    """Input of 8 bits and one fully connected layer whose codes are all 7."""
    layer = nn.Linear(features, 2)
    layer.weight.data.fill_(1.0)
    x = torch.zeros(1, features, 1, 1)
    method = train.SQuantizer(sigma=-3.0)
    return train.prepare(
        nn.Sequential(nn.Flatten(), layer), method, x, input_bits=8, input_scale=1.0
    ).eval()


def test_accumulator_that_reaches_2_to_the_24_is_refused_with_layer_and_value():
    most = (2**24 - 1) // (7 * 255)
    frozen = wide(most).freeze()
    assert frozen.nodes["1"].bounds.high[0] == most * 7 * 255
    x = np.full((1, most, 1, 1), 255, dtype=np.float32)
    assert frozen.trace(x)["1"].reshape(-1).tolist() == [most * 7 * 255] * 2
    with pytest.raises(ValueError, match=rf'Layer "1": .*2\^24.* not {(most + 1) * 7 * 255}'):
        wide(most + 1).freeze()


def test_diverged_network_is_refused(qat):
    qat.layer("norm2").function.bias.data[3] = float("nan")
    with pytest.raises(ValueError, match='Layer "conv2.act": .*must be finite'):
        qat.freeze()


# the file


def test_every_reachable_accumulator_is_compared_with_exact_arithmetic(qat):
    frozen = qat.freeze()
    count = 0
    for node in frozen.nodes.values():
        if isinstance(node.op, Staircase):
            before = frozen.nodes[node.inputs[0]].bounds
            count += int((before.high - before.low + 1).sum())
    assert train.check(frozen) == count > 1000


def test_float64_that_computes_another_code_is_refused(qat, tmp_path):
    class Wrong(Chain):
        def channel(self, k):
            return Wrong(super().channel(k).functions, self.low, self.high)

        def double(self, value):
            return np.where(value == 3, 1e3, super().double(value))

    frozen = qat.freeze()
    node = frozen.nodes["conv2.act"]
    chain = Wrong(node.op.chain.functions, 0, 15)
    exact = Chain.__call__
    Wrong.__call__ = lambda self, acc: exact(Chain(self.functions, 0, 15), acc)
    broken = train.Frozen(
        {**frozen.nodes, "conv2.act": replace(node, op=replace(node.op, chain=chain))}
    )
    with pytest.raises(ValueError, match=r'Layer "conv2.act", channel \d+: .*accumulator 3, not'):
        broken.export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_same_network_gives_the_same_bytes(qat, tmp_path):
    qat.freeze().export(tmp_path / "a.onnx")
    qat.freeze().export(tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_nodes_are_those_of_the_dialect(qat):
    model = train.to_qonnx(qat.freeze())
    onnx.checker.check_model(model)
    kinds = [(node.name, node.op_type) for node in model.graph.node]
    assert kinds == [
        ("input", "Quant"),
        ("conv1.weight", "Quant"), ("conv1", "Conv"), ("conv1.mul", "Mul"), ("conv1.add", "Add"),
        ("conv1.relu", "Relu"), ("conv1.act", "Quant"),
        ("conv2.weight", "Quant"), ("conv2", "Conv"), ("conv2.mul", "Mul"), ("conv2.add", "Add"),
        ("conv2.relu", "Relu"), ("conv2.act", "Quant"),
        ("conv3.weight", "Quant"), ("conv3", "Conv"), ("conv3.mul", "Mul"), ("conv3.add", "Add"),
        ("conv3.act", "Quant"),
        ("add1", "Add"), ("add1.relu", "Relu"), ("add1.act", "Quant"),
        ("pool1", "MaxPool"),
        ("fc.flatten", "Flatten"), ("fc.weight", "Quant"), ("fc", "MatMul"),
        ("fc.mul", "Mul"), ("fc.add", "Add"),
    ]  # fmt: skip
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    assert {c.dtype for c in constants.values()} == {np.dtype(np.float32)}
    for name in ("conv1.weight", "fc.weight", "conv3.act", "add1.act"):
        assert constants[f"{name}_scale"] == 1
        assert constants[f"{name}_bits"] == 4
    assert constants["input_bits"] == 5


def test_qonnx_gives_the_same_accumulators_and_codes_in_every_layer(qat, digits):
    """In float32, with its own convolutions."""
    frozen, x = qat.freeze(), digits.test.x[:200]
    model = train.to_qonnx(frozen)
    outputs = {node.name: node.output[0] for node in model.graph.node}
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    wrapped = ModelWrapper(model).transform(InferShapes())
    tensors = execute_onnx(wrapped, {"x": x}, return_full_exec_context=True)
    for layer, codes in frozen.trace(x).items():
        assert np.array_equal(tensors[outputs[layer]].reshape(codes.shape), codes), layer
    assert np.array_equal(tensors["y"], frozen(x))


def test_kinds_of_nodes(qat):
    nodes = qat.freeze().nodes
    assert list(nodes) == ["input", *TRACED, "y"]
    assert isinstance(nodes["conv1"].op, Conv)
