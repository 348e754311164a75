import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.compiler.schedule import schedule
from sqwire.hw.folded.engine import Folded
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator

KINDS = ("lut", "dsp", "digit")


def weights(outputs, inputs, kernel, density, seed=0):
    rng = np.random.default_rng(seed)
    shape = (outputs, *kernel, inputs)
    w = rng.integers(1, 8, shape) * rng.choice([-1, 1], shape)
    return np.where(rng.random(shape) < density, w, 0)


def split(w, lanes, height=3, width=4, codes=None, multiplier="lut", lanes_in=1, **layer):
    program = schedule(
        w, lanes, lanes, parts=lanes, lanes_in=lanes_in, by_input=True,
        in_digits=multiplier == "digit",
    )  # fmt: skip
    return Folded(
        height, width, codes or Range.unsigned(4), w, program, multiplier=multiplier, **layer
    )


def frames(spec, count=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, spec.beats_in, spec.inputs[0].lanes)
    x = rng.integers(spec.range.lo, spec.range.hi + 1, shape)
    x[0] = spec.range.hi
    return x


def holds(spec, x=None):
    """Right under all stalls, every beat when it is said to come, and at full rate."""
    x = frames(spec) if x is None else x
    timing = check_operator(spec, x)
    arrivals = np.zeros(len(x) * spec.beats_in, np.int64)
    assert list(timing.out_cycles[0]) == spec.departures(arrivals).tolist()
    return timing


def with_steps(spec, seed=0):
    rng, steps = np.random.default_rng(seed), []
    for own, bias in zip(spec.sum_ranges, spec.bias.tolist(), strict=True):
        acc = np.arange(own.lo, own.hi + 1) + bias
        scale = rng.uniform(0.5, 2) * 16 / own.size
        levels = np.clip(np.rint(acc * scale + rng.uniform(-2, 2)), 0, 15)
        steps.append(Steps.tabulate(own.lo + bias, levels.astype(np.int64)))
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    return Folded(**fields | {"steps": tuple(steps)})


@pytest.mark.parametrize("multiplier", KINDS)
@pytest.mark.parametrize("codes", [Range.unsigned(4), Range.signed(3), Range(0, 1)], ids=str)
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_convolution_equals_compute(multiplier, codes, lanes):
    w = weights(5, 6, (3, 3), 0.2)
    holds(split(w, lanes, codes=codes, multiplier=multiplier, padding=(1, 1, 1, 1)))


@pytest.mark.parametrize("lanes_in", [1, 2, 4])
def test_several_channels_come_in_a_beat(lanes_in):
    w = weights(6, 8, (2, 2), 0.4)
    holds(split(w, 4, lanes_in=lanes_in, padding=(1, 0, 0, 1), stride=(2, 1), height=5))


@pytest.mark.parametrize("multiplier", KINDS)
def test_layer_without_weights_gives_the_bias(multiplier):
    w = np.zeros((4, 3, 3, 4), np.int64)
    bias = np.array([5, -3, 0, 7])
    spec = split(w, 4, multiplier=multiplier, padding=(1, 1, 1, 1), bias=bias)
    assert (spec.compute(frames(spec)).reshape(-1, 4) == bias).all()
    holds(spec)


def test_lanes_without_a_part_of_an_output_let_it_pass():
    w = np.zeros((8, 1, 1, 4), np.int64)
    w[0, :, :, 0], w[3, :, :, 1], w[7, :, :, 1] = 3, -2, 5
    w[1:7, :, :, 2] = np.arange(1, 7)[:, None, None]
    w[6, :, :, 3], w[5, :, :, 3] = 4, 2
    w = np.repeat(w, 3, axis=1)
    spec = split(w, 4, 5, 3)
    assert not spec.program.shown.all()
    holds(spec)


