import numpy as np
import pytest

from sqwire.hw.consistency import Consistency
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


def by_hand(left, right, spec):
    """The definition, of (height, width) each."""
    result = np.zeros_like(left)
    for y, x in np.ndindex(*left.shape):
        shift = (left[y, x] + spec.parts // 2) // spec.parts
        if shift <= x:
            result[y, x] = abs(left[y, x] - right[y, x - shift]) <= spec.tolerance
    return result


def frames(spec, seed=0):
    """The least, the largest, both in turn, a slanted plane with what fits it, and random ones."""
    rng = np.random.default_rng(seed)
    size = (spec.height, spec.width)
    pairs = [(np.full(size, a), np.full(size, b)) for a, b in (
        (spec.left.lo, spec.right.lo), (spec.left.hi, spec.right.hi),
        (spec.left.lo, spec.right.hi), (spec.left.hi, spec.right.lo),
    )]  # fmt: skip
    plane = np.arange(spec.width) * spec.parts // 3 % (spec.left.hi - spec.left.lo + 1)
    plane = np.broadcast_to(plane + spec.left.lo, size)
    pairs.append((plane, np.clip(plane + 1, spec.right.lo, spec.right.hi)))
    for _ in range(4):
        left = rng.integers(spec.left.lo, spec.left.hi + 1, size)
        near = left + rng.integers(-2, 3, size) * spec.tolerance // 2
        pairs.append((left, rng.integers(spec.right.lo, spec.right.hi + 1, size)))
        pairs.append((left, np.clip(near, spec.right.lo, spec.right.hi)))
    few = rng.integers(spec.left.lo, min(spec.left.hi, spec.left.lo + spec.parts) + 1, size)
    pairs.append((few, np.clip(few, spec.right.lo, spec.right.hi)))
    left, right = (np.array([pair[k] for pair in pairs]) for k in (0, 1))
    return left, right


@pytest.mark.parametrize(
    "spec",
    [
        Consistency(1, 1, Range(0, 40), Range(0, 40), 4, 2),
        Consistency(3, 9, Range(0, 20), Range(0, 20), 4, 3),
        Consistency(2, 6, Range(0, 200), Range(0, 100), 16, 0),
        Consistency(3, 20, Range(0, 28), Range(4, 60), 2, 1),
        Consistency(2, 24, Range(3, 15), Range(0, 15), 2, 100),
        Consistency(4, 17, Range(0, 1), Range(0, 1), 64, 0),
        Consistency(2, 40, Range(0, 127), Range(0, 127), 16, 16),
    ],
    ids=str,
)
def test_where_both_views_say_the_same(spec, on_time):
    left, right = frames(spec)
    beats = [x.reshape(len(x), -1, 1) for x in (left, right)]
    want = [by_hand(a, b, spec) for a, b in zip(left, right, strict=True)]
    found = spec.compute(*beats).reshape(left.shape)
    assert np.array_equal(found, want)
    on_time(spec, check_operator(spec, *beats))


def test_what_the_right_view_does_not_see_is_0():
    spec = Consistency(1, 5, Range(0, 64), Range(0, 64), 16, 64)
    left = np.array([[0, 7, 8, 24, 64]])[..., None]
    # Shifts of 0, 0, 1, 2 and 4 lead to columns 0, 1, 1, 1 and 0; a shift of 5 to none.
    assert spec.compute(left, np.zeros((1, 5, 1), int)).reshape(-1).tolist() == [1] * 5
    left[0, :, 0] = [8, 24, 40, 56, 64]
    assert spec.compute(left, np.zeros((1, 5, 1), int)).reshape(-1).tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"height": 0}, "height must be at least 1, not 0"),
        ({"width": 0}, "width must be at least 1, not 0"),
        ({"parts": 6}, "parts must be a power of two from 2 to 64, not 6"),
        ({"left": Range(-1, 4)}, "must not be negative, not -1, 0 and 16"),
        ({"tolerance": -1}, "must not be negative, not 0, 0 and -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    usual = {"height": 2, "width": 2, "left": Range(0, 9), "right": Range(0, 9)}
    with pytest.raises(ValueError, match=said):
        Consistency(**{**usual, **wrong})
