"""From the integer graph to hardware operators: engines, forks, queues, and what they cost in time.

Every schedule is static, so cycles are computed here and not estimated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from sqwire.hw.axis import Port
from sqwire.hw.folded.engine import Folded
from sqwire.hw.network import Network
from sqwire.hw.ports import names

from .choose import Target
from .folding import Fold
from .graph import Graph
from .layer import Layer
from .search import search
from .stages import Memory, queue_name

__all__ = ["FASTEST", "Join", "Layer", "Plan", "plan"]


@dataclass(frozen=True)
class Join:
    """A node where branches meet, and the queue on its input ``input``.

    ``fork`` is where the branches part; it is empty where they come from different inputs.

    With ``tokens`` places the network cannot deadlock: before another branch gives an output
    it swallows at most so many beats more than this branch may have passed on. Where this branch
    is nothing but a copy from the fork, one place less does deadlock; a longer one
    can hold some of the beats itself. With ``depth`` places the network also keeps its rate: the
    other branches take cycles too.
    """

    node: str
    input: int
    fork: str
    tokens: int
    depth: int


@dataclass(frozen=True)
class Plan:
    """How a graph becomes a circuit.

    ``inputs`` and ``outputs`` are the names of the network's inputs and outputs.
    ``latency_cycles`` are the cycles from the first input transfer to the last output transfer of
    a frame that none follows, without stalls; each further frame takes ``cycles_per_frame`` more.
    Where one follows, the last outputs of a frame may wait for that one's first beats.
    """

    network: Network
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    joins: tuple[Join, ...]
    memories: tuple[Memory, ...]
    """The queues."""
    cycles_per_frame: int
    latency_cycles: int
    folds: Mapping[str, Fold]
    """How layers are folded, by the node of the linear map."""
    slots: Mapping[str, int]
    """Positions in the line buffers of pools that have more than they need themselves."""
    fabric: str
    """What memories and multipliers are made of."""

    @cached_property
    def ends(self) -> Mapping[str, str]:
        """For each node of the graph that has stages, the one that puts out its codes."""
        return {layer.name: layer.stages[-1] for layer in self.layers if layer.stages}

    @cached_property
    def settle_cycles(self) -> int:
        """Cycles after a reset in which a frame may take longer: folded layers settle then."""
        specs = [stage.spec for stage in self.network.stages]
        return max((spec.settle_cycles for spec in specs if isinstance(spec, Folded)), default=0)

    def to_json(self) -> str:
        """The plan as text, the same text for the same plan."""
        document: dict[str, Any] = {
            "cycles_per_frame": self.cycles_per_frame,
            "latency_cycles": self.latency_cycles,
            "s_axis": _ports("s_axis", self.inputs, self.network.inputs),
            "m_axis": _ports("m_axis", self.outputs, self.network.outputs),
            "folds": {name: asdict(fold) for name, fold in self.folds.items()},
            "slots": dict(self.slots),
            "fabric": self.fabric,
            "layers": [asdict(layer) for layer in self.layers],
            "queues": [asdict(memory) for memory in self.memories],
            "joins": [asdict(join) for join in self.joins],
            "stages": [
                {
                    "name": stage.name,
                    "instance": stage.instance,
                    "operator": type(stage.spec).__name__,
                    "sources": [[s.stage, s.port] for s in stage.sources],
                    "beats_in": stage.spec.beats_in,
                    "beats_out": stage.spec.beats_out,
                    "latency_cycles": stage.spec.latency_cycles,
                }
                for stage in self.network.stages
            ],
        }
        return json.dumps(document, indent=1) + "\n"


def _ports(name: str, tensors: tuple[str, ...], ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": own,
            "tensor": tensor,
            "beats": port.frame,
            "channels": port.beat.lanes,
            "range": [port.beat.range.lo, port.beat.range.hi],
            "bytes_per_channel": port.lane_bytes,
            "tdata_bits": port.bits,
        }
        for own, tensor, port in zip(names(name, len(ports)), tensors, ports, strict=True)
    ]


FASTEST = Target()
"""Everything spatial: one position a cycle."""


def plan(
    graph: Graph,
    target: Target = FASTEST,
    *,
    depths: Mapping[tuple[str, int], int] | None = None,
) -> Plan:
    """Choose the hardware for each node, and connect it.

    ``depths`` overrides the depth of the queue on an input of a node, as ``{(node, input): depth}``
    (for tests: the plan's own depths are right).
    """
    fixed = {queue_name(node, number): depth for (node, number), depth in (depths or {}).items()}
    made = search(graph, target, fixed)
    built, queues = made.built, made.queues
    ends = tuple(built.copies[output.node].pop(0) for output in graph.outputs)
    network = Network(tuple(built.ports), tuple(built.stages), ends)
    joins = tuple(
        Join(w.node, w.input, built.forks.get(fork, ""), tokens, queues.get(w.name, 0))
        for w in built.waits
        for tokens, fork in [made.ahead[w.name]]
        if w.others and (tokens or queues.get(w.name))
    )
    interval = built.interval_cycles
    last = max(int(network.output_cycles(number)[-1]) for number in range(len(ends)))
    return Plan(
        network=network,
        inputs=tuple(input.name for input in graph.inputs),
        outputs=tuple(output.name for output in graph.outputs),
        layers=built.layers,
        joins=joins,
        memories=built.memories,
        cycles_per_frame=interval,
        latency_cycles=last + 1,
        folds={name: fold for name, (_, fold, _) in built.choice.folds.items()},
        slots=built.choice.slots,
        fabric=target.fabric,
    )
