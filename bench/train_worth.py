"""What a trained network is as a circuit: the same integers, and what its zeros save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sqwire import train
from sqwire.compiler import frontend, passes
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import Cost
from sqwire.compiler.errors import CompileError
from sqwire.compiler.graph import Graph
from sqwire.compiler.plan import plan

# Windows of so few images stay in the cache.
_CHUNK = 10


def agreement(frozen: train.Frozen, file: Path, x: Any, y: Any) -> dict[str, int]:
    """Compare every integer of every tensor of ``frozen`` with the compiler's graph of ``file``,
    and the integers that ``y``, its real outputs, stand for with those of the graph that is built,
    after all passes.

    ``images`` of which ``wrong`` have a mismatch, ``integers`` of which ``mismatches`` differ.
    """
    graph = frontend.import_qonnx(file)
    built = passes.optimize(graph)
    wrong = integers = mismatches = 0
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK]
        codes = graph.input.quantize(part)
        ours, theirs = frozen.trace(part), graph.trace(codes)
        if graph.nodes[-1].name not in ours:
            raise SystemExit(f"{file}: the last node, {graph.nodes[-1].name}, must be compared")
        differ = np.zeros(len(part), dtype=np.int64)
        for name in ours.keys() & theirs.keys():
            different = theirs[name].transpose(0, 3, 1, 2) != ours[name]
            differ += different.reshape(len(part), -1).sum(1)
            integers += different.size
        last = built.run(codes) if built is not graph else theirs[built.output.node]
        tensor = built.tensors[built.output.node]
        different = ~built.output.matches(last, y[start : start + _CHUNK], tensor)
        differ += different.reshape(len(part), -1).sum(1)
        integers += different.size
        mismatches += int(differ.sum())
        wrong += int((differ > 0).sum())
    return {"images": len(x), "integers": integers, "mismatches": mismatches, "wrong": wrong}


def hardware(file: Path, interval: int, room: Cost | None) -> dict[str, Any]:
    """Cycles, program and area by the compiler's plan, by what it is planned for.

    ``spatial``: every weight a wire, every cycle a position. ``paced``: the cheapest circuit that
    takes a frame in ``interval`` cycles. ``room``: the fastest circuit within it, if given.
    """
    graph = passes.optimize(frontend.import_qonnx(file))
    found = {"spatial": _planned(graph, Target())}
    found["paced"] = _planned(graph, Target(interval)) | {"interval": interval}
    if room is not None:
        found["room"] = _planned(graph, Target(room=room)) | {"luts_at_most": room.luts}
    return found


def _planned(graph: Graph, target: Target) -> dict[str, Any]:
    try:
        made = plan(graph, target)
    except CompileError as error:
        return {"refused": str(error)}
    total = {
        name: sum(getattr(layer, name) for layer in made.layers)
        for name in ("luts", "dsps", "brams", "program_bits", "nonzeros")
    }
    folded = sum(layer.engine == "folded" for layer in made.layers)
    return {"cycles": made.cycles_per_frame, "folded_layers": folded, **total}
