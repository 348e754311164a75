"""Disparities as colours and points."""

import numpy as np
import pytest

from sqwire.depth import coloured, fitted, write_ply


def test_far_is_blue_and_near_is_red():
    colours = coloured(np.array([[0.0, 5.0, 10.0, 20.0]], dtype=np.float32), most=10)
    assert colours.shape == (1, 4, 3) and colours.dtype == np.uint8
    assert colours[0, 0, 2] > colours[0, 0, 0] and colours[0, 2, 0] > colours[0, 2, 2]
    assert (colours[0, 2] == colours[0, 3]).all()
    assert np.array_equal(coloured(np.zeros((2, 2), np.float32))[0, 0], colours[0, 0])


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.zeros((2, 2, 2)), np.full((2, 2), np.nan)])
def test_what_has_no_colours_is_refused(wrong):
    with pytest.raises(ValueError, match="disparities must be finite"):
        coloured(wrong.astype(np.float32))


def test_points_by_hand(tmp_path):
    disparity = np.array([[0.0, 2.0, 4.0]], dtype=np.float32)
    picture = np.array([[10, 20, 30]], dtype=np.uint8)
    assert write_ply(tmp_path / "a.ply", picture, disparity, focal=100, baseline=2) == 2
    head, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 2\n")
    points = np.frombuffer(body, dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    assert points["xyz"].tolist() == [[0, 0, -100], [0.5, 0, -50]]
    assert points["rgb"].tolist() == [[20, 20, 20], [30, 30, 30]]


def test_sizes_must_agree(tmp_path):
    with pytest.raises(ValueError, match="must have one size"):
        write_ply(tmp_path / "a.ply", np.zeros((2, 3), np.uint8), np.ones((3, 2)), focal=1)
    with pytest.raises(ValueError, match="must be above 0"):
        write_ply(tmp_path / "a.ply", np.zeros((2, 2), np.uint8), np.ones((2, 2)), focal=0)


def test_a_pair_is_filled_up_to_the_frame():
    left, right = np.full((3, 4), 7, np.uint8), np.full((3, 4), 9, np.uint8)
    pair = fitted(left, right, (5, 6))
    assert pair.shape == (1, 2, 5, 6) and pair.dtype == np.float32
    assert (pair[0, 0, :3, :4] == 7).all() and (pair[0, 1, :3, :4] == 9).all()
    assert pair.sum() == 12 * 16


@pytest.mark.parametrize(
    ("shape", "other", "said"),
    [((3, 4), (3, 5), "must have one size, not 4x3 and 5x3"), ((6, 4), (6, 4), "at most 6x5")],
)
def test_pairs_that_do_not_fit_are_named(shape, other, said):
    with pytest.raises(ValueError, match=said):
        fitted(np.zeros(shape, np.uint8), np.zeros(other, np.uint8), (5, 6))
