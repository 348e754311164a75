"""Disparities as pictures and as clouds of points, in numpy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["coloured", "fitted", "write_ply"]

Bytes = NDArray[np.uint8]
Single = NDArray[np.float32]

# Far to near: dark blue, blue, cyan, green, yellow, orange, red.
_COLOURS = np.array(
    [(30, 20, 80), (40, 90, 220), (30, 190, 210), (90, 210, 90), (240, 220, 60), (240, 130, 30),
     (170, 20, 20)], dtype=np.float64,
)  # fmt: skip


def coloured(disparity: Single, most: float | None = None) -> Bytes:
    """Disparities (height, width) as colours (height, width, 3) from blue, far, to red, near.

    ``most`` is the disparity of full red, the largest one where it is None.

    Raises
    ------
    ValueError
        If a disparity is not finite, or there is none.
    """
    if disparity.ndim != 2 or not disparity.size or not np.isfinite(disparity).all():
        raise ValueError(
            f"coloured: disparities must be finite, of shape (height, width), not of shape "
            f"{disparity.shape}"
        )
    largest = float(disparity.max()) if most is None else most
    share = np.clip(disparity / max(largest, 1e-6), 0, 1) * (len(_COLOURS) - 1)
    places = np.arange(len(_COLOURS))
    parts = [np.interp(share, places, _COLOURS[:, k]) for k in range(3)]
    return np.rint(np.stack(parts, axis=-1)).astype(np.uint8)


def write_ply(
    path: Path | str,
    picture: Bytes,
    disparity: Single,
    *,
    focal: float,
    baseline: float = 1.0,
    least: float = 0.5,
) -> int:
    """Write the points of a picture (height, width) or (height, width, 3) as binary PLY; how many.

    ``depth = focal * baseline / disparity`` with ``focal`` in pixels; x to the right, y up, z
    towards the viewer, all in the unit of ``baseline``. Disparities below ``least`` are left out.

    Raises
    ------
    ValueError
        If picture and disparities differ in size, or a length is not above 0.
    """
    if picture.shape[:2] != disparity.shape:
        raise ValueError(
            f"write_ply: picture and disparities must have one size, not {picture.shape[:2]} and "
            f"{disparity.shape}"
        )
    if not (focal > 0 and baseline > 0 and least > 0):
        raise ValueError("write_ply: focal, baseline and least must be above 0")
    colours = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    height, width = disparity.shape
    rows, columns = np.nonzero(disparity >= least)
    depth = focal * baseline / disparity[rows, columns]
    points = np.empty(
        len(rows), dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)]
    )  # packed, as PLY wants it
    points["xyz"][:, 0] = (columns - (width - 1) / 2) * depth / focal
    points["xyz"][:, 1] = -(rows - (height - 1) / 2) * depth / focal
    points["xyz"][:, 2] = -depth
    points["rgb"] = colours[rows, columns]
    fields = [f"property float {axis}" for axis in "xyz"]
    fields += [f"property uchar {colour}" for colour in ("red", "green", "blue")]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *fields]
    Path(path).write_bytes("\n".join([*head, "end_header", ""]).encode() + points.tobytes())
    return len(points)


def fitted(left: Bytes, right: Bytes, size: tuple[int, int]) -> Single:
    """A pair as a network of ``size`` (height, width) takes it: (1, 2, height, width), zeros below
    and on the right.

    Raises
    ------
    ValueError
        If the views differ in size or are larger than the network's frame.
    """
    if left.shape != right.shape:
        raise ValueError(
            f"Pair: both views must have one size, not {left.shape[1]}x{left.shape[0]} and "
            f"{right.shape[1]}x{right.shape[0]}"
        )
    height, width = size
    if left.shape[0] > height or left.shape[1] > width:
        raise ValueError(
            f"Pair: it must be at most {width}x{height}, not {left.shape[1]}x{left.shape[0]}; "
            "shrink it, or export the network for its size"
        )
    pair = np.zeros((1, 2, height, width), dtype=np.float32)
    pair[0, :, : left.shape[0], : left.shape[1]] = np.stack([left, right])
    return pair
