import numpy as np
import pytest

from sqwire.hw.ranges import Range
from sqwire.hw.select import Select
from sqwire.sim.check import check_operator

RANGES = (Range(0, 15), Range(-8, 7), Range(0, 1), Range(-1, 0), Range(3, 3))

CASES = {
    "a slice": (1, 2),
    "one lane": (2,),
    "another order": (4, 3, 2, 1, 0),
    "copies": (1, 1, 0, 1),
    "all": (0, 1, 2, 3, 4),
    "one value": (4,),
}


def frames(beats):
    """Frame 0 the lowest codes, frame 1 the highest, 2 and 3 random."""
    rng = np.random.default_rng(0)
    lo, hi = np.array([r.lo for r in RANGES]), np.array([r.hi for r in RANGES])
    x = rng.integers(lo, hi + 1, (4, beats, len(RANGES)))
    x[0], x[1] = lo, hi
    return x


@pytest.mark.parametrize("channels", CASES.values(), ids=CASES.keys())
def test_lanes_are_the_chosen_ones(channels, on_time):
    spec = Select(RANGES, channels, beats=3)
    x = frames(3)
    y = spec.compute(x)
    for at in np.ndindex(4, 3):
        assert y[at].tolist() == [x[at][channel] for channel in channels]
    assert (y.min(), y.max()) == (spec.outputs[0].range.lo, spec.outputs[0].range.hi)
    on_time(spec, check_operator(spec, x))


def test_no_lane_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Select(RANGES, ())


@pytest.mark.parametrize("channel", [-1, 5])
def test_a_lane_that_does_not_exist_is_refused(channel):
    with pytest.raises(ValueError, match=f"from 0 to 4, not {channel}"):
        Select(RANGES, (0, channel))


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        Select(RANGES, (0,), 0)
