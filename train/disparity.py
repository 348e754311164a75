"""Stereo pairs with ground truth, in the folder layouts of Middlebury, KITTI and SceneFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .pictures import read_grey, read_levels, read_pfm

__all__ = ["LAYOUTS", "Files", "Pair", "kitti2012", "kitti2015", "load", "middlebury", "sceneflow"]

Bytes = NDArray[np.uint8]
Single = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Left-right differences beyond it, in pixels, mean that something hides the point.
_AGREE = 1.0


@dataclass(frozen=True)
class Files:
    """Where a pair lies. Integers in disparity files are ``scale`` times pixels, 0 is unknown.

    What the right view cannot see follows from ``other``, its disparities, or from ``seen``, the
    left disparities without occluded pixels.
    """

    name: str
    left: Path
    right: Path
    disparity: Path | None = None
    scale: float = 1.0
    other: Path | None = None
    seen: Path | None = None


@dataclass(frozen=True, eq=False)
class Pair:
    """A rectified grey pair (height, width) and the disparities of the left view in pixels.

    ``known`` says where they are known, ``visible`` where the right view sees the point too (None
    where nobody can say). Without ground truth nothing is known.
    """

    name: str
    left: Bytes
    right: Bytes
    disparity: Single
    known: Mask
    visible: Mask | None

    @property
    def stacked(self) -> Single:
        """Both views as a stereo network takes them: float32 (2, height, width)."""
        return np.stack([self.left, self.right]).astype(np.float32)


def load(files: Files) -> Pair:
    """Read a pair.

    Raises
    ------
    ValueError
        If a file cannot be read, has another format, or another size than its partner.
    """
    left, right = read_grey(files.left), read_grey(files.right)
    _same(files.right, right.shape, files.left, left.shape)
    if files.disparity is None:
        unknown = np.zeros(left.shape, dtype=np.float32)
        return Pair(files.name, left, right, unknown, unknown > 0, None)
    disparity, known = _disparity(files.disparity, files.scale)
    _same(files.disparity, disparity.shape, files.left, left.shape)
    visible = None
    if files.seen is not None:
        _, visible = _disparity(files.seen, files.scale)
        _same(files.seen, visible.shape, files.left, left.shape)
    elif files.other is not None:
        other, there = _disparity(files.other, files.scale)
        _same(files.other, other.shape, files.left, left.shape)
        visible = _consistent(disparity, known, other, there)
    return Pair(files.name, left, right, disparity, known, visible)


def middlebury(folder: Path | str, scale: float | None = None) -> list[Files]:
    """The scenes in ``folder``, one a folder, named as in one of the editions:

    ===============================  ==============================================
    im2, im6, disp2, disp6           2001 and 2003; scale 4 for quarter-size pictures
    view1, view5, disp1, disp5       2005 and 2006; scale 3, 2 or 1 by their width
    im0, im1, disp0.pfm, disp1.pfm   2014
    left, right, disp_left, ...      any; ``scale`` must be given
    ===============================  ==============================================

    Raises
    ------
    ValueError
        If there is no scene, or one of "left" and "right" comes without ``scale``.
    """
    folder, found = Path(folder), []
    for scene in sorted(p for p in _children(folder) if p.is_dir()):
        for names in _EDITIONS:
            paths = [_first(scene, name) for name in names]
            if paths[0] is None or paths[1] is None:
                continue
            factor = scale
            if factor is None and paths[2] is not None and paths[2].suffix != ".pfm":
                factor = _middlebury_scale(scene, names[0], paths[0])
            found.append(Files(scene.name, paths[0], paths[1], paths[2], factor or 1, paths[3]))
            break
    return _some(found, folder, "a folder for each scene with left and right picture")


_EDITIONS = (
    ("im2", "im6", "disp2", "disp6"),
    ("view1", "view5", "disp1", "disp5"),
    ("im0", "im1", "disp0", "disp1"),
    ("left", "right", "disp_left", "disp_right"),
)


def kitti2015(folder: Path | str) -> list[Files]:
    """``training`` of KITTI 2015: image_2, image_3, disp_occ_0, disp_noc_0; 16-bit, scale 256."""
    return _kitti(Path(folder), "image_2", "image_3", "disp_occ_0", "disp_noc_0")


def kitti2012(folder: Path | str) -> list[Files]:
    """``training`` of KITTI 2012: colored_0 and colored_1 or image_0 and image_1, disp_occ,
    disp_noc; 16-bit, scale 256."""
    colored = (Path(folder) / "training" / "colored_0").is_dir()
    kind = "colored" if colored else "image"
    return _kitti(Path(folder), f"{kind}_0", f"{kind}_1", "disp_occ", "disp_noc")


def sceneflow(folder: Path | str, part: str = "TEST") -> list[Files]:
    """``frames_finalpass`` (else ``frames_cleanpass``) and ``disparity`` of a SceneFlow set."""
    folder = Path(folder)
    frames = folder / "frames_finalpass"
    if not frames.is_dir():
        frames = folder / "frames_cleanpass"
    found = []
    for left in sorted((frames / part).rglob("left/*.png")):
        where = left.relative_to(frames)
        truth = (folder / "disparity" / where).with_suffix(".pfm")
        right = left.parent.parent / "right"
        other = truth.parent.parent / "right" / truth.name
        found.append(
            Files(
                where.with_suffix("").as_posix(), left, right / left.name,
                truth if truth.is_file() else None, 1.0, other if other.is_file() else None,
            )
        )  # fmt: skip
    return _some(found, folder, f"frames_finalpass/{part}/.../left/*.png")


LAYOUTS: Mapping[str, Callable[[Path], list[Files]]] = {
    "middlebury": middlebury, "kitti2012": kitti2012, "kitti2015": kitti2015,
    "sceneflow": sceneflow,
}  # fmt: skip
"""The layouts by name."""


def _kitti(folder: Path, left: str, right: str, truth: str, seen: str) -> list[Files]:
    root = folder / "training"
    found = []
    for path in sorted((root / left).glob("*_10.png")):
        given = [root / name / path.name for name in (truth, seen)]
        disparity, visible = (p if p.is_file() else None for p in given)
        found.append(
            Files(path.stem, path, root / right / path.name, disparity, 256.0, None, visible)
        )
    return _some(found, folder, f"training/{left}/*_10.png")


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise ValueError(
            f"Folder {folder}: it must be readable ({error.strerror}); check the path"
        ) from error


def _some(found: list[Files], folder: Path, wanted: str) -> list[Files]:
    if not found:
        raise ValueError(f"Folder {folder}: it must hold {wanted}, and holds none; check the path")
    return found


def _first(scene: Path, name: str) -> Path | None:
    for suffix in (".png", ".ppm", ".pgm", ".pfm"):
        if (path := scene / f"{name}{suffix}").is_file():
            return path
    return None


def _middlebury_scale(scene: Path, left: str, picture: Path) -> float:
    if left == "im2":
        return 4.0
    if left == "view1":
        width = read_grey(picture).shape[1]
        return 3.0 if width <= 463 else 2.0 if width <= 695 else 1.0
    raise ValueError(
        f"Scene {scene}: scale must be given for disparities in integers (3 for the third size "
        "of 2005, 4 for the quarter size of 2003)"
    )


def _disparity(path: Path, scale: float) -> tuple[Single, Mask]:
    """Pixels, and where they are known; 0 elsewhere."""
    if path.suffix.lower() == ".pfm":
        values = read_pfm(path)
        known = np.isfinite(values) & (values >= 0)
        return np.where(known, values, np.float32(0)), known
    levels = read_levels(path)
    return (levels / np.float32(scale)).astype(np.float32), levels > 0


def _consistent(left: Single, known: Mask, right: Single, there: Mask) -> Mask:
    """Where the right view's disparity at the same point is the same."""
    rows, columns = np.indices(left.shape)
    target = np.rint(columns - left).astype(np.int64)
    inside = (target >= 0) & (target < left.shape[1])
    target = target.clip(0, left.shape[1] - 1)
    agree = np.abs(right[rows, target] - left) <= _AGREE
    return known & inside & there[rows, target] & agree


def _same(path: Path, size: tuple[int, ...], other: Path, wanted: tuple[int, ...]) -> None:
    if size != wanted:
        raise ValueError(
            f"Picture {path}: it must have the size of {other} ({wanted[1]}x{wanted[0]}), not "
            f"{size[1]}x{size[0]}; crop or scale both alike"
        )
