import numpy as np
import pytest
from amaranth.sim import Simulator

from sqwire.hw.beat import Beat
from sqwire.hw.buffer import Buffer
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

BEAT = Beat(Range.signed(4), 2)


def test_beats_pass_at_full_rate(on_time):
    spec = Buffer(BEAT, beats=9)
    x = np.random.default_rng(0).integers(-8, 8, (10, 9, 2))
    x[0], x[1] = -8, 7
    assert np.array_equal(spec.compute(x), x)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(90))


def test_outputs_do_not_depend_on_inputs_within_the_cycle_and_two_beats_fit():
    buffer = Buffer(BEAT).create()
    simulator = Simulator(buffer)
    simulator.add_clock(1e-6)
    rng = np.random.default_rng(0)
    most = 0

    async def testbench(ctx):
        nonlocal most
        inside = 0
        for _ in range(200):
            seen = set()
            for valid, ready in ((0, 0), (0, 1), (1, 0), (1, 1), rng.integers(2, size=2)):
                ctx.set(buffer.i.valid, int(valid))
                ctx.set(buffer.i.payload.as_value(), int(rng.integers(256)))
                ctx.set(buffer.o.ready, int(ready))
                seen.add(
                    (
                        ctx.get(buffer.i.ready),
                        ctx.get(buffer.o.valid),
                        ctx.get(buffer.o.payload.as_value()),
                    )
                )
            assert len(seen) == 1
            inside += ctx.get(buffer.i.valid & buffer.i.ready)
            inside -= ctx.get(buffer.o.valid & buffer.o.ready)
            most = max(most, inside)
            await ctx.tick()

    simulator.add_testbench(testbench)
    simulator.run()
    assert most == 2


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        Buffer(BEAT, 0)
