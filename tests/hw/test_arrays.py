"""Products of integers are exact, whatever computes them."""

import numpy as np
import pytest

from sqwire.hw.arrays import product


@pytest.mark.parametrize("bits", [4, 21, 23, 24, 25, 40, 51, 52, 53, 54, 60])
def test_sums_of_any_size_are_exact(bits):
    """Odd sums just below and above what a float of 24 or 53 bits holds."""
    rng = np.random.default_rng(bits)
    weight = np.array([[1, 1, 1, 1], [1, -1, 0, 1], [0, 0, 0, 0]])
    largest = 2 ** (bits - 2) + 1
    x = largest - rng.integers(0, 9, (2, 3, 5, 4))
    x[0, 0, 0], x[0, 0, 1] = largest, -largest
    found = product(x, weight, largest)
    wanted = [[sum(a * b for a, b in zip(row, w, strict=True)) for w in weight.tolist()]
              for row in x.reshape(-1, 4).tolist()]  # fmt: skip
    assert found.dtype == np.int64 and found.shape == (2, 3, 5, 3)
    assert found.reshape(-1, 3).tolist() == wanted


def test_no_frames_give_none():
    assert product(np.zeros((0, 6, 2), np.int64), np.ones((3, 2), np.int64), 7).shape == (0, 6, 3)
