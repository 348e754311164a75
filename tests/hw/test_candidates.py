import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.candidates import Candidates
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


def by_hand(frame, spec):
    records = []
    for number, codes in enumerate(frame.tolist()):
        tests = zip(spec.lanes, spec.thresholds, strict=True)
        if any(codes[lane] >= threshold for lane, threshold in tests):
            records.append([number, *codes])
    records += [[-1] + [0] * spec.beat.lanes] * spec.count
    return records[: spec.count]


def frames(spec, shares=(0.0, 0.1, 0.5, 0.9), seed=0):
    """None, all, the last position alone, the first ones, and a share of all at random."""
    codes, lanes = spec.beat.range, list(spec.lanes)
    rng = np.random.default_rng(seed)
    size = (spec.positions, spec.beat.lanes)
    made = []
    for share in (0.0, 1.0, *shares, 0.0, 1.0, 1.0, 0.0, 0.0):
        frame = rng.integers(codes.lo, codes.hi + 1, size)
        below = rng.integers(codes.lo, min(spec.thresholds), (spec.positions, len(lanes)))
        frame[:, lanes] = below
        own = rng.random(spec.positions) < share
        frame[own, lanes[0]] = rng.integers(spec.thresholds[0], codes.hi + 1, own.sum())
        made.append(frame)
    made[1][:] = codes.hi
    made[-2][-1, lanes[-1]] = codes.hi
    made[-1][:2, lanes[-1]] = codes.hi
    return np.array(made)


@pytest.mark.parametrize(("positions", "count"), [(1, 1), (5, 1), (6, 2), (12, 5), (7, 7), (30, 8)])
def test_the_first_positions_that_reach_a_threshold(positions, count, on_time):
    spec = Candidates(Beat(Range.signed(5), 3), positions, count, (1,), (4,))
    x = frames(spec)
    want = [by_hand(frame, spec) for frame in x]
    assert spec.compute(x).tolist() == want
    on_time(spec, check_operator(spec, x))


def test_one_of_several_lanes_is_enough(on_time):
    spec = Candidates(Beat(Range.unsigned(4), 4), 20, 6, (3, 0), (9, 13))
    x = frames(spec)
    x[2:5] = np.random.default_rng(1).integers(0, 16, (3, 20, 4))
    assert spec.compute(x).tolist() == [by_hand(frame, spec) for frame in x]
    on_time(spec, check_operator(spec, x))


def test_many_frames_of_all_densities_under_long_stalls(on_time):
    spec = Candidates(Beat(Range.signed(9), 2), 16, 16, (0,), (0,))
    x = np.concatenate([frames(spec, np.linspace(0, 1, 12), seed) for seed in range(3)])
    on_time(spec, check_operator(spec, x, seed=5))


@pytest.mark.parametrize("threshold", [-1000, 1000])
def test_thresholds_that_all_or_none_reach(threshold):
    spec = Candidates(Beat(Range.signed(4), 2), 9, 3, (0,), (threshold,))
    x = np.random.default_rng(2).integers(-8, 8, (4, 9, 2))
    found = spec.compute(x)
    assert (found[..., 0] == ([0, 1, 2] if threshold < 0 else [-1, -1, -1])).all()
    check_operator(spec, x)


def test_the_empty_record_is_no_position_and_zeros():
    spec = Candidates(Beat(Range(3, 9), 2), 4, 2, (0,), (9,))
    assert spec.outputs[0].range == Range(-1, 9)
    assert spec.compute(np.full((1, 4, 2), 5)).tolist() == [[[-1, 0, 0]] * 2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"count": 0}, r"count must be 1 to the number of positions \(9\), not 0"),
        ({"count": 10}, "not 10"),
        ({"lanes": (2,)}, "lanes must be different ones of 0 to 1"),
        ({"lanes": ()}, "at least one"),
        ({"lanes": (0, 0), "thresholds": (1, 1)}, "different ones"),
        ({"thresholds": (1, 2)}, r"as many as lanes \(1\), not 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    usual = {"positions": 9, "count": 3, "lanes": (0,), "thresholds": (5,)}
    with pytest.raises(ValueError, match=said):
        Candidates(Beat(Range.signed(4), 2), **{**usual, **settings})
