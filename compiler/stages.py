"""The circuit of a graph, stage by stage, with the engines that were chosen for its layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.buffer import Buffer
from sqwire.hw.folded.pool import Pool
from sqwire.hw.fork import Fork
from sqwire.hw.network import Source, Stage
from sqwire.hw.pace import Pace
from sqwire.hw.ports import names
from sqwire.hw.queue import Queue
from sqwire.hw.recast import Recast
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.width import Pack, Unpack

from . import ops
from .choose import Choice
from .cost import cost
from .graph import Graph, Node
from .layer import Layer, layer_of
from .narrow import Streams, cycles_of, pace_of

__all__ = ["Builder", "Memory", "Wait", "queue_name"]


@dataclass(frozen=True)
class Memory:
    """A queue: of ``depth`` beats of ``bits``, on input ``input`` of a node.

    Its cost counts as that of the layer too.
    """

    name: str
    node: str
    input: int
    depth: int
    bits: int
    luts: int
    brams: int


@dataclass(frozen=True)
class Wait:
    """A place where beats may have to wait, in a queue called ``name``, for ``stage``."""

    name: str
    node: str
    input: int
    source: Source
    stage: str
    others: tuple[tuple[int, Source], ...] = ()
    """What else ``stage`` waits for, and on which of its inputs."""

    @property
    def port(self) -> int:
        """The input of ``stage`` that it is."""
        return self.input if self.others else 0


def queue_name(node: str, number: int) -> str:
    """What the queue on an input of a node is called."""
    return f"{node}.queue{number}"


class Builder:
    """The stages of a graph, with queues as deep as ``queues`` says.

    A stream has all channels of a position in a beat, or fewer behind a folded layer, until an
    operator wants all at once; between streams that differ in this, beats are packed or unpacked.
    """

    def __init__(
        self,
        graph: Graph,
        streams: Streams,
        choice: Choice,
        queues: Mapping[str, int],
    ):
        self.graph, self.streams, self.choice, self.queues = graph, streams, choice, queues
        self.pace = pace_of(graph, [spec for _, _, spec in choice.folds.values()])
        self.stages: list[Stage] = []
        self._made: list[tuple[Node, Node, tuple[Stage, ...], Source]] = []
        self.waits: list[Wait] = []
        self.forks: dict[str, str] = {}
        self.uses = graph.uses()
        self.copies: dict[str, list[Source]] = {}
        self.ports = []
        for input in graph.inputs:
            tensor, lanes = input.tensor, self._input_lanes(input.source)
            beats = tensor.positions * tensor.channels // lanes
            self.ports.append(Port(Beat(tensor.range, lanes), beats))
        self.inputs = {Source(None, k): port.frame for k, port in enumerate(self.ports)}
        self.beats = {Source(None, k): (port.beat, port.frame) for k, port in enumerate(self.ports)}
        forks = names("input", len(self.ports))
        for k, input in enumerate(graph.inputs):
            self._offer(input.source, self._spread(k, forks[k]), forks[k], input.name)
        fused = {unit.last.name for unit, _, _ in choice.folds.values() if unit.steps is not None}
        for node in graph.nodes:
            if node.name in fused:
                continue
            sources = [self.copies[name].pop(0) for name in node.inputs]
            if node.name in choice.folds:
                self._folded(node, sources[0])
            else:
                self._streamed(node, sources)

    @property
    def memories(self) -> tuple[Memory, ...]:
        """The queues that there are, in the order of the stages."""
        places = {wait.name: wait for wait in self.waits}
        found = []
        for stage in self.stages:
            if stage.name in places and isinstance(stage.spec, Queue):
                wait, depth, bits = places[stage.name], stage.spec.depth, stage.spec.beat.bits
                own = cost([stage.spec], self.streams.fabric)
                size = depth, bits, round(own.luts), own.brams
                found.append(Memory(stage.name, wait.node, wait.input, *size))
        return tuple(found)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What became of each node, in the order of the graph."""
        fabric = self.streams.fabric
        return tuple(
            layer_of(node.name, source.op, own, self.beats[out][1], fabric)
            for node, source, own, out in self._made
        )

    @property
    def owners(self) -> dict[str, str]:
        """The node that a stage belongs to, by the name of the stage; some belong to none."""
        made = {stage.name: node.name for node, _, own, _ in self._made for stage in own}
        return self.forks | made

    @property
    def interval_cycles(self) -> int:
        """Cycles from frame to frame at full rate."""
        stages = (cycles_of(stage.spec) for stage in self.stages)
        return int(max(*self.inputs.values(), *stages))

    def raw(self, source: Source) -> bool:
        """Whether a stream is an input of the network, as it is or packed otherwise."""
        while source.stage is not None:
            stage = next(stage for stage in self.stages if stage.name == source.stage)
            if not isinstance(stage.spec, Pace | Pack | Recast | Unpack):
                return False
            (source,) = stage.sources
        return True

    def _spread(self, number: int, name: str) -> Source:
        """An input, its beats spread over the frame where not a folded layer alone reads them."""
        source, input = Source(None, number), self.graph.inputs[number]
        readers = [node.name for node in self.graph.nodes if input.source in node.inputs]
        cycles = self.streams.spread(self.pace)
        beat, beats = self.beats[source]
        folded = len(readers) == 1 and readers[0] in self.choice.folds
        if folded or beat.lanes < input.tensor.channels or cycles <= beats:
            return source
        return self._stage(f"{name}.pace", Pace(beat, cycles, beats), source)

    def _input_lanes(self, name: str) -> int:
        """Channels a beat of an input: as its only reader takes them, else all."""
        readers = [node for node in self.graph.nodes if name in node.inputs]
        if self.uses[name] == 1 and readers:
            (reader,) = readers
            if reader.name in self.choice.folds:
                return int(self.choice.folds[reader.name][1].lanes_in)
            if isinstance(reader.op, ops.Flatten):
                lanes = self._input_lanes(reader.name)
                if self.graph.tensors[name].channels % lanes == 0:
                    return lanes
        return self.graph.tensors[name].channels

    def _stage(self, name: str, spec: Any, *sources: Source) -> Source:
        self.stages.append(Stage(name, spec, sources))
        for port, beat in enumerate(spec.outputs):
            self.beats[Source(name, port)] = (beat, spec.beats_out)
        return Source(name)

    def _lanes(self, source: Source) -> int:
        return int(self.beats[source][0].lanes)

    def _as(self, source: Source, wanted: Beat, name: str) -> Source:
        """The same stream as ``wanted``: so many channels a beat, in so many bits."""
        source = self._with_lanes(source, wanted.lanes, name)
        beat, beats = self.beats[source]
        if beat.layout != wanted.layout:
            # Bounds of sums are wider where several channels share a lane.
            source = self._stage(f"{name}.recast", Recast(beat, wanted.range, beats), source)
        return source

    def _with_lanes(self, source: Source, lanes: int, name: str) -> Source:
        """The same stream with ``lanes`` channels a beat."""
        beat, beats = self.beats[source]
        common = math.gcd(beat.lanes, lanes)
        if common < beat.lanes:
            factor = beat.lanes // common
            source = self._stage(
                f"{name}.unpack", Unpack(Beat(beat.range, common), factor, beats * factor), source
            )
            beat, beats = self.beats[source]
        if common < lanes:
            source = self._stage(f"{name}.pack", Pack(beat, lanes // common, beats), source)
        return source

    def _folded(self, node: Node, source: Source) -> None:
        """A linear map and the staircase behind it in a folded engine."""
        first = len(self.stages)
        unit, _, spec = self.choice.folds[node.name]
        source = self._as(source, spec.inputs[0], node.name)
        out = self._stage(f"{node.name}.folded", spec, source)
        self._finish(unit.last, node, first, out)

    def _streamed(self, node: Node, sources: list[Source]) -> None:
        """The stages of one node; a staircase ends with a buffer, which ends the path of ready."""
        first, waits = len(self.stages), False
        lanes = max(self._lanes(source) for source in sources)
        if isinstance(node.op, ops.Flatten) and lanes < self.streams.tensors(node)[0].channels:
            self._finish(node, node, first, sources[0])  # the same beats in the same order
            return
        chain = self.streams.chain(node, lanes, self.pace)
        for place, (suffix, spec) in enumerate(chain):
            slow = any(isinstance(own, SerialDot) for _, own in chain[place : place + 2])
            stage = f"{node.name}.{suffix}"
            if isinstance(spec, Pool):
                spec = replace(spec, slots=self.choice.slots.get(node.name, 0))
            sources = [
                self._as(source, beat, f"{stage}{k or ''}")
                for k, (source, beat) in enumerate(zip(sources, spec.inputs, strict=True))
            ]
            if len(sources) > 1:
                for k, source in enumerate(sources):
                    others = tuple((n, s) for n, s in enumerate(sources) if n != k)
                    name = queue_name(node.name, k)
                    self.waits.append(Wait(name, node.name, k, source, stage, others))
                sources = [self._wait(queue_name(node.name, k), s) for k, s in enumerate(sources)]
            elif spec.beats_out > spec.beats_in or (
                slow and not waits and not self.raw(sources[0])
            ):
                # While it is busy with a beat, what comes before it stands still. A window in front
                # of narrow adders stands still with them, and is where beats are fewer bits; what
                # feeds an input of the network waits by itself.
                waits = waits or slow
                self.waits.append(Wait(f"{stage}.queue", node.name, 0, sources[0], stage))
                sources = [self._wait(f"{stage}.queue", sources[0])]
            sources = [self._stage(stage, spec, *sources)]
        (out,) = sources
        if isinstance(node.op, ops.Staircase):
            out = self._stage(f"{node.name}.buffer", Buffer(*self.beats[out]), out)
        self._finish(node, node, first, out)

    def _finish(self, node: Node, source: Node, first: int, out: Source) -> None:
        """Note what became of a node, and offer its codes to those that read them."""
        self._made.append((node, source, tuple(self.stages[first:]), out))
        self._offer(node.name, out, node.name, node.name)

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
