"""Rendered scenes: deterministic, true to their own ground truth, fast enough to train on."""

import numpy as np
import pytest

from sqwire.train.scenes import Renderer
from sqwire.train.textures import COUNT, bank


@pytest.fixture(scope="module")
def renderer():
    return Renderer(64, 128, 32)


def test_the_same_seed_gives_the_same_scene(renderer):
    one, other = renderer.render(5), Renderer(64, 128, 32).render(5)
    for name in ("left", "right", "disparity", "visible"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert not np.array_equal(one.left, renderer.render(6).left)


def test_shapes_types_and_ranges(renderer):
    scene = renderer.render(0)
    assert scene.left.shape == scene.right.shape == (64, 128)
    assert scene.left.dtype == scene.right.dtype == np.uint8
    assert scene.disparity.dtype == np.float32
    assert scene.disparity.min() >= 0 and scene.disparity.max() <= 31


def test_disparities_spread_over_the_range(renderer):
    found = np.concatenate([renderer.render(k).disparity.ravel() for k in range(40)])
    shares = np.histogram(found, bins=4, range=(0, 32))[0] / found.size
    assert shares.min() > 0.05


def test_visible_points_are_where_the_disparity_says(renderer):
    """Against the right view moved back: what is visible fits, what is hidden does not."""
    fits, hidden = [], []
    for k in range(30):
        scene = renderer.render(k)
        rows, columns = np.indices(scene.disparity.shape)
        target = np.clip(columns - scene.disparity, 0, 127)
        below = np.floor(target).astype(int)
        part = target - below
        right = scene.right.astype(float)
        moved = right[rows, below] * (1 - part) + right[rows, np.minimum(below + 1, 127)] * part
        # Gain and gamma of the cameras differ: compare where each is in its order.
        error = np.abs(moved - scene.left)
        fits.append(np.median(error[scene.visible]))
        hidden.append(np.median(error[~scene.visible]))
    assert np.median(fits) < 0.5 * np.median(hidden)


def test_what_leaves_the_right_view_is_not_visible(renderer):
    for k in range(10):
        scene = renderer.render(k)
        columns = np.arange(128)[None]
        assert not scene.visible[columns - scene.disparity < 0].any()


def test_an_object_hides_as_much_background_as_it_is_nearer(renderer):
    """In each row the points that both views see are as many from either side."""
    shares = [renderer.render(k).visible.mean() for k in range(20)]
    assert 0.5 < np.mean(shares) < 0.95


def test_textures_come_from_the_photos():
    photo = np.full((80, 90), 77, dtype=np.uint8)
    store = bank([photo], np.random.default_rng(0))
    assert (store[: COUNT // 2 - 1] == 77).all()
    assert not (store[COUNT // 2 :] == 77).all()


@pytest.mark.parametrize(
    "photo", [np.zeros((80, 80, 3), np.uint8), np.zeros((80, 80)), np.zeros((63, 80), np.uint8)]
)
def test_a_photo_that_is_not_grey_is_refused(photo):
    with pytest.raises(ValueError, match="photo 0 must be a grey uint8 picture"):
        Renderer(64, 128, 32, [photo])


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="at least 16x16, not 15x64"):
        Renderer(15, 64, 8)
    with pytest.raises(ValueError, match="disparities must be 2 to 256"):
        Renderer(16, 64, 257)
