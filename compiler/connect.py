"""A circuit with queues as deep as it needs, so that nothing waits at its rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.timing import slots_needed
from sqwire.hw.network import taken_before

from .choose import Choice
from .cost import Cost, cost
from .flow import Flow
from .graph import Graph
from .narrow import Streams
from .stages import Builder, Wait

__all__ = ["Connected", "connect"]

# Queues are looked at over so many cycles more than two frames take.
_HORIZON_CYCLES = 4096


@dataclass(frozen=True)
class Connected:
    """The stages of a circuit, how deep its queues are, and what they need for no deadlock.

    ``ahead`` is, by queue, by how many beats its stream may be ahead, and behind which fork.
    """

    built: Builder
    queues: Mapping[str, int]
    ahead: Mapping[str, tuple[int, str]]

    def costs(self) -> dict[str, Cost]:
        """What the model says, by layer; of what belongs to none, by its name."""
        owner = {stage: layer.name for layer in self.built.layers for stage in layer.stages}
        result: dict[str, Cost] = {}
        for stage in self.built.stages:
            name = owner.get(stage.name) or self.built.forks.get(stage.name) or stage.name
            result[name] = result.get(name, Cost()) + cost([stage.spec], self.built.streams.fabric)
        return result


def connect(graph: Graph, streams: Streams, choice: Choice, fixed: Mapping[str, int]) -> Connected:
    """The stages for ``choice`` with the queues they need; ``fixed`` are those already given."""
    built = Builder(graph, streams, choice, {})
    while slots := _short_of(built):
        choice = choice.with_slots(slots)
        built = Builder(graph, streams, choice, {})
    interval = built.interval_cycles
    frames = 2 + _HORIZON_CYCLES // interval
    queues = dict(fixed)
    ahead: dict[str, tuple[int, str]] | None = None
    while True:
        # A queue takes a cycle or two itself, for which others may have to wait.
        built = Builder(graph, streams, choice, queues)
        flow = Flow(built.inputs, built.stages, frames, interval)
        stages = flow.by_name
        if ahead is None:
            ahead = {wait.name: _ahead(flow, wait) for wait in built.waits}
        wanted = {
            w.name: max(
                queues.get(w.name, 0),
                ahead[w.name][0],
                flow.depth(w.source, stages[w.stage], w.port),
            )
            for w in built.waits
        }
        wanted = {name: depth for name, depth in {**wanted, **fixed}.items() if depth}
        if wanted == {name: depth for name, depth in queues.items() if depth}:
            return Connected(built, queues, ahead)
        queues = {**wanted, **fixed}


def _ahead(flow: Flow, wait: Wait) -> tuple[int, str]:
    """By how many beats a stream may be ahead of the others that its stage takes, and where."""
    spec = flow.by_name[wait.stage].spec
    return max(
        (flow.tokens(wait.source, other, taken_before(spec, wait.port, port))
         for port, other in wait.others),
        default=(0, ""),
    )  # fmt: skip


def _short_of(built: Builder) -> dict[str, int]:
    """Layers whose line buffers are too short for what reaches them, and what they need.

    One that an input of the network feeds makes that wait instead. Folded layers come first: what
    they need is part of the plan, and pools are looked at behind them again.
    """
    flow = Flow(built.inputs, built.stages, 2, built.interval_cycles)
    for kind, suffix in ((Folded, ".folded"), (Pool, ".pool")):
        short = {}
        for stage in built.stages:
            (source, *_) = stage.sources
            if not isinstance(stage.spec, kind) or source.stage is None or built.raw(source):
                continue
            needed = slots_needed(stage.spec, flow.early[source])
            if needed > stage.spec.slots:
                short[stage.name.removesuffix(suffix)] = 1 << (needed - 1).bit_length()
        if short:
            return short
    return {}
