"""Annotated pictures: what is read, and what is wrong with a file in one line that names it."""

import numpy as np
import pytest
from PIL import Image

from sqwire.train.voc import BCCD, load_sample, read_annotation, voc

BOX = "<object><name>{}</name><bndbox>{}</bndbox></object>"


def sides(*box):
    names = ("xmin", "ymin", "xmax", "ymax")
    return "".join(f"<{n}>{v}</{n}>" for n, v in zip(names, box, strict=True))


def text(*objects, size="<size><width>64</width><height>48</height><depth>3</depth></size>"):
    return f"<annotation>{size}{''.join(objects)}</annotation>"


@pytest.fixture
def folder(tmp_path):
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("b", "a"):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / f"JPEGImages/{name}.jpg")
        content = text(
            BOX.format("WBC", sides(1, 2, 30, 40)), BOX.format("RBC", sides(0, 0, 64, 48))
        )
        (tmp_path / f"Annotations/{name}.xml").write_text(content)
    (tmp_path / "ImageSets/Main/train.txt").write_text("b\na\n")
    return tmp_path


def test_boxes_classes_and_the_order_of_the_list(folder):
    samples = voc(folder, "train")
    assert [s.name for s in samples] == ["b", "a"]
    picture, annotation = load_sample(samples[0])
    assert picture.shape == (48, 64, 3)
    assert annotation.boxes.tolist() == [[1, 2, 30, 40], [0, 0, 64, 48]]
    assert annotation.labels.tolist() == [BCCD.index("WBC"), BCCD.index("RBC")]


def test_boxes_without_area_are_left_out_as_bccd_has_them(folder):
    path = folder / "Annotations/a.xml"
    path.write_text(text(BOX.format("RBC", sides(18, 32, 18, 32))))
    assert read_annotation(path).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text(BOX.format("RBC", sides(1, 2, 65, 40))), r"within 64x48, not \[1, 2, 65, 40\]"),
        (text(BOX.format("RBC", sides(-1, 2, 6, 40))), "within 64x48"),
        (text(BOX.format("RBC", sides(9, 2, 6, 40))), "within 64x48"),
        (text(BOX.format("cat", sides(1, 2, 6, 40))), 'RBC, WBC, Platelets, not "cat"'),
        (text(BOX.format("RBC", sides(1, 2, 6, "x"))), "it must be Pascal VOC"),
        (text("<object><name>RBC</name></object>"), "it must be Pascal VOC"),
        (text(size=""), "it must be Pascal VOC"),
        (text(size="<size><width>0</width><height>4</height></size>"), "it must be Pascal VOC"),
        ("", "it must be Pascal VOC"),
        ("<annotation>", "it must be Pascal VOC"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "no document type"),
        ("x" * (2**20 + 1), "at most 1048576 bytes"),
    ],
)
def test_wrong_annotations_are_named(folder, content, said):
    path = folder / "Annotations/a.xml"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"Annotation .*a\.xml: .*{said}"):
        read_annotation(path)


def test_a_picture_of_another_size_is_named(folder):
    Image.fromarray(np.zeros((40, 64, 3), np.uint8)).save(folder / "JPEGImages/a.jpg")
    with pytest.raises(ValueError, match=r"a\.xml: its size .* \(64x40\), not 64x48"):
        load_sample(voc(folder, "train")[1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("c\n", r"c\.jpg must be there"),
        ("../a\n", "plain"),
    ],
)
def test_wrong_lists_are_named(folder, content, said):
    (folder / "ImageSets/Main/train.txt").write_text(content)
    with pytest.raises(ValueError, match=rf"List .*train\.txt: .*{said}"):
        voc(folder, "train")


def test_a_missing_list_is_named(folder):
    with pytest.raises(ValueError, match=r"List .*nothing\.txt: it must be a text file"):
        voc(folder, "nothing")
