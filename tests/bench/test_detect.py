"""The detection bench asks pycocotools the right question."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sqwire.boxes import Found
from sqwire.train.voc import Annotation

FILE = Path(__file__).parents[2] / "bench" / "detect.py"
BOXES = np.array([[10, 10, 30, 30], [50, 40, 90, 80], [5, 60, 25, 70]], dtype=np.float32)
LABELS = np.array([0, 0, 1])


@pytest.fixture(scope="module")
def detect():
    spec = importlib.util.spec_from_file_location("bench_detect", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(boxes, labels, scores):
    return Found(np.asarray(boxes, np.float32), np.asarray(scores, np.float32), np.asarray(labels))


def test_perfect_boxes_have_a_precision_of_one(detect):
    truth = [Annotation(BOXES, LABELS, (100, 100))] * 2
    result = detect.average_precision(truth, [found(BOXES, LABELS, [0.9, 0.8, 0.7])] * 2, "ab")
    assert result == {"a": 1.0, "b": 1.0, "mAP50": 1.0, "mAP": 1.0}


def test_a_missed_box_halves_recall_and_a_wrong_class_counts_for_nothing(detect):
    truth = [Annotation(BOXES, LABELS, (100, 100))]
    result = detect.average_precision(truth, [found(BOXES[1:], [0, 0], [0.9, 0.8])], "ab")
    assert result["b"] == 0
    # 51 of 101 recall levels lie up to a half.
    assert result["a"] == pytest.approx(51 / 101)


def test_nothing_found_is_nothing(detect):
    truth = [Annotation(BOXES, LABELS, (100, 100))]
    nothing = found(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    assert detect.average_precision(truth, [nothing], "ab")["mAP50"] == 0
