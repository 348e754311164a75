"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from .boards.board import Board
    from .boards.report import SynthResult
    from .compiler.build import Build
    from .compiler.frontend import Inspection

__all__ = ["boards_table", "inspection_table", "plan_table", "synth_table"]


def plan_table(build: Build) -> Table:
    """What every layer became: a row a layer."""
    planned, graph = build.plan, build.graph
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "operator", "engine"):
        table.add_column(name, no_wrap=True)
    names = ("out", "bits", "weights", "zeros", "adders", "lanes", "banks", "used", "cycles")
    for name in (*names, "limit", "kbit", "LUT", "FF", "DSP", "BRAM"):
        table.add_column(name, justify="right", no_wrap=True)
    slowest = max(layer.least_cycles for layer in planned.layers)
    for layer in planned.layers:
        tensor = graph.tensors[layer.name]
        zeros = f"{1 - layer.nonzeros / layer.weights:.1%}" if layer.weights else ""
        table.add_row(
            layer.name,
            type(graph[layer.name].op).__name__,
            layer.engine,
            "x".join(map(str, tensor.shape)),
            str(tensor.range.bits),
            str(layer.weights or ""),
            zeros,
            str(layer.adders or ""),
            f"{layer.lanes} {layer.multiplier}" if layer.lanes else "",
            str(layer.banks or ""),
            f"{layer.utilisation:.0%}" if layer.lanes else "",
            str(layer.cycles),
            f"{layer.limit}{'*' if layer.least_cycles == slowest else ''}",
            _kbit(layer.memory_bits),
            *(str(n or "") for n in (layer.luts, layer.ffs, layer.dsps, layer.brams)),
        )
        for queue in planned.memories:
            if queue.node == layer.name:
                size = f"{queue.depth} x {queue.bits}"
                cells = [f"  {queue.name}", "queue", "memory", size, *[""] * 9]
                held = (
                    _kbit(queue.depth * queue.bits),
                    str(queue.luts),
                    "",
                    "",
                    str(queue.brams or ""),
                )
                table.add_row(*cells, *held, style="dim")
    table.caption = (
        f"a frame every {planned.cycles_per_frame} cycles, latency {planned.latency_cycles}; "
        "* could be no faster; queues count in their layers too"
    )
    if len(planned.inputs) + len(planned.outputs) > 2:
        ends = zip(planned.outputs, (output.node for output in graph.outputs), strict=True)
        table.caption += f"\ninputs: {', '.join(planned.inputs)}; outputs: " + ", ".join(
            f"{name} (of {node})" for name, node in ends
        )
    return table


def _kbit(bits: int) -> str:
    return f"{bits / 1000:.1f}" if bits else ""


def inspection_table(found: Inspection) -> Table:
    """A network as the compiler sees it: a row a layer."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "operator", "engine"):
        table.add_column(name, no_wrap=True)
    for name in ("out", "range", "bits", "weights", "zeros", "bits", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        cells = ("",) * 4
        if row.weights:
            share = f"{row.zeros / row.weights:.1%}"
            cells = (str(row.weights), share, str(row.weight_bits), str(row.macs))
        shape = "x".join(map(str, row.shape))
        span = f"{row.lo} .. {row.hi}"
        table.add_row(row.layer, row.operator, row.engine, shape, span, str(row.bits), *cells)
    total = sum(row.weights for row in found.rows)
    zeros = sum(row.zeros for row in found.rows)
    table.caption = (
        f"{total} weights, {zeros / max(1, total):.1%} zero; "
        f"{sum(row.macs for row in found.rows)} multiplications a frame"
    )
    if len(found.inputs) + len(found.outputs) > 2:
        table.caption += f"\ninputs: {', '.join(end.name for end in found.inputs)}; outputs: "
        table.caption += ", ".join(f"{end.name} (of {end.node})" for end in found.outputs)
    return table


def synth_table(result: SynthResult) -> Table:
    """Cells, clock and rate of a routed design."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "network", "with link"):
        table.add_column(name, justify="left" if not name else "right")
    network, design = result.network, result.design
    for title, field in (
        ("LUT4", "lut4"),
        ("CCU2C", "ccu2c"),
        ("ALU", "alu"),
        ("area = LUT4 + 2*CCU2C + ALU", "area"),
        ("FF", "ff"),
        ("DSP", "dsp"),
        ("BRAM", "bram"),
        ("LUT RAM", "lutram"),
    ):
        table.add_row(title, str(getattr(network, field)), str(getattr(design, field)))
    table.add_row("Fmax, MHz", "", f"{result.fmax_hz / 1e6:.1f}")
    if result.frames_per_second_at_fmax:
        table.add_row("frames/s at Fmax", "", f"{result.frames_per_second_at_fmax:,.0f}")
    return table


def boards_table(boards: Sequence[Board]) -> Table:
    """The boards known, and what their devices hold."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("board")
    for name in ("LUTs", "DSPs", "block RAM, kbit", "clock, MHz", "baud"):
        table.add_column(name, justify="right")
    table.add_column("loaded by")
    for board in boards:
        have = board.resources
        table.add_row(
            board.name,
            board.title,
            str(have.lut4),
            str(have.dsp),
            f"{have.bram} x {have.bram_bits // 1024}",
            f"{board.clock_hz / 1e6:g}",
            str(board.baud),
            board.programmer.command[0],
        )
    return table
