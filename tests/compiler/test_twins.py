"""Layers that do the same to several tensors are built once, and the network stays the same."""

from dataclasses import replace

import numpy as np
import pytest

from sqwire.compiler import codec, ops
from sqwire.compiler.choose import Target
from sqwire.compiler.folding import Fold, units
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.compiler.passes import optimize
from sqwire.compiler.plan import plan
from sqwire.compiler.twins import share_twins
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator

ACT = Steps(np.array([-3, 2, 9]), np.arange(4))


class Towers:
    """Pictures of 2 channels side by side in the input; each layer is put on all of them.

    Below the first layer lies one that strides, so that there is time for all of them in turn.
    """

    def __init__(self, count=2, height=10, width=12, stride=(2, 2)):
        self.input = Input("x", (2 * count, height, width), 1.0, Range.unsigned(2))
        self.nodes, self.tops, self.channels = [], [], 2
        for k in range(count):
            part = self.add(f"part{k}", ops.Select((2 * k, 2 * k + 1)), "input:x")
            weight = np.roll([[1, -1], [1, 1]], k, axis=1).reshape(2, 1, 1, 2)
            first = self.add(f"first{k}", ops.Linear(weight, np.zeros(2, int), stride), part)
            self.tops.append(self.act(first, 2))

    def add(self, name, op, *inputs):
        self.nodes.append(Node(name, op, inputs))
        return name

    def act(self, name, channels):
        return self.add(f"{name}.act", ops.Staircase((ACT,) * channels), name)

    def layer(self, name, out=3, kernel=(3, 3), stride=(1, 1), seeds=(0, 0, 0)):
        """The same on every tower, or not, where the seeds of its weights differ."""
        padding = (kernel[0] // 2, kernel[1] // 2) * 2
        shape = out, *kernel, self.channels
        for k, top in enumerate(self.tops):
            weight = np.random.default_rng(seeds[k]).integers(-2, 3, shape)
            linear = ops.Linear(weight, np.arange(out), stride, padding)
            self.tops[k] = self.act(self.add(f"{name}{k}", linear, top), out)
        self.channels = out
        return self

    def graph(self, *more):
        """All tops side by side; ``more`` nodes are outputs too."""
        last = self.add("all", ops.Concat(), *self.tops)
        tensors = {"input:x": self.input.tensor}
        for node in self.nodes:
            tensors[node.name] = node.op.infer(*(tensors[name] for name in node.inputs))
        outputs = []
        for name in (last, *more):
            height, width, channels = tensors[name].shape
            ones = (1.0,) * channels
            outputs.append(Output(name, name, (channels, height, width), ones, (0.0,) * channels))
        return Graph((self.input,), tuple(self.nodes), tuple(outputs))


def codes(graph, frames=2):
    tensor = graph.input.tensor
    x = np.random.default_rng(1).integers(0, 4, (frames, *tensor.shape))
    x[0] = tensor.range.hi
    return x


def linears(graph):
    return [node.name for node in graph.nodes if isinstance(node.op, ops.Linear)]


# How many Linears are left, those of the layer that strides among them.
SHARED = {
    "3x3": (Towers().layer("a").graph(), 3),
    "two layers": (Towers().layer("a").layer("b", out=2, kernel=(1, 3)).graph(), 4),
    "three towers": (Towers(3).layer("a", kernel=(1, 1), out=6).layer("b").graph(), 5),
    "rows that stride": (Towers().layer("a", stride=(2, 1)).graph(), 3),
    "odd sizes": (Towers(height=9, width=11).layer("a").graph(), 3),
    "columns that stride behind": (Towers().layer("a").layer("b", stride=(1, 2)).graph(), 5),
    "others behind": (Towers().layer("a").layer("b", seeds=(1, 2)).graph(), 5),
}


@pytest.mark.parametrize(("graph", "layers"), SHARED.values(), ids=SHARED.keys())
def test_layers_are_built_once_and_compute_the_same(graph, layers):
    shared = share_twins(graph)
    assert len(linears(shared)) == layers
    assert codec.from_json(codec.to_json(shared)) == shared
    x = codes(graph)
    assert np.array_equal(shared.run(x), graph.run(x))


KEPT = {
    "other weights": Towers().layer("a", seeds=(1, 2)).graph(),
    "no time for both": Towers(stride=(1, 1)).layer("a").graph(),
    "columns that stride": Towers().layer("a", stride=(1, 2)).graph(),
    "fewer weights than bits to switch": Towers().layer("a", out=1, kernel=(1, 1)).graph(),
}


@pytest.mark.parametrize("graph", KEPT.values(), ids=KEPT.keys())
def test_what_cannot_or_need_not_be_shared_stays(graph):
    assert share_twins(graph) is graph


def test_a_layer_that_is_seen_by_others_ends_what_is_shared():
    graph = Towers().layer("a").layer("b").graph("a1.act")
    shared = share_twins(graph)
    x = codes(graph)
    for one, other in zip(shared.run(x), graph.run(x), strict=True):
        assert np.array_equal(one, other)
    assert len(linears(shared)) == 4, "each in a group of its own"


def test_a_layer_that_is_used_twice_in_a_row_is_not_shared_with_itself():
    towers = Towers(1).layer("a", out=2)
    (first,), layer = towers.tops, towers.nodes[-2].op
    towers.tops = [first, towers.act(towers.add("again", layer, first), 2)]
    graph = towers.graph()
    assert share_twins(graph) is graph


@pytest.mark.parametrize("alike", [False, True])
def test_a_layer_that_is_used_twice_in_a_row_is_kept_twice(alike):
    towers = Towers(1)
    (first,) = towers.tops
    if alike:
        large = ops.Linear(np.array([20, -20, -20, 20]).reshape(2, 1, 1, 2), np.zeros(2, int))
        first = towers.act(towers.add("large", large, first), 2)
    weight = np.array([[[[1, -2]], [[2, 1]], [[1, 1]]], [[[-1, 2]], [[2, -1]], [[1, 2]]]])
    layer = ops.Linear(weight, np.zeros(2, int), (1, 1), (1, 0, 1, 0))
    for name in ("once", "twice"):
        first = towers.act(towers.add(name, layer, first), 2)
    towers.tops = [first]
    towers.tops.append(towers.add("part", ops.Select((0,)), first))
    graph = towers.graph()
    one, two = (graph.tensors[graph[name].inputs[0]] for name in ("once", "twice"))
    assert (one == two) == alike
    assert np.array_equal(share_twins(graph).run(codes(graph)), graph.run(codes(graph)))


def test_names_that_are_taken_are_left_alone():
    towers = Towers().layer("a")
    for k, name in enumerate(("a0.act.twin1", "a0.twins")):
        towers.tops[k] = towers.add(name, ops.Select((2, 1, 0)), towers.tops[k])
    graph = towers.graph()
    shared = share_twins(graph)
    assert len(linears(shared)) == 3
    assert np.array_equal(shared.run(codes(graph)), graph.run(codes(graph)))


@pytest.mark.parametrize("lanes", [None, 2])
@pytest.mark.parametrize("name", ["two layers", "odd sizes"])
def test_circuit_equals_the_graph_and_its_cycles_the_plan(name, lanes):
    graph = share_twins(SHARED[name][0])
    target = Target()
    if lanes is not None:
        folds = {}
        for unit in units(graph):
            own = [n if c % n == 0 else 1 for c in (unit.tensor.channels, len(unit.op.weight))
                   for n in (lanes,)]  # fmt: skip
            folds[unit.node.name] = Fold(lanes, lanes, lanes_in=own[0], lanes_out=own[1])
        target = Target(folds=folds)
    planned = plan(graph, target)
    x = codes(graph)
    beats = planned.network.inputs[0].beats(x)
    one, two = (
        check_operator(planned.network, beats[:count], timeout_cycles=9999) for count in (1, 2)
    )
    y = planned.network.compute(beats)
    assert np.array_equal(y.reshape(2, -1), graph.run(x).reshape(2, -1))
    assert one.last_out_cycle + 1 == planned.latency_cycles
    assert two.last_out_cycle - one.last_out_cycle == planned.cycles_per_frame


def test_columns_of_nothing_and_of_tensors_that_differ_are_refused():
    tensor = ops.Tensor(2, 5, (Range(0, 3),))
    with pytest.raises(ValueError, match=r"the width a multiple, not from 0 of 5"):
        ops.Every(0, 2).infer(tensor)
    with pytest.raises(ValueError, match=r"one of the first 5 on"):
        ops.Every(5, 5).infer(tensor)
    with pytest.raises(ValueError, match=r"one of the first 0 on"):
        ops.Every(0, 0).infer(tensor)
    with pytest.raises(ValueError, match="all shapes must be equal"):
        ops.Alternate().infer(tensor, replace(tensor, width=4))


def test_twins_of_which_other_channels_are_read_stay_twins():
    """Both keep what one of them needs."""
    towers = Towers(height=10, width=12).layer("a", 6).layer("b", 9)
    both = towers.add("both", ops.Concat(), *towers.tops)
    weight = np.random.default_rng(0).integers(1, 4, (3, 1, 1, 18))
    weight[..., [0, 1, 11, 17]] = 0
    heads = (ops.Linear(weight[:n], np.zeros(n, int)) for n in (1, 2))
    towers.tops = [
        towers.act(towers.add(f"last{n}", head, both), n) for n, head in enumerate(heads, 1)
    ]
    graph = towers.graph()
    made = optimize(graph)
    assert len(linears(graph)) == 8 and len(linears(made)) == 6
    assert len(made["b0"].op.weight) == 9
    assert np.array_equal(made.run(codes(graph)), graph.run(codes(graph)))
