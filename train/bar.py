"""A progress bar in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from .loop import Event, Progress

__all__ = ["bar"]


@contextmanager
def bar(console: Console | None = None) -> Iterator[Progress]:
    """A bar for each stage; gives what ``progress=`` of :func:`sqwire.train.run` takes."""
    columns = (
        TextColumn("train {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, loss {task.fields[loss]:.3f}{task.fields[score]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with RichProgress(*columns, console=console) as live:

        def report(event: Event) -> None:
            if event.stage not in tasks:
                task = live.add_task(event.stage, total=event.total, loss=0.0, score="")
                tasks[event.stage] = task
            score = "" if event.accuracy is None else f", validation {event.accuracy * 100:.1f} %"
            live.update(tasks[event.stage], completed=event.done, loss=event.loss, score=score)

        yield report
