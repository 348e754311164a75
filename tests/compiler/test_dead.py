"""Channels that matter to nobody go, and the network stays the same."""

import numpy as np
import pytest

from sqwire.compiler import ops
from sqwire.compiler.dead import remove_dead_channels
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.hw.ports import as_tuple
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

CODES = np.random.default_rng(0).integers(0, 4, (20, 4, 4, 2))


class Net:
    """A graph on a frame of 2 channels and 4x4 positions, node after node."""

    def __init__(self):
        self.input = Input("x", (2, 4, 4), 1.0, Range.unsigned(2))
        self.nodes, self.tensors = [], {"input:x": self.input.tensor}

    def add(self, op, *inputs):
        node = Node(f"n{len(self.nodes)}", op, inputs)
        self.nodes.append(node)
        self.tensors[node.name] = node.infer(*(self.tensors[name] for name in inputs))
        return node.name

    def layer(self, source, weight):
        """1x1 weights (out, in), and an activation that is 0 at 0."""
        weight = np.asarray(weight)[:, None, None]
        linear = self.add(ops.Linear(weight, np.zeros(len(weight), int)), source)
        steps = Steps(np.array([2, 9]), np.arange(3))
        return self.add(ops.Staircase((steps,) * len(weight)), linear)

    def graph(self, *names):
        outputs = []
        for name in names:
            height, width, channels = self.tensors[name].shape
            ones, zeros = (1.0,) * channels, (0.0,) * channels
            outputs.append(Output(name, name, (channels, height, width), ones, zeros))
        return Graph((self.input,), tuple(self.nodes), tuple(outputs))


def check(graph, channels):
    """The same values from tensors of so many ``channels``."""
    smaller = remove_dead_channels(graph)
    assert {name: smaller.tensors[name].channels for name in channels} == channels
    check_values(smaller, graph)


def check_values(smaller, graph):
    pair = (as_tuple(one.run(CODES)) for one in (smaller, graph))
    for got, want in zip(*pair, strict=True):
        assert np.array_equal(got, want)


BETWEEN = [
    ops.Resize((2, 2)), ops.MaxPool((3, 3), (1, 1), (1,) * 4), ops.SumPool((2, 2)),
    ops.Pad((1, 0, -1, 2), 0), ops.Dilate((2, 1)), ops.Bilinear(2), ops.Median(),
]  # fmt: skip


@pytest.mark.parametrize("op", BETWEEN, ids=lambda op: type(op).__name__)
def test_dead_channels_go_through_what_lies_between(op):
    net = Net()
    a = net.layer("input:x", [[1, 2], [2, -1], [3, 1], [1, 1], [2, 1]])
    between = net.add(op, a)
    last = net.layer(between, [[1, 0, 2, 0, 0], [3, 0, 1, 0, 0]])
    check(net.graph(last), {a: 2, between: 2, last: 2})


@pytest.mark.parametrize(
    ("channels", "read", "left"), [(16, 5, 8), (12, 5, 8), (12, 9, 12), (6, 3, 4), (7, 3, 3)]
)
def test_channels_that_could_be_taken_a_few_at_a_time_still_can(channels, read, left):
    """8 together, 4 or 2, as all are a multiple of it; between layers alone none of this holds."""
    net = Net()
    a = net.layer("input:x", [[1, 2]] * channels)
    between = net.add(ops.Resize((2, 2)), a)
    last = net.layer(between, [[1] * read + [0] * (channels - read)])
    check(net.graph(last), {a: left, between: left})
    net = Net()
    a = net.layer("input:x", [[1, 2]] * channels)
    last = net.layer(a, [[1] * read + [0] * (channels - read)])
    check(net.graph(last), {a: read})


def test_a_pad_that_is_not_zero_keeps_its_channel():
    net = Net()
    a = net.layer("input:x", [[1, 2], [0, 0]])
    between = net.add(ops.Pad((1,) * 4, 1), a)
    last = net.layer(between, [[1, 5]])
    check(net.graph(last), {a: 2, between: 2})


