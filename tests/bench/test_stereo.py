"""The baselines of bench/stereo.py find a shift that is known, and scores count what they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sqwire.train.disparity import Pair

FILE = Path(__file__).parents[2] / "bench" / "stereo.py"


@pytest.fixture(scope="module")
def stereo():
    spec = importlib.util.spec_from_file_location("bench_stereo", FILE)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    import sys

    sys.modules["bench_stereo"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pair():
    """Noise, seen 7 pixels further left in the right view."""
    noise = np.random.default_rng(2).integers(0, 256, (40, 120), dtype=np.uint8)
    truth = np.full((40, 113), 7, dtype=np.float32)
    visible = np.broadcast_to(np.arange(113) >= 7, truth.shape)
    return Pair("noise", noise[:, :113], noise[:, 7:], truth, truth > 0, visible)


def test_the_right_view_is_the_left_one_moved(pair):
    assert np.array_equal(pair.left[:, 7:], pair.right[:, :-7])


@pytest.mark.parametrize("name", ["census", "census + box"])
def test_baselines_find_the_shift(stereo, pair, name):
    found = stereo.BASELINES[name](pair)
    assert (found[4:-4, 11:-4] == 7).mean() > 0.95


def test_census_by_hand(stereo):
    grey = np.array([[5, 5, 5], [1, 5, 9], [5, 5, 5]], dtype=np.uint8)
    assert bin(stereo.census(grey, 1)[1, 1]).count("1") == 1


def test_box_sums_over_a_window_with_repeated_edges(stereo):
    cost = np.random.default_rng(0).integers(0, 25, (2, 12, 15)).astype(np.uint8)
    padded = np.pad(cost, ((0, 0), (4, 4), (4, 4)), mode="edge")
    by_hand = np.array([[[padded[d, y : y + 9, x : x + 9].sum() for x in range(15)]
                         for y in range(12)] for d in range(2)])  # fmt: skip
    assert np.array_equal(stereo.box(cost), by_hand)


def test_scores(stereo):
    truth = np.zeros((1, 5), dtype=np.float32)
    found = np.array([[0, 1, 1.5, 3, 4]], dtype=np.float32)
    where = np.array([[True, True, True, True, False]])
    result = stereo.score(found, truth, where)
    assert (result.bad1, result.bad2, result.bad3) == (50, 25, 0)
    assert result.epe == 1.375 and result.pixels == 4


def test_rendered_scenes_are_the_same_each_time_and_judged_together(stereo):
    one, two = stereo.rendered(2)
    again = stereo.rendered(1)[0]
    assert np.array_equal(one.left, again.left) and not np.array_equal(one.left, two.left)
    assert one.known.all() and one.disparity.max() < stereo.REACH

    def half_wrong(pair):
        return pair.disparity + (2.5 if pair is two else 0)

    found = stereo.judged(half_wrong, [one, two])["2 rendered"]["all"]
    assert (found.bad1, found.bad2, found.bad3) == (50, 50, 0)
    assert found.epe == 1.25 and found.pixels == 2 * one.left.size
