"""Where a rate or a board asks for too much, what is said is true: tried out here."""

import dataclasses
import re

import pytest

from sqwire.compiler import frontend, passes
from sqwire.compiler.choose import Clock, Target
from sqwire.compiler.cost import Cost, cost
from sqwire.compiler.errors import CompileError
from sqwire.compiler.folding import Fold
from sqwire.compiler.plan import plan
from sqwire.hw.queue import Queue

PLENTY = Cost(1e9, 1e9, 10**6, 10**6)
CLOCK = 50e6
NAMES = {"LUTs": "luts", "flip-flops": "ffs", "DSPs": "dsps", "block RAMs": "brams"}


@pytest.fixture
def graph(residual_model):
    return passes.optimize(frontend.import_qonnx(residual_model(0, size=8, channels=8)))


def refusal(graph, interval, room, **known):
    with pytest.raises(CompileError) as error:
        plan(graph, Target(interval, room, **known))
    text = str(error.value)
    assert "\n" not in text
    return text


def cycles(frames):
    """What ``compile --fps`` asks for."""
    return int(CLOCK / frames)


def named(text):
    """The resource, how much of it is needed, how much there is, and the layer."""
    need, resource, have, layer = re.search(
        r"Plan: ([\d,]+) (.+?) are needed .* and ([\d,]+) may be used; .* layer \"(.+?)\"", text
    ).groups()
    return NAMES[resource], int(need.replace(",", "")), int(have.replace(",", "")), layer


def best(text):
    return float(re.search(r"\(([\d,.]+) frames/s at 50 MHz\)", text)[1].replace(",", ""))


def larger(text, room):
    """The room of a board that would do."""
    wanted = re.search(r"take a board where (.+) may be used", text)[1]
    found = {
        NAMES[k]: int(n.replace(",", ""))
        for n, k in re.findall(r"([\d,]+) ([^\d]+?)(?: and|$)", wanted)
    }
    assert found
    return dataclasses.replace(room, **found)


def total(planned):
    return cost(stage.spec for stage in planned.network.stages)


@pytest.mark.parametrize("resource", ["luts", "ffs"])
def test_a_rate_there_is_no_room_for_is_refused_with_what_is_true(graph, resource):
    # A little more than a slow circuit takes, and a rate of which most of it must be spatial.
    slow = total(plan(graph, Target(2000, PLENTY)))
    room, interval = (
        dataclasses.replace(PLENTY, **{resource: int(1.1 * getattr(slow, resource))}),
        150,
    )
    text = refusal(graph, interval, room, clock=Clock(CLOCK))
    name, need, have, layer = named(text)
    assert name == resource
    assert have == getattr(room, resource) < need
    assert layer in {node.name for node in graph.nodes}
    # The best rate is one, 2 % more is not, and the larger board would do.
    fitting = plan(graph, Target(cycles(best(text)), room))
    assert not total(fitting).over(room)
    refusal(graph, cycles(1.02 * best(text)), room)
    assert plan(graph, Target(interval, larger(text, room))).cycles_per_frame <= interval


def test_the_best_rate_is_that_of_the_whole_room_though_queues_take_some(graph):
    # As much as a plan takes, less a little: layers alone would fit, and with queues it does not.
    planned = plan(graph, Target(700, PLENTY))
    assert any(isinstance(stage.spec, Queue) for stage in planned.network.stages)
    room = dataclasses.replace(PLENTY, luts=int(total(planned).luts) - 100)
    text = refusal(graph, 150, room, clock=Clock(CLOCK))
    assert named(text)[2] == room.luts
    plan(graph, Target(cycles(best(text)), room))
    refusal(graph, cycles(1.02 * best(text)), room)


def test_what_fits_at_no_rate_is_refused_with_the_resource_and_what_would_do(graph):
    room = dataclasses.replace(PLENTY, luts=100)
    for interval in (None, 2000):
        text = refusal(graph, interval, room, clock=Clock(CLOCK))
        assert text.startswith("Plan: it fits at no rate: ")
        assert "and 100 may be used" in text
        assert plan(graph, Target(None, larger(text, room)))


def test_more_than_a_position_a_cycle_is_refused_with_the_layer(graph):
    text = refusal(graph, 63, PLENTY, clock=Clock(CLOCK))
    assert re.search(r'layer ".+" has 64 positions and takes one a cycle', text)
    assert best(text) == CLOCK / 64
    assert "lower --fps or raise --clock to 50.8" in text
    assert plan(graph, Target(64, PLENTY)).cycles_per_frame == 64


def test_no_clock_is_proposed_that_the_device_cannot_do(graph):
    text = refusal(graph, 63, PLENTY, clock=Clock(CLOCK, 50e6))
    assert "--clock" not in text


def test_without_room_given_a_rate_that_is_too_high_names_the_layer(graph):
    text = refusal(graph, 63, None)
    assert "has 64 positions" in text
    assert text.endswith("lower --fps or raise --clock")


def test_a_clock_too_fast_for_block_rams_is_refused_with_the_layer_that_has_most(graph):
    folds = {"conv2": Fold(1, 1, block_luts=0), "fc": Fold(1, 1)}
    planned = plan(graph, Target(folds=folds))
    brams = {layer.name: layer.brams for layer in planned.layers}
    most = max(brams, key=brams.get)
    with pytest.raises(CompileError) as error:
        plan(graph, Target(folds=folds, clock=Clock(200e6, 150e6)))
    text = str(error.value)
    assert "must be at most 150 MHz on this device, not 200" in text
    assert f'there are {sum(brams.values())}, {brams[most]} of them in layer "{most}"' in text
    cycles = planned.cycles_per_frame
    assert f"{cycles:,} cycles a frame ({150e6 // cycles:,.0f} frames/s at 150 MHz)" in text
    plan(graph, Target(folds=folds, clock=Clock(150e6, 150e6)))


def test_a_fast_clock_without_block_rams_is_none_of_the_plan_s_business(graph):
    assert not sum(layer.brams for layer in plan(graph).layers)
    plan(graph, Target(clock=Clock(200e6, 150e6)))
