"""From the integer graph to hardware operators: engines, forks, queues, and what they cost in time.

Every schedule is static, so cycles are computed here and not estimated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sqwire.hw.beat import Beat
from sqwire.hw.buffer import Buffer
from sqwire.hw.fork import Fork
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.queue import Queue

from . import ops
from .balance import Balance
from .graph import INPUT, Graph

__all__ = ["Join", "Layer", "Plan", "plan"]


@dataclass(frozen=True)
class Layer:
    """One node of the graph as hardware."""

    name: str
    engine: str
    stages: tuple[str, ...]
    """Names of its stages in the network; the last one puts out what the node computes."""
    weights: int
    nonzeros: int
    adders: int
    beats_in: int
    latency_cycles: int


@dataclass(frozen=True)
class Join:
    """A node where two branches of a fork meet, and the queue on its input ``input``.

    ``tokens`` is the depth below which the network deadlocks, ``depth`` what also keeps its rate;
    see :class:`sqwire.compiler.balance.Lead`.
    """

    node: str
    input: int
    fork: str
    tokens: int
    depth: int


@dataclass(frozen=True)
class Plan:
    """How a graph becomes a circuit.

    ``cycles_per_frame`` is the interval between frames at full rate, ``latency_cycles`` the
    cycles from the first input transfer of a frame to its last output transfer, without stalls.
    """

    network: Network
    layers: tuple[Layer, ...]
    joins: tuple[Join, ...]
    cycles_per_frame: int
    latency_cycles: int

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """For each node of the graph, the stage that puts out its codes."""
        return {layer.name: layer.stages[-1] for layer in self.layers}

    def to_json(self) -> str:
        """The plan as text, the same text for the same plan."""
        axes = {
            name: {
                "beats": port.frame,
                "channels": port.beat.lanes,
                "range": [port.beat.range.lo, port.beat.range.hi],
                "bytes_per_channel": port.lane_bytes,
                "tdata_bits": port.bits,
            }
            for name, port in (
                ("s_axis", self.network.axis_input),
                ("m_axis", self.network.axis_output),
            )
        }
        document: dict[str, Any] = {
            "cycles_per_frame": self.cycles_per_frame,
            "latency_cycles": self.latency_cycles,
            **axes,
            "layers": [asdict(layer) for layer in self.layers],
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


def plan(graph: Graph, *, depths: Mapping[tuple[str, int], int] | None = None) -> Plan:
    """Choose the hardware for each node: here the spatial engine for all.

    ``depths`` overrides the depth of the queue on an input of a node, as ``{(node, input): depth}``
    (for tests: the plan's own depths are right).
    """
    return _Planner(graph, dict(depths or {})).run()


class _Planner:
    def __init__(self, graph: Graph, depths: dict[tuple[str, int], int]):
        self.graph, self.depths = graph, depths
        self.chains = {node.name: chain for node, chain in graph.lowered()}
        self.stages: list[Stage] = []
        self.joins: list[Join] = []
        self.layers: list[Layer] = []
        self.beats: dict[Source, tuple[Beat, int]] = {}
        uses = Counter(name for node in graph.nodes for name in node.inputs)
        self.copies: dict[str, list[Source]] = {}
        self.uses = uses
        self.balance = Balance(graph, self.chains)
        self.latency: dict[str, int] = {}

    def run(self) -> Plan:
        tensor = self.graph.input.tensor
        beat = Beat(tensor.range, tensor.channels)
        self.beats[Source(None)] = (beat, tensor.positions)
        self._offer(INPUT, Source(None))
        for node in self.graph.nodes:
            sources = [self.copies[name].pop(0) for name in node.inputs]
            if len(sources) > 1:
                sources = list(self._balanced(node.name, node.inputs, sources))
            self._layer(node.name, node.op, tuple(sources))
        network = Network(beat, tensor.positions, tuple(self.stages))
        return Plan(
            network,
            tuple(self.layers),
            tuple(self.joins),
            max(max(s.spec.beats_in, s.spec.beats_out) for s in self.stages),
            int(network.output_cycles()[-1]) + 1,
        )

    def _stage(self, name: str, spec: Any, *sources: Source) -> Source:
        self.stages.append(Stage(name, spec, sources))
        for port, beat in enumerate(spec.outputs):
            self.beats[Source(name, port)] = (beat, spec.beats_out)
        return Source(name)

    def _layer(self, name: str, op: ops.Op, sources: tuple[Source, ...]) -> None:
        """The stages of one node; a staircase ends with a buffer, which ends the path of ready."""
        first = len(self.stages)
        out = sources[0]
        for suffix, spec in self.chains[name]:
            out = self._stage(f"{name}.{suffix}", spec, *sources)
            sources = (out,)
        if isinstance(op, ops.Staircase):
            out = self._stage(f"{name}.buffer", Buffer(*self.beats[out]), out)
        own = self.stages[first:]
        weight = getattr(op, "weight", np.zeros(0, np.int64))
        self.layers.append(
            Layer(
                name=name,
                engine="spatial",
                stages=tuple(stage.name for stage in own),
                weights=int(weight.size),
                nonzeros=int(np.count_nonzero(weight)),
                adders=sum(len(s.spec.graph.ops) for s in own if hasattr(s.spec, "graph")),
                beats_in=own[0].spec.beats_in,
                latency_cycles=sum(stage.spec.latency_cycles for stage in own),
            )
        )
        self.latency[name] = self.layers[-1].latency_cycles
        self._offer(name, out)

    def _offer(self, name: str, source: Source) -> None:
        """Make as many copies of a stream as there are nodes that use it."""
        ways = self.uses[name]
        if ways < 2:
            self.copies[name] = [source]
            return
        beat, beats = self.beats[source]
        fork = self._stage(f"{name or 'input'}.fork", Fork(beat, ways, beats), source)
        self.copies[name] = [Source(fork.stage, way) for way in range(ways)]

    def _balanced(
        self, node: str, inputs: tuple[str, ...], sources: list[Source]
    ) -> Iterator[Source]:
        """The inputs of a join, with a queue on each that is ahead of the slowest."""
        leads = self.balance.leads(inputs, self.latency)
        for k, (source, lead) in enumerate(zip(sources, leads, strict=True)):
            depth = self.depths.get((node, k), lead.depth)
            if lead.tokens or depth:
                fork = self.balance.fork(inputs) or self.graph.input.name
                self.joins.append(Join(node, k, fork, lead.tokens, depth))
            if depth:
                beat, beats = self.beats[source]
                source = self._stage(f"{node}.queue{k}", Queue(beat, depth, beats), source)
            yield source
