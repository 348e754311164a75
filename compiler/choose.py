"""Which engine each layer gets, and how large: the cheapest that keeps up with a rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.memory import FABRICS

from .cost import Cost, cost
from .folding import Fold, Unit, units
from .graph import Graph
from .narrow import Streams, pace_of
from .room import NoRoom, TooFast
from .sizes import (
    MOST_LANES,
    even_fold,
    kinds,
    lane_counts,
    narrowest,
    split_folds,
    variants,
)

__all__ = ["Choice", "Chooser", "Clock", "Target"]

# Layers with more nonzero weights than this are never worth a wire for each.
_MOST_SPATIAL = 20_000
# Of the digits of its weights, at least this share become adders of a spatial layer.
_FEWEST_ADDERS = 0.25
# What a lane takes at least.
_LANE = Cost(luts=60, ffs=30)
# Where a position has fewer cycles, wires are cheaper than so many lanes, which take long to plan.
_FEWEST_CYCLES = 4
# Of so few weights it is soon known what they cost as wires.
_FEW = 3000
# An engine that is slower than it must be by more than this is not worth another try.
_NEAR = 1.15
# What flip-flops, a multiplier and a block RAM are worth in LUTs, at first; more where they run
# out. Most flip-flops share their place with a LUT; serial layers have several a LUT.
_PRICES = {"luts": 1.0, "ffs": 0.1, "dsps": 40.0, "brams": 250.0}
_RISE, _ROUNDS = 1.6, 12
# LUTs that memories may take in place of a block RAM, where those run out; or, where there is no
# LUT RAM, where LUTs do.
_BLOCK_LUTS, _BLOCK_CELLS = (400, 800, 1600), (40, 80, 120, 160, 400)
# Lanes multiply in hardware that takes so many bits.
_FACTOR_BITS = 18


@dataclass(frozen=True)
class Clock:
    """The clock of a circuit, and the fastest one for circuits with a block RAM, Hz."""

    hz: float
    most_hz: float = math.inf


@dataclass(frozen=True)
class Target:
    """What a circuit is for.

    ``interval_cycles`` is how many cycles a frame may take, None for as few as there is ``room``
    for; where there is no room given either, everything is spatial, one position a cycle.
    ``folds`` says which layers are folded, and how, where that is decided already.
    """

    interval_cycles: int | None = None
    room: Cost | None = None
    folds: Mapping[str, Fold] | None = None
    slots: Mapping[str, int] = field(default_factory=dict)
    """How long the line buffers of pools are, where that is decided already."""
    clock: Clock | None = None
    """What cycles are in time; only for what is said where nothing fits."""
    fabric: str = "ecp5"
    """What memories and multipliers are made of, see :data:`sqwire.hw.folded.memory.FABRICS`."""


@dataclass(frozen=True)
class Choice:
    """The layers that are folded, by the node of the linear map; all others are spatial."""

    folds: Mapping[str, tuple[Unit, Fold, Folded]]
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """What the model says, by layer."""
    interval_cycles: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)
    """Positions in the line buffers of other layers, where they are not as few as can be."""

    @property
    def cost(self) -> Cost:
        """What the model says of all layers."""
        return sum(self.costs.values(), Cost())

    def with_slots(self, slots: Mapping[str, int]) -> Choice:
        """The same with longer line buffers in some layers."""
        folds, others = dict(self.folds), dict(self.slots)
        for name, count in slots.items():
            if name in folds:
                unit, fold, spec = folds[name]
                folds[name] = unit, replace(fold, slots=count), spec.timed(count, spec.pace_cycles)
            else:
                others[name] = count
        return replace(self, folds=folds, slots=others)


def _paced(choice: Choice) -> Choice:
    """Layers that are faster than they must be slowed down to give beats evenly."""
    folds = dict(choice.folds)
    for name, (unit, fold, spec) in folds.items():
        pace = choice.interval_cycles // unit.positions
        while unit.positions > 1 and pace > spec.position_cycles:
            slow = spec.timed(fold.slots, pace)
            if slow.interval_cycles <= choice.interval_cycles:
                folds[name] = unit, replace(fold, pace_cycles=pace), slow
                break
            pace -= max(1, pace // 64)
    return replace(choice, folds=folds)


class Chooser:
    """Chooses engines for all layers of ``graph``, whose other circuits are ``streams``.

    What it has found out about an engine it remembers, so that asking again is quick.
    """

    def __init__(self, graph: Graph, streams: Streams):
        self.graph, self.streams = graph, streams
        self.fabric = streams.fabric
        self.units = tuple(units(graph))
        self.least = _least_interval(graph)
        self.prices = dict(_PRICES)
        self._known: dict[tuple[str, Fold], tuple[Folded, Cost] | None] = {}
        self._spatial: dict[tuple[str, int], Cost] = {}
        self._streams: dict[int, Cost] = {}

    def choose(self, target: Target) -> Choice:
        """The engines for ``target``: those it names, or the cheapest in its room, without queues.

        Raises
        ------
        TooFast
            If a layer cannot keep up.
        NoRoom
            If the room does not suffice.
        """
        if target.folds is not None:
            known = {unit.node.name: unit for unit in self.units}
            folds = {
                n: (known[n], f, known[n].fold(f, self.fabric)) for n, f in target.folds.items()
            }
            return Choice(folds, slots=target.slots)
        if target.interval_cycles is None:
            return Choice({})
        return self.within(target.interval_cycles, target.room)

    def within(self, interval: int, room: Cost | None) -> Choice:
        """The cheapest choice for an interval, with prices such that nothing runs out.

        Raises
        ------
        TooFast
            If a layer cannot keep up.
        NoRoom
            If the ``room`` does not suffice.
        """
        least, name = self.least
        if interval < least:
            raise TooFast(
                f'layer "{name}" has {least:,} positions and takes one a cycle, so a frame takes '
                f"at least {least:,} cycles, not {interval:,}"
            )
        self.prices = dict(_PRICES)
        lack: NoRoom | None = None
        chosen: Choice | None = None
        for _ in range(_ROUNDS):
            before, chosen = chosen, self._cheapest(interval)
            if room is None or not chosen.cost.over(room):
                return _paced(chosen)
            found = NoRoom(chosen.costs, room, interval)
            if before is not None and set(before.cost.over(room)) != set(found.over):
                # Too much of this, now of that: prices move layers that are alike all at once.
                mixed = self._between(before, chosen)
                fits = next((one for one in mixed if not one.cost.over(room)), None)
                if fits is not None:
                    return _paced(fits)
            lack = min(lack or found, found, key=lambda one: one.excess)
            for what in found.over:
                self.prices[what] *= _RISE
        assert lack is not None
        raise lack

    def _price(self, what: Cost) -> float:
        return sum(self.prices[name] * value for name, value in asdict(what).items())

    def _cheapest(self, interval: int, narrow: bool = True) -> Choice:
        """For each layer the cheapest; unless ``narrow``, those of wires add all bits at once."""
        folds: dict[str, tuple[Unit, Fold, Folded]] = {}
        costs: dict[str, Cost] = {}
        for unit in self.units:
            spatial, most = None, math.inf
            if unit.nonzeros <= _FEW:
                spatial = self._spatial_cost(unit, interval, most, narrow)
                most = math.inf if spatial is None else self._price(spatial)
            found = self._folds(unit, interval, most)
            priced = [(self._price(c), k) for k, (_, _, c) in enumerate(found)]
            best = min(priced, default=None)
            if spatial is None:
                most = best[0] if best else math.inf
                spatial = self._spatial_cost(unit, interval, most, narrow)
            if best is not None and (spatial is None or best[0] < self._price(spatial)):
                fold, spec, own = found[best[1]]
                folds[unit.node.name] = (unit, fold, spec)
                costs[unit.last.name] = own
            elif spatial is not None:
                costs[unit.last.name] = spatial
            else:
                raise TooFast(
                    f'layer "{unit.node.name}" must do {unit.nonzeros:,} products at '
                    f"{unit.positions:,} positions in {interval:,} cycles and cannot with "
                    f"{MOST_LANES} lanes"
                )
        if narrow and not any(unit.positions > 1 for unit, _, _ in folds.values()):
            # Nothing is slowed to the rate that would leave narrow adders their time.
            return self._cheapest(interval, narrow=False)
        return Choice(folds, costs | self._rest(folds), interval)

    def _between(self, one: Choice, other: Choice) -> Iterator[Choice]:
        """The first layers as in ``one``, the rest as in ``other``, at each layer."""
        for count in range(1, len(self.units)):
            folds: dict[str, tuple[Unit, Fold, Folded]] = {}
            costs: dict[str, Cost] = {}
            for number, unit in enumerate(self.units):
                chosen = one if number < count else other
                costs[unit.last.name] = chosen.costs[unit.last.name]
                if unit.node.name in chosen.folds:
                    folds[unit.node.name] = chosen.folds[unit.node.name]
            yield Choice(folds, costs | self._rest(folds), one.interval_cycles)

    def _rest(self, folds: Mapping[str, tuple[Unit, Fold, Folded]]) -> dict[str, Cost]:
        """The cost of everything without weights, beside these folded layers."""
        pace = pace_of(self.graph, [spec for _, _, spec in folds.values()])
        own = {unit.last.name for unit in self.units}
        costs: dict[str, Cost] = {}
        for node, chain in self.streams.lanes(folds, pace):
            if node.name in own:
                continue  # a staircase that counts as part of its spatial layer
            for _, spec in chain:
                if id(spec) not in self._streams:
                    self._streams[id(spec)] = cost([spec], self.fabric)
            costs[node.name] = sum((self._streams[id(spec)] for _, spec in chain), Cost())
        return costs

    def _spatial_cost(self, unit: Unit, interval: int, most: float, narrow: bool) -> Cost | None:
        """None where it is too large or too slow to consider, or clearly dearer than ``most``."""
        if unit.nonzeros > _MOST_SPATIAL or unit.tensor.positions > interval:
            return None
        digit_bits = self.streams.digit_bits(unit.node, interval) if narrow else 0
        key = unit.node.name, digit_bits
        if key not in self._spatial:
            # Which adders they share takes long to find out.
            *front, _ = self.streams.wide[unit.node.name]
            behind = self.streams.wide[unit.last.name] if unit.steps else ()
            around = cost((spec for _, spec in (*front, *behind)), self.fabric)
            bits = unit.signed_digits * (digit_bits or unit.tensor.range.bits)
            if self._price(around) + self.prices["luts"] * _FEWEST_ADDERS * bits > most:
                return None
            *_, (_, dot) = self.streams.spatial(unit.node, interval if narrow else 0)
            self._spatial[key] = around + cost([dot], self.fabric)
        return self._spatial[key]

    def _folds(self, unit: Unit, interval: int, most: float) -> list[tuple[Fold, Folded, Cost]]:
        """For each kind of lane, the smallest engine that keeps up, unless clearly dearer."""
        outputs, cycles = len(unit.op.weight), interval // unit.positions
        lanes_in = narrowest(unit.tensor.channels, unit.tensor.positions, interval)
        lanes_out = narrowest(outputs, unit.positions, interval)
        if lanes_in is None or lanes_out is None or cycles < _FEWEST_CYCLES:
            return []
        found = []
        for kind, products, dense in kinds(unit):
            if kind == "dsp" and FABRICS[self.fabric].factor_bits < _FACTOR_BITS:
                continue
            fewest = -(-products // cycles)
            widest = min(products, most / self._price(_LANE))
            lanes = lane_counts(max(fewest, lanes_in, lanes_out), widest)
            even = (even_fold(n, lanes_in, lanes_out, outputs, kind, dense) for n in lanes)
            rings = (f for f in even if f and not (dense and unit.dense_cycles(f) > cycles))
            splits = split_folds(unit, fewest, lanes_in, kind)
            for folds in (rings,) if dense or lanes_out > 1 else (rings, splits):
                made = (self._keeps_up(unit, fold, interval) for fold in folds)
                first = next((one for one in made if one is not None), None)
                if first is not None:
                    found += [first, *self._without_blocks(unit, first[0], interval)]
        return found

    def _without_blocks(
        self, unit: Unit, fold: Fold, interval: int
    ) -> Iterator[tuple[Fold, Folded, Cost]]:
        """The same with memories of LUTs where that spares block RAMs."""
        for luts in _BLOCK_LUTS if FABRICS[self.fabric].lut_ram else _BLOCK_CELLS:
            other = replace(fold, block_luts=luts)
            made = self._make(unit, other)
            if made is not None and made[0].interval_cycles <= interval:
                yield other, *made

    def _keeps_up(self, unit: Unit, fold: Fold, interval: int) -> tuple[Fold, Folded, Cost] | None:
        """The engine, with other rings or a longer line buffer if it needs them to keep up."""
        for tried in variants(unit, fold):
            known = self._make(unit, tried)
            if known is None:
                continue
            needed = known[0].interval_cycles
            if needed <= interval:
                return tried, *known
            if needed > _NEAR * interval:
                return None
        return None

    def _make(self, unit: Unit, fold: Fold) -> tuple[Folded, Cost] | None:
        key = unit.node.name, fold
        if key not in self._known:
            try:
                spec = unit.fold(fold, self.fabric)
                self._known[key] = spec, cost([spec], self.fabric)
            except ValueError:
                self._known[key] = None
        return self._known[key]


def _least_interval(graph: Graph) -> tuple[int, str]:
    """Cycles a frame takes with one position a cycle, and the layer with most positions."""
    largest = [(tensor.positions, name) for name, tensor in graph.tensors.items()]
    return max(largest)
