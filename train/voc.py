"""Annotated pictures in the layout of Pascal VOC: the BCCD blood cells, and others alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from .pictures import read_rgb

__all__ = ["BCCD", "Annotation", "Sample", "load_sample", "read_annotation", "voc"]

BCCD = ("RBC", "WBC", "Platelets")
"""Classes of the blood-cell set: red cells, white cells, platelets."""

_LARGEST = 1 << 20
_MOST = 4096


@dataclass(frozen=True, eq=False)
class Annotation:
    """Boxes (count, 4) float32 as left, top, right, bottom in pixels, and class numbers (count).

    ``size`` is (height, width) of the picture.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    size: tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """Where a picture and its annotation lie."""

    name: str
    picture: Path
    annotation: Path


def voc(folder: Path | str, split: str) -> list[Sample]:
    """The pictures that ``ImageSets/Main/SPLIT.txt`` names, in its order.

    Raises
    ------
    ValueError
        If the list cannot be read, is empty, or names a picture that is not there.
    """
    folder = Path(folder)
    listed = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        names = listed.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"List {listed}: it must be a text file; check the folder") from error
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise ValueError(f"List {listed}: it must name a picture at least, and is empty")
    samples = []
    for name in names:
        if "/" in name or "\\" in name or name.startswith("."):
            raise ValueError(f'List {listed}: it must hold plain names, not "{name}"')
        picture = folder / "JPEGImages" / f"{name}.jpg"
        annotation = folder / "Annotations" / f"{name}.xml"
        for path in (picture, annotation):
            if not path.is_file():
                raise ValueError(f"List {listed}: {path} must be there, and is not; unpack it")
        samples.append(Sample(name, picture, annotation))
    return samples


def load_sample(
    sample: Sample, classes: Sequence[str] = BCCD
) -> tuple[NDArray[np.uint8], Annotation]:
    """Picture (height, width, 3) and annotation.

    Raises
    ------
    ValueError
        If one of the files is wrong, or they differ in size.
    """
    picture = read_rgb(sample.picture)
    annotation = read_annotation(sample.annotation, classes)
    if picture.shape[:2] != annotation.size:
        height, width = annotation.size
        raise ValueError(
            f"Annotation {sample.annotation}: its size must be that of {sample.picture} "
            f"({picture.shape[1]}x{picture.shape[0]}), not {width}x{height}; correct it"
        )
    return picture, annotation


def read_annotation(path: Path | str, classes: Sequence[str] = BCCD) -> Annotation:
    """Read one annotation; boxes without area are left out.

    The file is data from outside: at most 1 MiB and 4096 boxes, and no document type, so nothing in
    it is expanded.

    Raises
    ------
    ValueError
        If it is not such a file, a box reaches out of the picture, or a class is unknown.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"Annotation {path}: it must have at most {_LARGEST} bytes")
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"Annotation {path}: it cannot be read ({error.strerror})") from error
    if b"<!" in text.replace(b"<!--", b""):
        raise ValueError(f"Annotation {path}: it must have no document type; remove it")
    try:
        root = ElementTree.fromstring(text)
        size = root.find("size")
        assert size is not None
        width, height = (_number(size, what) for what in ("width", "height"))
        if min(width, height) < 1 or len(objects := root.findall("object")) > _MOST:
            raise ValueError("its size and its number of boxes")
        boxes, labels = [], []
        for thing in objects:
            name = (thing.findtext("name") or "").strip()
            where = thing.find("bndbox")
            assert where is not None
            box = [_number(where, side) for side in ("xmin", "ymin", "xmax", "ymax")]
            boxes.append(box)
            labels.append(name)
    except (ElementTree.ParseError, AssertionError, ValueError) as error:
        line = " ".join(str(error).split())[:80]
        raise ValueError(
            f"Annotation {path}: it must be Pascal VOC with sizes and boxes ({line}); correct it"
        ) from error
    return _checked(path, boxes, labels, (height, width), classes)


def _checked(
    path: Path,
    boxes: list[list[int]],
    names: list[str],
    size: tuple[int, int],
    classes: Sequence[str],
) -> Annotation:
    height, width = size
    kept, labels = [], []
    for name, box in zip(names, boxes, strict=True):
        if name not in classes:
            raise ValueError(
                f'Annotation {path}: classes must be {", ".join(classes)}, not "{name}"; '
                "rename it or give another list of classes"
            )
        left, top, right, bottom = box
        if left < 0 or top < 0 or right > width or bottom > height or left > right or top > bottom:
            raise ValueError(
                f"Annotation {path}: boxes must lie within {width}x{height}, not {box}; correct it"
            )
        if left < right and top < bottom:
            kept.append(box)
            labels.append(classes.index(name))
    return Annotation(
        np.array(kept, dtype=np.float32).reshape(-1, 4), np.array(labels, dtype=np.int64), size
    )


def _number(parent: ElementTree.Element, name: str) -> int:
    """A whole number; some tools write it with a point."""
    return round(float(parent.findtext(name) or "nothing"))
