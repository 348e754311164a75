"""Packing whole arrays gives the same words as packing one beat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim import words


@st.composite
def beats(draw):
    low, high = sorted(draw(st.tuples(*[st.integers(-(2**40), 2**40)] * 2)))
    beat = Beat(Range(low, high), draw(st.integers(1, 5)))
    lane = st.integers(beat.range.lo, beat.range.hi)
    lanes = st.lists(lane, min_size=beat.lanes, max_size=beat.lanes)
    return beat, draw(st.lists(lanes, min_size=1, max_size=4))


@given(beats())
def test_words_are_those_of_the_beat(case):
    beat, rows = case
    packed = words.pack(np.array(rows), beat.range.bits)
    assert packed == [beat.pack(row) for row in rows]
    signed = beat.range.lo < 0
    assert words.unpack(packed, beat.lanes, beat.range.bits, signed=signed).tolist() == rows
    fields = [words.fields(word, beat.lanes, beat.range.bits, signed=signed) for word in packed]
    assert fields == rows


@given(beats())
def test_tdata_is_that_of_the_port(case):
    beat, rows = case
    port = Port(beat, 1)
    raw = words.to_tdata(port, np.array(rows))
    assert [int.from_bytes(row.tobytes(), "little") for row in raw] == [
        port.pack(row) for row in rows
    ]
    assert words.from_tdata(port, raw).tolist() == rows


def test_fields_wider_than_an_integer_are_extended():
    assert words.pack(np.array([[-1, 1]]), 70) == [(1 << 70) - 1 | 1 << 70]


def test_fields_wider_than_an_integer_are_not_unpacked():
    with pytest.raises(ValueError, match="field_bits must be at most 64, not 65"):
        words.unpack([0], 1, 65, signed=False)


def test_tdata_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"must fit in 1 bytes \(0\.\.255\), not -1\.\.0"):
        words.to_tdata(Port(Beat(Range(0, 3), 1), 1), np.array([[0], [-1]]))


def test_no_rows_are_no_words():
    port = Port(Beat(Range(-9, 9), 3), 1)
    none = np.zeros((0, 3), dtype=np.int64)
    assert words.pack(none, 5) == words.pack(none, 8) == []
    assert words.unpack([], 3, 5, signed=True).shape == (0, 3)
    assert words.to_tdata(port, none).shape == (0, 3)
    assert words.from_tdata(port, words.to_tdata(port, none)).shape == (0, 3)
