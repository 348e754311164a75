from dataclasses import replace

import numpy as np
import pytest

from sqwire.compiler import codec, frontend, ops
from sqwire.compiler.dead import remove_dead_channels
from sqwire.compiler.errors import CompileError
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.compiler.passes import PASSES, find_sum_pools
from sqwire.hw.ranges import Range


@pytest.fixture
def graph(residual_model):
    return frontend.import_qonnx(residual_model(2))


def frames(graph, count=20, seed=0):
    tensor = graph.input.tensor
    rng = np.random.default_rng(seed)
    return rng.integers(tensor.range.lo, tensor.range.hi + 1, (count, *tensor.shape))


def test_json_round_trip_gives_the_same_graph(graph):
    text = codec.to_json(graph)
    again = codec.from_json(text)
    assert again == graph
    assert codec.to_json(again) == text


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"nodes": [{"name": "a"}]}', '{"nodes": 3}']
)
def test_text_that_is_no_graph_is_refused(text):
    with pytest.raises(CompileError, match="not a graph"):
        codec.from_json(text)


def test_run_in_chunks_equals_run_at_once(graph, monkeypatch):
    codes = frames(graph)
    whole = graph.run(codes)
    monkeypatch.setattr("sqwire.compiler.graph._CHUNK_CODES", 1)
    assert np.array_equal(graph.run(codes), whole)


def test_every_value_lies_in_the_range_the_graph_claims(graph):
    codes = np.concatenate(
        [frames(graph), np.zeros_like(frames(graph, 1)), frames(graph, 1) * 0 + 15]
    )
    for name, values in graph.trace(codes).items():
        for channel, claimed in enumerate(graph.tensors[name].ranges):
            seen = values[..., channel]
            assert claimed.lo <= seen.min() and seen.max() <= claimed.hi, name


def test_no_frames_give_no_frames(graph):
    assert graph.run(frames(graph, 0)).shape == (0, 1, 1, 5)


def test_codes_of_the_wrong_shape_or_range_are_refused(graph):
    with pytest.raises(ValueError, match="codes must be"):
        graph.run(np.zeros((1, 6, 6, 3), int))
    bad = frames(graph, 2)
    bad[1, 2, 3, 0] = 16
    with pytest.raises(ValueError, match=r"codes from 0 to 15, not 16 at \[1, 2, 3, 0\]"):
        graph.run(bad)


def test_quantize_rounds_half_to_even_and_saturates(graph):
    x = np.zeros((1, *graph.input.shape), np.float32)
    x[0, 0, 0, :4] = [0.125, 0.375, 99, -1]
    assert graph.input.quantize(x)[0, 0, :4, 0].tolist() == [0, 2, 15, 0]
    with pytest.raises(ValueError, match=r"between .* not 99.0 at \[0, 0, 0, 2\]"):
        graph.input.quantize(x, saturate=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(graph, value):
    x = np.zeros((1, *graph.input.shape), np.float32)
    x[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match=r"finite, not .* at \[0, 1, 2, 3\]"):
        graph.input.quantize(x)


def test_inputs_of_the_wrong_shape_or_type_are_refused(graph):
    with pytest.raises(ValueError, match="shape must be"):
        graph.input.quantize(np.zeros((2, 6, 6), np.float32))
    with pytest.raises(ValueError, match="numbers"):
        graph.input.quantize(np.array([["a"]]))


def test_names_inputs_and_use_are_verified(graph):
    first = graph.nodes[0]
    with pytest.raises(CompileError, match="unique"):
        replace(graph, nodes=(first, *graph.nodes))
    with pytest.raises(CompileError, match="must come before"):
        replace(graph, nodes=graph.nodes[1:])
    orphan = Node("orphan", first.op, first.inputs)
    with pytest.raises(CompileError, match="orphan unused"):
        replace(graph, nodes=(orphan, *graph.nodes))


def test_shapes_that_do_not_fit_name_the_node(graph):
    wrong = replace(graph.nodes[0], op=ops.Linear(np.ones((4, 3, 3, 7), int), np.zeros(4, int)))
    with pytest.raises(CompileError, match='Node "conv1": input channels must be 7, not 2'):
        replace(graph, nodes=(wrong, *graph.nodes[1:]))


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.__name__)
@pytest.mark.parametrize("seed", range(6))
def test_passes_leave_the_result_unchanged(residual_model, step, seed):
    graph = frontend.import_qonnx(residual_model(seed))
    codes = frames(graph)
    assert np.array_equal(step(graph).run(codes), graph.run(codes))


