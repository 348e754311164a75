"""``sqwire demo``: the whole way on real handwritten digits, from training to a bitstream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from . import verbs
from .boards.report import SynthResult
from .compiler.build import Build

if TYPE_CHECKING:
    from .train import Run

__all__ = ["Report", "run"]

BOARD = "ulx3s_85f"
CLOCK_HZ = 50e6
# Far more than a camera gives: layers are folded as far as that allows.
FPS = 24_000
NETLIST_FRAMES = 20


@dataclass
class Report:
    """What the demo reached; printed as one table."""

    trained: Run
    build: Build
    synth: SynthResult
    verified: dict[str, int]
    """Frames that agreed in every integer, for each level of verification."""
    seconds: dict[str, float] = field(default_factory=dict)

    def facts(self) -> list[tuple[str, str]]:
        """The rows of the table."""
        card, plan, cells = self.trained.card, self.build.plan, self.synth.network
        fmax, latency = self.synth.fmax_hz, plan.latency_cycles
        plain, sparse = self.trained.float_accuracy, self.trained.accuracy
        rows = [
            ("test accuracy, float", "-" if plain is None else f"{plain:.2%}"),
            ("test accuracy, sparse and 4-bit", "-" if sparse is None else f"{sparse:.2%}"),
        ]
        rows += [
            (f"zeros in {layer.name}", f"{layer.zeros:.1%} of {layer.weights:,}")
            for layer in card.layers
            if layer.weights
        ]
        rows += [
            ("zeros in all", f"{card.zeros:.1%} of {card.weights:,}"),
            ("compression, everything counted", f"{card.compression:.1f}x"),
            ("compression, as papers count it", f"{card.papers_compression:.1f}x"),
            ("frames verified, Verilog = PyTorch", f"{self.verified['network']} of 540"),
            ("frames verified, netlist = PyTorch", f"{self.verified['netlist']}"),
            ("LUT4", f"{cells.lut4:,}"),
            ("CCU2C", f"{cells.ccu2c:,}"),
            ("LUT RAM", f"{cells.lutram:,}"),
            ("area = LUT4 + 2*CCU2C + 6*LUT RAM", f"{cells.area + 6 * cells.lutram:,}"),
            ("FF", f"{cells.ff:,}"),
            ("DSP, BRAM", f"{cells.dsp}, {cells.bram}"),
            ("Fmax, routed", f"{fmax / 1e6:.1f} MHz (asked for {CLOCK_HZ / 1e6:.0f})"),
            ("cycles a frame", f"{plan.cycles_per_frame}"),
            ("latency", f"{latency} cycles, {latency / CLOCK_HZ * 1e6:.2f} us at 50 MHz"),
            ("frames/s at 50 MHz", f"{CLOCK_HZ / plan.cycles_per_frame:,.0f}"),
            ("frames/s at Fmax", f"{fmax / plan.cycles_per_frame:,.0f}"),
        ]
        return rows

    def artefacts(self) -> list[tuple[str, str]]:
        """What lies where."""
        circuit = self.build.path
        return [
            ("trained network, QONNX", str(self.trained.model)),
            ("quantization card", str(self.trained.path / "card.json")),
            ("test images and logits", str(self.trained.vectors)),
            ("integer graph, plan", str(circuit / "{graph,plan}.json")),
            ("RTLIL, Verilog", str(circuit / "design.{il,v}")),
            ("netlist behind Yosys", str(circuit / "netlist.v")),
            ("bitstream", str(circuit / "design.bit")),
            ("cells, Fmax, tool versions", str(circuit / "synth.json")),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "card": json.loads(self.trained.card.to_json()),
            "verified": self.verified,
            "synth": json.loads(self.synth.to_json()),
            "cycles_per_frame": self.build.plan.cycles_per_frame,
            "latency_cycles": self.build.plan.latency_cycles,
            "artefacts": dict(self.artefacts()),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }

    def print(self, console: Console) -> None:
        """The table, where things lie, and how long it took."""
        table = Table(title="handwritten digits, from PyTorch to the ULX3S 85F", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, value in self.facts():
            table.add_row(name, value)
        console.print(table)
        for name, place in self.artefacts():
            console.print(f"  {name:28}{place}", highlight=False, soft_wrap=True)
        took = ", ".join(f"{name} {value:.0f} s" for name, value in self.seconds.items())
        console.print(f"  {took}", style="dim")


def run(out: Path, *, seed: int, notes: Console) -> Report:
    """Train, compile, verify, synthesise; raises what the verbs raise, and ValueError if the
    circuit and the network do not agree."""
    stages = _Stages(notes)
    from .train import demo_recipe

    with stages("train"):
        trained = verbs.train(demo_recipe(seed), out / "train", console=notes)
    with stages("compile"):
        build = verbs.compile(
            trained.model, out / "circuit", fps=FPS, board=BOARD, clock_hz=CLOCK_HZ,
            progress=stages.say,
        )  # fmt: skip
    vectors = trained.vectors
    # Yosys and nextpnr each keep one core busy, the simulation most of the other.
    with ThreadPoolExecutor(1) as background:
        routing = background.submit(
            verbs.synth, build, board=BOARD, clock_hz=CLOCK_HZ, progress=stages.say
        )
        with stages("simulate"):
            verified = {"network": _verify(build, vectors, "network", None, stages.say)}
        with stages("route"):
            synth = routing.result()
    build = Build.load(build.path)
    with stages("netlist"):
        verified["netlist"] = _verify(build, vectors, "netlist", NETLIST_FRAMES, stages.say)
    return Report(trained, build, synth, verified, stages.seconds)


def _verify(
    build: Build, vectors: Path, level: verbs.Level, frames: int | None, say: Callable[[str], None]
) -> int:
    report = verbs.verify(build, vectors=vectors, level=level, frames=frames, progress=say)
    if not report.passed:
        raise ValueError(f"Demo: every integer must agree; {report.lines()[-1]}")
    return report.frames


class _Stages:
    """Says what goes on, and how long each stage took."""

    def __init__(self, notes: Console) -> None:
        self.notes = notes
        self.seconds: dict[str, float] = {}

    def say(self, line: str) -> None:
        self.notes.print(f"  {line}", style="dim", highlight=False)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.notes.print(f"[bold]{name}[/bold]")
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start
