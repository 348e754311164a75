import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from sqwire.hw.beat import Beat
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

BEAT = Beat(Range.signed(4), 2)
# The last three are on both sides of where its memory is a block RAM.
DEPTHS = [0, 1, 2, 3, 4, 5, 8, 17, 177, 178, 179]


def frames(beats, count=6, seed=0):
    x = np.random.default_rng(seed).integers(-8, 8, (count, beats, BEAT.lanes))
    x[0], x[1] = -8, 7
    return x


def accepted(component, cycles):
    """How many beats go in while nothing comes out."""
    m = Module()
    m.domains.sync = ClockDomain()  # a wire has none of its own
    m.submodules.dut = component
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    count = 0

    async def testbench(ctx):
        nonlocal count
        ctx.set(component.i.valid, 1)
        for _ in range(cycles):
            count += ctx.get(component.i.ready)
            await ctx.tick()

    simulator.add_testbench(testbench)
    simulator.run()
    return count


@pytest.mark.parametrize("depth", DEPTHS)
def test_beats_come_out_in_order_and_on_time(depth, on_time):
    spec = Queue(BEAT, depth, beats=20)
    x = frames(20)
    assert np.array_equal(spec.compute(x), x)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(120)), "one beat a cycle"


@pytest.mark.parametrize("depth", DEPTHS)
def test_closed_queue_takes_exactly_depth_beats(depth):
    assert accepted(Queue(BEAT, depth).create(), 2 * depth + 10) == depth


@pytest.mark.parametrize(
    ("depth", "latency_cycles"), [(0, 0), (1, 1), (2, 1), (3, 2), (64, 2), (300, 3)]
)
def test_latency_is_what_the_page_says(depth, latency_cycles):
    assert Queue(BEAT, depth).latency_cycles == latency_cycles


@pytest.mark.parametrize("depth", DEPTHS[1:])
def test_beats_flow_at_full_rate_while_one_place_is_free(depth):
    """A reader that starts late, and then takes a beat a cycle, leaves depth - 1 beats inside."""
    component = Queue(BEAT, depth).create()
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    inside = max(1, depth - 1)

    async def testbench(ctx):
        ctx.set(component.i.valid, 1)
        for _ in range(inside):
            assert ctx.get(component.i.ready)
            await ctx.tick()
        ctx.set(component.i.valid, 0)
        await ctx.tick().repeat(3)
        ctx.set(component.i.valid, 1)
        ctx.set(component.o.ready, 1)
        for _ in range(3 * depth):
            assert ctx.get(component.i.ready) and ctx.get(component.o.valid)
            await ctx.tick()

    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("depth", "beats"), [(-1, 1), (1, 0)])
def test_sizes_that_make_no_sense_are_refused(depth, beats):
    with pytest.raises(ValueError, match="must"):
        Queue(BEAT, depth, beats)
