"""What a training leaves behind: a folder, whole or not at all, and what is in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import Card
from .frozen import Frozen
from .loop import Event, Progress

__all__ = ["Run", "log_to", "open_work", "plain", "refuse_foreign", "write"]

FILES = ("model.onnx", "card.json", "vectors.npz", "train.log", "tensorboard")


@dataclass(frozen=True)
class Run:
    """What a training left behind, and where.

    ``path`` holds ``model.onnx`` (QONNX), ``card.json``, ``vectors.npz`` (``x``, ``y`` and, where
    there are classes, ``label`` of some images) and ``train.log`` (a line of JSON an epoch).
    Accuracies are shares of all test images, None where nothing is classified; ``float_accuracy``
    is None where no float network was trained, too.
    """

    path: Path
    frozen: Frozen
    card: Card
    accuracy: float | None
    float_accuracy: float | None

    @property
    def model(self) -> Path:
        """The QONNX file."""
        return self.path / "model.onnx"

    @property
    def vectors(self) -> Path:
        """Test images with the answers of the frozen network."""
        return self.path / "vectors.npz"


def plain(recipe: Any) -> dict[str, Any]:
    """The recipe as JSON takes it."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    document["method"] = {"name": type(recipe.method).__name__, **document["method"]}
    return document


def refuse_foreign(out: Path) -> None:
    """Refuse to write where something else than a run lies."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() and not (out / "card.json").is_file():
        raise ValueError(
            f"Output {out}: it must be new, empty or an older run, and holds something else; "
            "choose another folder"
        )


def open_work(work: Path, recipe: Any) -> None:
    """``OUT.partial``, new or left by an interrupted run of the same recipe; one that came to no
    checkpoint is made new."""
    note, text = work / "recipe.json", json.dumps(plain(recipe), indent=2) + "\n"
    if note.is_file() and not any(work.glob("*.pt")):
        shutil.rmtree(work)
    if note.is_file() and note.read_text() != text:
        raise ValueError(
            f"Output {work}: it must be left by the same recipe, and is of another; remove it"
        )
    if not note.is_file():
        work.mkdir(parents=True, exist_ok=True)
        new = note.with_suffix(".new")
        new.write_text(text)
        new.replace(note)


def log_to(work: Path, event: Event, progress: Progress | None) -> None:
    """A line in the log, and whoever else wants to know."""
    # Times differ from run to run, so the log leaves them out.
    line = {k: v for k, v in asdict(event).items() if k != "seconds"}
    with (work / "train.log").open("a") as log:
        log.write(json.dumps(line) + "\n")
    if progress:
        progress(event)


def write(result: Run, vectors: Mapping[str, NDArray[Any]], work: Path) -> None:
    """All files into ``work``, and that to where the run belongs."""
    result.frozen.export(work / "model.onnx")
    result.card.save(work / "card.json")
    arrays: dict[str, Any] = dict(vectors)
    np.savez(work / "vectors.npz", **arrays)
    for leftover in [f for f in work.iterdir() if f.name not in FILES]:
        leftover.unlink()
    out = result.path
    old = out.with_name(f"{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    work.rename(out)
    shutil.rmtree(old, ignore_errors=True)
