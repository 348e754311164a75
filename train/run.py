"""From a recipe to a folder with the trained network: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import networks
from .card import card
from .cifar10 import cifar10
from .curves import curves
from .data import Data, carve
from .digits import digits
from .distributed import barrier, first, group
from .loop import Event, Progress, accuracy, fit
from .prepare import prepare
from .qat import QAT
from .recipe import Recipe, demo_recipe, load_recipe
from .runs import Run, log_to, open_work, plain, refuse_foreign, write
from .schedule import Schedule, reproducible
from .vision_recipe import VisionRecipe
from .vision_run import run_vision

__all__ = ["Run", "create", "demo", "load_data", "run"]

_EXAMPLES = 256
_VECTORS = 1000


def run(
    recipe: Recipe | VisionRecipe | Path | str,
    out: Path | str,
    *,
    progress: Progress | None = None,
) -> Run:
    """Train what ``recipe`` (or the TOML file of one) says, and write the folder ``out``.

    The folder appears when all is done; an older run in its place is replaced. Until then the
    work is in ``OUT.partial``, from which the same recipe continues after an interruption; on a
    CPU to the same model, card and vectors, byte for byte. Under ``torchrun`` the processes share
    each batch, and the first one writes; for stereo and detection there must be one.

    Raises
    ------
    ValueError
        If the recipe or the data is wrong, ``out`` holds something else than a run,
        ``OUT.partial`` was left by another recipe, or training diverges.
    OSError
        If a file cannot be written.
    """
    if isinstance(recipe, Path | str):
        recipe = load_recipe(recipe)
    out = Path(out)
    if isinstance(recipe, VisionRecipe):
        return run_vision(recipe, out, progress)
    refuse_foreign(out)
    data = load_data(recipe)
    with group(recipe.device), reproducible(recipe.threads), torch.random.fork_rng():
        work = out.with_name(f"{out.name}.partial")
        if first():
            open_work(work, recipe)
        barrier()
        with curves(work / "tensorboard" if recipe.tensorboard and first() else None) as draw:
            result = _stages(recipe, data, work, out, _reporter(work, draw, progress))
        if first():
            x = data.real(data.test.x[:_VECTORS]).numpy()
            label = data.test.label[:_VECTORS]
            write(result, {"x": x, "y": result.frozen(x), "label": label}, work)
        barrier()
    return result


def demo(out: Path | str, *, seed: int = 0, progress: Progress | None = None) -> Run:
    """Train the demo and write it to the folder ``out``."""
    return run(demo_recipe(seed), out, progress=progress)


def load_data(recipe: Recipe) -> Data:
    """The data set of a recipe."""
    if recipe.data.name == "cifar10":
        return cifar10(recipe.data.folder)
    return digits()


def create(recipe: Recipe, data: Data) -> nn.Module:
    """The recipe's network, new or from a file of weights."""
    torch.manual_seed(recipe.seed)
    choice, shape = recipe.network, data.train.x.shape[1:]
    match choice.name:
        case "demo":
            network: nn.Module = networks.demo(choice.channels, data.classes)
        case "vgg":
            network = networks.vgg(choice.channels, data.classes, shape[0], shape[1])
        case _:
            network = getattr(networks, choice.name)(data.classes)
    if choice.weights:
        try:
            network.load_state_dict(torch.load(choice.weights, weights_only=True))
        except Exception as error:  # a damaged or foreign file raises one of many
            line = " ".join(str(error).split())[:200]
            raise ValueError(
                f"Weights {choice.weights}: they must be a state_dict of {choice.name} ({line})"
            ) from error
    return network


def _stages(recipe: Recipe, data: Data, work: Path, out: Path, report: Progress) -> Run:
    """Float, where asked, then compressed, frozen and measured."""
    images, validation = carve(data.train, recipe.data.validation, recipe.seed)
    seen = replace(data, train=images)
    network = create(recipe, data)
    float_accuracy = None

    def train(stage: str, what: nn.Module, schedule: Schedule) -> None:
        fit(
            what, seen, schedule, validation=validation if len(validation) else None,
            seed=recipe.seed, stage=stage, progress=report, checkpoint=work / f"{stage}.pt",
            device=recipe.device,
        )  # fmt: skip

    if recipe.compare_float:
        train("float", network, recipe.float_schedule or recipe.schedule)
        float_accuracy = accuracy(network, data, data.test, recipe.device)
        if not recipe.from_float:
            network = create(recipe, data)
    qat = _prepared(recipe, network.to("cpu"), seen)
    train("quantized", qat, recipe.schedule)
    qat.to("cpu")
    frozen = qat.freeze(data=data.name, seed=recipe.seed)
    y = frozen(data.real(data.test.x).numpy())
    right = float((y.argmax(axis=1) == data.test.label).mean())
    facts = {
        "accuracy": right,
        "float_accuracy": float_accuracy,
        "train_images": len(images),
        "validation_images": len(validation),
        "test_images": len(data.test),
        "schedule": asdict(recipe.schedule),
        "recipe": plain(recipe),
        "torch": torch.__version__,
    }
    return Run(out, frozen, card(frozen, facts), right, float_accuracy)


def _prepared(recipe: Recipe, network: nn.Module, data: Data) -> QAT:
    grid: dict[str, Any] = {}
    if data.offset:
        grid = {"input_bits": 8, "input_scale": 1 / data.scale, "input_signed": True}
    elif data.name == "digits":
        grid = {"input_bits": 5, "input_scale": 1.0, "input_signed": False}
    example = data.real(data.train.x[:_EXAMPLES])
    steps = len(data.train) // recipe.schedule.batch
    own: Mapping[Any, Mapping[str, Any]] = recipe.own
    return prepare(
        network, recipe.method, example, own=own, exclude=recipe.exclude,
        steps_per_epoch=max(1, steps), **grid,
    )  # fmt: skip


def _reporter(work: Path, draw: Callable[[Event], None], progress: Progress | None) -> Progress:
    def report(event: Event) -> None:
        draw(event)
        log_to(work, event, progress)

    return report
