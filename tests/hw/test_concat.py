import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.concat import Concat
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U4, S4 = Range.unsigned(4), Range.signed(4)

CASES = {
    "two alike": (Beat(U4, 2), Beat(U4, 2)),
    "unequal lanes": (Beat(U4, 1), Beat(U4, 3)),
    "signed and unsigned": (Beat(U4, 2), Beat(S4, 1)),
    "narrow and wide": (Beat(Range(-1, 0), 1), Beat(Range.unsigned(9), 1)),
    "four": (Beat(U4, 1), Beat(S4, 2), Beat(Range(5, 5), 1), Beat(Range(-3, -2), 2)),
}


def frames(beat, beats, seed):
    """Frame 0 the lowest codes, frame 1 the highest, 2 and 3 random."""
    rng = np.random.default_rng(seed)
    x = rng.integers(beat.range.lo, beat.range.hi + 1, (4, beats, beat.lanes))
    x[0], x[1] = beat.range.lo, beat.range.hi
    return x


@pytest.mark.parametrize("parts", CASES.values(), ids=CASES.keys())
def test_lanes_stand_side_by_side(parts, on_time):
    spec = Concat(parts, beats=5)
    x = [frames(beat, 5, seed) for seed, beat in enumerate(parts)]
    y = spec.compute(*x)
    for frame, beat in np.ndindex(4, 5):
        assert y[frame, beat].tolist() == [code for part in x for code in part[frame, beat]]
    out = spec.outputs[0]
    assert (y.min(), y.max(), y.shape[2]) == (out.range.lo, out.range.hi, out.lanes)
    timing = check_operator(spec, *x)
    on_time(spec, timing)
    assert timing.in_cycles == (tuple(range(20)),) * len(parts), "one beat of each a cycle"


def test_one_part_is_refused():
    with pytest.raises(ValueError, match="parts must be at least 2"):
        Concat((Beat(U4, 1),))


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        Concat((Beat(U4, 1),) * 2, 0)
