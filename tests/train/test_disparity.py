"""Stereo data sets: their folders, their files, and what is wrong with them."""

import numpy as np
import pytest
from PIL import Image

from sqwire.train.disparity import LAYOUTS, kitti2012, kitti2015, load, middlebury, sceneflow

LEFT = np.tile(np.arange(24, dtype=np.uint8) * 10, (16, 1))
RIGHT = LEFT[:, ::-1].copy()


def put(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pfm":
        body = np.asarray(pixels, dtype="<f4")[::-1].tobytes()
        path.write_bytes(f"Pf\n{pixels.shape[1]} {pixels.shape[0]}\n-1\n".encode() + body)
    else:
        Image.fromarray(pixels).save(path)
    return path


def levels(value, kind=np.uint8):
    return np.full(LEFT.shape, value, dtype=kind)


@pytest.mark.parametrize(
    ("names", "scale"),
    [(("im2", "im6", "disp2"), 4), (("view1", "view5", "disp1"), 3), (("left", "right",
      "disp_left"), 8)],
)  # fmt: skip
def test_middlebury_in_integers(tmp_path, names, scale):
    for name, pixels in zip(names, (LEFT, RIGHT, levels(12)), strict=True):
        put(tmp_path / "scene" / f"{name}.png", pixels)
    (files,) = middlebury(tmp_path, scale=8 if names[0] == "left" else None)
    pair = load(files)
    assert pair.name == "scene" and pair.visible is None
    assert np.array_equal(pair.left, LEFT) and np.array_equal(pair.right, RIGHT)
    assert (pair.disparity == np.float32(12 / scale)).all() and pair.known.all()
    assert pair.stacked.shape == (2, 16, 24)


def test_middlebury_2014(tmp_path):
    truth = np.full(LEFT.shape, 2.5, dtype=np.float32)
    truth[3, 4] = np.inf
    put(tmp_path / "a" / "im0.png", LEFT)
    put(tmp_path / "a" / "im1.png", RIGHT)
    put(tmp_path / "a" / "disp0.pfm", truth)
    pair = load(middlebury(tmp_path)[0])
    assert not pair.known[3, 4] and pair.known.sum() == LEFT.size - 1
    assert pair.disparity[3, 4] == 0 and pair.disparity[0, 0] == 2.5


def test_a_scene_without_a_known_scale_asks_for_it(tmp_path):
    for name in ("left", "right", "disp_left"):
        put(tmp_path / "a" / f"{name}.png", LEFT)
    with pytest.raises(ValueError, match="Scene .*a: scale must be given"):
        middlebury(tmp_path)


def test_what_the_right_view_says_otherwise_is_not_visible(tmp_path):
    left, right = levels(8), levels(8)
    left[:, 12:] = 16  # a step from 2 to 4 pixels: 2 hidden columns before it
    right[:, 8:] = 16
    for name, pixels in (("im2", LEFT), ("im6", RIGHT), ("disp2", left), ("disp6", right)):
        put(tmp_path / "a" / f"{name}.png", pixels)
    pair = load(middlebury(tmp_path)[0])
    row = pair.visible[0]
    assert not row[:2].any() and row[2:10].all() and not row[10:12].any() and row[12:].all()


def test_kitti_2015_has_256th_of_a_pixel_and_files_without_occlusions(tmp_path):
    root = tmp_path / "training"
    seen = levels(512, np.uint16)
    seen[0, 0] = 0
    for name, pixels in (("image_2", LEFT), ("image_3", RIGHT),
                         ("disp_occ_0", levels(512, np.uint16)), ("disp_noc_0", seen)):  # fmt: skip
        put(root / name / "000007_10.png", pixels)
        put(root / name / "000007_11.png", pixels)
    (files,) = kitti2015(tmp_path)
    pair = load(files)
    assert pair.name == "000007_10" and (pair.disparity == 2).all()
    assert not pair.visible[0, 0] and pair.visible.sum() == LEFT.size - 1


@pytest.mark.parametrize("kind", ["image", "colored"])
def test_kitti_2012_in_grey_and_in_colours(tmp_path, kind):
    root = tmp_path / "training"
    for name, pixels in ((f"{kind}_0", LEFT), (f"{kind}_1", RIGHT),
                         ("disp_occ", levels(256, np.uint16))):  # fmt: skip
        put(root / name / "000000_10.png", pixels)
    pair = load(kitti2012(tmp_path)[0])
    assert (pair.disparity == 1).all() and pair.visible is None


def test_sceneflow(tmp_path):
    where = "TEST/A/0000"
    put(tmp_path / "frames_cleanpass" / where / "left" / "0006.png", LEFT)
    put(tmp_path / "frames_cleanpass" / where / "right" / "0006.png", RIGHT)
    put(tmp_path / "disparity" / where / "left" / "0006.pfm", levels(3, np.float32))
    (files,) = sceneflow(tmp_path)
    assert files.name == "TEST/A/0000/left/0006"
    assert (load(files).disparity == 3).all()


def test_a_pair_without_ground_truth_knows_nothing(tmp_path):
    put(tmp_path / "a" / "im0.png", LEFT)
    put(tmp_path / "a" / "im1.png", RIGHT)
    pair = load(middlebury(tmp_path)[0])
    assert not pair.known.any() and pair.visible is None


@pytest.mark.parametrize("name", ["im6", "disp2"])
def test_pictures_of_different_size_are_named(tmp_path, name):
    for each in ("im2", "im6", "disp2"):
        put(tmp_path / "a" / f"{each}.png", LEFT[:, :-1] if each == name else LEFT)
    with pytest.raises(ValueError, match=rf"{name}\.png: it must have the size of .*im2.* 23x16"):
        load(middlebury(tmp_path)[0])


def test_a_disparity_file_in_another_format_is_named(tmp_path):
    for name in ("im2", "im6"):
        put(tmp_path / "a" / f"{name}.png", LEFT)
    put(tmp_path / "a" / "disp2.png", np.zeros((16, 24, 3), np.uint8))
    with pytest.raises(ValueError, match=r"disp2\.png: it must be grey, of 8 or 16 bits, not RGB"):
        load(middlebury(tmp_path)[0])


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_an_empty_folder_is_named(tmp_path, layout):
    with pytest.raises(ValueError, match="it must hold .*, and holds none"):
        LAYOUTS[layout](tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere: it must be readable"):
        middlebury(tmp_path / "nowhere")
