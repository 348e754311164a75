"""Mean average precision of a detector on the blood cells, as pycocotools computes it.

    python bench/detect.py FOLDER [NAME=]MODEL ... [--split test] [--json FILE]

FOLDER has the layout of Pascal VOC (JPEGImages, Annotations, ImageSets). A MODEL.onnx runs as an
integer graph, a MODEL.pt holds weights of the network in float, or is the float.pt that training
works on; pictures are shrunk to its size, or to 320x240, by means of whole blocks. Prints a table;
FILE gets the same by name, and keeps what it has of others.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sqwire.boxes import BCCD_HEAD, Found, decode
from sqwire.compiler import frontend
from sqwire.train.detection import shrunk
from sqwire.train.networks.cells import cells
from sqwire.train.voc import BCCD, Annotation, load_sample, voc

Detector = Callable[[NDArray[np.uint8]], Found]

THRESHOLD = 0.01
"""Boxes that are less sure than this are not counted, as they change precision by nothing."""
FLOAT_SIZE = (240, 320)


def average_precision(
    truth: Sequence[Annotation], found: Sequence[Found], classes: Sequence[str]
) -> dict[str, float]:
    """AP at an overlap of 0.5 for each class, their mean ("mAP50"), and the mean over overlaps of
    0.5 to 0.95 ("mAP")."""
    boxes, results = [], []
    for picture, annotation in enumerate(truth, 1):
        for box, label in zip(annotation.boxes.tolist(), annotation.labels.tolist(), strict=True):
            left, top, right, bottom = box
            boxes.append({
                "id": len(boxes) + 1, "image_id": picture, "category_id": label + 1, "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
            })  # fmt: skip
    for picture, one in enumerate(found, 1):
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True):
            left, top, right, bottom = (float(v) for v in box)
            results.append([picture, left, top, right - left, bottom - top, score, label + 1])
    if not results:  # which pycocotools does not take
        return dict.fromkeys((*classes, "mAP50", "mAP"), 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does
        coco = COCO()
        coco.dataset = {
            "images": [{"id": k + 1} for k in range(len(truth))],
            "annotations": boxes,
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(classes)],
        }
        coco.createIndex()
        answers = coco.loadRes(np.array(results, dtype=np.float64).reshape(-1, 7))
        evaluation: Any = COCOeval(coco, answers, "bbox")
        evaluation.params.maxDets = [1, 10, 300]
        evaluation.evaluate()
        evaluation.accumulate()
    # Axes: overlap, recall, class, area, number of boxes.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    each = {name: float(precision[0, :, k].mean()) for k, name in enumerate(classes)}
    return {**each, "mAP50": float(np.mean(list(each.values()))), "mAP": float(precision.mean())}


def graph_detector(file: Path) -> tuple[Detector, tuple[int, int]]:
    """A compiled detector, and the size (height, width) of its pictures."""
    graph = frontend.import_qonnx(file)
    _, height, width = graph.input.shape

    def run(picture: NDArray[np.uint8]) -> Found:
        x = picture.transpose(2, 0, 1)[None].astype(np.float32)
        output = graph.output.dequantize(graph.run(graph.input.quantize(x)))
        return decode([output[0]], [BCCD_HEAD], (height, width), threshold=THRESHOLD)

    return run, (height, width)


def float_detector(file: Path) -> tuple[Detector, tuple[int, int]]:
    """The detector of blood cells in float, and the size (height, width) of its pictures."""
    network = cells()
    state = torch.load(file, weights_only=True)
    try:
        network.load_state_dict(state.get("network", state))
    except RuntimeError as error:
        raise SystemExit(f"{file}: must be weights of networks.cells() as it is: {error}") from None
    network.eval()

    def run(picture: NDArray[np.uint8]) -> Found:
        with torch.no_grad():
            output = network(torch.tensor(picture.transpose(2, 0, 1)[None]).float()).numpy()
        return decode([output[0]], [BCCD_HEAD], FLOAT_SIZE, threshold=THRESHOLD)

    return run, FLOAT_SIZE


def precision(folder: Path, split: str, model: Path) -> dict[str, float]:
    """:func:`average_precision` of a model on the pictures of a list."""
    detector, (height, _) = (float_detector if model.suffix == ".pt" else graph_detector)(model)
    truth, found = [], []
    for sample in voc(folder, split):
        picture, annotation = load_sample(sample)
        small, boxes = shrunk(picture, annotation, picture.shape[0] // height)
        truth.append(boxes)
        found.append(detector(small))
    return average_precision(truth, found, BCCD)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", nargs="+", help="with a name for the table before it, NAME=MODEL")
    parser.add_argument("--split", default="test")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    heads = (*BCCD, "mAP50", "mAP")
    print("| model | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    results = {}
    for given in options.model:
        name, _, file = given.rpartition("=")
        name = name or Path(file).stem
        found = results[name] = precision(options.folder, options.split, Path(file))
        row = (name, *(f"{found[head]:.3f}" for head in heads))
        print("| " + " | ".join(row) + " |", flush=True)
    if options.json:
        kept = json.loads(options.json.read_text()) if options.json.is_file() else {}
        options.json.write_text(json.dumps(kept | results, indent=1) + "\n")


if __name__ == "__main__":
    main()