@pytest.mark.parametrize(
    ("outputs", "inputs", "kernel", "density", "fewer"),
    [(24, 24, (3, 3), 0.04, 0), (24, 40, (3, 3), 0.12, 2), (40, 24, (1, 1), 0.6, 0)],
)
def test_places_are_stored_as_differences_around_a_circle(outputs, inputs, kernel, density, fewer):
    """No bit says where a row ends."""
    w, padding = weights(outputs, inputs, kernel, density), (kernel[0] // 2,) * 4
    spec = split(w, 2, 2, 3, padding=padding)
    program = spec.program
    assert program.place_bits == program.tap_bits + program.local_bits - fewer
    assert program.execute_bits(0) == 0
    holds(spec)


def test_first_and_last_place_of_all_may_be_far_apart():
    """A lane idles before the first product, and behind the last one, where a step is too long."""
    w = weights(24, 40, (3, 3), 0.12)
    w[0], w[23] = 0, 0
    w[0, 2, 2, 30:], w[23, 0, 0, :10] = 5, -3
    spec = split(w, 2, 2, 3, padding=(1, 1, 1, 1))
    program = spec.program
    assert program.place_bits == program.tap_bits + program.local_bits - 2
    assert (program.value[0] == 0).all() and (program.value[-1] == 0).all()
    holds(spec)


@pytest.mark.parametrize(("lanes", "inputs"), [(16, 16), (32, 52), (32, 80)])
def test_many_lanes_of_which_some_have_fewer_inputs(lanes, inputs):
    w = weights(7, inputs, (3, 3), 0.1)
    holds(with_steps(split(w, lanes, multiplier="dsp", padding=(1, 1, 1, 1))))


def test_codes_come_out_of_sums():
    w = weights(8, 8, (3, 3), 0.1)
    spec = with_steps(split(w, 4, padding=(1, 1, 1, 1), bias=np.arange(8) * 9 - 30))
    assert spec.outputs[0].range == Range(0, 15)
    holds(spec)


@pytest.mark.parametrize(
    ("shape", "density", "longest"),
    [((4, 24, (1, 1)), 0.1, 24), ((24, 4, (1, 1)), 0.1, 24), ((6, 4, (3, 3)), 0.9, None)],
    ids=["input", "output", "program"],
)
def test_frame_takes_as_long_as_the_slowest_part_and_no_more(shape, density, longest):
    spec = split(weights(*shape, density), 4, 3, 3, padding=(shape[2][0] // 2,) * 4)
    longest = longest or spec.program.cycles
    assert spec.interval_cycles == longest * 9
    timing = holds(spec, frames(spec, 3))
    ends = timing.out_cycles[0][spec.beats_out - 1 :: spec.beats_out]
    assert ends[-1] - ends[-2] == longest * 9


@pytest.mark.parametrize("pace", [40, 90])
def test_positions_follow_each_other_no_faster_than_the_pace(pace):
    spec = split(weights(6, 4, (3, 3), 0.2), 2, pace_cycles=pace)
    assert spec.interval_cycles == pace * spec.raster.outputs
    holds(spec)


def test_a_queue_of_parts_is_never_fuller_than_said():
    """Without stalls lanes never wait for each other: the program takes its own cycles."""
    w = weights(64, 16, (3, 3), 0.05)
    w[:32, :, :, ::2] = 0
    w[32:, :, :, 1::2] = 0
    spec = split(w, 2, 2, 2, padding=(1, 1, 1, 1))
    assert spec.ahead.depth > 16
    holds(spec)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_layers(data):
    draw = data.draw
    outputs, inputs = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = draw(st.tuples(st.integers(3, 4), st.integers(3, 4)))
    w = weights(outputs, inputs, kernel, draw(st.floats(0, 1)), draw(st.integers(0, 9)))
    multiplier, lanes = draw(st.sampled_from(KINDS)), draw(st.sampled_from([1, 2, 4, 8]))
    try:
        spec = split(w, lanes, *size, multiplier=multiplier, padding=padding, stride=stride)
    except ValueError as error:
        assert "makes more outputs" in str(error)
        return
    holds(with_steps(spec) if draw(st.booleans()) else spec)
