"""Decoding of heads, suppression and drawing, against definitions by hand."""

import numpy as np
import pytest

from sqwire.boxes import (
    BCCD_HEAD,
    VOC_HEADS,
    YOLO_TINY_HEADS,
    Found,
    Head,
    decode,
    drawn,
    spread,
    suppress,
)


def empty(head, height, width):
    output = np.full((head.channels, height, width), -20.0, dtype=np.float32)
    return output


def test_one_box_by_hand():
    output = empty(BCCD_HEAD, 30, 40)
    output[:, 4, 7] = [0.0, 2.0, np.log(2), np.log(0.5), 3.0, -3.0, 4.0, -3.0]
    found = decode([output], [BCCD_HEAD], (240, 320))
    assert found.labels.tolist() == [1]
    sigmoid = 1 / (1 + np.exp(-2.0))
    x, y = (7 + 0.5) * 8, (4 + 2 * sigmoid - 0.5) * 8
    assert np.allclose(found.boxes, [[x - 50, y - 12.5, x + 50, y + 12.5]], atol=1e-4)
    assert np.isclose(found.scores[0], 1 / (1 + np.exp(-3.0)) / (1 + np.exp(-4.0)))


def test_yolo_tiny_goes_through_the_same_code():
    coarse, fine = (empty(h, s, s) for h, s in zip(YOLO_TINY_HEADS, (13, 26), strict=True))
    at = 85 * 2  # the third prior
    coarse[at : at + 5, 6, 6] = [0, 0, 0, 0, 9]
    coarse[at + 5 + 16, 6, 6] = 9
    fine[85 : 85 + 5, 3, 20] = [0, 0, 0, 0, 9]
    fine[85 + 5 + 2, 3, 20] = 8
    found = decode([coarse, fine], YOLO_TINY_HEADS, (416, 416))
    assert found.labels.tolist() == [16, 2]
    assert np.allclose(found.boxes[0], [208 - 172, 208 - 159.5, 208 + 172, 208 + 159.5])
    assert np.allclose(found.boxes[1], [328 - 11.5, 56 - 13.5, 328 + 11.5, 56 + 13.5])


def test_the_general_detector_has_the_same_priors():
    coarse, fine = (empty(h, s, s) for h, s in zip(VOC_HEADS, (13, 26), strict=True))
    assert len(coarse) == len(fine) == 75
    fine[25 : 25 + 5, 3, 20] = [0, 0, 0, 0, 9]
    fine[25 + 5 + 19, 3, 20] = 8
    found = decode([coarse, fine], VOC_HEADS, (416, 416))
    assert found.labels.tolist() == [19]
    assert np.allclose(found.boxes[0], [328 - 11.5, 56 - 13.5, 328 + 11.5, 56 + 13.5])


def test_boxes_are_cut_to_the_picture_and_large_exponents_do_not_overflow():
    output = empty(BCCD_HEAD, 3, 4)
    output[:, 0, 0] = [0, 0, 500, 500, 9, 9, -9, -9]
    found = decode([output], [BCCD_HEAD], (24, 32))
    assert found.boxes.tolist() == [[0, 0, 32, 24]]


def test_nothing_found_is_no_box():
    found = decode([empty(BCCD_HEAD, 3, 4)], [BCCD_HEAD], (24, 32))
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


def records(output, channels, limit, count):
    """Of candidates, by hand."""
    flat = output.reshape(len(output), -1)
    at = [n for n in range(flat.shape[1]) if (flat[channels, n] >= limit).any()][:count]
    made = np.zeros((1 + len(flat), 1, count), np.float32)
    made[0] = -1
    made[0, 0, : len(at)], made[1:, 0, : len(at)] = at, flat[:, at]
    return made


@pytest.mark.parametrize(
    ("head", "shape", "size"),
    [(BCCD_HEAD, (30, 40), (240, 320)), (YOLO_TINY_HEADS[1], (26, 26), (416, 416))],
)
def test_boxes_of_records_are_those_of_the_map(head, shape, size):
    rng = np.random.default_rng(3)
    output = rng.normal(-1, 1.5, (head.channels, *shape)).astype(np.float32)
    objectness = [k * (5 + head.classes) + 4 for k in range(len(head.priors))]
    output[objectness] -= 2
    limit = np.log(0.25 / 0.75)
    few = records(output, objectness, limit, 400)
    assert 0 < (few[0] >= 0).sum() < 400
    want, found = (decode([y], [head], size, most=500) for y in (output, few))
    assert len(want.boxes) > 5
    assert np.array_equal(found.boxes, want.boxes)
    assert np.array_equal(found.scores, want.scores)
    assert np.array_equal(found.labels, want.labels)
    # Where some were dropped, those that are there are found.
    assert (spread(few[:, :, :3], shape)[objectness] >= limit).any(0).sum() == 3
    assert len(decode([records(output, objectness, 99.0, 4)], [head], size).boxes) == 0


def test_records_of_another_map_are_refused():
    wrong = np.zeros((9, 1, 2), np.float32)
    wrong[0, 0] = [3, 12]
    with pytest.raises(ValueError, match="whole numbers up to 11 in a map of 3x4, not 12"):
        decode([wrong], [BCCD_HEAD], (24, 32))
    wrong[0, 0] = [3, 2.5]
    with pytest.raises(ValueError, match=r"not 2\.5"):
        spread(wrong, (3, 4))


def test_suppression_by_class():
    boxes = np.array(
        [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [0, 5, 10, 15], [20, 20, 30, 30]], np.float32
    )
    scores = np.array([0.5, 0.9, 0.8, 0.7, 0.9], np.float32)
    labels = np.array([0, 0, 1, 0, 0])
    assert suppress(boxes, scores, labels, 0.5).tolist() == [1, 4, 2, 3]
    assert suppress(boxes, scores, labels, 0.2).tolist() == [1, 4, 2]


def test_an_output_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must have 8 channels .*, not shape \(9, 3, 4\)"):
        decode([np.zeros((9, 3, 4), np.float32)], [BCCD_HEAD], (24, 32))
    with pytest.raises(ValueError, match="must be at least one"):
        Head(8, 3, ())


def test_edges_are_drawn_on_a_copy():
    picture = np.zeros((20, 30, 3), np.uint8)
    box = np.array([[4, 5, 30, 20]], np.float32)
    found = Found(box, np.ones(1, np.float32), np.array([1]))
    result = drawn(picture, found, [(1, 1, 1), (9, 8, 7)])
    assert not picture.any()
    assert (result[5, 4:30] == (9, 8, 7)).all() and (result[19, 4:30] == (9, 8, 7)).all()
    assert (result[5:20, 4] == (9, 8, 7)).all() and (result[5:20, 29] == (9, 8, 7)).all()
    assert not result[:5].any() and not result[8:16, 7:27].any()