def without(graph: Graph, name, channel) -> Graph:
    """``graph`` with no weight on one input channel of a ``Linear``."""
    op = graph[name].op
    weight = op.weight.copy()
    weight[..., channel] = 0
    new = replace(graph[name], op=replace(op, weight=weight))
    return replace(graph, nodes=tuple(new if n.name == name else n for n in graph.nodes))


def test_a_channel_that_nobody_reads_is_removed(graph):
    alive = [c for c, r in enumerate(graph.tensors["conv1.act"].ranges) if r.hi > 0]
    pruned = without(graph, "conv2", alive[0])
    smaller = remove_dead_channels(pruned)
    assert smaller.tensors["conv1.act"].channels == len(alive) - 1
    assert np.array_equal(smaller.run(frames(graph)), pruned.run(frames(graph)))


def test_the_last_channel_stays(graph):
    pruned = graph
    for channel in range(4):
        pruned = without(pruned, "conv2", channel)
    assert remove_dead_channels(pruned).tensors["conv1.act"].channels == 1
    assert np.array_equal(
        remove_dead_channels(pruned).run(frames(graph)), pruned.run(frames(graph))
    )


def linear(weight, **layer):
    """``graph`` of one ``Linear`` on a frame of 4x4."""
    channels = weight.shape[3]
    input = Input("x", (channels, 4, 4), 1.0, Range.unsigned(2))
    op = ops.Linear(weight, np.zeros(len(weight), int), **layer)
    shape = op.infer(input.tensor)
    ones = (1.0,) * shape.channels
    output = Output("y", "l", (shape.channels, shape.height, shape.width), ones, (0.0,) * len(ones))
    return Graph((input,), (Node("l", op, ("input:x",)),), (output,))


KERNELS = [((2, 2), (2, 2)), ((4, 4), (1, 1)), ((3, 1), (2, 1))]


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_a_linear_that_adds_up_each_channel_is_a_sum_pool(kernel, stride):
    ones = np.broadcast_to(np.eye(3, dtype=int)[:, None, None], (3, *kernel, 3))
    graph = linear(ones, stride=stride)
    found = find_sum_pools(graph)
    assert found["l"].op == ops.SumPool(kernel)
    codes = frames(graph)
    assert np.array_equal(found.run(codes), graph.run(codes))


@pytest.mark.parametrize(
    ("factor", "layer"),
    [
        (2, {"stride": (2, 2)}),
        (1, {"stride": (1, 1)}),
        (1, {"stride": (2, 2), "padding": (1,) * 4}),
    ],
)
def test_any_other_linear_stays(factor, layer):
    weight = np.broadcast_to(factor * np.eye(3, dtype=int)[:, None, None], (3, 2, 2, 3))
    assert isinstance(find_sum_pools(linear(weight, **layer))["l"].op, ops.Linear)


def test_a_pool_of_which_a_window_sees_only_padding_is_refused():
    pool = ops.MaxPool((2, 2), (2, 2), (1,) * 4, (2, 2))
    assert pool.infer(ops.Tensor(2, 2, (Range(-5, 2),))).shape == (1, 1, 1)
    with pytest.raises(ValueError, match="each window must see a part of the height"):
        pool.infer(ops.Tensor(1, 1, (Range(-5, 2),)))


def test_reference_values_beside_the_grid_are_refused(graph):
    codes = graph.run(frames(graph, 3))
    last = graph.tensors[graph.nodes[-1].name]
    y = graph.output.dequantize(codes)
    assert np.array_equal(graph.output.codes(y, last), codes)
    y[1, 2] += 0.4 * graph.output.scale[2]
    with pytest.raises(ValueError, match="whole codes, not of code .* in frame 1, .* channel 2"):
        graph.output.codes(y, last)
    y[1, 2] = np.nan
    with pytest.raises(ValueError, match="not of code nan"):
        graph.output.codes(y, last)
