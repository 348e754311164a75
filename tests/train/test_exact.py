"""Exact staircases, at and near ties."""

from fractions import Fraction

import numpy as np
import pytest

from sqwire.train.exact import Step, settle


def step(gain, bias, low=0, high=15):
    return Step(np.float32(gain), np.float32(bias), low, high)


def by_fractions(s, acc):
    values = (Fraction(float(s.gain)) * int(a) + Fraction(float(s.bias)) for a in acc)
    return [min(max(round(value), s.low), s.high) for value in values]


@pytest.mark.parametrize(
    "s",
    [step(0.5, 0), step(-0.5, 7), step(0.1, 0), step(1 / 3, 1 / 6), step(0.25, -0.5, -8, 7)],
)
def test_every_code_is_that_of_fractions(s):
    acc = np.arange(-300, 301)
    assert s(acc).tolist() == by_fractions(s, acc)


def test_exact_ties_go_to_even():
    assert step(0.5, 0)(np.arange(0, 8)).tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


def test_float32_tie_that_is_none_is_rounded_as_the_constants_say():
    s = step(0.1, 0)  # the float32 next to 0.1 is above it, so 5 * gain is above a half
    assert np.float32(5) * s.gain == np.float32(0.5)
    assert s(np.array([5])).tolist() == [1]
    assert s.doubtful(np.array([5])) == 1


@pytest.mark.parametrize("s", [step(0.1, 0), step(0.5, 0), step(-0.3, 4.5), step(0.7, 0.1, -8, 7)])
def test_settled_step_is_the_same_in_float32_and_moves_little(s):
    acc = np.arange(-200, 201)
    moved = settle(s, acc)
    assert moved.doubtful(acc) == 0
    assert abs(float(moved.bias) - float(s.bias)) < 1e-3
    single = np.rint(acc.astype(np.float32) * moved.gain + moved.bias)
    assert np.clip(single, s.low, s.high).astype(int).tolist() == by_fractions(moved, acc)


def test_step_off_all_ties_is_left_alone():
    s = step(1, 0)
    assert settle(s, np.arange(-50, 51)) is s


def test_step_with_too_many_ties_is_left_alone():
    s = step(1e-7, 0.5)  # neighbours are closer than float32 can tell apart
    assert settle(s, np.arange(-500_000, 500_000), tries=3) is s


@pytest.mark.parametrize("bad", [(np.nan, 0), (1, np.inf)])
def test_constants_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="gain and bias must be finite"):
        step(*bad)
