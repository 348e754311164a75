"""What became of one layer of a graph: its engine, its stages and their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sqwire.hw.folded.engine import Folded
from sqwire.hw.network import Stage
from sqwire.hw.serialdot import SerialDot

from .cost import cost, stores_of
from .limit import limits
from .narrow import cycles_of

__all__ = ["Layer", "layer_of"]


@dataclass(frozen=True)
class Layer:
    """What became of one node of the graph: its engine, its stages and their size.

    ``engine`` is ``"spatial"`` (a wire for each weight, one position a cycle), ``"serial"`` (the
    same with adders that take some cycles for a sum, see ``digit_bits``), ``"folded"``
    (``lanes`` multiply-accumulate units run a program of the weights) or ``"stream"`` for nodes
    without weights. ``cycles`` is how many of them a frame takes this layer alone, ``utilisation``
    the share of the lanes' cycles in that time in which they add a product, ``luts``, ``ffs``,
    ``dsps`` and ``brams`` what the cost model says of its stages, the queues before it among them,
    and ``memory_bits`` what their memories hold.

    ``least_cycles`` is how many a frame would take if it were not slowed to the rate that is asked
    for, and ``limit`` what they come from: ``"products"`` of the lanes, ``"inputs"`` or
    ``"outputs"`` (a beat a cycle), ``"positions"`` (one a cycle, all channels at once),
    ``"digits"`` (of sums, a few bits a cycle),
    ``"buffer"`` (beats that wait for room in the line buffer), or ``"pace"``, which spreads an
    input.
    """

    name: str
    engine: str
    stages: tuple[str, ...]
    weights: int
    nonzeros: int
    adders: int
    beats_in: int
    beats_out: int
    latency_cycles: int
    cycles: int
    lanes: int = 0
    banks: int = 0
    multiplier: str = ""
    digit_bits: int = 0
    utilisation: float = 0.0
    program_bits: int = 0
    buffer_bits: int = 0
    memory_bits: int = 0
    luts: int = 0
    ffs: int = 0
    dsps: int = 0
    brams: int = 0
    least_cycles: int = 0
    limit: str = ""


def layer_of(name: str, op: Any, stages: Sequence[Stage], beats_out: int, fabric: str) -> Layer:
    """What ``stages`` are as the layer ``name``.

    Without stages it hands its input on, ``beats_out`` beats a frame. ``op`` is the operator
    whose weights it has, if any.
    """
    specs = [stage.spec for stage in stages]
    weight = getattr(op, "weight", np.zeros(0, np.int64))
    folded = next((spec for spec in specs if isinstance(spec, Folded)), None)
    serial = next((spec for spec in specs if isinstance(spec, SerialDot)), None)
    wires = "serial" if serial else "spatial"
    total = cost(specs, fabric)
    least, limit = max(map(limits, specs), default=(beats_out, "inputs"))
    return Layer(
        name=name,
        engine="folded" if folded else wires if weight.size else "stream",
        stages=tuple(stage.name for stage in stages),
        weights=int(weight.size),
        nonzeros=int(np.count_nonzero(weight)),
        adders=sum(len(spec.graph.ops) for spec in specs if hasattr(spec, "graph")),
        beats_in=specs[0].beats_in if specs else beats_out,
        beats_out=beats_out,
        latency_cycles=sum(spec.latency_cycles for spec in specs),
        cycles=max((cycles_of(spec) for spec in specs), default=beats_out),
        lanes=folded.program.layout.lanes if folded else 0,
        banks=folded.program.layout.lanes if folded else 0,
        multiplier=folded.multiplier if folded else "",
        digit_bits=serial.digit_bits if serial else 0,
        utilisation=round(folded.utilisation, 4) if folded else 0.0,
        program_bits=folded.program_bits if folded else 0,
        buffer_bits=folded.buffer_size_bits if folded else 0,
        memory_bits=sum(store.bits for spec in specs for store in stores_of(spec)),
        luts=round(total.luts),
        ffs=round(total.ffs),
        dsps=total.dsps,
        brams=total.brams,
        least_cycles=least,
        limit=limit,
    )
