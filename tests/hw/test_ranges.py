import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.ranges import Range

quick = settings(max_examples=30, deadline=None, derandomize=True)


@st.composite
def small_ranges(draw):
    lo = draw(st.integers(-40, 40))
    return Range(lo, lo + draw(st.integers(0, 40)))


def values(r):
    return range(r.lo, r.hi + 1)


def test_unsigned_is_what_the_bits_hold():
    assert Range.unsigned(4) == Range(0, 15)
    assert Range.unsigned(1) == Range(0, 1)


def test_signed_is_twos_complement_and_narrow_is_symmetric():
    assert Range.signed(4) == Range(-8, 7)
    assert Range.signed(4, narrow=True) == Range(-7, 7)


@pytest.mark.parametrize(
    ("lo", "hi", "bits", "signed"),
    [
        (0, 0, 1, False),
        (0, 1, 1, False),
        (0, 15, 4, False),
        (0, 16, 5, False),
        (9, 9, 4, False),
        (-1, 0, 1, True),
        (-8, 7, 4, True),
        (-8, 8, 5, True),
        (-9, 0, 5, True),
        (-1, 255, 9, True),
        (-8, -8, 4, True),
        (-1, -1, 1, True),
    ],
)
def test_width_is_the_narrowest(lo, hi, bits, signed):
    shape = Range(lo, hi).shape
    assert (shape.width, shape.signed) == (bits, signed)
    assert Range(lo, hi).bits == bits


@quick
@given(small_ranges())
def test_shape_holds_every_value(r):
    held = range(-(1 << (r.bits - 1)), 1 << (r.bits - 1)) if r.lo < 0 else range(1 << r.bits)
    assert r.lo in held and r.hi in held


@quick
@given(small_ranges(), small_ranges())
def test_sum_is_the_exact_interval(a, b):
    sums = [x + y for x in values(a) for y in values(b)]
    assert a + b == Range(min(sums), max(sums))


@quick
@given(small_ranges(), st.integers(-5, 5))
def test_product_is_the_exact_interval(r, factor):
    products = [x * factor for x in values(r)]
    assert r * factor == Range(min(products), max(products))


@quick
@given(st.lists(small_ranges(), min_size=1, max_size=4))
def test_span_holds_all_and_no_more(ranges):
    span = Range.span(ranges)
    assert span.lo in [r.lo for r in ranges] and span.hi in [r.hi for r in ranges]
    assert all(r.lo in span and r.hi in span for r in ranges)


def test_size_and_membership_count_both_ends():
    r = Range(-2, 3)
    assert r.size == 6
    assert [v for v in range(-5, 6) if v in r] == [-2, -1, 0, 1, 2, 3]


def test_bounds_become_plain_integers():
    r = Range(np.int64(-3), np.int8(4))
    assert type(r.lo) is int and type(r.hi) is int


def test_empty_range_is_refused():
    with pytest.raises(ValueError, match="lo must not be above hi"):
        Range(1, 0)
