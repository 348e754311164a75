"""Curves of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from .loop import Event

__all__ = ["curves"]


@contextmanager
def curves(folder: Path | None) -> Iterator[Callable[[Event], None]]:
    """What draws an epoch's loss and accuracy into ``folder``; nothing with None.

    Raises
    ------
    ValueError
        If TensorBoard is not installed.
    """
    if folder is None:
        yield lambda event: None
        return
    try:
        module: Any = import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise ValueError(
            "TensorBoard: the package must be installed for tensorboard = true, and is not; "
            'pip install "sqwire[curves]"'
        ) from error
    writer = module.SummaryWriter(str(folder))

    def draw(event: Event) -> None:
        writer.add_scalar(f"{event.stage}/loss", event.loss, event.done)
        if event.accuracy is not None:
            name = f"{event.stage}/validation accuracy"
            writer.add_scalar(name, event.accuracy, event.done)

    try:
        yield draw
    finally:
        writer.close()
