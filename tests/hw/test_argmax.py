import numpy as np
import pytest

from sqwire.hw.argmax import ArgMax
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


def frames(beat, beats):
    """All equal, each lane the only largest, ties of two, and random codes with many ties."""
    lo, hi = beat.range.lo, beat.range.hi
    rows = [[lo] * beat.lanes, [hi] * beat.lanes]
    for first in range(beat.lanes):
        rows.append([hi if lane == first else lo for lane in range(beat.lanes)])
        rows.append([hi if lane in (first, beat.lanes - 1) else lo for lane in range(beat.lanes)])
    rng = np.random.default_rng(0)
    rows += rng.integers(lo, min(hi, lo + 3) + 1, (20, beat.lanes)).tolist()
    rows += rng.integers(lo, hi + 1, (20 + -len(rows) % beats, beat.lanes)).tolist()
    rows += rows[: -len(rows) % beats]
    return np.array(rows).reshape(-1, beats, beat.lanes)


def by_hand(row, last):
    largest = max(row)
    return len(row) - 1 - row[::-1].index(largest) if last else row.index(largest)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 10, 17])
@pytest.mark.parametrize("codes", [Range.unsigned(4), Range.signed(5)], ids=["unsigned", "signed"])
def test_the_number_of_the_largest_lane(codes, lanes, last, on_time):
    spec = ArgMax(Beat(codes, lanes), last, beats=3)
    x = frames(spec.beat, 3)
    want = [[[by_hand(row, last)] for row in frame] for frame in x.tolist()]
    assert spec.compute(x).tolist() == want
    assert spec.outputs[0].range == Range(0, lanes - 1)
    on_time(spec, check_operator(spec, x))


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        ArgMax(Beat(Range.unsigned(4), 2), beats=0)
