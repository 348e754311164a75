"""Streams inside a design: where they are in its Verilog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqwire.compiler.emit import TOP
from sqwire.hw.beat import Beat

from .harness import DUT

__all__ = ["Signals", "Watch", "find"]


@dataclass(frozen=True)
class Watch:
    """A stream inside the design of which the first ``transfers`` are recorded.

    ``instance`` is the path of instances from the design's top, with dots, and ``port`` the
    stream's name in it.
    """

    name: str
    instance: str
    beat: Beat
    transfers: int
    port: str = "o"

    @property
    def module(self) -> str:
        """Name of the module in Verilog that Amaranth wrote."""
        return f"{TOP}.{self.instance}"

    @property
    def scope(self) -> str:
        """Path of the instance from the top of the simulation."""
        return f"{DUT}.{self.instance}"


@dataclass(frozen=True)
class Signals:
    """What the three signals of a stream are called in the Verilog."""

    valid: str
    ready: str
    payload: str


def find(watches: Iterable[Watch], sources: Sequence[Path]) -> dict[str, Signals]:
    """The signals of each watched stream, by its name; streams that were optimized away lack.

    Amaranth numbers a signal that is not the only one of its name in a module
    (``o__valid$22``); of these, the port of the module is the one.
    """
    ports: dict[str, list[str]] = {}
    module: list[str] = []
    for source in sources:
        for line in source.read_text().splitlines():
            if start := re.match(r"module \\?(\S+)", line):
                module = ports.setdefault(start[1], [])
            elif port := re.match(r"  (?:input|output) (?:\[.*\] )?\\?([^\s;]+)", line):
                module.append(port[1])
    found = {}
    for watch in watches:
        names = [_only(ports.get(watch.module, []), f"{watch.port}__{part}") for part in _PARTS]
        if all(names):
            found[watch.name] = Signals(*names)
    return found


_PARTS = ("valid", "ready", "payload")


def _only(ports: list[str], name: str) -> str:
    """The port called ``name``, numbered or not; empty unless there is exactly one."""
    same = [port for port in ports if port.partition("$")[0] == name]
    return same[0] if len(same) == 1 else ""
