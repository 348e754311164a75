import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range


@st.composite
def beats_with_values(draw):
    lo = draw(st.integers(-300, 300))
    beat = Beat(Range(lo, lo + draw(st.integers(0, 600))), draw(st.integers(1, 5)))
    values = st.integers(beat.range.lo, beat.range.hi)
    return beat, draw(st.lists(values, min_size=beat.lanes, max_size=beat.lanes))


def test_lane_0_is_least_significant():
    assert Beat(Range.unsigned(4), 3).pack([1, 2, 3]) == 0x321


def test_negative_codes_are_twos_complement():
    beat = Beat(Range.signed(4), 2)
    assert beat.pack([-1, -8]) == 0x8F
    assert beat.unpack(0x8F) == [-1, -8]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(beats_with_values())
def test_pack_agrees_with_the_layout_and_unpack_is_its_inverse(case):
    beat, values = case
    word = beat.pack(values)
    assert word == beat.layout.const(values).as_value().value
    assert beat.unpack(word) == values


def test_bits_are_those_of_the_payload():
    beat = Beat(Range(0, 9), 5)
    assert beat.bits == 20 == beat.signature.create().payload.as_value().shape().width


@pytest.mark.parametrize("values", [[1], [1, 2, 3]])
def test_wrong_number_of_values_is_refused(values):
    with pytest.raises(ValueError, match="values must be 2"):
        Beat(Range.unsigned(4), 2).pack(values)


@pytest.mark.parametrize("value", [-1, 10])
def test_value_outside_the_range_is_refused_and_named(value):
    with pytest.raises(ValueError, match=f"lane 1 must be in .* not {value}"):
        Beat(Range(0, 9), 2).pack([0, value])


def test_beat_without_lanes_is_refused():
    with pytest.raises(ValueError, match="lanes must be at least 1"):
        Beat(Range.unsigned(4), 0)
