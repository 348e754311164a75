import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sqwire.hw.pace import not_before
from sqwire.hw.ranges import Range
from sqwire.hw.window import Window
from sqwire.sim.check import check_operator

U4 = Range.unsigned(4)


def reference(spec, x):
    """The definition, one element at a time."""
    out = np.zeros((len(x), spec.out_height, spec.out_width, *spec.kernel, spec.channels), int)
    x = x.reshape(len(x), spec.height, spec.width, spec.channels)
    for r, c, i, j in np.ndindex(*out.shape[1:5]):
        row = r * spec.stride[0] - spec.padding[0] + i * spec.dilation[0]
        column = c * spec.stride[1] - spec.padding[1] + j * spec.dilation[1]
        inside = 0 <= row < spec.height and 0 <= column < spec.width
        out[:, r, c, i, j] = x[:, row, column] if inside else spec.pad_code
    return out.reshape(len(x), spec.beats_out, -1)


def frames(spec, count=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, spec.beats_in, spec.channels)
    return rng.integers(spec.range.lo, spec.range.hi + 1, shape)


CASES = {
    "same padding": Window(5, 6, 2, U4, (3, 3), padding=(1, 1, 1, 1)),
    "no padding": Window(5, 6, 1, U4, (3, 3)),
    "stride 2": Window(6, 6, 1, U4, (3, 3), (2, 2), (1, 1, 1, 1)),
    "stride 2 on odd sizes": Window(5, 7, 1, U4, (3, 3), (2, 2), (1, 1, 1, 1)),
    "stride 3, unequal axes": Window(7, 9, 1, U4, (2, 3), (3, 2)),
    "asymmetric padding": Window(4, 5, 1, U4, (3, 2), padding=(0, 1, 2, 0)),
    "dilation": Window(7, 8, 1, U4, (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2)),
    "signed codes and a pad code": Window(
        4, 4, 1, Range(-8, 7), (3, 3), padding=(1, 1, 1, 1), pad_code=-8
    ),
    "pad code outside the range": Window(3, 3, 1, U4, (2, 2), padding=(1, 1, 0, 0), pad_code=-1),
    "one row": Window(1, 6, 1, U4, (3, 3), padding=(1, 1, 1, 1)),
    "one column": Window(6, 1, 1, U4, (3, 3), padding=(1, 1, 1, 1)),
    "one position": Window(1, 1, 3, U4, (3, 3), padding=(1, 1, 1, 1)),
    "1x1 with stride": Window(4, 5, 2, U4, (1, 1), (2, 2)),
    "kernel as large as the frame": Window(4, 4, 1, U4, (4, 4)),
    "input smaller than the kernel": Window(2, 2, 1, U4, (5, 5), padding=(2, 2, 2, 2)),
    "wide line kept in memory": Window(3, 20, 2, U4, (3, 3), padding=(1, 1, 1, 1)),
}


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec):
    x = frames(spec)
    assert np.array_equal(spec.compute(x), reference(spec, x))
    timing = check_operator(spec, x)
    assert (
        timing.first_out_cycle == spec.needs()[0] - 1 + spec.latency_cycles + spec.drain_cycles()[0]
    )


def test_one_beat_a_cycle_across_frames_with_padding():
    spec = Window(6, 6, 1, U4, (3, 3), padding=(1, 1, 1, 1))
    timing = check_operator(spec, frames(spec, 5))
    assert timing.last_out_cycle == 5 * 36 - 1 + spec.lookahead + spec.latency_cycles


def test_extreme_codes_survive():
    spec = Window(3, 3, 2, Range(-8, 7), (3, 3), padding=(1, 1, 1, 1))
    x = np.stack([np.full((9, 2), -8), np.full((9, 2), 7)])
    check_operator(spec, x)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_windows_equal_the_definition(data):
    def pair(low, high):
        return st.tuples(st.integers(low, high), st.integers(low, high))

    height, width = data.draw(pair(1, 6))
    kernel, stride, dilation = data.draw(pair(1, 3)), data.draw(pair(1, 3)), data.draw(pair(1, 2))
    padding = (*data.draw(pair(0, 2)), *data.draw(pair(0, 2)))
    try:
        spec = Window(height, width, 1, U4, kernel, stride, padding, dilation)
    except ValueError:
        assume(False)
    x = frames(spec, 2)
    assert np.array_equal(spec.compute(x), reference(spec, x))
    check_operator(spec, x)


def test_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="pad more or use a smaller kernel"):
        Window(2, 2, 1, U4, (3, 3))


def test_padding_beyond_the_kernel_is_refused():
    with pytest.raises(ValueError, match="pad less"):
        Window(4, 4, 1, U4, (1, 1), padding=(1, 1, 1, 1))


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"kernel": (0, 1)}, {"stride": (1, 0)}, {"padding": (-1, 0, 0, 0)}]
)
def test_sizes_that_make_no_sense_are_refused(change):
    fields = {"height": 4, "width": 4, "channels": 1, "range": U4, "kernel": (3, 3)} | change
    with pytest.raises(ValueError, match="must"):
        Window(**fields)


def taken_when_busy(spec, offered, busy):
    """When beats that wait in a queue from ``offered`` on are taken, before a sink that is busy for
    so many cycles with each output."""
    window, taken, left = spec.create(), [], []
    outputs = len(offered) // spec.beats_in * spec.beats_out

    async def bench(ctx):
        cycle = 0
        while len(left) < outputs:
            ctx.set(window.i.valid, len(taken) < len(offered) and offered[len(taken)] <= cycle)
            ctx.set(window.o.ready, not left or cycle >= left[-1] + busy)
            if ctx.get(window.i.valid) and ctx.get(window.i.ready):
                taken.append(cycle)
            if ctx.get(window.o.valid) and ctx.get(window.o.ready):
                left.append(cycle)
            await ctx.tick()
            cycle += 1

    sim = Simulator(window)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return np.array(taken)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_beats_are_taken_no_later_than_it_says_where_outputs_wait(data):
    spec = data.draw(st.sampled_from(list(CASES.values())))
    busy, gap, pause = (data.draw(st.integers(1, most)) for most in (9, 9, 120))
    beats = np.arange(2 * spec.beats_in)
    offered = (beats * gap + beats // spec.beats_in * pause).tolist()
    taken = taken_when_busy(spec, offered, busy)
    said = spec.takes(offered, lambda valid: not_before(valid, np.arange(len(valid)) * busy))
    assert (taken <= said[: len(taken)]).all()
    if gap > busy and pause > (spec.lookahead + 2) * busy:
        assert said.tolist() == offered
