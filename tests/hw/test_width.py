import numpy as np
import pytest
from amaranth.sim import Simulator

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.hw.width import Pack, Unpack
from sqwire.sim.check import check_operator

CASES = {
    "factor 1": (Beat(Range.unsigned(4), 2), 1, 3),
    "factor 2": (Beat(Range.unsigned(4), 2), 2, 6),
    "factor 3, signed": (Beat(Range.signed(3), 3), 3, 6),
    "whole frame": (Beat(Range(0, 9), 1), 5, 5),
    "factor 8, one lane of one bit": (Beat(Range.unsigned(1), 1), 8, 16),
}
cases = pytest.mark.parametrize(("beat", "factor", "beats"), CASES.values(), ids=CASES.keys())


def frames(shape, codes, count=4, seed=0):
    """The lowest codes, the highest, and random ones."""
    x = np.random.default_rng(seed).integers(codes.lo, codes.hi + 1, (count, *shape))
    x[0], x[1] = codes.lo, codes.hi
    return x


def side_by_side(x, factor):
    """The definition of Pack, one lane at a time."""
    count, beats, lanes = x.shape
    out = np.zeros((count, beats // factor, factor * lanes), int)
    for f, beat, lane in np.ndindex(x.shape):
        out[f, beat // factor, beat % factor * lanes + lane] = x[f, beat, lane]
    return out


@cases
def test_pack_puts_beats_side_by_side(beat, factor, beats, on_time):
    spec = Pack(beat, factor, beats)
    x = frames((beats, beat.lanes), beat.range)
    assert np.array_equal(spec.compute(x), side_by_side(x, factor))
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(4 * beats)), "one input beat a cycle"


@cases
def test_unpack_undoes_pack(beat, factor, beats, on_time):
    spec = Unpack(beat, factor, beats)
    x = frames((beats, beat.lanes), beat.range, seed=1)
    wide = side_by_side(x, factor)
    assert np.array_equal(spec.compute(wide), x)
    timing = check_operator(spec, wide)
    on_time(spec, timing)
    first = timing.first_out_cycle
    assert timing.out_cycles[0] == tuple(range(first, first + 4 * beats)), "one output a cycle"


def test_unpack_takes_the_next_beat_when_the_last_of_the_group_leaves():
    timing = check_operator(
        Unpack(Beat(Range.unsigned(2), 1), 4, 8), np.arange(16).reshape(2, 2, 4) % 4
    )
    assert timing.in_cycles == ((0, 4, 8, 12),)


def test_unpack_without_input_stays_ready():
    unpack = Unpack(Beat(Range.unsigned(2), 1), 3, 3).create()
    simulator = Simulator(unpack)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        ctx.set(unpack.o.ready, 1)
        for beat in range(2):
            for _ in range(5):
                assert ctx.get(unpack.i.ready), f"idle before beat {beat}"
                await ctx.tick()
            ctx.set(unpack.i.valid, 1)
            await ctx.tick()
            ctx.set(unpack.i.valid, 0)
            await ctx.tick().repeat(2)

    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("operator", [Pack, Unpack])
@pytest.mark.parametrize(("factor", "beats"), [(0, 4), (3, 4), (2, 0), (-2, 4)])
def test_factor_that_does_not_divide_the_frame_is_refused(operator, factor, beats):
    with pytest.raises(ValueError, match="factor|multiple"):
        operator(Beat(Range.unsigned(4), 1), factor, beats)
