"""A circuit with queues as deep as it needs, so that nothing waits at its rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.slots import enough_slots
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
        owners = self.built.owners
        result: dict[str, Cost] = {}
        for stage in self.built.stages:
            name = owners.get(stage.name, stage.name)
            result[name] = result.get(name, Cost()) + cost([stage.spec], self.built.streams.fabric)
        return result


def connect(graph: Graph, streams: Streams, choice: Choice, fixed: Mapping[str, int]) -> Connected:
    """The stages for ``choice`` with the queues they need; ``fixed`` are those already given."""
    while True:
        built = Builder(graph, streams, choice, {})
        flow = Flow(built.inputs, built.stages, 2, built.interval_cycles)
        slots = _short_of(built, flow)
        if not slots:
            break
        choice = choice.with_slots(slots)
    interval = built.interval_cycles
    frames = 2 + _HORIZON_CYCLES // interval
    queues = {name: depth for name, depth in fixed.items() if depth}
    if queues:
        built = Builder(graph, streams, choice, queues)
    if queues or frames != flow.frames:
        flow = Flow(built.inputs, built.stages, frames, interval)
    # Queues swallow nothing themselves, so that these stay what they are.
    ahead = {wait.name: _ahead(flow, wait) for wait in built.waits}
    while True:
        stages = flow.by_name
        wanted = {
            w.name: max(
                queues.get(w.name, 0),
                ahead[w.name][0],
                flow.depth(w.source, stages[w.stage], w.port),
            )
            for w in built.waits
        }
        wanted = {name: depth for name, depth in {**wanted, **fixed}.items() if depth}
        if wanted == queues:
            return Connected(built, queues, ahead)
        # A queue takes a cycle or two itself, for which others may have to wait.
        queues = wanted
        built = Builder(graph, streams, choice, queues)
        flow = Flow(built.inputs, built.stages, frames, interval)


def _ahead(flow: Flow, wait: Wait) -> tuple[int, str]:
    """By how many beats a stream may be ahead of the others that its stage takes, and where."""
    spec = flow.by_name[wait.stage].spec
    return max(
        (flow.tokens(wait.source, other, taken_before(spec, wait.port, port))
         for port, other in wait.others),
        default=(0, ""),
    )  # fmt: skip


def _short_of(built: Builder, flow: Flow) -> dict[str, int]:
    """Layers whose line buffers are too short for what reaches them, and what they need.

    One that an input of the network feeds makes that wait instead. Folded layers come first: what
    they need is part of the plan, and pools are looked at behind them again.
    """
    for kind, suffix in ((Folded, ".folded"), (Pool, ".pool")):
        short = {}
        for stage in built.stages:
            (source, *_) = stage.sources
            if not isinstance(stage.spec, kind) or source.stage is None or built.raw(source):
                continue
            needed = slots_needed(stage.spec, flow.early[source])
            if needed > stage.spec.slots:
                short[stage.name.removesuffix(suffix)] = enough_slots(stage.spec, needed)
        if short:
            return short
    return {}
