"""Picture files: what is read, and what is refused in one line that names the file."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sqwire.train.pictures import read_grey, read_levels, read_pfm, read_rgb


def saved(folder, pixels, mode=None, name="a.png"):
    Image.fromarray(np.asarray(pixels)).convert(mode).save(folder / name) if mode else (
        Image.fromarray(np.asarray(pixels)).save(folder / name)
    )
    return folder / name


def png(depth, colour, width, height, rows):
    """A PNG of any kind, as Pillow cannot write all."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_grey_is_read_as_it_is(tmp_path):
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    assert np.array_equal(read_grey(saved(tmp_path, pixels)), pixels)


def test_colours_become_grey_as_pillow_does(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = saved(tmp_path, pixels)
    assert np.array_equal(read_grey(path), np.asarray(Image.open(path).convert("L")))
    assert np.array_equal(read_rgb(path), pixels)


def test_sixteen_bits_are_kept_for_disparities(tmp_path):
    pixels = np.array([[0, 1], [256, 65535]], dtype=np.uint16)
    path = saved(tmp_path, pixels)
    assert np.array_equal(read_levels(path), pixels)
    with pytest.raises(ValueError, match=r"a\.png: it must be 8-bit grey or RGB, not 16 bits"):
        read_grey(path)


def test_sixteen_bit_colours_are_not_silently_halved(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(png(16, 2, 2, 1, [bytes(12)]))
    with pytest.raises(ValueError, match=r"deep\.png: it must be 8-bit RGB, not 16 bits"):
        read_rgb(path)


@pytest.mark.parametrize(("mode", "said"), [("RGBA", "RGBA"), ("LA", "alpha"), ("P", "palette")])
def test_other_kinds_are_named(tmp_path, mode, said):
    path = saved(tmp_path, np.zeros((4, 4, 3), np.uint8), mode)
    for read in (read_grey, read_rgb, read_levels):
        with pytest.raises(ValueError, match=rf"a\.png: it must be .* not .*{said}.*; convert it"):
            read(path)


def test_grey_is_no_colour_picture(tmp_path):
    with pytest.raises(ValueError, match="it must be 8-bit RGB, not 8-bit grey"):
        read_rgb(saved(tmp_path, np.zeros((4, 4), np.uint8)))


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png(8, 0, 40000, 40000, []))
    with pytest.raises(ValueError, match=r"huge\.png"):
        read_grey(path)
    path.write_bytes(png(8, 0, 8000, 8000, []))
    with pytest.raises(ValueError, match="at most 33554432 pixels, not 8000x8000"):
        read_grey(path)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"P5\n3 3\n255\n12"])
def test_broken_files_are_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: it must be a whole PNG"):
        read_grey(path)


def test_a_file_cut_short_is_named(tmp_path):
    path = saved(tmp_path, np.random.default_rng(0).integers(0, 255, (50, 50), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(ValueError, match=r"a\.png: it must be a whole PNG"):
        read_grey(path)
    with pytest.raises(ValueError, match=r"none\.png"):
        read_grey(tmp_path / "none.png")


@pytest.mark.parametrize(("scale", "order"), [(b"-1.0", "<f4"), (b"1", ">f4")])
def test_pfm_rows_come_from_the_bottom_in_either_byte_order(tmp_path, scale, order):
    pixels = np.array([[1, 2, 3], [4, 5, np.inf]], dtype=np.float32)
    path = tmp_path / "a.pfm"
    path.write_bytes(b"Pf\n3 2\n" + scale + b"\n" + pixels[::-1].astype(order).tobytes())
    assert np.array_equal(read_pfm(path), pixels)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not something else"),
        (b"PF\n1 1\n-1\n" + bytes(12), r"not colours \(PF\)"),
        (b"Pf\n2 2\n-1\n" + bytes(12), "16 bytes of pixels, not 12"),
        (b"Pf\n2 x\n-1\n" + bytes(16), "another header"),
        (b"Pf\n2\n", "another header"),
        (b"Pf\n99999 99999\n-1\n", "99999x99999"),
        (b"Pf\n-2 -2\n-1\n" + bytes(16), "-2x-2"),
        (b"Pf\n2 2\nnan\n" + bytes(16), "nan"),
    ],
)
def test_wrong_pfm_files_are_named(tmp_path, content, said):
    path = tmp_path / "a.pfm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.pfm: it must be .*{said}"):
        read_pfm(path)