def test_dead_channels_go_through_concatenations():
    net = Net()
    a = net.layer("input:x", [[1, 2], [2, -1], [1, 1]])
    b = net.layer("input:x", [[3, 1], [1, 1], [2, 2]])
    up = net.add(ops.Resize((1, 1)), b)
    both = net.add(ops.Concat(), a, up)
    last = net.layer(both, [[0, 1, 0, 2, 0, 0], [0, 1, 0, 0, 0, 1]])
    check(net.graph(last), {a: 1, b: 2, up: 2, both: 3})


def test_a_part_of_which_nothing_is_read_keeps_one_channel():
    net = Net()
    a = net.layer("input:x", [[1, 2], [2, -1]])
    b = net.layer("input:x", [[3, 1], [1, 1], [2, 2]])
    both = net.add(ops.Concat(), a, b)
    last = net.layer(both, [[1, 1, 0, 0, 0]])
    check(net.graph(last), {a: 2, b: 1, both: 3})


def test_a_channel_of_a_sum_goes_where_no_part_of_it_is_needed():
    net = Net()
    a = net.layer("input:x", [[1, 2], [2, -1], [1, 1]])
    b = net.layer("input:x", [[0, 0], [1, 3], [2, 2]])
    both = net.add(ops.Add(), a, b)
    side = net.layer(a, [[0, 1, 0]])
    last = net.layer(both, [[1, 0, 0]])
    check(net.graph(last, side), {a: 2, b: 2, both: 2})  # b is 0 there, a is not; side reads a


def test_channels_die_through_several_layers():
    net = Net()
    a = net.layer("input:x", [[1, 2], [2, -1], [1, 1]])
    b = net.layer(a, [[1, 0, 1], [0, 1, 0]])
    c = net.layer(b, [[3, 0], [2, 0], [0, 1]])
    last = net.layer(c, [[1, 1, 0]])
    check(net.graph(last), {a: 2, b: 1, c: 2})


def test_outputs_and_what_works_across_channels_keep_theirs():
    net = Net()
    a = net.layer("input:x", [[1, 2], [0, 0], [1, 1]])
    best = net.add(ops.ArgMax(), a)
    check(net.graph(a, best), {a: 3, best: 1})
    selected = net.add(ops.Select((2, 0)), a)
    check(net.graph(best, selected), {a: 3, selected: 2})


@pytest.mark.parametrize("seed", range(25))
def test_any_sparse_network_gives_what_it_gave(seed):
    rng = np.random.default_rng(seed)
    net = Net()
    names = [net.layer("input:x", rng.integers(-3, 4, (4, 2)))]
    for _ in range(10):
        source = rng.choice(names[-3:])
        channels = net.tensors[source].channels
        alike = [n for n in names if net.tensors[n].shape == net.tensors[source].shape]
        match rng.integers(5):
            case 0:
                names.append(net.add(ops.Add(), source, rng.choice(alike)))
            case 1:
                names.append(net.add(ops.Concat(), source, rng.choice(alike)))
            case 2:
                names.append(net.add(ops.MaxPool((2, 2), (1, 1), (1, 0, 0, 1)), source))
            case _:
                weight = rng.integers(-3, 4, (6, channels)) * (rng.random((6, channels)) < 0.2)
                names.append(net.layer(source, weight))
    read = {name for node in net.nodes for name in node.inputs}
    ends = [node.name for node in net.nodes if node.name not in read]
    tops = [net.layer(name, np.eye(2, net.tensors[name].channels, dtype=int)) for name in ends]
    graph = net.graph(*tops)
    smaller = remove_dead_channels(graph)
    check_values(smaller, graph)
    count = [sum(t.channels for t in g.tensors.values()) for g in (graph, smaller)]
    assert count[1] < count[0]
    assert remove_dead_channels(smaller) == smaller
