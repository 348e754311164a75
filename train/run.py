"""From a recipe to a folder with the trained network: whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .card import Card, card
from .demo_net import demo_net
from .digits import Split, digits
from .export import export
from .freeze import freeze
from .frozen import Frozen
from .loop import Event, Progress, fit, reproducible
from .network import Network
from .recipe import Recipe, load_recipe

__all__ = ["Run", "demo", "run"]

Logits = NDArray[np.float32]

FILES = ("model.onnx", "card.json", "vectors.npz", "train.log")


@dataclass(frozen=True)
class Run:
    """What a training left behind, and where.

    ``path`` holds ``model.onnx`` (QONNX), ``card.json``, ``vectors.npz`` (``x``, ``y`` and
    ``label`` of all test images) and ``train.log`` (a line of JSON an epoch). Accuracies are
    shares of the test images; ``float_accuracy`` is None where no float network was trained.
    """

    path: Path
    frozen: Frozen
    card: Card
    accuracy: float
    float_accuracy: float | None

    @property
    def model(self) -> Path:
        """The QONNX file."""
        return self.path / "model.onnx"

    @property
    def vectors(self) -> Path:
        """Test images with the answers of the frozen network."""
        return self.path / "vectors.npz"


def run(recipe: Recipe | Path | str, out: Path | str, *, progress: Progress | None = None) -> Run:
    """Train what ``recipe`` (or the TOML file of one) says, and write the folder ``out``.

    The folder appears when all is done; an older run in its place is replaced. Until then the
    work is in ``OUT.partial``, from which the same recipe continues after an interruption, to
    the same model, card and vectors, byte for byte.

    Raises
    ------
    ValueError
        If the recipe is wrong, ``out`` holds something else than a run, or ``OUT.partial`` was
        left by another recipe.
    OSError
        If a file cannot be written.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    out = Path(out)
    _refuse_foreign(out)
    work = _work_folder(out, recipe)
    train, test = digits()

    float_accuracy = None
    if recipe.compare_float:
        plain = _train(recipe, train, work, "float", progress)
        float_accuracy = _accuracy(_logits(plain, test), test)
    network = _train(recipe, train, work, "quantized", progress)
    frozen = freeze(network)
    y = frozen(test.x)
    accuracy = _accuracy(y, test)

    facts = _facts(recipe, accuracy, float_accuracy, len(train.label), len(test.label))
    result = Run(out, frozen, card(frozen, facts), accuracy, float_accuracy)
    export(frozen, work / "model.onnx")
    result.card.save(work / "card.json")
    np.savez(work / "vectors.npz", x=test.x, y=y, label=test.label)
    for leftover in [f for f in work.iterdir() if f.name not in FILES]:
        leftover.unlink()
    _replace(out, work)
    return result


def demo(out: Path | str, *, seed: int = 0, progress: Progress | None = None) -> Run:
    """Train the demo, :class:`Recipe` as it is, and write it to the folder ``out``."""
    return run(Recipe(seed=seed), out, progress=progress)


def _train(
    recipe: Recipe, data: Split, work: Path, stage: str, progress: Progress | None
) -> Network:
    """A network trained in plain float (stage "float") or with the recipe's method."""

    def report(event: Event) -> None:
        with (work / "train.log").open("a") as log:
            log.write(json.dumps(asdict(event)) + "\n")
        if progress:
            progress(event)

    with reproducible(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        narrow, wide = recipe.network.channels
        network = demo_net(recipe.method, (narrow, wide))
        fit(
            network,
            data,
            recipe.schedule,
            recipe.method if stage == "quantized" else None,
            seed=recipe.seed,
            stage=stage,
            progress=report,
            checkpoint=work / f"{stage}.pt",
        )
    return network


def _logits(network: Network, data: Split) -> Logits:
    with torch.no_grad():
        y: Logits = network(torch.tensor(data.x)).numpy()
    return y


def _accuracy(y: Logits, data: Split) -> float:
    return float((y.argmax(axis=1) == data.label).mean())


def _facts(
    recipe: Recipe, accuracy: float, float_accuracy: float | None, train: int, test: int
) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "float_accuracy": float_accuracy,
        "train_images": train,
        "test_images": test,
        "recipe": _plain(recipe),
        "torch": torch.__version__,
    }


def _plain(recipe: Recipe) -> Mapping[str, Any]:
    """The recipe as JSON takes it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return plain


def _refuse_foreign(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() and not (out / "card.json").is_file():
        raise ValueError(
            f"Output {out}: it must be new, empty or an older run, and holds something else; "
            "choose another folder"
        )


def _replace(out: Path, work: Path) -> None:
    """Put ``work`` where ``out`` is, so that at no time half a folder stands there."""
    old = out.with_name(f"{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    work.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _work_folder(out: Path, recipe: Recipe) -> Path:
    """``OUT.partial``, new or left by an interrupted run of the same recipe."""
    work = out.with_name(f"{out.name}.partial")
    note, text = work / "recipe.json", json.dumps(_plain(recipe), indent=2) + "\n"
    if note.is_file() and note.read_text() != text:
        raise ValueError(
            f"Output {work}: it must be left by the same recipe, and is of another; remove it"
        )
    if not note.is_file():
        work.mkdir(parents=True, exist_ok=True)
        new = note.with_suffix(".new")
        new.write_text(text)
        new.replace(note)
    return work
