"""Rendered stereo scenes: as many as wanted, with dense ground truth and true occlusions.

A scene is a background and 5 to 25 polygons, ellipses, rings and thin strips in front of it, each a
slanted or gently curved sheet with a texture of its own. Both views sample the same sheets, so what
one view cannot see is there behind the edge in the other, as in the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .textures import bank

__all__ = ["Renderer", "Scene"]

Bytes = NDArray[np.uint8]
Single = NDArray[np.float32]
Random = np.random.Generator

# Fixed-point steps from a place in the right view to the left one; slopes stay below 0.45.
_STEPS = 7


@dataclass(frozen=True, eq=False)
class Scene:
    """A rectified grey pair (height, width), and what is true of it.

    The point at (row, x) of ``left`` appears at (row, x - ``disparity``) in the right view, unless
    something hides it there or it lies outside: then ``visible`` is false.
    """

    left: Bytes
    right: Bytes
    disparity: Single
    visible: NDArray[np.bool_]


@dataclass(frozen=True)
class _Surface:
    """``disparity = a + b*x + c*y + wave * sin(p*x + q*y + phase)``."""

    a: float
    b: float
    c: float
    wave: float
    p: float
    q: float
    phase: float

    def disparity(self, x: Single, y: Single) -> Single:
        d = np.float32(self.b) * x + (np.float32(self.c) * y + np.float32(self.a))
        if self.wave:
            d += np.float32(self.wave) * np.sin(
                np.float32(self.p) * x + (np.float32(self.q) * y + np.float32(self.phase))
            )
        return d


@dataclass(frozen=True)
class _Sheet:
    """A surface and its edge, which lies in ``box`` (left, top, right, bottom).

    The edge is a convex polygon (rows of ``planes``: ``n . (x, y) <= offset``) or, without planes,
    a ring between an ellipse and its scaled copy; the background has neither.
    """

    surface: _Surface
    box: tuple[float, float, float, float]
    planes: Single | None = None
    ellipse: tuple[float, float, float, float, float, float] | None = None
    hole: float = 0.0

    def inside(self, x: Single, y: Single) -> NDArray[np.bool_]:
        result: NDArray[np.bool_]
        if self.planes is not None:
            result = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
            for nx, ny, offset in self.planes:
                result &= nx * x + (ny * y - offset) <= 0
            return result
        assert self.ellipse is not None
        cx, cy, xx, xy, yx, yy = (np.float32(v) for v in self.ellipse)
        u, v = xx * (x - cx) + xy * (y - cy), yx * (x - cx) + yy * (y - cy)
        radius = u * u + v * v
        return (radius <= 1) & (radius >= np.float32(self.hole))


@dataclass(frozen=True)
class _View:
    """What a view sees at each pixel: which sheet, at which column of the left view, how near."""

    sheet: NDArray[np.int32]
    x: Single
    disparity: Single


class Renderer:
    """Renders scenes of one size; the same seed gives the same scene.

    Parameters
    ----------
    height, width
        Of both views, at least 16.
    disparities
        All disparities lie in 0 .. ``disparities - 1`` pixels.
    photos
        Grey pictures (uint8, at least 64x64) from which half of the textures are cut; without any,
        noise takes their place.
    seed
        Decides about the textures in store.

    Raises
    ------
    ValueError
        If a size is out of range or a photo is not a grey uint8 picture.
    """

    def __init__(
        self, height: int, width: int, disparities: int, photos: Sequence[Bytes] = (), seed: int = 0
    ):
        if height < 16 or width < 16:
            raise ValueError(f"Renderer: a view must be at least 16x16, not {height}x{width}")
        if not 2 <= disparities <= 4 * width:
            raise ValueError(
                f"Renderer: disparities must be 2 to {4 * width} (4 widths), not {disparities}"
            )
        self.height, self.width, self.disparities = height, width, disparities
        self.bank = bank(photos, np.random.default_rng(seed))

    def render(self, seed: int) -> Scene:
        """The scene of that number."""
        rng = np.random.default_rng(seed)
        sheets = [_background(rng, self.disparities)]
        for _ in range(int(rng.integers(5, 26))):
            sheets.append(_object(rng, self.height, self.width, self.disparities))
        paint = _Paint(rng, self.bank, len(sheets))
        tilt = rng.uniform(-1, 1) if rng.random() < 0.3 else 0.0
        left = self._view(sheets, right=False, tilt=0.0)
        right = self._view(sheets, right=True, tilt=tilt)
        rows = np.arange(self.height, dtype=np.float32)[:, None]
        pictures = [
            _camera(rng, paint(view, rows + np.float32(t)))
            for view, t in ((left, 0.0), (right, tilt))
        ]
        disparity = np.clip(left.disparity, 0, self.disparities - 1)
        return Scene(pictures[0], pictures[1], disparity, self._visible(disparity, right))

    def _view(self, sheets: Sequence[_Sheet], *, right: bool, tilt: float) -> _View:
        """The nearest sheet at every pixel."""
        height, width, last = self.height, self.width, np.float32(self.disparities - 1)
        nearest = np.full((height, width), -1, dtype=np.float32)
        column = np.zeros((height, width), dtype=np.float32)
        number = np.zeros((height, width), dtype=np.int32)
        for k, sheet in enumerate(sheets):
            surface = sheet.surface
            x0, y0, x1, y1 = sheet.box
            if right:
                x0 -= self.disparities
            rows = slice(max(0, int(y0) - 1), min(height, int(y1) + 2))
            columns = slice(max(0, int(x0) - 1), min(width, int(x1) + 2))
            if rows.start >= rows.stop or columns.start >= columns.stop:
                continue
            y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + np.float32(tilt)
            seen = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
            x = seen
            if right:
                narrow = np.float32(1 / (1 - surface.b))
                x = (seen + (np.float32(surface.a) + np.float32(surface.c) * y)) * narrow
                if surface.wave:
                    for _ in range(_STEPS):
                        x = seen + surface.disparity(x, y)
            d = np.clip(surface.disparity(x, y), 0, last)
            if right:
                # What is clipped is flat there.
                x = seen + d
            wins = d > nearest[rows, columns]
            if k:
                wins &= sheet.inside(x, y)
            np.copyto(nearest[rows, columns], d, where=wins)
            np.copyto(column[rows, columns], x, where=wins)
            np.copyto(number[rows, columns], k, where=wins)
        return _View(number, column, nearest)

    def _visible(self, disparity: Single, right: _View) -> NDArray[np.bool_]:
        """Whether the right view shows the same point of the same sheet."""
        x = np.arange(self.width, dtype=np.float32)[None]
        there = x - disparity
        below = np.floor(there).astype(np.int64)
        rows = np.arange(self.height)[:, None]
        result = np.zeros(disparity.shape, dtype=bool)
        for column in (below, below + 1):
            within = (column >= 0) & (column < self.width)
            seen = right.x[rows, column.clip(0, self.width - 1)]
            result |= within & (np.abs(seen - x) < 1.5)
        return result & (there >= 0)


class _Paint:
    """A texture for each sheet: a window of one in store, turned, scaled, with its own contrast."""

    def __init__(self, rng: Random, store: Bytes, count: int):
        self.store = store
        self.tile = rng.integers(0, len(store), count)
        angle = rng.uniform(-np.pi, np.pi, count)
        scale = 2 ** rng.uniform(-0.7, 1.0, count)
        mirrored = rng.choice([-1.0, 1.0], count)
        self.ux, self.uy = np.cos(angle) * scale, np.sin(angle) * scale
        self.vx, self.vy = -self.uy * mirrored, self.ux * mirrored
        self.u0, self.v0 = rng.uniform(0, 512, count), rng.uniform(0, 256, count)
        self.gain = rng.uniform(0.5, 1.2, count)
        self.offset = rng.uniform(0, 255, count) * (1 - np.minimum(self.gain, 1))

    def __call__(self, view: _View, y: Single) -> Single:
        k = view.sheet

        def by_sheet(values: NDArray[Any]) -> Single:
            return values.astype(np.float32)[k]

        u = by_sheet(self.ux) * view.x + (by_sheet(self.uy) * y + by_sheet(self.u0))
        v = by_sheet(self.vx) * view.x + (by_sheet(self.vy) * y + by_sheet(self.v0))
        rows, columns = self.store.shape[1:]
        column, row = np.floor(u), np.floor(v)
        fu, fv = u - column, v - row
        # Sizes are powers of two, so a texture goes on round its edge.
        c0 = column.astype(np.int32) & (columns - 1)
        r0 = (row.astype(np.int32) & (rows - 1)) * columns
        c1, r1 = (c0 + 1) & (columns - 1), (r0 + columns) & (rows * columns - 1)
        flat = self.store.reshape(-1)
        base = self.tile.astype(np.int32)[k] * (rows * columns)
        r0, r1 = base + r0, base + r1
        top = flat.take(r0 + c0) * (1 - fu) + flat.take(r0 + c1) * fu
        bottom = flat.take(r1 + c0) * (1 - fu) + flat.take(r1 + c1) * fu
        grey = top + (bottom - top) * fv
        result: Single = grey * by_sheet(self.gain) + by_sheet(self.offset)
        return result


def _camera(rng: Random, grey: Single) -> Bytes:
    """What a camera makes of light: blur, gain, gamma and noise of its own."""
    if rng.random() < 0.5:
        w = np.float32(rng.uniform(0, 0.25))
        for axis in (0, 1):
            before, after = np.roll(grey, 1, axis), np.roll(grey, -1, axis)
            edge = [slice(None), slice(None)]
            edge[axis] = slice(0, 1)
            before[tuple(edge)] = grey[tuple(edge)]
            edge[axis] = slice(-1, None)
            after[tuple(edge)] = grey[tuple(edge)]
            grey = grey + w * (before + after - 2 * grey)
    if rng.random() < 0.5:
        gain, gamma = rng.uniform(0.8, 1.2), 2 ** rng.uniform(-0.3, 0.3)
        table = 255 * np.clip(np.arange(1024) / 1020 * gain, 0, 1) ** gamma
        grey = table.astype(np.float32)[np.clip(grey * 4, 0, 1020).astype(np.int32)]
    noise = np.float32(rng.uniform(0, 3))
    grey = grey + noise * rng.standard_normal(grey.shape, dtype=np.float32)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _surface(rng: Random, at: float, x: float, y: float, steep: float) -> _Surface:
    """A sheet whose disparity is ``at`` at (x, y)."""
    # Floors and tables rise steeply towards the camera, walls less so.
    b = float(np.clip(rng.normal(0, steep), -0.3, 0.3))
    c = float(np.clip(rng.normal(0, 1.5 * steep), -0.45, 0.45))
    if rng.random() < 0.4:
        b = c = 0.0
    wave = p = q = phase = 0.0
    if rng.random() < 0.4:
        length = rng.uniform(30, 200)
        turn, phase = rng.uniform(0, 2 * np.pi, 2)
        p, q = np.cos(turn) * 2 * np.pi / length, np.sin(turn) * 2 * np.pi / length
        # Its slope along a row is wave * p.
        wave = min(rng.uniform(0, 6), 0.15 / max(abs(p), 1e-3))
    return _Surface(at - b * x - c * y, b, c, wave, p, q, phase)


def _background(rng: Random, disparities: int) -> _Sheet:
    everything = (-1e6, -1e6, 1e6, 1e6)
    at = rng.uniform(0, 0.5) * (disparities - 1)
    return _Sheet(_surface(rng, at, 100, 60, 0.08), everything)


def _object(rng: Random, height: int, width: int, disparities: int) -> _Sheet:
    """A polygon, an ellipse, a ring or a thin strip somewhere that one of the views sees."""
    at = rng.uniform(0.05, 1) * (disparities - 1)
    cx, cy = rng.uniform(-0.05 * width, width + at), rng.uniform(-0.05, 1.05) * height
    kind = rng.choice(4, p=[0.4, 0.25, 0.1, 0.25])
    size = height * rng.uniform(0.06, 0.45)
    long, thin = (size, size * rng.uniform(0.4, 1))
    if kind == 3:
        long, thin = height * rng.uniform(0.2, 0.8), rng.uniform(1, 5)
    turn = rng.uniform(0, np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    surface = _surface(rng, at, cx, cy, 0.1)
    reach = np.hypot(long, thin)
    box = (cx - reach, cy - reach, cx + reach, cy + reach)
    if kind in (1, 2):
        ellipse = (cx, cy, cos / long, sin / long, -sin / thin, cos / thin)
        hole = rng.uniform(0.3, 0.7) if kind == 2 else 0.0
        return _Sheet(surface, box, ellipse=ellipse, hole=hole)
    if kind == 3:
        corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (long, thin)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi) + np.cumsum(rng.dirichlet([4] * 5) * 2 * np.pi))
        corners = np.stack([np.cos(angles) * long, np.sin(angles) * thin], 1)
    corners = corners @ np.array([(cos, sin), (-sin, cos)]) + (cx, cy)
    edge = np.roll(corners, -1, axis=0) - corners
    normal = np.stack([edge[:, 1], -edge[:, 0]], 1)
    offset = (normal * corners).sum(1, keepdims=True)
    planes = np.concatenate([normal, offset], 1).astype(np.float32)
    return _Sheet(surface, box, planes=planes)
