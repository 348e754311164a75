"""The plan says of each layer what it takes, and what keeps it from being faster."""

import json

import pytest

from sqwire.compiler import frontend, passes
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import cost
from sqwire.compiler.folding import Fold
from sqwire.compiler.plan import plan
from sqwire.hw.queue import Queue

FOLDS = {"conv2": Fold(1, 1), "conv3": Fold(8, 8, lanes_in=1, lanes_out=1), "fc": Fold(1, 1)}


@pytest.fixture
def graph(residual_model):
    return passes.optimize(frontend.import_qonnx(residual_model(0, size=8, channels=8)))


@pytest.fixture
def planned(graph):
    return plan(graph, Target(folds=FOLDS))


def layer(planned, name):
    return next(layer for layer in planned.layers if layer.name == name)


def test_a_folded_layer_is_limited_by_its_products(graph, planned):
    conv = layer(planned, "conv2.act")
    assert conv.limit == "products"
    assert conv.least_cycles == conv.cycles >= conv.nonzeros * graph.tensors["conv2"].positions


def test_a_layer_of_wires_is_limited_by_its_positions_or_by_the_digits_of_sums(graph, planned):
    sums = graph.tensors["conv1"]
    conv = layer(plan(graph), "conv1")
    assert (conv.engine, conv.limit) == ("spatial", "positions")
    assert conv.least_cycles == sums.positions
    conv = layer(planned, "conv1")
    assert (conv.engine, conv.limit) == ("serial", "digits")
    assert conv.least_cycles == sums.positions * (-(-sums.range.bits // conv.digit_bits) + 1)


def test_a_layer_with_few_products_is_limited_by_what_it_takes_or_gives(graph):
    # Each position is 8 beats in, and fewer products a lane.
    conv = layer(plan(graph, Target(folds=FOLDS | {"conv2": Fold(64, 8, parts=8)})), "conv2.act")
    assert conv.limit in ("inputs", "outputs")
    assert conv.least_cycles >= conv.beats_in


def test_slowed_layers_say_how_fast_they_could_be(graph):
    slow = {name: Fold(**{**vars(fold), "pace_cycles": 400}) for name, fold in FOLDS.items()}
    quick = plan(graph, Target(folds=FOLDS))
    paced = plan(graph, Target(folds=slow))
    assert layer(paced, "conv3.act").cycles > layer(quick, "conv3.act").cycles
    assert layer(paced, "conv3.act").least_cycles == layer(quick, "conv3.act").least_cycles


def test_memories_are_those_of_the_stages(planned):
    stages = {stage.name: stage.spec for stage in planned.network.stages}
    for own in planned.layers:
        stores = [s for name in own.stages for s in getattr(stages[name], "stores", ())]
        assert own.memory_bits == sum(store.bits for store in stores)
        assert own.brams == sum(store.blocks for store in stores)


def test_queues_are_listed_with_what_they_take(planned):
    stages = {stage.name: stage.spec for stage in planned.network.stages}
    queues = {name: spec for name, spec in stages.items() if isinstance(spec, Queue)}
    assert queues
    assert {memory.name for memory in planned.memories} == set(queues)
    for memory in planned.memories:
        spec = queues[memory.name]
        assert (memory.depth, memory.bits) == (spec.depth, spec.beat.bits)
        assert (memory.luts, memory.brams) == (round(cost([spec]).luts), cost([spec]).brams)
        assert memory.name in layer(planned, memory.node).stages


def test_the_plan_that_is_written_has_all_of_it(planned):
    document = json.loads(planned.to_json())
    for own in document["layers"]:
        assert {"engine", "lanes", "banks", "cycles", "utilisation", "memory_bits"} <= set(own)
        assert {"luts", "ffs", "dsps", "brams", "limit", "least_cycles"} <= set(own)
    assert [queue["name"] for queue in document["queues"]] == [m.name for m in planned.memories]
