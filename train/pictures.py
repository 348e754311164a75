"""Picture files, read with care: every surprise is named with its file."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["LARGEST", "read_grey", "read_levels", "read_pfm", "read_rgb"]

Bytes = NDArray[np.uint8]
Single = NDArray[np.float32]

LARGEST = 1 << 25
"""Pictures of more pixels are refused before anything is decoded."""

_BYTES = 6 * LARGEST + 4096
_FORMATS = ("PNG", "PPM", "JPEG")
_DEEP = ("I;16", "I;16B", "I")


def read_rgb(path: Path | str) -> Bytes:
    """An 8-bit colour picture (PNG, PPM, JPEG) as uint8 (height, width, 3).

    Raises
    ------
    ValueError
        If the file cannot be read, is too large, or is not 8-bit RGB.
    """
    return _picture(Path(path), ("RGB",), "8-bit RGB")


def read_grey(path: Path | str) -> Bytes:
    """An 8-bit picture (PNG, PPM, JPEG), grey or RGB, as uint8 (height, width).

    Colours become ``(19595 R + 38470 G + 7471 B + 32768) >> 16`` (ITU-R BT.601).

    Raises
    ------
    ValueError
        If the file cannot be read, is too large, or has 16 bits, a palette or an alpha channel.
    """
    picture = _picture(Path(path), ("L", "RGB"), "8-bit grey or RGB")
    if picture.ndim == 2:
        return picture
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)
    grey: Bytes = ((picture.astype(np.uint32) @ weights + 32768) >> 16).astype(np.uint8)
    return grey


def read_levels(path: Path | str) -> NDArray[np.uint16]:
    """A grey picture of 8 or 16 bits as it is (height, width): how PNG files hold disparities.

    Raises
    ------
    ValueError
        If the file cannot be read, is too large, or is not grey.
    """
    path = Path(path)
    image = _open(path)
    if image.mode not in ("L", *_DEEP):
        raise _wrong(path, "grey, of 8 or 16 bits", _kind(image))
    levels = _decoded(path, image)
    if levels.min() < 0 or levels.max() > 65535:
        raise _wrong(path, "grey, of 8 or 16 bits", f"values from {levels.min()} to {levels.max()}")
    return levels.astype(np.uint16)


def read_pfm(path: Path | str) -> Single:
    """A grey PFM file as float32 (height, width), first row on top.

    The format: ``Pf``, width and height, a scale whose sign is the byte order (negative: little
    endian), then float32 rows from the bottom up. The magnitude of the scale is not applied, as
    no stereo data set means it.

    Raises
    ------
    ValueError
        If the file cannot be read, is too large, has colours, or its length does not fit.
    """
    path = Path(path)
    content = _bytes(path)
    fields = content[:128].split(maxsplit=4)
    if not fields or fields[0] != b"Pf":
        what = "colours (PF)" if fields[:1] == [b"PF"] else "something else"
        raise _wrong(path, "a grey PFM (Pf)", what)
    try:
        width, height, scale = int(fields[1]), int(fields[2]), float(fields[3])
        header = content.index(fields[3], content.index(fields[2], 3)) + len(fields[3]) + 1
    except (IndexError, ValueError) as error:
        raise _wrong(path, "a PFM with width, height and scale", "another header") from error
    if not 0 < width * height <= LARGEST or min(width, height) < 1 or not np.isfinite(scale):
        raise _wrong(path, f"1 to {LARGEST} pixels and a finite scale",
                     f"{width}x{height}, {scale}")  # fmt: skip
    if len(content) - header != 4 * width * height:
        raise _wrong(path, f"{4 * width * height} bytes of pixels", f"{len(content) - header}")
    order = "<f4" if scale < 0 else ">f4"
    pixels = np.frombuffer(content, order, offset=header).reshape(height, width)
    return np.ascontiguousarray(pixels[::-1], dtype=np.float32)


def _picture(path: Path, modes: tuple[str, ...], wanted: str) -> Bytes:
    image = _open(path)
    if image.mode not in modes or _deep(image):
        raise _wrong(path, wanted, _kind(image))
    return _decoded(path, image).astype(np.uint8)


def _bytes(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > _BYTES:
            raise _wrong(path, f"at most {_BYTES} bytes", f"{size}")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _open(path: Path) -> Image.Image:
    """The file's header; nothing is decoded yet."""
    content = _bytes(path)
    try:
        with warnings.catch_warnings():
            # Pillow's own bound is above ours, which speaks of the file.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    if not 0 < image.width * image.height <= LARGEST:
        raise _wrong(path, f"at most {LARGEST} pixels", f"{image.width}x{image.height}")
    return image


def _decoded(path: Path, image: Image.Image) -> NDArray[Any]:
    try:
        return np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from error


def _deep(image: Image.Image) -> bool:
    """Whether a colour PNG has 16 bits, which Pillow would silently halve."""
    tile = getattr(image, "tile", None)
    mode = str(tile[0][3]) if tile else ""
    return image.mode in _DEEP or "16" in mode


def _kind(image: Image.Image) -> str:
    names = {"RGBA": "RGBA", "LA": "grey with alpha", "P": "a palette", "L": "8-bit grey",
             "RGB": "RGB", "1": "one bit"}  # fmt: skip
    return "16 bits" if _deep(image) else names.get(image.mode, image.mode)


def _wrong(path: Path, wanted: str, found: str) -> ValueError:
    return ValueError(f"Picture {path}: it must be {wanted}, not {found}; convert it")


def _unreadable(path: Path, error: Exception) -> ValueError:
    line = " ".join(str(getattr(error, "strerror", None) or error).split())[:120]
    return ValueError(f"Picture {path}: it must be a whole PNG, PPM, JPEG or PFM file ({line})")
