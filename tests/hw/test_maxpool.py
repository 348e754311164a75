import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.maxpool import MaxPool
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


def largest(spec, x):
    """The definition, one channel at a time."""
    return [
        [[max(beat[c :: spec.channels]) for c in range(spec.channels)] for beat in frame]
        for frame in x.tolist()
    ]


def frames(spec, count=3, seed=0):
    lo, hi = spec.range.lo, spec.range.hi
    shape = (count, spec.beats, spec.inputs[0].lanes)
    x = np.random.default_rng(seed).integers(lo, hi + 1, shape)
    x[0], x[1] = lo, hi
    return x


@pytest.mark.parametrize("codes", [Range.unsigned(4), Range.signed(4), Range(-6, -1)], ids=str)
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 6, 9])
def test_component_equals_compute_equals_definition(taps, codes, on_time):
    spec = MaxPool(2, taps, codes, beats=4)
    x = frames(spec)
    assert spec.compute(x).tolist() == largest(spec, x)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(12)), "one beat a cycle"


@pytest.mark.parametrize(
    ("taps", "latency_cycles"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (9, 4)]
)
def test_latency_is_the_depth_of_the_tree(taps, latency_cycles):
    assert MaxPool(1, taps, Range.unsigned(4)).latency_cycles == latency_cycles


@pytest.mark.parametrize("codes", [Range.unsigned(2), Range.signed(2)], ids=str)
def test_every_pair_of_codes_compares_right(codes):
    pairs = list(itertools.product(range(codes.lo, codes.hi + 1), repeat=2))
    check_operator(MaxPool(1, 2, codes, len(pairs)), np.array([pairs]))


@pytest.mark.parametrize("tap", range(5))
def test_maximum_is_found_at_every_tap(tap):
    spec = MaxPool(1, 5, Range.signed(4), beats=1)
    x = np.full((1, 1, 5), -8)
    x[0, 0, tap] = -7
    assert spec.compute(x).tolist() == [[[-7]]]
    check_operator(spec, x)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 3),
    taps=st.integers(1, 7),
    lo=st.integers(-9, 9),
    size=st.integers(0, 20),
)
def test_random_shapes_and_ranges(channels, taps, lo, size):
    spec = MaxPool(channels, taps, Range(lo, lo + size), beats=3)
    x = frames(spec)
    assert spec.compute(x).tolist() == largest(spec, x)
    check_operator(spec, x)


@pytest.mark.parametrize("change", [{"channels": 0}, {"taps": 0}, {"beats": 0}])
def test_sizes_below_one_are_refused(change):
    with pytest.raises(ValueError, match="must be at least 1"):
        MaxPool(**{"channels": 1, "taps": 1, "range": Range.unsigned(4)} | change)
