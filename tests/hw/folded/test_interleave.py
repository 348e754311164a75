import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U3, S4 = Beat(Range.unsigned(3), 1), Beat(Range.signed(4), 1)
CASES = {
    "two": Interleave((U3, U3), (2, 3), 4),
    "unequal ranges": Interleave((U3, S4), (1, 2), 5),
    "three": Interleave((U3, S4, Beat(Range(-9, -1), 1)), (2, 1, 3), 3),
    "two lanes": Interleave((Beat(Range.unsigned(2), 2), Beat(Range.signed(3), 2)), (1, 2), 4),
    "one position": Interleave((S4, U3), (3, 1)),
    "one beat each": Interleave((S4, U3), (1, 1), 6),
}


def inputs(spec, frames=3):
    rng = np.random.default_rng(0)
    made = []
    for part, count in zip(spec.parts, spec.counts, strict=True):
        low, high = part.range.lo, part.range.hi
        x = rng.integers(low, high + 1, (frames, spec.positions * count, part.lanes))
        x[0], x[1] = low, high
        made.append(x)
    return made


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_channels_side_by_side(spec):
    x = inputs(spec)
    positions = [part.reshape(3, spec.positions, -1) for part in x]
    want = np.concatenate(positions, axis=-1)
    assert np.array_equal(spec.compute(*x).reshape(want.shape), want)
    timing = check_operator(spec, *x)
    assert timing.out_cycles[0] == tuple(range(1, 3 * spec.beats_out + 1)), "a beat a cycle"


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_every_beat_has_its_turn(spec):
    turns = [spec.turns(number).tolist() for number in range(len(spec.parts))]
    assert sorted(sum(turns, [])) == list(range(spec.beats_in))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": (U3,), "counts": (1,)}, "parts must be two or more of equal lanes"),
        ({"parts": (U3, Beat(U3.range, 2))}, r"equal lanes, not \[1, 2\]"),
        ({"counts": (1,)}, "counts must be one a part"),
        ({"counts": (1, 0)}, "at least 1, not"),
        ({"positions": 0}, "positions must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Interleave(**{"parts": (U3, U3), "counts": (1, 1)} | change)
