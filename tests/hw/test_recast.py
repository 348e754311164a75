"""Recast passes every code that lies in both ranges."""

import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.hw.recast import Recast
from sqwire.sim.check import check_operator


@pytest.mark.parametrize(
    ("given", "wanted", "codes"),
    [
        (Range(-100, 100), Range(-4, 3), np.arange(-4, 4)),
        (Range(-4, 3), Range(-100, 100), np.arange(-4, 4)),
        (Range(-8, 7), Range(0, 7), np.arange(8)),
        (Range(0, 7), Range(-8, 7), np.arange(8)),
    ],
)
def test_codes_of_both_ranges_pass_unchanged(given, wanted, codes):
    spec = Recast(Beat(given, 2), wanted, 4)
    x = codes.reshape(1, 4, 2)
    assert np.array_equal(spec.compute(x), x)
    check_operator(spec, x)


def test_frames_without_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1, not 0"):
        Recast(Beat(Range(0, 1), 1), Range(0, 1), 0)
