"""Networks with several inputs and several outputs, from the graph to the circuit."""

from dataclasses import replace

import numpy as np
import pytest

from sqwire.compiler import codec, ops
from sqwire.compiler.errors import CompileError
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.compiler.passes import optimize
from sqwire.compiler.plan import plan
from sqwire.hw.ports import as_tuple
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator, check_stream


class Net:
    """A graph in the making; inputs and nodes are their names."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.inputs, self.nodes, self.outputs, self.tensors = [], [], [], {}

    def input(self, height, width, channels=2, bits=2):
        name = f"x{len(self.inputs)}"
        self.inputs.append(Input(name, (channels, height, width), 1.0, Range.unsigned(bits)))
        source = self.inputs[-1]
        self.tensors[source.source] = source.tensor
        return source.source

    def add(self, op, *inputs):
        name = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs))
        self.tensors[name] = op.infer(*(self.tensors[i] for i in inputs))
        return name

    def conv(self, source, *, out=2, kernel=3, stride=1):
        channels = self.tensors[source].channels
        weight = self.rng.integers(-1, 2, (out, kernel, kernel, channels))
        pads = (kernel // 2,) * 4
        acc = self.add(ops.Linear(weight, np.zeros(out, int), (stride, stride), pads), source)
        steps = Steps(np.array([1, 3, 5]), np.arange(4))
        ranges = self.tensors[acc].ranges
        return self.add(ops.Staircase(tuple(steps.within(r) for r in ranges)), acc)

    def graph(self, *nodes):
        outputs = []
        for number, node in enumerate(nodes):
            tensor = self.tensors[node]
            ones = (1.0,) * tensor.channels
            shape = (tensor.channels, tensor.height, tensor.width)
            outputs.append(Output(f"y{number}", node, shape, ones, (0.0,) * len(ones)))
        return Graph(tuple(self.inputs), tuple(self.nodes), tuple(outputs))


def two_inputs_meet():
    net = Net()
    a, b = net.input(6, 6), net.input(6, 6)
    return net.graph(net.add(ops.Concat(), net.conv(a), b))


def inputs_of_different_sizes():
    net = Net()
    large, small = net.input(6, 6), net.input(3, 3)
    return net.graph(net.add(ops.Add(), net.conv(large, stride=2), small))


def one_position_for_a_whole_frame():
    net = Net()
    image, gain = net.input(6, 4), net.input(1, 1)
    spread = net.add(ops.Resize((6, 4)), gain)
    return net.graph(net.add(ops.Concat(), image, spread), gain)


def two_heads():
    net = Net()
    trunk = net.conv(net.input(6, 6))
    return net.graph(net.conv(trunk, stride=2), net.conv(net.conv(trunk, kernel=1)))


def an_output_that_also_feeds_on():
    net = Net()
    trunk = net.conv(net.input(5, 5))
    return net.graph(net.conv(trunk), trunk)


def the_same_node_twice():
    net = Net()
    last = net.conv(net.input(4, 4))
    return net.graph(last, last)


def an_input_passed_through():
    net = Net()
    a, b = net.input(4, 4), net.input(3, 2)
    return net.graph(b, net.conv(a), a)


def a_head_that_grows():
    net = Net()
    trunk = net.conv(net.input(4, 4))
    return net.graph(trunk, net.conv(net.add(ops.Resize((2, 2)), trunk)))


def crossed(swallow=1):
    """Each input goes directly to the join that the other one reaches through a convolution."""
    net = Net()
    a, b = net.input(5, 5), net.input(5, 5)
    slow_a, slow_b = a, b
    for _ in range(swallow):
        slow_a, slow_b = net.conv(slow_a), net.conv(slow_b)
    left, right = net.add(ops.Add(), a, slow_b), net.add(ops.Add(), slow_a, b)
    return net.graph(left, right)


def crossed_in_a_ring():
    """Three joins, each of one input directly and the next one late."""
    net = Net()
    inputs = [net.input(4, 4) for _ in range(3)]
    late = [net.conv(x) for x in inputs]
    return net.graph(*(net.add(ops.Concat(), inputs[k], late[k - 2]) for k in range(3)))


def crossed_and_of_different_sizes():
    net = Net()
    a, b = net.input(6, 6), net.input(3, 3)
    large = net.add(ops.Resize((2, 2)), b)
    left = net.add(ops.Concat(), a, net.conv(large))
    right = net.add(ops.Concat(), net.conv(a, stride=2), b)
    return net.graph(left, right, net.add(ops.MaxPool((2, 2), (2, 2)), a))


GRAPHS = (
    two_inputs_meet,
    inputs_of_different_sizes,
    one_position_for_a_whole_frame,
    two_heads,
    an_output_that_also_feeds_on,
    the_same_node_twice,
    an_input_passed_through,
    a_head_that_grows,
    crossed,
    crossed_in_a_ring,
    crossed_and_of_different_sizes,
)
every_graph = pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)


def frames(graph, count):
    rng = np.random.default_rng(1)
    tensors = [source.tensor for source in graph.inputs]
    return [rng.integers(t.range.lo, t.range.hi + 1, (count, *t.shape)) for t in tensors]


def beats(codes):
    return [x.reshape(len(x), -1, x.shape[-1]) for x in codes]


@every_graph
def test_latency_and_interval_are_known_to_the_cycle(make):
    graph = make()
    planned = plan(graph)
    codes = frames(graph, 4)
    for got, want in zip(
        as_tuple(planned.network.compute(*beats(codes))), as_tuple(graph.run(*codes)), strict=True
    ):
        assert np.array_equal(got.reshape(-1), want.reshape(-1))
    one, four = (check_operator(planned.network, *(x[:n] for x in beats(codes))) for n in (1, 4))
    assert one.last_out_cycle + 1 == planned.latency_cycles
    assert four.last_out_cycle - one.last_out_cycle == 3 * planned.cycles_per_frame


@every_graph
def test_json_round_trip_gives_the_same_graph(make):
    graph = make()
    again = codec.from_json(codec.to_json(graph))
    assert again == graph
    codes = frames(graph, 2)
    for got, want in zip(as_tuple(again.run(*codes)), as_tuple(graph.run(*codes)), strict=True):
        assert np.array_equal(got, want)


@every_graph
def test_passes_leave_every_output_unchanged(make):
    graph = make()
    codes = frames(graph, 3)
    results = zip(as_tuple(optimize(graph).run(*codes)), as_tuple(graph.run(*codes)), strict=True)
    for got, want in results:
        assert np.array_equal(got, want)


def run_at(graph, depths):
    network = plan(graph, depths=depths).network
    x = beats(frames(graph, 3))
    flat = [[a.reshape(-1, a.shape[-1]) for a in arrays]
            for arrays in (x, as_tuple(network.compute(*x)))]  # fmt: skip
    check_stream(network.create(), *flat, timeout_cycles=300)


@pytest.mark.parametrize(
    "make", [crossed, crossed_in_a_ring, crossed_and_of_different_sizes], ids=lambda f: f.__name__
)
def test_inputs_that_cross_work_with_queues_of_exactly_their_tokens(make):
    graph = make()
    joins = plan(graph).joins
    assert any(join.tokens and not join.fork for join in joins)
    run_at(graph, {(join.node, join.input): join.tokens for join in joins})


@pytest.mark.parametrize("swallow", [1, 2])
def test_inputs_that_cross_deadlock_at_one_less(swallow):
    graph = crossed(swallow)
    joins = [join for join in plan(graph).joins if join.tokens]
    assert len(joins) == 2
    less = {(join.node, join.input): join.tokens - 1 for join in joins}
    with pytest.raises(AssertionError, match="deadlock"):
        run_at(graph, less)


def test_inputs_that_only_meet_need_no_queue():
    for make in (two_inputs_meet, inputs_of_different_sizes):
        assert not any("queue" in stage.name for stage in plan(make()).network.stages)


def test_a_single_output_is_an_array_and_several_are_a_tuple():
    assert isinstance(two_inputs_meet().run(*frames(two_inputs_meet(), 2)), np.ndarray)
    graph = the_same_node_twice()
    first, second = graph.run(*frames(graph, 2))
    assert np.array_equal(first, second)


def test_a_trace_holds_the_nodes_and_no_inputs():
    graph = an_input_passed_through()
    assert list(graph.trace(*frames(graph, 1))) == [node.name for node in graph.nodes]


def test_channels_that_an_output_delivers_stay():
    graph = an_output_that_also_feeds_on()
    trunk, reader = graph.nodes[0].name, graph.nodes[2]
    weight = reader.op.weight.copy()
    weight[..., 0] = 0
    reader = replace(reader, op=replace(reader.op, weight=weight))
    graph = replace(graph, nodes=(*graph.nodes[:2], reader, *graph.nodes[3:]))
    assert optimize(graph)[trunk] == graph[trunk]


def test_the_only_input_of_two_does_not_exist():
    with pytest.raises(ValueError, match="must have one input for this, not 2"):
        _ = crossed().input
    with pytest.raises(ValueError, match="must have one output for this, not 2"):
        _ = crossed().output


def test_inputs_of_as_many_frames_are_asked_for():
    graph = crossed()
    a, b = frames(graph, 3)
    for wrong in ((), (a,), (a, b[:2]), (a, b, b)):
        with pytest.raises(ValueError, match="codes must be 2 arrays of as many frames"):
            graph.run(*wrong)


def test_names_and_use_are_verified():
    graph = crossed()
    first, second = graph.inputs
    with pytest.raises(CompileError, match='unique, not "input:x0" twice'):
        replace(graph, inputs=(first, first, second))
    with pytest.raises(CompileError, match="input:more unused"):
        replace(graph, inputs=(*graph.inputs, replace(first, name="more")))
    with pytest.raises(CompileError, match='Output "y0": it must be a node or an input, not "no"'):
        replace(graph, outputs=(replace(graph.outputs[0], node="no"),))
    with pytest.raises(CompileError, match="an output at least"):
        replace(graph, outputs=())


def test_plan_lists_the_ports_in_order():
    planned = plan(inputs_of_different_sizes())
    text = planned.to_json()
    assert planned.inputs == ("x0", "x1") and planned.outputs == ("y0",)
    for name in ('"s_axis0"', '"s_axis1"', '"m_axis"'):
        assert name in text
