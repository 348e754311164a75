"""Streams inside a design: where they are in its Verilog."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqwire.compiler.emit import TOP
from sqwire.hw.beat import Beat

from .harness import DUT

__all__ = ["Signals", "Watch", "find"]


@dataclass(frozen=True)
class Watch:
    """A stream inside the design that can be recorded.

    ``instance`` is the path of instances from the design's top, with dots, and ``port`` the
    stream's name in it.
    """

    name: str
    instance: str
    beat: Beat
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


def find(watches: Iterable[Watch], verilog: Iterable[Path]) -> dict[str, Signals]:
    """The signals of each watched stream, by its name; of some streams there may be none left.

    Amaranth numbers a signal that is not the only one of its name in a module (``o__valid$22``);
    of these, the port of the module is the one.
    """
    modules = _modules(verilog)
    found = {}
    for watch in watches:
        module = modules.get(watch.module, _Module())
        names = [module.find(f"{watch.port}__{part}") for part in ("valid", "ready", "payload")]
        if all(names):
            found[watch.name] = Signals(*names)
    return found


@dataclass
class _Module:
    """Names in a module."""

    wires: list[str] = field(default_factory=list)
    ports: set[str] = field(default_factory=set)

    def find(self, name: str) -> str:
        """The wire called ``name``, numbered or not; empty unless one of them stands out."""
        same = [wire for wire in self.wires if wire.partition("$")[0] == name]
        ports = [wire for wire in same if wire in self.ports]
        return next((few[0] for few in (ports, same) if len(few) == 1), "")


_START = re.compile(r"module \\?(\S+)")
_NAME = re.compile(r"  (input|output|wire|reg) (?:signed )?(?:\[\d+:0\] )?\\?([^\s;]+)")


def _modules(files: Iterable[Path]) -> dict[str, _Module]:
    """The modules in Verilog that Yosys wrote."""
    modules: dict[str, _Module] = {}
    module = _Module()
    for file in files:
        for line in file.read_text().splitlines():
            if start := _START.match(line):
                module = modules.setdefault(start[1], _Module())
            elif match := _NAME.match(line):
                if match[1] in ("input", "output"):
                    module.ports.add(match[2])
                else:  # ports are declared as wires, too
                    module.wires.append(match[2])
    return modules
