"""Operators between folded layers work on the few channels a beat that come, in known cycles."""

import numpy as np
import pytest

from sqwire.compiler import narrow, ops
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import Cost
from sqwire.compiler.folding import Fold, units
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.compiler.narrow import Streams
from sqwire.compiler.plan import plan
from sqwire.hw.folded.costvolume import CostVolume as SerialCostVolume
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.subpixel import SubpixelArgMax as SerialSubpixelArgMax
from sqwire.hw.ranges import Range
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator

INPUT = "input:x"


class Net:
    """A graph in the making; each method adds a node and returns its name."""

    def __init__(self, height, width, channels=2, seed=0):
        self.rng = np.random.default_rng(seed)
        self.input = Input("x", (channels, height, width), 1.0, Range.unsigned(2))
        self.nodes, self.tensors, self.last = [], {INPUT: self.input.tensor}, INPUT

    def add(self, op, *inputs):
        inputs = inputs or (self.last,)
        self.last = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(self.last, op, inputs))
        self.tensors[self.last] = op.infer(*(self.tensors[name] for name in inputs))
        return self.last

    def linear(self, source=None, *, out=4, kernel=1, stride=1):
        source = self.last if source is None else source
        channels = self.tensors[source].channels
        weight = self.rng.integers(-1, 2, (out, kernel, kernel, channels))
        pads = (kernel // 2,) * 4
        return self.add(ops.Linear(weight, np.zeros(out, int), (stride, stride), pads), source)

    def act(self):
        """Another function for each channel."""
        steps = []
        for own in self.tensors[self.last].ranges:
            values = np.arange(own.lo, own.hi + 1)
            scaled = np.rint(values * self.rng.uniform(0.3, 1.2) + self.rng.uniform(-1, 2))
            steps.append(Steps.tabulate(own.lo, np.clip(scaled, 0, 3).astype(np.int64)))
        return self.add(ops.Staircase(tuple(steps)))

    def conv(self, source=None, **layer):
        self.linear(source, **layer)
        return self.act()

    def graph(self):
        tensor = self.tensors[self.last]
        ones = (1.0,) * tensor.channels
        shape = (tensor.channels, tensor.height, tensor.width)
        output = Output("y", self.last, shape, ones, (0.0,) * len(ones))
        return Graph((self.input,), tuple(self.nodes), (output,))


def pool(*layer, kernel=3):
    net = Net(4, 4)
    net.conv(kernel=kernel)
    net.add(ops.MaxPool(*layer))
    net.conv(out=2)
    return net


def max_pool_by_two():
    return pool((2, 2), (2, 2))


def max_pool_that_overlaps():
    return pool((3, 3), (2, 2), (1, 1, 1, 1))


def max_pool_of_every_position():
    return pool((2, 2), (1, 1), (0, 0, 1, 1))


def median():
    net = Net(4, 5)
    net.conv(kernel=3)
    net.add(ops.Median(2))
    net.conv(out=2)
    return net


def both_views():
    net = Net(3, 7)
    a = net.conv(kernel=3)
    left, right = net.conv(a, out=1), net.conv(a, out=1, kernel=3)
    net.add(ops.Consistency(2, 1), left, right)
    return net


def candidates():
    net = Net(4, 5)
    net.conv(kernel=3)
    net.linear(out=3)
    net.add(ops.Candidates(4, (1,), (1,)))
    return net


def disparities():
    net = Net(2, 7)
    a, b = net.conv(INPUT, out=4), net.conv(INPUT, out=4)
    net.add(ops.CostVolume(8), a, b)
    net.act()
    net.linear(out=8)
    net.add(ops.SubpixelArgMax(4))
    return net


def global_max_pool():
    return pool((4, 4), (1, 1))


def residual():
    net = Net(3, 3)
    a = net.conv()
    net.linear(net.conv(kernel=3))
    net.add(ops.Add(), net.last, a)
    net.act()
    net.add(ops.SumPool((3, 3)))
    net.act()
    net.linear(out=2)
    return net


def sum_pool_by_two():
    net = Net(3, 4)
    net.conv()
    net.add(ops.SumPool((2, 2)))
    net.act()
    net.conv(out=2)
    return net


def pads_and_crops():
    net = Net(3, 3)
    net.conv()
    net.add(ops.Pad((1, -1, 2, 1), 1))
    net.conv()
    net.add(ops.Pad((-1, 0, 0, 1)))
    net.conv(out=2)
    return net


def split():
    net = Net(2, 3)
    a = net.conv(out=6)
    left = net.conv(net.add(ops.Select((0, 1, 2)), a))
    net.add(ops.Add(), left, net.conv(net.add(ops.Select((2, 3, 4, 5)), a)))
    return net


def u_net():
    net = Net(4, 4)
    a = net.conv()
    up = net.add(ops.Resize((2, 2)), net.conv(net.conv(a, kernel=3, stride=2, out=2)))
    net.add(ops.Concat(), up, a)
    net.conv(out=2, kernel=3)
    return net


def concat_of_three():
    net = Net(2, 3)
    a = net.conv(out=6)
    b, c = net.conv(a, out=4), net.conv(a, out=2)
    net.add(ops.Concat(), c, a, net.conv(b, out=4))
    net.conv(out=2)
    return net


def concat_at_once():
    net = Net(3, 3)
    a = net.conv()
    net.add(ops.Concat(), a, net.conv(net.conv(a, kernel=3), kernel=3))
    return net


def transposed():
    net = Net(2, 3)
    net.conv()
    net.add(ops.Dilate((2, 2)))
    net.conv(out=6)
    net.add(ops.ArgMax())
    return net


def sub_pixels():
    net = Net(2, 3)
    net.conv(out=8)
    net.conv(net.add(ops.DepthToSpace(2, "CRD")), out=8)
    net.conv(net.add(ops.DepthToSpace(2)), out=2)
    return net


NETS = (
    sub_pixels,
    transposed,
    u_net,
    concat_of_three,
    concat_at_once,
    max_pool_by_two,
    max_pool_that_overlaps,
    max_pool_of_every_position,
    global_max_pool,
    residual,
    sum_pool_by_two,
    pads_and_crops,
    split,
)


def anything(seed):
    """Two operators at random, convolutions between them."""
    rng = np.random.default_rng(seed)
    net = Net(*rng.integers(2, 4, 2).tolist(), seed=seed)
    before = net.conv(out=4)
    for _ in range(2):
        here = net.tensors[net.last]
        ways = [ops.Pad((0, 1, 1, 0), 2), ops.Select(tuple(range(2, here.channels)))]
        if here.positions < 10:
            ways += [
                ops.Resize((2, 1)),
                ops.Resize((1, 2)),
                ops.Dilate((1, 2)),
                ops.DepthToSpace(2),
            ]
        if min(here.height, here.width) > 1:
            kernel = tuple(int(k) for k in rng.integers(1, 3, 2))
            ways += [ops.MaxPool(kernel, kernel), ops.MaxPool((2, 2), (1, 1), (1, 0, 0, 1))]
            ways += [ops.SumPool(kernel)]
        if net.tensors[before].shape[:2] == here.shape[:2] and before != net.last:
            net.add(ops.Concat(), *rng.permutation([before, net.last]).tolist())
        else:
            net.add(ways[rng.integers(len(ways))])
        if isinstance(net.nodes[-1].op, ops.SumPool):
            net.act()
        before = net.last
        net.conv(out=4, kernel=int(rng.choice([1, 3])))
    return net


def folded(graph, lanes):
    """A plan with all layers folded, whose streams have so many channels a beat."""
    folds = {}
    for unit in units(graph):
        own = [
            lanes if channels % lanes == 0 else 1
            for channels in (unit.tensor.channels, len(unit.op.weight))
        ]
        folds[unit.node.name] = Fold(lanes, lanes, lanes_in=own[0], lanes_out=own[1])
    return plan(graph, Target(folds=folds))


def frames(graph, count):
    tensor = graph.input.tensor
    shape = (count, *tensor.shape)
    x = np.random.default_rng(1).integers(tensor.range.lo, tensor.range.hi + 1, shape)
    x[0] = tensor.range.hi
    return x


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(
    "net", (*NETS, median, both_views, candidates, disparities), ids=lambda net: net.__name__
)
def test_network_equals_the_graph_and_its_cycles_the_plan(net, lanes):
    graph = net().graph()
    hold(graph, folded(graph, lanes))


@pytest.mark.parametrize(
    "net", (max_pool_by_two, residual, u_net, concat_of_three, split), ids=lambda net: net.__name__
)
def test_layers_that_have_time_add_a_few_bits_a_cycle(net, monkeypatch):
    """Only the last layer is folded, and slow. Layers this small are cheaper with whole adders."""
    monkeypatch.setattr(narrow, "_worth", cheap_digits)
    graph = net().graph()
    *_, unit = units(graph)
    cycles = 40 * max(tensor.positions for tensor in graph.tensors.values())
    fold = Fold(1, 1, pace_cycles=cycles // unit.positions)
    planned = plan(graph, Target(folds={unit.node.name: fold}))
    engines = [layer.engine for layer in planned.layers]
    assert "serial" in engines and "folded" in engines
    hold(graph, planned)


def test_no_layer_is_slower_than_the_rate_for_adding_a_few_bits_a_cycle(monkeypatch):
    """Rows that are repeated come without a gap, however slow the input."""
    monkeypatch.setattr(narrow, "_worth", cheap_digits)
    net = Net(3, 4, channels=4)
    net.conv(out=4)
    net.add(ops.Resize((8, 1)))
    net.conv(out=12, kernel=3)
    net.add(ops.SumPool((24, 4)))
    net.act()
    net.linear(out=100)
    graph = net.graph()
    *_, unit = units(graph)
    planned = plan(graph, Target(folds={unit.node.name: Fold(2, 2, pace_cycles=250)}))
    assert planned.cycles_per_frame <= 250 * 2
    assert [layer.engine for layer in planned.layers if layer.weights] == (
        ["serial", "spatial", "folded"]
    )
    hold(graph, planned)


def test_where_nothing_slows_the_network_its_adders_are_priced_as_they_are_built():
    net = Net(4, 4, channels=4)
    net.conv(out=8, kernel=3)
    net.conv(out=8, kernel=3)
    net.linear(out=4)
    planned = plan(net.graph(), Target(1000, Cost(1500, 1e9, 10**6, 10**6)))
    assert planned.cycles_per_frame <= 1000


def cheap_digits(chain, worth=narrow._worth):
    return -1 if any(isinstance(spec, SerialDot) for _, spec in chain) else worth(chain)


@pytest.mark.parametrize("seed", range(3))
def test_random_network_equals_the_graph_and_its_cycles_the_plan(seed):
    graph = anything(seed).graph()
    hold(graph, folded(graph, 1 + seed % 2))


def hold(graph, planned):
    x = frames(graph, 3)
    beats = planned.network.inputs[0].beats(x)
    y = planned.network.compute(beats)
    assert np.array_equal(y.reshape(3, -1), graph.run(x).reshape(3, -1))
    one, three = (
        check_operator(planned.network, beats[:count], timeout_cycles=9999) for count in (1, 3)
    )
    assert one.last_out_cycle + 1 == planned.latency_cycles
    assert three.last_out_cycle - one.last_out_cycle == 2 * planned.cycles_per_frame


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
@pytest.mark.parametrize("interval", [2000])
def test_choice_for_a_rate_is_planned_again_from_its_folds(net, interval):
    graph = net().graph()
    planned = plan(graph, Target(interval, Cost(1e9, 1e9, 10**6, 10**6)))
    assert planned.cycles_per_frame <= interval
    again = plan(graph, Target(folds=planned.folds, slots=planned.slots))
    assert again.to_json() == planned.to_json()
    x = frames(graph, 3)
    y = planned.network.compute(planned.network.inputs[0].beats(x))
    assert np.array_equal(y.reshape(3, -1), graph.run(x).reshape(3, -1))


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_no_beat_is_wider_than_those_of_folded_layers(net):
    planned = folded(net().graph(), 1)
    assert {beat.lanes for stage in planned.network.stages for beat in stage.spec.outputs} == {1}


def test_shifts_and_scores_follow_each_other_where_there_is_time():
    planned = folded(disparities().graph(), 1)
    made = {stage.name: type(stage.spec) for stage in planned.network.stages}
    assert SerialCostVolume in made.values() and SerialSubpixelArgMax in made.values()


def test_a_pool_that_cannot_keep_up_on_few_channels_takes_all():
    planned = folded(pool((3, 3), (1, 1), (1, 1, 1, 1), kernel=1).graph(), 1)
    operators = {type(stage.spec).__name__ for stage in planned.network.stages}
    assert {"Window", "MaxPool"} <= operators


def test_a_pool_over_the_whole_frame_keeps_one_result_a_channel():
    (spec,) = (
        stage.spec
        for stage in folded(global_max_pool().graph(), 1).network.stages
        if stage.name.endswith(".maxpool")
    )
    assert isinstance(spec, Reduce)


def test_a_pool_at_some_pace_is_made_once():
    # Costs are remembered by object: one that is made anew may lie where another one was.
    graph = pool((2, 2), (1, 1), (0, 0, 1, 1)).graph()
    streams, (node,) = Streams(graph), [n for n in graph.nodes if isinstance(n.op, ops.MaxPool)]
    assert streams.chain(node, 1, 2000) is streams.chain(node, 1, 2000)
