"""At the planned rate nothing waits inside a network but in queues, and those are just full."""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from sqwire.compiler import frontend, ops, passes
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import Cost
from sqwire.compiler.folding import Fold
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.compiler.plan import plan
from sqwire.hw import ports
from sqwire.hw.network import Source
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

FOLDS = {"conv1": Fold(4, 2), "conv2": Fold(2, 2), "conv3": Fold(4, 4), "fc": Fold(1, 1)}
SPLIT = {
    name: Fold(lanes, lanes, lanes, by_input=True)
    for name, lanes in {"conv1": 2, "conv2": 8, "conv3": 4, "fc": 1}.items()
}
PLENTY = Cost(1e9, 1e9, 10**6, 10**6)


@dataclasses.dataclass
class Seen:
    """What a run showed: the most beats in each queue, who waited, the cycles it took."""

    most: dict[str, int]
    waited: set[str]
    cycles: int


def run(planned, frames):
    """The stages of a plan, given frames evenly at its rate; who receives is always ready."""
    network, interval = planned.network, planned.cycles_per_frame
    m, streams, given = Module(), {}, {}
    for stage in network.stages:
        m.submodules[stage.instance] = part = stage.spec.create()
        for source, name in zip(stage.sources, ports.names("i", len(stage.sources)), strict=True):
            if source.stage is None:
                given[source] = getattr(part, name)
            else:
                connect(m, streams[source], getattr(part, name))
        for number, name in enumerate(ports.names("o", len(stage.spec.outputs))):
            streams[Source(stage.name, number)] = getattr(part, name)
    queues = [stage for stage in network.stages if isinstance(stage.spec, Queue)]
    inside = {s: o for s, o in streams.items() if s not in network.ends}
    before = {stage.name: streams[stage.sources[0]] for stage in queues}
    seen = Seen(dict.fromkeys(before, 0), set(), 0)
    held = dict.fromkeys(before, 0)

    async def bench(ctx):
        def moves(stream):
            return ctx.get(stream.valid) & ctx.get(stream.ready)

        for end in network.ends:
            ctx.set(streams[end].ready, 1)
        sent = dict.fromkeys(given, 0)
        missing = frames * sum(port.frame for port in network.outputs)
        while missing:
            for source, i in given.items():
                beats = network.inputs[source.port].frame
                due = sent[source] * interval // beats <= seen.cycles
                ctx.set(i.valid, sent[source] < frames * beats and due)
            for name, i in before.items():
                held[name] += moves(i) - moves(streams[Source(name)])
                seen.most[name] = max(seen.most[name], held[name])
            seen.waited |= {
                s.stage for s, o in inside.items() if ctx.get(o.valid) and not ctx.get(o.ready)
            }
            missing -= sum(moves(streams[end]) for end in network.ends)
            for source, i in given.items():
                sent[source] += moves(i)
            await ctx.tick()
            seen.cycles += 1
            assert seen.cycles < planned.latency_cycles + 2 * frames * interval

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return seen


class Net:
    """Convolutions of two channels with a staircase, and what joins them."""

    def __init__(self, size):
        self.rng = np.random.default_rng(0)
        self.input = Input("x", (2, size, size), 1.0, Range.unsigned(2))
        self.nodes, self.tensors = [], {"input:x": self.input.tensor}

    def add(self, op, *inputs):
        name = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs))
        self.tensors[name] = op.infer(*(self.tensors[source] for source in inputs))
        return name

    def conv(self, source, stride=1):
        weight = self.rng.integers(-1, 2, (2, 3, 3, self.tensors[source].channels))
        linear = ops.Linear(weight, np.zeros(2, int), (stride, stride), (1,) * 4)
        name = self.add(linear, source)
        steps = Steps(np.array([1, 3, 5]), np.arange(4))
        ranges = self.tensors[name].ranges
        return self.add(ops.Staircase(tuple(steps.within(r) for r in ranges)), name)

    def graph(self, last):
        tensor = self.tensors[last]
        count = tensor.channels
        shape = (count, tensor.height, tensor.width)
        output = Output("y", last, shape, (1.0,) * count, (0.0,) * count)
        return Graph((self.input,), tuple(self.nodes), (output,))


def dense(_):
    net = Net(6)
    a = net.conv("input:x")
    b = net.conv(net.add(ops.Concat(), "input:x", a))
    return plan(net.graph(net.add(ops.Concat(), "input:x", a, b)))


def ladder(_):
    net = Net(8)
    a = net.conv("input:x")
    b = net.conv(a, 2)
    c = net.conv(net.conv(b, 2))
    b = net.conv(net.add(ops.Concat(), net.add(ops.Resize((2, 2)), c), b))
    return plan(net.graph(net.add(ops.Concat(), net.add(ops.Resize((2, 2)), b), a)))


def residual(model, target):
    return plan(passes.optimize(frontend.import_qonnx(model(0, size=8, channels=8))), target)


def folded(model):
    return residual(model, Target(folds=FOLDS))


def split(model):
    return residual(model, Target(folds=SPLIT))


def chosen(model):
    return residual(model, Target(2000, PLENTY))


def serial(model):
    return residual(model, Target(folds={"conv1": FOLDS["conv1"]}))


def check_queues(planned, seen):
    tokens = {f"{join.node}.queue{join.input}": join.tokens for join in planned.joins}
    assert tokens
    for stage in planned.network.stages:
        if isinstance(stage.spec, Queue):
            # The last place keeps a queue moving that is otherwise full.
            if stage.spec.depth > tokens.get(stage.name, 0):
                assert seen.most[stage.name] == stage.spec.depth - 1, stage.name
            else:
                assert seen.most[stage.name] <= stage.spec.depth, stage.name


@pytest.mark.parametrize(
    "make", [dense, ladder, folded, split, chosen, serial], ids=lambda make: make.__name__
)
def test_at_the_planned_rate_nothing_waits_but_in_queues_and_these_are_just_full(
    make, residual_model
):
    planned, frames = make(residual_model), 3
    seen = run(planned, frames)
    # A window in front of narrow adders gives its last rows as fast as these take them.
    narrow = [f"{own.name}." for own in planned.layers if own.engine == "serial"]
    rest = seen.waited - set(seen.most)
    assert all(name.startswith((*narrow, "input.pace")) for name in rest)
    assert make in (chosen, serial) or not rest
    assert seen.cycles <= planned.latency_cycles + frames * planned.cycles_per_frame
    check_queues(planned, seen)


def test_a_spatial_layer_before_a_folded_one_waits_with_its_last_rows_and_costs_no_cycle(
    residual_model,
):
    planned, frames = residual(residual_model, Target(700, PLENTY)), 3
    assert "conv1" not in planned.folds and "conv2" in planned.folds
    seen = run(planned, frames)
    rest = seen.waited - set(seen.most)
    assert rest and all(name.startswith(("conv1.", "input.pace")) for name in rest)
    assert seen.cycles <= planned.latency_cycles + frames * planned.cycles_per_frame
    check_queues(planned, seen)
