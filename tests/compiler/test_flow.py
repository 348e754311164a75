"""Networks in which streams part, meet, grow and shrink: no deadlock, every cycle known."""

import numpy as np
import pytest

from sqwire.compiler import ops
from sqwire.compiler.choose import Target
from sqwire.compiler.folding import Fold
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.compiler.plan import plan
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator, check_stream

INPUT = "input:x"


class Net:
    """A graph in the making; each method adds a node and returns its name."""

    def __init__(self, height, width, channels=2):
        self.rng = np.random.default_rng(0)
        self.input = Input("x", (channels, height, width), 1.0, Range.unsigned(2))
        self.nodes, self.tensors, self.last = [], {INPUT: self.input.tensor}, INPUT

    def add(self, op, *inputs):
        inputs = inputs or (self.last,)
        self.last = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(self.last, op, inputs))
        self.tensors[self.last] = op.infer(*(self.tensors[name] for name in inputs))
        return self.last

    def conv(self, source=None, *, out=2, kernel=3, stride=1, pad=None):
        source = self.last if source is None else source
        channels = self.tensors[source].channels
        weight = self.rng.integers(-1, 2, (out, kernel, kernel, channels))
        pads = (kernel // 2 if pad is None else pad,) * 4
        self.add(ops.Linear(weight, np.zeros(out, int), (stride, stride), pads), source)
        steps = Steps(np.array([1, 3, 5]), np.arange(4))
        ranges = self.tensors[self.last].ranges
        return self.add(ops.Staircase(tuple(steps.within(r) for r in ranges)))

    def graph(self):
        tensor = self.tensors[self.last]
        ones = (1.0,) * tensor.channels
        shape = (tensor.channels, tensor.height, tensor.width)
        output = Output("y", self.last, shape, ones, (0.0,) * len(ones))
        return Graph((self.input,), tuple(self.nodes), (output,))


def dense():
    net = Net(6, 6)
    a = net.conv(INPUT)
    b = net.conv(net.add(ops.Concat(), INPUT, a))
    net.add(ops.Concat(), INPUT, a, b)
    return net


def three_branches():
    net = Net(6, 6)
    net.add(ops.Add((1, 2, -1)), net.conv(net.conv(INPUT)), INPUT, net.conv(INPUT))
    return net


def u_net():
    net = Net(8, 8)
    a = net.conv()
    b = net.conv(a, stride=2)
    c = net.conv(net.conv(b, stride=2))
    b = net.conv(net.add(ops.Concat(), net.add(ops.Resize((2, 2)), c), b))
    net.add(ops.Concat(), net.add(ops.Resize((2, 2)), b), a)
    return net


def transposed_skip():
    net = Net(8, 6)
    a = net.conv()
    net.add(ops.Dilate((2, 2)), net.conv(a, stride=2))
    net.add(ops.Pad((1, 1, 2, 2)))
    net.add(ops.Concat(), net.conv(pad=0), a)
    return net


def frames_smaller_than_what_the_branch_swallows():
    net = Net(2, 2)
    for _ in range(4):
        net.conv()
    net.add(ops.Concat(), INPUT, net.last)
    return net


def one_position():
    net = Net(1, 1)
    net.add(ops.Add(), INPUT, net.conv(net.conv()))
    return net


def pads_behind_gaps():
    net = Net(8, 6)
    net.conv(stride=2)
    net.add(ops.Pad((0, 3, 2, -1)))
    net.conv(out=4, stride=2)
    net.add(ops.DepthToSpace(2))
    net.add(ops.Resize((2, 3)))
    return net


def both_branches_grow():
    net = Net(5, 5)
    up = net.add(ops.Resize((2, 2)), net.conv(net.conv()))
    net.add(ops.Add(), up, net.add(ops.Resize((2, 2)), INPUT))
    return net


def up_and_down_again():
    net = Net(4, 4)
    net.add(ops.Add(), net.conv(net.add(ops.Resize((2, 2))), stride=2), INPUT)
    return net


def explicit_padding_in_a_branch():
    net = Net(6, 6)
    net.add(ops.Add(), net.conv(net.add(ops.Pad((1, 1, 1, 1))), pad=0), INPUT)
    return net


def split():
    net = Net(5, 5, 3)
    a = net.add(ops.Select((0,)), INPUT)
    net.add(ops.Concat(), net.conv(net.add(ops.Select((2, 1)), INPUT)), a)
    return net


def pyramid():
    net = Net(8, 8)
    a = net.conv()
    b = net.conv(a, stride=2)
    c = net.conv(net.conv(b, stride=2), kernel=1)
    b = net.add(ops.Add(), net.add(ops.Resize((2, 2)), c), net.conv(b, kernel=1))
    a = net.add(ops.Add(), net.add(ops.Resize((2, 2)), b), net.conv(a, kernel=1))
    net.add(ops.Concat(), net.conv(a, stride=4), net.conv(b, stride=2), c)
    return net


NETS = (
    dense,
    three_branches,
    u_net,
    transposed_skip,
    frames_smaller_than_what_the_branch_swallows,
    one_position,
    pads_behind_gaps,
    both_branches_grow,
    up_and_down_again,
    explicit_padding_in_a_branch,
    split,
    pyramid,
)


def frames(graph, count):
    tensor = graph.input.tensor
    shape = (count, tensor.positions, tensor.channels)
    return np.random.default_rng(1).integers(tensor.range.lo, tensor.range.hi + 1, shape)


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_latency_and_interval_are_known_to_the_cycle(net):
    graph = net().graph()
    planned = plan(graph)
    x = frames(graph, 4)
    shaped = x.reshape(4, *graph.input.tensor.shape)
    assert np.array_equal(planned.network.compute(x).reshape(-1), graph.run(shaped).reshape(-1))
    one, four = (check_operator(planned.network, x[:count]) for count in (1, 4))
    assert one.last_out_cycle + 1 == planned.latency_cycles
    assert four.last_out_cycle - one.last_out_cycle == 3 * planned.cycles_per_frame


def test_a_frame_that_another_one_follows_may_end_later_and_the_last_one_does_not():
    net = Net(3, 20)
    net.conv()
    net.conv()
    planned = plan(net.graph(), Target(folds={"linear0": Fold(2, 2)}))
    port = planned.network.inputs[0]
    x = np.random.default_rng(1).integers(0, 4, (3, port.frame, port.beat.lanes))
    one, three = (check_operator(planned.network, x[:count]) for count in (1, 3))
    first = np.asarray(three.out_cycles[0]).reshape(3, -1)[0, -1]
    assert first - three.in_cycles[0][0] >= planned.latency_cycles
    assert one.last_out_cycle + 1 == planned.latency_cycles
    assert three.last_out_cycle - one.last_out_cycle == 2 * planned.cycles_per_frame


def run_at(graph, join, depth):
    network = plan(graph, depths={(join.node, join.input): depth}).network
    x = frames(graph, 3)
    y = network.compute(x)
    flat = [[a.reshape(-1, a.shape[-1])] for a in (x, y)]
    check_stream(network.create(), *flat, timeout_cycles=300)


@pytest.mark.parametrize("net", [dense, u_net, pyramid], ids=lambda net: net.__name__)
def test_every_queue_works_at_exactly_its_tokens(net):
    graph = net().graph()
    for join in plan(graph).joins:
        run_at(graph, join, join.tokens)


@pytest.mark.parametrize("net", [dense, three_branches, split], ids=lambda net: net.__name__)
def test_a_copy_from_the_fork_deadlocks_at_one_less(net):
    graph = net().graph()
    direct = [
        join
        for join in plan(graph).joins
        if graph[join.node].inputs[join.input] in (INPUT, "select0") and join.tokens
    ]
    assert direct
    for join in direct:
        with pytest.raises(AssertionError, match="deadlock"):
            run_at(graph, join, join.tokens - 1)


def test_any_depth_from_the_tokens_on_works_where_frames_are_small():
    graph = frames_smaller_than_what_the_branch_swallows().graph()
    (join,) = plan(graph).joins
    for depth in range(join.tokens, join.depth, 8):
        run_at(graph, join, depth)


def test_no_queue_where_a_full_stream_grows():
    net = Net(6, 6)
    net.conv()
    net.add(ops.Resize((2, 2)))
    net.conv()
    names = [stage.name for stage in plan(net.graph()).network.stages]
    assert not any("queue" in name for name in names)
