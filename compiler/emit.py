"""The circuit as text: RTLIL from Amaranth, Verilog from Yosys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from amaranth.back import rtlil

from sqwire.hw.netlist import Library
from sqwire.hw.network import Network

from .tools import YOSYS, Workshop

__all__ = ["TOP", "emit_rtlil", "rtlil_to_verilog", "with_loops", "without_empty"]

# A wire of no bits, and what drives it: a connection, or a cell that makes as many.
_EMPTY = re.compile(r"(\s*wire width 0 \S+|connect \S+ \{\s*\})\s*$")
_MAKES_NONE = {"    parameter \\Y_WIDTH 0\n", "    parameter \\WIDTH 0\n"}

# A word of a memory as Yosys sets it at the start, and how many equal ones become a loop.
_WORD = re.compile(r"    (\S+ ?)\[(\d+)\] = (\d+'(?:h[0-9a-fx]+|d\d+));\n")
_INITIAL = "  initial begin\n"
_LOOP = 4
_VARIABLE = "init_address"  # a memory of this name would be hidden

TOP = "sqwire_top"
"""Name of the top module; see :class:`sqwire.hw.network.Network` for its ports."""


def emit_rtlil(network: Network) -> str:
    """RTLIL of a network with its AXI4-Stream ports; the same text for the same network."""
    # No source attributes: they would hold paths of the machine that compiled.
    library = Library()
    text = rtlil.convert(network.top(), platform=library, name=TOP, emit_src=False)
    return without_empty(str(text)) + library.to_rtlil()


def without_empty(text: str) -> str:
    """RTLIL without wires of no bits, which Verilog does not have, and cells that drive them."""
    kept: list[str] = []
    cell = None
    for line in text.splitlines(keepends=True):
        if line.startswith("  cell "):
            cell = len(kept)
        if _EMPTY.match(line):
            _drop_attributes(kept)
        else:
            kept.append(line)
        if cell is not None and line == "  end\n":
            if _MAKES_NONE.intersection(kept[cell:]):
                del kept[cell:]
                _drop_attributes(kept)
            cell = None
    return "".join(kept)


def _drop_attributes(kept: list[str]) -> None:
    """Drop those of what comes next."""
    while kept[-1].lstrip().startswith("attribute "):
        kept.pop()


def with_loops(text: str) -> str:
    """Verilog of Yosys in which equal words that stand side by side in a memory are set by a loop.

    Buffers and queues start with thousands of zeros; with a line for each, they would be most of
    the text of a large network.
    """
    kept: list[str] = []
    lines = text.splitlines(keepends=True)
    for number, (words, group) in enumerate(groupby(lines, lambda line: bool(_WORD.match(line)))):
        if not words or kept[-1] != _INITIAL:
            kept += group
            continue
        body = _set_words(group)
        if any(f"[{_VARIABLE}]" in line for line in body):
            # A variable needs a block with a name; no signal is called like this one.
            kept[-1] = f"  initial begin : \\$init${number} \n    integer {_VARIABLE};\n"
        kept += body
    return "".join(kept)


def _set_words(lines: Iterable[str]) -> list[str]:
    """Lines that set words of memories, with a loop for each run of equal ones."""
    words = [match.groups() for match in map(_WORD.match, lines) if match]
    # In a run, addresses keep their distance to the number of the line.
    runs = groupby(enumerate(words), lambda at: (at[1][0], at[1][2], int(at[1][1]) - at[0]))
    kept = []
    for (name, value, _), run in runs:
        addresses = [word[1] for _, word in run]
        if len(addresses) < _LOOP:
            kept += [f"    {name}[{address}] = {value};\n" for address in addresses]
        else:
            first, last, at = addresses[0], addresses[-1], _VARIABLE
            loop = f"for ({at} = {first}; {at} <= {last}; {at} = {at} + 1)"
            kept.append(f"    {loop} {name}[{at}] = {value};\n")
    return kept


def rtlil_to_verilog(source: str, folder: Path, *, name: str = "design") -> Path:
    """Write ``folder/name.il`` and the Verilog ``folder/name.v`` of RTLIL text; the latter's path.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    (folder / f"{name}.il").write_text(source)
    script = [
        f"read_rtlil {name}.il",
        "proc -nomux",
        "memory_collect",
        "opt_clean -purge",
        f"write_verilog -noattr -norename {name}.v",
    ]
    workshop = Workshop(folder, folder, lambda _: None, "verilog")
    workshop.run(YOSYS, ["-q", "-l", workshop.log(YOSYS), "-p", "; ".join(script)], [f"{name}.v"])
    verilog = folder / f"{name}.v"
    verilog.write_text(with_loops(verilog.read_text()))
    return verilog
