import numpy as np
import pytest

from sqwire.compiler import frontend
from sqwire.compiler.plan import plan
from sqwire.sim.check import check_operator, check_stream


@pytest.fixture
def graph(residual_model):
    return frontend.import_qonnx(residual_model(1))


def frames(graph, count, seed=0):
    tensor = graph.input.tensor
    rng = np.random.default_rng(seed)
    return rng.integers(tensor.range.lo, tensor.range.hi + 1, (count, *tensor.shape))


def beats(codes):
    return codes.reshape(len(codes), -1, codes.shape[-1])


def test_network_computes_what_the_graph_computes(graph):
    codes = frames(graph, 7)
    network = plan(graph).network
    assert np.array_equal(network.compute(beats(codes)), beats(graph.run(codes)))


def test_network_equals_compute_under_all_stalls(graph):
    check_operator(plan(graph).network, beats(frames(graph, 3)))


def test_latency_of_a_frame_is_predicted_to_the_cycle(graph):
    planned = plan(graph)
    timing = check_operator(planned.network, beats(frames(graph, 1)))
    assert timing.last_out_cycle + 1 == planned.latency_cycles


def test_frames_follow_each_other_at_the_predicted_interval(graph):
    planned = plan(graph)
    one = check_operator(planned.network, beats(frames(graph, 1)))
    six = check_operator(planned.network, beats(frames(graph, 6)))
    assert six.last_out_cycle - one.last_out_cycle == 5 * planned.cycles_per_frame


def run_at(graph, join, depth):
    network = plan(graph, depths={(join.node, join.input): depth}).network
    x = beats(frames(graph, 3))
    outputs = network.compute(x)
    check_stream(
        network.create(), [x.reshape(-1, x.shape[-1])], [outputs.reshape(-1, outputs.shape[-1])]
    )


def test_residual_works_at_exactly_its_computed_depth(graph):
    (join,) = plan(graph).joins
    assert join.tokens > 0
    run_at(graph, join, join.tokens)


def test_residual_deadlocks_at_one_less(graph):
    (join,) = plan(graph).joins
    with pytest.raises(AssertionError, match="deadlock"):
        run_at(graph, join, join.tokens - 1)


def test_plan_is_reproducible(graph):
    assert plan(graph).to_json() == plan(graph).to_json()


def test_plan_names_what_every_layer_became(graph):
    planned = plan(graph)
    assert [layer.name for layer in planned.layers] == [node.name for node in graph.nodes]
    conv = next(layer for layer in planned.layers if layer.name == "conv2")
    weight = graph["conv2"].op.weight
    assert (conv.weights, conv.nonzeros) == (weight.size, np.count_nonzero(weight))
    assert conv.stages == ("conv2.window", "conv2.dot")


def block(net, number, channels, convolutions):
    """A residual block whose long branch has so many 3x3 convolutions."""
    identity = net.last
    for k in range(convolutions):
        net.conv(f"b{number}c{k}", channels, channels)
        net.act(f"b{number}c{k}", channels, relu=k + 1 < convolutions)
    net.last = net.node("Add", f"add{number}", [net.last, identity])
    net.act(f"add{number}", channels)


@pytest.mark.parametrize("size, blocks", [(2, [2]), (1, [1, 2]), (3, [1, 1, 1]), (4, [3])])
def test_rate_is_kept_where_the_long_branch_swallows_whole_frames(qonnx_builder, size, blocks):
    net = qonnx_builder(3, (2, size, size))
    net.conv("conv0", 2, 2)
    net.act("conv0", 2)
    for number, convolutions in enumerate(blocks):
        block(net, number, 2, convolutions)
    graph = frontend.import_qonnx(net.model((2, size, size)))
    planned = plan(graph)
    one = check_operator(planned.network, beats(frames(graph, 1)))
    many = check_operator(planned.network, beats(frames(graph, 20)))
    assert one.last_out_cycle + 1 == planned.latency_cycles
    assert many.last_out_cycle - one.last_out_cycle == 19 * planned.cycles_per_frame


def test_many_blocks_under_one_skip_are_planned_at_once(qonnx_builder):
    net = qonnx_builder(4, (1, 3, 3))
    net.conv("conv0", 1, 1)
    outer = net.act("conv0", 1)
    for number in range(40):
        block(net, number, 1, 1)
    net.last = net.node("Add", "outer", [net.last, outer])
    graph = frontend.import_qonnx(net.model((1, 3, 3)))
    joins = plan(graph).joins
    assert len(joins) == 41
    assert joins[-1].tokens > joins[0].tokens
