"""Which engine each layer gets, and how large: the cheapest that keeps up with a rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from sqwire.hw.dot import Dot
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.memory import FABRICS

from .cost import Cost, cost
from .errors import CompileError
from .folding import Fold, Unit, units
from .graph import Graph
from .narrow import Streams, pace_of
from .sizes import (
    MOST_LANES,
    even_fold,
    kinds,
    lane_counts,
    narrowest,
    split_folds,
    variants,
)

__all__ = ["Choice", "Chooser", "Target"]

# Layers with more nonzero weights than this are never worth a wire for each.
_MOST_SPATIAL = 20_000
# Of the digits of its weights, at least this share become adders of a spatial layer.
_FEWEST_ADDERS = 0.25
# What a lane takes at least.
_LANE_LUTS = 60
# Of so few weights it is soon known what they cost as wires.
_FEW = 3000
# An engine that is slower than it must be by more than this is not worth another try.
_NEAR = 1.15
# What a multiplier and a block RAM are worth in LUTs, at first; more where they run out.
_PRICES = {"luts": 1.0, "ffs": 0.0, "dsps": 40.0, "brams": 250.0}
_RISE, _ROUNDS = 1.6, 12
# LUTs that memories may take in place of a block RAM, where those run out; or, where there is no
# LUT RAM, where LUTs do.
_BLOCK_LUTS, _BLOCK_CELLS = (400, 800), (40, 80, 120, 160, 400)
# Lanes multiply in hardware that takes so many bits.
_FACTOR_BITS = 18
# How close to the best rate the search for it comes.
_CLOSE = 1.02


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
    fabric: str = "ecp5"
    """What memories and multipliers are made of, see :data:`sqwire.hw.folded.memory.FABRICS`."""


@dataclass(frozen=True)
class Choice:
    """The layers that are folded, by the node of the linear map; all others are spatial."""

    folds: Mapping[str, tuple[Unit, Fold, Folded]]
    cost: Cost = field(default_factory=Cost)
    """What the model says of all layers."""
    interval_cycles: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)
    """Positions in the line buffers of other layers, where they are not as few as can be."""

    def with_slots(self, slots: Mapping[str, int]) -> Choice:
        """The same with longer line buffers in some layers."""
        folds, others = dict(self.folds), dict(self.slots)
        for name, count in slots.items():
            if name in folds:
                unit, fold, spec = folds[name]
                folds[name] = unit, replace(fold, slots=count), replace(spec, slots=count)
            else:
                others[name] = count
        return replace(self, folds=folds, slots=others)


def _paced(choice: Choice) -> Choice:
    """Layers that are faster than they must be slowed down to give beats evenly."""
    folds = dict(choice.folds)
    for name, (unit, fold, spec) in folds.items():
        pace = choice.interval_cycles // unit.positions
        while unit.positions > 1 and pace > spec.position_cycles:
            slow = replace(spec, slots=fold.slots, pace_cycles=pace)
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
        self.room: Cost | None = None
        self.units = tuple(units(graph))
        self.least = _least_interval(graph)
        self.prices = dict(_PRICES)
        self._known: dict[tuple[str, Fold], tuple[Folded, Cost] | None] = {}
        self._spatial: dict[str, Cost] = {}
        self._streams: dict[int, Cost] = {}

    def choose(self, target: Target) -> Choice:
        """The engines for ``target``.

        Raises
        ------
        CompileError
            If the rate cannot be met or the room does not suffice; names the layer or the resource.
        """
        if target.folds is not None:
            known = {unit.node.name: unit for unit in self.units}
            folds = {
                n: (known[n], f, known[n].fold(f, self.fabric)) for n, f in target.folds.items()
            }
            return Choice(folds, slots=target.slots)
        if target.interval_cycles is None and target.room is None:
            return Choice({})
        self.room = target.room
        if target.interval_cycles is not None:
            return _paced(self.within_room(target.interval_cycles))
        return _paced(self.fastest())

    def within_room(self, interval: int) -> Choice:
        """The cheapest choice for an interval, with prices such that nothing runs out."""
        if interval < self.least[0]:
            raise CompileError(
                f"Plan: a frame must take at least {self.least[0]} cycles "
                f'(layer "{self.least[1]}" takes one position a cycle), not {interval}; '
                "lower --fps or raise --clock"
            )
        self.prices = dict(_PRICES)
        chosen = self._cheapest(interval)
        for _ in range(_ROUNDS):
            over = self._over(chosen.cost)
            if not over:
                return chosen
            for name in over:
                self.prices[name] *= _RISE
            before, chosen = chosen, self._cheapest(interval)
            if self._over(chosen.cost) not in ([], over):
                # Too much of this, now of that: prices move layers that are alike all at once.
                mixed = self._between(before, chosen)
                found = next((one for one in mixed if not self._over(one.cost)), None)
                if found is not None:
                    return found
        name = self._over(chosen.cost)[0]
        need, have = asdict(chosen.cost)[name], asdict(self.room or Cost())[name]
        raise CompileError(
            f"Plan: {name} must be at most {have:.0f}, and a frame in {interval} cycles takes "
            f"{need:.0f}; use --fit for the best rate, a larger board, or prune more weights"
        )

    def fastest(self) -> Choice:
        """The shortest interval for which there is room."""
        low = self.least[0]
        high, best = low, None
        while best is None:
            try:
                best = self.within_room(high)
            except CompileError:
                if high > 1 << 40:
                    raise
                low, high = high, high * 4
        high = best.interval_cycles
        while high > low * _CLOSE and high > low + 1:
            middle = max(low + 1, int((low * high) ** 0.5))
            try:
                best = self.within_room(middle)
                high = middle
            except CompileError:
                low = middle
        return best

    def _over(self, total: Cost) -> list[str]:
        """What there is not enough room for."""
        return [] if self.room is None else total.over(self.room)

    def _price(self, what: Cost) -> float:
        return sum(self.prices[name] * value for name, value in asdict(what).items())

    def _cheapest(self, interval: int) -> Choice:
        folds: dict[str, tuple[Unit, Fold, Folded]] = {}
        total = Cost()
        for unit in self.units:
            spatial, most = None, math.inf
            if unit.nonzeros <= _FEW:
                spatial = self._spatial_cost(unit, interval, most)
                most = math.inf if spatial is None else self._price(spatial)
            found = self._folds(unit, interval, most)
            priced = [(self._price(c), k) for k, (_, _, c) in enumerate(found)]
            best = min(priced, default=None)
            if spatial is None:
                spatial = self._spatial_cost(unit, interval, best[0] if best else math.inf)
            if best is not None and (spatial is None or best[0] < self._price(spatial)):
                fold, spec, own = found[best[1]]
                folds[unit.node.name] = (unit, fold, spec)
                total += own
            elif spatial is not None:
                total += spatial
            else:
                raise CompileError(
                    f'Plan: layer "{unit.node.name}" must do {unit.nonzeros} products at '
                    f"{unit.positions} positions in {interval} cycles and cannot with "
                    f"{MOST_LANES} lanes; lower --fps or raise --clock"
                )
        return Choice(folds, total + self._rest(folds), interval)

    def _between(self, one: Choice, other: Choice) -> Iterator[Choice]:
        """The first layers as in ``one``, the rest as in ``other``, at each layer."""
        for count in range(1, len(self.units)):
            folds: dict[str, tuple[Unit, Fold, Folded]] = {}
            total = Cost()
            for number, unit in enumerate(self.units):
                name = unit.node.name
                chosen = (one if number < count else other).folds.get(name)
                if chosen is None:
                    total += self._spatial[name]
                else:
                    folds[name] = chosen
                    known = self._make(unit, chosen[1])
                    assert known is not None, "it was made before"
                    total += known[1]
            yield Choice(folds, total + self._rest(folds), one.interval_cycles)

    def _rest(self, folds: Mapping[str, tuple[Unit, Fold, Folded]]) -> Cost:
        """The cost of everything without weights, beside these folded layers."""
        pace = pace_of(self.graph, [spec for _, _, spec in folds.values()])
        own = {unit.last.name for unit in self.units}
        total = Cost()
        for node, chain in self.streams.lanes(folds, pace):
            if node.name in own:
                continue  # a staircase that counts as part of its spatial layer
            for _, spec in chain:
                if id(spec) not in self._streams:
                    self._streams[id(spec)] = cost([spec], self.fabric)
                total += self._streams[id(spec)]
        return total

    def _spatial_cost(self, unit: Unit, interval: int, most: float) -> Cost | None:
        """None where it is too large or too slow to consider, or clearly dearer than ``most``."""
        name = unit.node.name
        if unit.nonzeros > _MOST_SPATIAL or unit.tensor.positions > interval:
            return None
        if name not in self._spatial:
            wide = self.streams.wide
            chain = wide[name] + (wide[unit.last.name] if unit.steps else ())
            # Which adders they share takes long to find out.
            dots = [spec for _, spec in chain if isinstance(spec, Dot)]
            others = [spec for _, spec in chain if not isinstance(spec, Dot)]
            around = cost(others, self.fabric)
            bits = unit.signed_digits * unit.tensor.range.bits
            if self._price(around) + self.prices["luts"] * _FEWEST_ADDERS * bits > most:
                return None
            self._spatial[name] = around + cost(dots, self.fabric)
        return self._spatial[name]

    def _folds(self, unit: Unit, interval: int, most: float) -> list[tuple[Fold, Folded, Cost]]:
        """For each kind of lane, the smallest engine that keeps up, unless clearly dearer."""
        outputs, cycles = len(unit.op.weight), interval // unit.positions
        lanes_in = narrowest(unit.tensor.channels, unit.tensor.positions, interval)
        lanes_out = narrowest(outputs, unit.positions, interval)
        if lanes_in is None or lanes_out is None or not cycles:
            return []
        found = []
        for kind, products, dense in kinds(unit):
            if kind == "dsp" and FABRICS[self.fabric].factor_bits < _FACTOR_BITS:
                continue
            least = max(-(-products // cycles), lanes_in, lanes_out)
            for lanes in lane_counts(least):
                if lanes > products or lanes * _LANE_LUTS * self.prices["luts"] > most:
                    break
                fold = even_fold(lanes, lanes_in, lanes_out, outputs, kind, dense)
                if fold is None or (dense and unit.dense_cycles(fold) > cycles):
                    continue
                made = self._keeps_up(unit, fold, interval)
                if made is not None:
                    found += [made, *self._without_blocks(unit, made[0], interval)]
                    break
            if dense or lanes_out > 1:
                continue
            for fold in split_folds(unit, -(-products // cycles), lanes_in, kind):
                made = self._keeps_up(unit, fold, interval)
                if made is not None:
                    found += [made, *self._without_blocks(unit, made[0], interval)]
                    break
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
