"""Boxes from the heads of a detector: what the host does behind the circuit, in numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BCCD_HEAD", "VOC_HEADS", "YOLO_TINY_HEADS", "Found", "Head", "decode", "drawn", "spread",
    "suppress",
]  # fmt: skip

Single = NDArray[np.float32]

# exp of more than this is a box larger than any picture.
_LARGEST_EXPONENT = 10.0


@dataclass(frozen=True)
class Head:
    """How a head is laid out: for each prior box 4 box numbers, objectness, a score for each class.

    A cell stands for ``stride`` pixels. Centres are ``(cell + reach * sigmoid(t) - (reach - 1) / 2)
    * stride``: with ``reach`` 1 within the cell (YOLOv3), with 2 up to half a cell outside. Sizes
    are ``prior * exp(t)``.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    stride: int
    classes: int
    priors: tuple[tuple[float, float], ...]
    reach: float = 1.0

    def __post_init__(self) -> None:
        if self.stride < 1 or self.classes < 1 or not self.priors:
            raise ValueError(
                "Head: stride, classes and priors must be at least one, not "
                f"{self.stride}, {self.classes}, {len(self.priors)}"
            )

    @property
    def channels(self) -> int:
        """Channels of the head's tensor."""
        return len(self.priors) * (5 + self.classes)


BCCD_HEAD = Head(8, 3, ((50.0, 50.0),), 2.0)
"""The head of :func:`sqwire.train.networks.cells`."""

YOLO_TINY_HEADS = (
    Head(32, 80, ((81.0, 82.0), (135.0, 169.0), (344.0, 319.0))),
    Head(16, 80, ((10.0, 14.0), (23.0, 27.0), (37.0, 58.0))),
)
"""The heads of YOLOv3-tiny, coarse one first, with the priors of its authors' cfg file."""

VOC_HEADS = tuple(replace(head, classes=20) for head in YOLO_TINY_HEADS)
"""The heads of :func:`sqwire.train.networks.objects`, with the same priors for other classes."""


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes (count, 4) as left, top, right, bottom in pixels, their scores and class numbers, best
    first."""

    boxes: Single
    scores: Single
    labels: NDArray[np.int64]


def decode(
    outputs: Sequence[Single],
    heads: Sequence[Head],
    size: tuple[int, int],
    *,
    threshold: float = 0.25,
    overlap: float = 0.5,
    most: int = 300,
) -> Found:
    """Boxes of one picture from the outputs of its heads.

    An output is a map (channels, height, width), or records of candidates (1 + channels, 1, count).
    Boxes are the same if the threshold of the candidates is not above this one and none of them
    was dropped.

    Objectness is compared as a logit, since a sigmoid only rises; candidates are decoded, sorted
    and suppressed class by class. ``size`` is (height, width) of the picture, which boxes are cut
    to.

    Raises
    ------
    ValueError
        If an output does not fit its head.
    """
    boxes, scores, labels = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    limit = np.log(threshold / (1 - threshold))
    for output, head in zip(outputs, heads, strict=True):
        if output.ndim == 3 and output.shape[:2] == (1 + head.channels, 1):
            output = spread(output, (-(-size[0] // head.stride), -(-size[1] // head.stride)))
        if output.ndim != 3 or output.shape[0] != head.channels:
            raise ValueError(
                f"Head: an output must have {head.channels} channels and two axes of cells, not "
                f"shape {output.shape}"
            )
        cells = output.astype(np.float64).reshape(len(head.priors), -1, *output.shape[1:])
        prior, row, column = np.nonzero(cells[:, 4] >= limit)
        t = cells[prior, :, row, column]
        centre = head.reach * _sigmoid(t[:, :2]) - (head.reach - 1) / 2
        centre = (centre + np.stack([column, row], 1)) * head.stride
        half = np.array(head.priors).reshape(-1, 2)[prior] / 2
        half = half * np.exp(np.minimum(t[:, 2:4], _LARGEST_EXPONENT))
        each = _sigmoid(t[:, 4:5]) * _sigmoid(t[:, 5:])
        best = each.argmax(axis=1) if len(each) else np.zeros(0, dtype=np.int64)
        boxes.append(np.concatenate([centre - half, centre + half], axis=1))
        scores.append(each[np.arange(len(each)), best])
        labels.append(best)
    height, width = size
    every = np.concatenate(boxes).clip(0, [width, height, width, height]).astype(np.float32)
    score = np.concatenate(scores).astype(np.float32)
    label = np.concatenate(labels)
    kept = suppress(every, score, label, overlap)
    kept = kept[score[kept] >= threshold][:most]
    return Found(every[kept], score[kept], label[kept])


def spread(records: Single, shape: tuple[int, int]) -> Single:
    """Records of candidates (1 + channels, 1, count) as a map (channels, *shape), which is minus
    infinity where nobody says what it is. See :class:`sqwire.hw.candidates.Candidates`.

    Raises
    ------
    ValueError
        If a record is of no position of the map.
    """
    numbers, codes = records[0, 0], records[1:, 0]
    at = numbers[numbers >= 0]
    height, width = shape
    wrong = at[(at >= height * width) | (at != np.floor(at))]
    if wrong.size:
        raise ValueError(
            f"Candidates: positions must be whole numbers up to {height * width - 1} in a map of "
            f"{height}x{width}, not {wrong[0]:g}; was the picture of another size?"
        )
    result = np.full((len(codes), height * width), -np.inf, dtype=np.float32)
    result[:, at.astype(np.int64)] = codes[:, numbers >= 0]
    return result.reshape(-1, height, width)


def suppress(
    boxes: Single, scores: Single, labels: NDArray[np.int64], overlap: float
) -> NDArray[np.int64]:
    """Numbers of the boxes that stay, best first: those that overlap a better one of their class
    by more than ``overlap`` (intersection over union) go. Of equal scores the first is better."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(int(first))
        same = labels[rest] == labels[first]
        order = rest[~(same & (_overlaps(boxes[first], boxes[rest]) > overlap))]
    return np.array(kept, dtype=np.int64)


def _overlaps(box: Single, others: Single) -> NDArray[np.float64]:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1, dtype=np.float64)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1, dtype=np.float64)
    union = areas + float((box[2:] - box[:2]).prod()) - shared
    result: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return result


def drawn(
    picture: NDArray[np.uint8], found: Found, colours: Sequence[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """A copy of an RGB picture with the edges of the boxes, two pixels wide, class by colour."""
    result = picture.copy()
    height, width = result.shape[:2]
    for box, label in zip(found.boxes, found.labels, strict=True):
        left, top, right, bottom = (int(v) for v in box)
        right, bottom = min(right, width - 1), min(bottom, height - 1)
        colour = colours[int(label) % len(colours)]
        result[top : top + 2, left : right + 1] = colour
        result[max(0, bottom - 1) : bottom + 1, left : right + 1] = colour
        result[top : bottom + 1, left : left + 2] = colour
        result[top : bottom + 1, max(0, right - 1) : right + 1] = colour
    return result


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / (1 + np.exp(-x.clip(-700, 700)))
    return result
