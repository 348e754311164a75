"""From a recipe for stereo or detection to a folder with the trained network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .card import card
from .loop import Event, Progress
from .prepare import prepare
from .runs import Run, log_to, open_work, plain, refuse_foreign, write
from .schedule import reproducible
from .stepping import StepSchedule
from .tasks import Task, task_of
from .vision_recipe import VisionRecipe

__all__ = ["run_vision"]

_GRID: dict[str, Any] = {"input_bits": 8, "input_scale": 1.0, "input_signed": False}


def run_vision(recipe: VisionRecipe, out: Path, progress: Progress | None = None) -> Run:
    """Float, then compressed, then frozen; see :func:`sqwire.train.run`.

    ``vectors.npz`` holds a few scenes or pictures and what the frozen network makes of them.
    """
    refuse_foreign(out)
    with reproducible(recipe.threads), torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        task = task_of(recipe)
        work = out.with_name(f"{out.name}.partial")
        open_work(work, recipe)
        result = _stages(recipe, task, work, out, progress)
        x = task.example(whole=True).numpy()
        write(result, {"x": x, "y": result.frozen(x)}, work)
    return result


def _stages(
    recipe: VisionRecipe, task: Task, work: Path, out: Path, progress: Progress | None
) -> Run:
    steps = recipe.steps_per_epoch
    grid = {**_GRID, "steps_per_epoch": steps, "own": recipe.own}

    def train(name: str, stage: int, network: nn.Module, schedule: StepSchedule) -> float:
        total = -(-schedule.steps // steps)

        def report(step: int, loss: float) -> None:
            if step % steps == 0 or step == schedule.steps:
                log_to(work, Event(name, -(-step // steps), total, loss), progress)

        return task.fit(network, schedule, stage, report, work / f"{name}.pt")

    torch.manual_seed(recipe.seed)
    network, example = task.network(), task.example()
    with torch.random.fork_rng():  # what cannot be prepared is said before hours of training
        prepare(network, recipe.method, example, **grid)
    float_loss = train("float", 0, network, recipe.float_schedule)
    qat = prepare(network, recipe.method, example, **grid)
    loss = train("quantized", 1, qat, recipe.schedule)
    # The same numbers in a network for whole pictures.
    final = prepare(task.network(whole=True), recipe.method, task.example(whole=True), **grid)
    final.load_state_dict(qat.state_dict())
    frozen = final.eval().freeze(data=task.name, seed=recipe.seed, epochs=qat.epoch)
    facts = {
        "loss": loss,
        "float_loss": float_loss,
        "schedule": asdict(recipe.schedule),
        "recipe": plain(recipe),
        "torch": torch.__version__,
    }
    return Run(out, frozen, card(frozen, facts), None, None)
