import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.ranges import Range
from sqwire.hw.staircase import Staircase
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator


def every_value(spec):
    """Frames in which each channel sees every value of its range."""
    longest = max(r.size for r in spec.ranges)
    longest += -longest % spec.beats
    columns = [r.lo + np.arange(longest) % r.size for r in spec.ranges]
    return np.stack(columns, axis=1).reshape(-1, spec.beats, len(columns))


def test_tabulate_finds_the_steps():
    steps = Steps.tabulate(-2, np.array([0, 0, 1, 1, 5]))
    assert steps == Steps(np.array([0, 2]), np.array([0, 1, 5]))


def test_within_drops_steps_outside_the_domain():
    steps = Steps(np.array([-5, 0, 5]), np.array([0, 1, 2, 3]))
    assert steps.within(Range(0, 4)) == Steps(np.array([], int), np.array([2]))
    assert steps.within(Range(-1, 5)) == Steps(np.array([0, 5]), np.array([1, 2, 3]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30), st.integers(-20, 20))
def test_steps_are_the_function_they_were_made_from(values, lo):
    steps = Steps.tabulate(lo, np.array(values))
    x = np.arange(lo, lo + len(values))
    assert np.array_equal(steps(x), values)
    inner = Range(lo + len(values) // 3, lo + len(values) - 1)
    assert np.array_equal(steps.within(inner)(x[len(values) // 3 :]), values[len(values) // 3 :])


def check(functions, ranges, beats=1):
    steps = tuple(
        Steps.tabulate(r.lo, np.array([f(x) for x in range(r.lo, r.hi + 1)]))
        for f, r in zip(functions, ranges, strict=True)
    )
    spec = Staircase(steps, tuple(ranges), beats)
    x = every_value(spec)
    want = [
        [[f(v) for f, v in zip(functions, row, strict=True)] for row in frame]
        for frame in x.tolist()
    ]
    assert np.array_equal(spec.compute(x), want)
    timing = check_operator(spec, x)
    assert timing.first_out_cycle == spec.latency_cycles
    return spec


def test_unsigned_and_signed_domains_equal_compute_everywhere():
    check(
        [lambda x: min(max(x // 3, 0), 15), lambda x: min(max((x + 7) // 5, 0), 15)],
        [Range(0, 99), Range(-60, 70)],
    )


def test_falling_and_wild_functions_are_exact():
    check(
        [lambda x: -(x // 4), lambda x: (x * x * 7) % 11 - 5, lambda x: abs(x)],
        [Range(-16, 15), Range(-9, 23), Range(-8, 8)],
        beats=3,
    )


def test_constant_channel_and_thresholds_that_never_fire():
    spec = check([lambda x: 3, lambda x: int(x >= -8)], [Range(-8, 7), Range(-8, 7)])
    assert [len(s.thresholds) for s in spec.steps] == [0, 0]


def test_one_value_domain():
    check([lambda x: 9], [Range(5, 5)])


def test_thresholds_at_the_ends_of_the_domain():
    check([lambda x: int(x >= -127), lambda x: int(x == 127)], [Range(-128, 127)] * 2)


def test_disordered_thresholds_are_refused():
    with pytest.raises(ValueError, match="must rise"):
        Steps(np.array([3, 3]), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="one more"):
        Steps(np.array([3]), np.array([0]))
    with pytest.raises(ValueError, match="one a channel"):
        Staircase((Steps(np.array([], int), np.array([1])),), ())


def circuits(spec):
    return [type(circuit).__name__ for circuit in spec.circuits]


def test_levels_at_even_distance_are_a_shift():
    spec = check([lambda x: min(max(x >> 3, 0), 15)], [Range(-300, 511)])
    assert circuits(spec) == ["Shift"]
    assert spec.latency_cycles == 1


@pytest.mark.parametrize("offset", [-37, -8, 4, 5, 100])
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_shifts_with_an_offset_and_signed_levels_are_exact(offset, shift):
    spec = check([lambda x: min(max((x + offset) >> shift, -8), 7)], [Range(-200, 260)], beats=1)
    assert circuits(spec) == ["Shift"]


def test_many_levels_are_searched():
    spec = check([lambda x: int(x * 0.37), lambda x: int(x * x * 0.003)], [Range(-150, 300)] * 2)
    assert circuits(spec) == ["Search", "Search"]


def test_a_search_whose_count_is_the_level_needs_no_last_cycle():
    spec = check([lambda x: int(x * 0.3)], [Range(0, 255)])
    assert spec.latency_cycles == 7


def test_channels_with_different_circuits_come_out_together():
    spec = check(
        [
            lambda x: 5,
            lambda x: min(max(x >> 4, 0), 15),
            lambda x: min(max(round(x * 0.041), 0), 15),
            lambda x: int(x * 0.37),
        ],
        [Range(-256, 255)] * 4,
    )
    assert circuits(spec) == ["Constant", "Shift", "Compare", "Search"]
