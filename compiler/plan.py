"""From the integer graph to hardware operators: engines, forks, queues, and what they cost in time.

Every schedule is static, so cycles are computed here and not estimated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.buffer import Buffer
from sqwire.hw.fork import Fork
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ports import names
from sqwire.hw.queue import Queue

from . import ops
from .flow import Flow
from .graph import Graph

__all__ = ["Join", "Layer", "Plan", "plan"]

Int = NDArray[np.int64]

# Queues are looked at over so many cycles more than two frames take.
_HORIZON_CYCLES = 4096


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
    beats_out: int
    latency_cycles: int


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
    ``cycles_per_frame`` is the interval between frames at full rate, ``latency_cycles`` the
    cycles from the first input transfer of a frame to its last output transfer, without stalls.
    """

    network: Network
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    joins: tuple[Join, ...]
    cycles_per_frame: int
    latency_cycles: int

    @cached_property
    def ends(self) -> Mapping[str, str]:
        """For each node of the graph, the stage that puts out its codes."""
        return {layer.name: layer.stages[-1] for layer in self.layers}

    def to_json(self) -> str:
        """The plan as text, the same text for the same plan."""
        document: dict[str, Any] = {
            "cycles_per_frame": self.cycles_per_frame,
            "latency_cycles": self.latency_cycles,
            "s_axis": _ports("s_axis", self.inputs, self.network.inputs),
            "m_axis": _ports("m_axis", self.outputs, self.network.outputs),
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


def plan(graph: Graph, *, depths: Mapping[tuple[str, int], int] | None = None) -> Plan:
    """Choose the hardware for each node: here the spatial engine for all.

    ``depths`` overrides the depth of the queue on an input of a node, as ``{(node, input): depth}``
    (for tests: the plan's own depths are right).
    """
    chains = {node.name: chain for node, chain in graph.lowered()}
    specs = [spec for chain in chains.values() for _, spec in chain]
    beats = [input.tensor.positions for input in graph.inputs]
    interval = max(*beats, *(max(spec.beats_in, spec.beats_out) for spec in specs))
    frames = 2 + _HORIZON_CYCLES // interval
    fixed = {_queue(node, number): depth for (node, number), depth in (depths or {}).items()}
    queues = fixed
    ahead: dict[str, tuple[int, str]] | None = None
    while True:
        # A queue takes a cycle or two itself, for which others may have to wait.
        built = _Builder(graph, chains, queues)
        flow = Flow(built.inputs, built.stages, frames, interval)
        stages = flow.by_name
        if ahead is None:
            ahead = {w.name: max((flow.tokens(w.source, other) for other in w.others),
                                 default=(0, "")) for w in built.waits}  # fmt: skip
        wanted = {
            w.name: max(
                queues.get(w.name, 0), ahead[w.name][0], flow.depth(w.source, stages[w.stage])
            )
            for w in built.waits
        }
        wanted = {name: depth for name, depth in (wanted | fixed).items() if depth}
        if wanted == {name: depth for name, depth in queues.items() if depth}:
            break
        queues = wanted | fixed
    ends = tuple(built.copies[output.node].pop(0) for output in graph.outputs)
    network = Network(tuple(built.ports), tuple(built.stages), ends)
    joins = tuple(
        Join(w.node, w.input, built.forks.get(fork, ""), tokens, queues.get(w.name, 0))
        for w in built.waits
        for tokens, fork in [ahead[w.name]]
        if w.others and (tokens or queues.get(w.name))
    )
    last = max(int(network.output_cycles(number)[-1]) for number in range(len(ends)))
    return Plan(
        network=network,
        inputs=tuple(input.name for input in graph.inputs),
        outputs=tuple(output.name for output in graph.outputs),
        layers=tuple(built.layers),
        joins=joins,
        cycles_per_frame=interval,
        latency_cycles=last + 1,
    )


def _queue(node: str, number: int) -> str:
    return f"{node}.queue{number}"


@dataclass(frozen=True)
class _Wait:
    """A place where beats may have to wait, in a queue called ``name``, for ``stage``."""

    name: str
    node: str
    input: int
    source: Source
    stage: str
    others: tuple[Source, ...] = ()
    """What else ``stage`` waits for."""


class _Builder:
    """The stages of a graph, with queues as deep as ``queues`` says."""

    def __init__(self, graph: Graph, chains: Mapping[str, ops.Chain], queues: Mapping[str, int]):
        self.graph, self.chains, self.queues = graph, chains, queues
        self.stages: list[Stage] = []
        self.layers: list[Layer] = []
        self.waits: list[_Wait] = []
        self.forks: dict[str, str] = {}
        self.uses = graph.uses()
        self.copies: dict[str, list[Source]] = {}
        self.ports = [
            Port(Beat(tensor.range, tensor.channels), tensor.positions)
            for tensor in (input.tensor for input in graph.inputs)
        ]
        self.inputs = {Source(None, k): port.frame for k, port in enumerate(self.ports)}
        self.beats = {Source(None, k): (port.beat, port.frame) for k, port in enumerate(self.ports)}
        forks = names("input", len(self.ports))
        for k, input in enumerate(graph.inputs):
            self._offer(input.source, Source(None, k), forks[k], input.name)
        for node in graph.nodes:
            self._layer(node.name, node.op, [self.copies[name].pop(0) for name in node.inputs])

    def _stage(self, name: str, spec: Any, *sources: Source) -> Source:
        self.stages.append(Stage(name, spec, sources))
        for port, beat in enumerate(spec.outputs):
            self.beats[Source(name, port)] = (beat, spec.beats_out)
        return Source(name)

    def _layer(self, name: str, op: ops.Op, sources: list[Source]) -> None:
        """The stages of one node; a staircase ends with a buffer, which ends the path of ready."""
        first = len(self.stages)
        for suffix, spec in self.chains[name]:
            stage = f"{name}.{suffix}"
            if len(sources) > 1:
                for k, source in enumerate(sources):
                    others = tuple(sources[:k] + sources[k + 1 :])
                    self.waits.append(_Wait(_queue(name, k), name, k, source, stage, others))
                sources = [self._wait(_queue(name, k), s) for k, s in enumerate(sources)]
            elif spec.beats_out > spec.beats_in:
                # While it gives more beats than it takes, what comes before it stands still.
                self.waits.append(_Wait(f"{stage}.queue", name, 0, sources[0], stage))
                sources = [self._wait(f"{stage}.queue", sources[0])]
            sources = [self._stage(stage, spec, *sources)]
        (out,) = sources
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
                beats_out=own[-1].spec.beats_out,
                latency_cycles=sum(stage.spec.latency_cycles for stage in own),
            )
        )
        self._offer(name, out, name, name)

    def _wait(self, name: str, source: Source) -> Source:
        depth = self.queues.get(name, 0)
        if not depth:
            return source
        beat, beats = self.beats[source]
        return self._stage(name, Queue(beat, depth, beats), source)

    def _offer(self, name: str, source: Source, prefix: str, shown: str) -> None:
        """Make as many copies of a stream as there are nodes and outputs that use it."""
        ways = self.uses[name]
        if ways < 2:
            self.copies[name] = [source]
            return
        beat, beats = self.beats[source]
        fork = self._stage(f"{prefix}.fork", Fork(beat, ways, beats), source)
        self.forks[f"{prefix}.fork"] = shown
        self.copies[name] = [Source(fork.stage, way) for way in range(ways)]
