"""Textures for rendered scenes: cuts of photos, noise, stripes, and nearly flat ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "COUNT", "ROWS", "bank"]

Bytes = NDArray[np.uint8]
Random = np.random.Generator

COUNT, ROWS, COLUMNS = 256, 256, 512


def bank(photos: Sequence[Bytes], rng: Random) -> Bytes:
    """256 textures of 256x512: half from photos, 30 % noise, the rest periodic or nearly flat.

    Without photos noise takes their place.

    Raises
    ------
    ValueError
        If a photo is not a grey uint8 picture of at least 64x64.
    """
    for k, photo in enumerate(photos):
        if photo.ndim != 2 or photo.dtype != np.uint8 or min(photo.shape) < 64:
            raise ValueError(
                f"Renderer: photo {k} must be a grey uint8 picture of at least 64x64, "
                f"not {photo.dtype} {photo.shape}"
            )
    result = np.empty((COUNT, ROWS, COLUMNS), dtype=np.uint8)
    for k in range(COUNT):
        share = k / COUNT
        if share < 0.5 and photos:
            result[k] = _cut(rng, photos[int(rng.integers(len(photos)))])
        elif share < 0.8:
            result[k] = _noise(rng)
        elif share < 0.92:
            result[k] = _periodic(rng)
        else:
            result[k] = _spread(rng, _octaves(rng, [64, 128]), rng.uniform(4, 20))
    return result


def _cut(rng: Random, photo: Bytes) -> Bytes:
    """A window of a photo, mirrored on where it is too small."""
    pad = [(0, max(0, size - have)) for size, have in
           zip((ROWS, COLUMNS), photo.shape, strict=True)]  # fmt: skip
    wide = np.pad(photo, pad, mode="symmetric")
    row = rng.integers(wide.shape[0] - ROWS + 1)
    column = rng.integers(wide.shape[1] - COLUMNS + 1)
    return wide[row : row + ROWS, column : column + COLUMNS]


def _octaves(rng: Random, cells: Sequence[int]) -> NDArray[np.float32]:
    """Sum of noise on grids of these cell sizes, smooth between grid points."""
    total = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    for cell in cells:
        grid = rng.standard_normal((ROWS // cell, COLUMNS // cell)).astype(np.float32)
        for axis in (0, 1):
            grid = _stretched(grid, cell, axis)
        total += grid * np.float32(cell ** rng.uniform(0, 0.7))
    return total


def _stretched(grid: NDArray[np.float32], cell: int, axis: int) -> NDArray[np.float32]:
    """Linear between grid points, round the edge."""
    following = np.roll(grid, -1, axis)
    shape = [1, 1, 1]
    shape[axis + 1] = cell
    part = (np.arange(cell, dtype=np.float32) / cell).reshape(shape)
    a, b = np.expand_dims(grid, axis + 1), np.expand_dims(following, axis + 1)
    mixed = a + (b - a) * part
    size = list(grid.shape)
    size[axis] *= cell
    return mixed.reshape(size)


def _noise(rng: Random) -> Bytes:
    first = int(rng.integers(0, 4))
    cells = [2**k for k in range(first, first + int(rng.integers(1, 5)))]
    return _spread(rng, _octaves(rng, cells), rng.uniform(15, 70))


def _periodic(rng: Random) -> Bytes:
    """Stripes or checks; the period goes into the size, so that the edges meet."""
    x, y = np.arange(COLUMNS) / COLUMNS, np.arange(ROWS)[:, None] / ROWS
    across, down = rng.integers(8, 100), rng.integers(4, 50)
    wave = np.sin(2 * np.pi * across * x) * (np.sin(2 * np.pi * down * y) if rng.random() < 0.5
                                             else 1.0)  # fmt: skip
    if rng.random() < 0.5:
        wave = np.sign(wave)
    wave = np.broadcast_to(wave, (ROWS, COLUMNS)).astype(np.float32)
    return _spread(rng, wave + 0.3 * _octaves(rng, [16, 64]), rng.uniform(10, 60))


def _spread(rng: Random, wave: NDArray[np.float32], contrast: float) -> Bytes:
    wave = (wave - wave.mean()) / max(float(wave.std()), 1e-6)
    return np.clip(rng.uniform(60, 200) + contrast * wave, 0, 255).astype(np.uint8)
