import numpy as np
import pytest
from amaranth.sim import Simulator

from sqwire.hw.beat import Beat
from sqwire.hw.pace import Pace
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


@pytest.mark.parametrize("cycles", [5, 6, 8, 10, 14, 80, 83])
def test_beats_of_a_frame_are_spread_over_its_cycles(cycles):
    spec = Pace(Beat(Range(-3, 4), 2), cycles, 5)
    x = np.random.default_rng(0).integers(-3, 5, (3, 5, 2))
    timing = check_operator(spec, x)
    assert list(timing.out_cycles[0]) == spec.departures(np.zeros(15, np.int64)).tolist()
    assert list(timing.out_cycles[0]) == [k * cycles // 5 for k in range(15)]
    assert spec.interval_cycles == cycles


def test_a_beat_that_comes_late_does_not_wait():
    spec = Pace(Beat(Range(0, 1), 1), 12, 3)
    assert spec.departures(np.array([0, 1, 11])).tolist() == [0, 4, 11]
    assert spec.latest(np.array([9, 10, 11])).tolist() == [3, 7, 11]


@pytest.mark.parametrize(("held", "last"), [(0, 96), (10, 96), (50, 96), (200, 225)])
def test_time_in_which_the_sink_holds_a_beat_up_is_made_good(held, last):
    """Seventeen beats, one every six cycles; the second is held up, those behind it hurry until a
    frame (72 cycles) is made good."""
    circuit, cycles, leaves = Pace(Beat(Range(0, 1), 1), 12 * 6, 12).create(), 0, []

    async def bench(ctx):
        nonlocal cycles
        ctx.set(circuit.i.valid, 1)
        while len(leaves) < 17:
            ctx.set(circuit.o.ready, not 6 <= cycles < 6 + held)
            if ctx.get(circuit.o.valid & circuit.o.ready):
                leaves.append(cycles)
            await ctx.tick()
            cycles += 1

    simulator = Simulator(circuit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert leaves[-1] == last
    assert len(set(leaves)) == 17


@pytest.mark.parametrize(("cycles", "beats", "what"), [(4, 5, "cycles"), (1, 0, "beats")])
def test_what_makes_no_sense_is_refused(cycles, beats, what):
    with pytest.raises(ValueError, match=f"Pace: {what} must be at least"):
        Pace(Beat(Range(0, 1), 1), cycles, beats)
