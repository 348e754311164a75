"""Targets, loss and augmentation of the detector, and the detector itself."""

import numpy as np
import pytest
import torch

from sqwire import train
from sqwire.boxes import BCCD_HEAD, decode
from sqwire.train.detection import Augment, detection_loss, fit_detector, shrunk, targets
from sqwire.train.networks.cells import cells
from sqwire.train.stepping import StepSchedule
from sqwire.train.voc import Annotation


def annotation(*rows, size=(48, 64)):
    """Rows of left, top, right, bottom, class."""
    array = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return Annotation(array[:, :4], array[:, 4].astype(np.int64), size)


def test_cells_around_the_centre_have_to_find_a_box():
    # Centre (28, 20): in cells of 8, counted from the centre of the first one, (3, 2).
    found = targets([annotation((18, 10, 38, 30, 2))], 8, (6, 8))
    assert torch.nonzero(found.label[0] == 2).tolist() == [[2, 3]]
    # Half a cell off both ways: two by two.
    found = targets([annotation((22, 14, 42, 34, 1))], 8, (6, 8))
    assert torch.nonzero(found.label[0] == 1).tolist() == [[2, 3], [2, 4], [3, 3], [3, 4]]
    assert found.box[0, :, 3, 4].tolist() == [22, 14, 42, 34]
    assert (found.label == -1).sum() == 6 * 8 - 4


def test_the_smallest_box_gets_a_cell_and_corners_stay_inside():
    large, small = (0, 0, 64, 48, 0), (24, 16, 40, 32, 2)
    for rows in ((large, small), (small, large)):
        assert (targets([annotation(*rows)], 8, (6, 8)).label[0, 2:4, 3:5] == 2).all()
    assert (targets([annotation((0, 0, 2, 2, 1))], 8, (6, 8)).label >= 0).sum() == 1
    assert (targets([annotation()], 8, (6, 8)).label == -1).all()


def test_what_is_learnt_is_what_is_decoded():
    """Gradient descent on the head's output alone leads to the boxes."""
    rows = [(10, 8, 30, 28, 0), (40, 20, 60, 44, 2)]
    wanted = targets([annotation(*rows)], 8, (6, 8))
    output = torch.zeros(1, 8, 6, 8, requires_grad=True)
    optimizer = torch.optim.Adam([output], lr=0.2)
    for _ in range(150):
        loss = detection_loss(output, wanted, 8, 50.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = decode([output.detach()[0].numpy()], [BCCD_HEAD], (48, 64))
    order = np.argsort(found.labels)
    assert found.labels[order].tolist() == [0, 2]
    assert np.allclose(found.boxes[order], np.array(rows)[:, :4], atol=1)


def test_pictures_without_a_box_teach_objectness_only():
    output = torch.zeros(1, 8, 6, 8, requires_grad=True)
    detection_loss(output, targets([annotation()], 8, (6, 8)), 8, 50.0).backward()
    assert output.grad[:, 4].abs().min() > 0
    assert not output.grad[:, [0, 1, 2, 3, 5, 6, 7]].any()


@pytest.mark.parametrize("seed", range(6))
def test_boxes_go_with_what_is_in_them(seed):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[12:30, 20:44] = 200
    augment = Augment(light=1.0)
    moved, after = augment(picture, annotation((20, 12, 44, 30, 1)), np.random.default_rng(seed))
    left, top, right, bottom = after.boxes[0]
    rows, columns = np.nonzero(moved[:, :, 0])
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.array(seen) - (left, top, right, bottom)).max() <= 1
    again, _ = augment(picture, annotation((20, 12, 44, 30, 1)), np.random.default_rng(seed))
    assert np.array_equal(moved, again)


def test_boxes_that_leave_the_picture_are_dropped():
    picture = np.zeros((48, 64, 3), np.uint8)
    augment = Augment(scale=1.0, shift=0.9, light=1.0)
    counts = {
        len(augment(picture, annotation((0, 0, 10, 10, 1)), np.random.default_rng(k))[1].labels)
        for k in range(20)
    }
    assert counts == {0, 1}


def test_a_picture_is_shrunk_by_means():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    small, boxes = shrunk(picture, annotation((0, 0, 6, 4, 0), size=(4, 6)), 2)
    assert small.shape == (2, 3, 3) and boxes.size == (2, 3)
    assert small[0, 0, 0] == round(np.mean([0, 3, 18, 21]))
    assert boxes.boxes.tolist() == [[0, 0, 3, 2]]


def test_the_detector_is_frozen_to_the_graph(agree, stir):
    torch.manual_seed(0)
    network = stir(cells())
    assert sum(p.numel() for p in network.parameters()) == 289_368
    x = torch.randint(0, 256, (1, 3, 32, 48)).float()
    assert network(x).shape == (1, 8, 4, 6)
    qat = train.prepare(network, train.SQuantizer(sigma=0.5), x, input_bits=8)
    frozen = qat.freeze()
    assert frozen(x.numpy()).shape == (1, 8, 4, 6)
    assert agree(frozen, x) > 15


def test_a_detector_learns_a_picture():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 60, (48, 64, 3), dtype=np.uint8)
    picture[8:30, 12:40] += 150
    samples = [(picture, annotation((12, 8, 40, 30, 1)))]
    torch.manual_seed(0)
    network, losses = cells(), []
    schedule = StepSchedule(12, 4, 3e-3, warmup=3)
    fit_detector(network, samples, schedule, progress=lambda step, loss: losses.append(loss))
    assert losses[-1] < losses[0]
    with pytest.raises(ValueError, match="they must be some"):
        fit_detector(network, [], schedule)
