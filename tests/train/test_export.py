"""The QONNX file: what it says, and what others compute from it."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model

from sqwire import train
from sqwire.train.frozen import Staircase


def test_every_reachable_accumulator_is_compared_with_exact_arithmetic(random_net):
    frozen = train.freeze(random_net)
    count = 0
    for node in frozen.nodes.values():
        if isinstance(node.op, Staircase):
            before = frozen.nodes[node.inputs[0]].bounds
            for channel, (low, high) in enumerate(zip(before.low, before.high, strict=True)):
                acc = np.arange(low, high + 1)
                frame = torch.zeros(len(acc), len(before.low), 1, 1)
                frame[:, channel, 0, 0] = torch.tensor(acc)
                codes = node.op(frame)[:, channel, 0, 0].numpy()
                assert np.array_equal(codes, node.op.steps[channel](acc))
                count += len(acc)
    assert train.check(frozen) == count > 1000


def test_torch_that_computes_another_code_is_refused(random_net, tmp_path):
    class Wrong(Staircase):
        def __call__(self, *inputs):
            codes = super().__call__(*inputs)
            return torch.where(inputs[0] == 3, 15 - codes, codes)

    frozen = train.freeze(random_net)
    node = frozen.nodes["conv2.act"]
    wrong = Wrong(node.op.steps, node.op.relu, node.op.bits)
    broken = train.Frozen({**frozen.nodes, "conv2.act": replace(node, op=wrong)})
    message = r'Layer "conv2.act", channel \d+: .* for accumulator 3, not'
    with pytest.raises(ValueError, match=message):
        train.export(broken, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_same_network_gives_the_same_bytes(random_net, tmp_path):
    train.export(train.freeze(random_net), tmp_path / "a.onnx")
    train.export(train.freeze(random_net), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_nodes_are_those_of_the_dialect(random_net):
    model = train.to_qonnx(train.freeze(random_net))
    onnx.checker.check_model(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert list(kinds.items()) == [
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


def in_qonnx(model, x):
    """All tensors of the model, as the qonnx interpreter computes them for all frames at once."""
    batch = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*batch.graph.input, *batch.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    wrapped = ModelWrapper(batch).transform(InferShapes())
    return execute_onnx(wrapped, {"x": x}, return_full_exec_context=True)


def test_qonnx_gives_the_same_accumulators_and_codes_in_every_layer(random_net, test_images):
    """In float32, with its own convolutions."""
    frozen = train.freeze(random_net)
    model = train.to_qonnx(frozen)
    tensors = in_qonnx(model, test_images.x)
    outputs = {node.name: node.output[0] for node in model.graph.node}
    for layer, codes in frozen.trace(test_images.x).items():
        assert np.array_equal(tensors[outputs[layer]].reshape(codes.shape), codes), layer
    assert np.array_equal(tensors["y"], frozen(test_images.x))


def test_qonnx_gives_the_same_logits_for_every_test_image(trained, test_images):
    tensors = in_qonnx(onnx.load(trained.model), test_images.x)
    assert np.array_equal(tensors["y"], trained.frozen(test_images.x))


def test_qonnx_takes_the_file_frame_by_frame_as_it_is(trained, test_images):
    wrapped = cleanup_model(ModelWrapper(onnx.load(trained.model)))
    name, y = wrapped.graph.input[0].name, wrapped.graph.output[0].name
    for frame in test_images.x[:5, None]:
        assert np.array_equal(execute_onnx(wrapped, {name: frame})[y], trained.frozen(frame))
