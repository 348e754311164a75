"""The circuit for a rate, or for the best rate for which a board has room; or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from .choose import Chooser, Clock, Target
from .connect import Connected, connect
from .cost import Cost
from .errors import CompileError
from .graph import Graph
from .narrow import Streams
from .room import NAMES, NoRoom, TooFast

__all__ = ["search"]

# So often it is planned again with less room for layers, where queues take more than was left.
_ROUNDS = 4
# How close to the best rate the search for it comes.
_CLOSE = 1.02
# LUTs a lane, more or less: where to begin to look.
_LANE_LUTS = 150
# Boards with so many times more room are tried as a remedy.
_MORE_ROOMS = 3


def search(graph: Graph, target: Target, fixed: Mapping[str, int]) -> Connected:
    """The circuit for ``target``; ``fixed`` are the depths of queues that are given.

    Raises
    ------
    CompileError
        If the rate cannot be met or the room does not suffice at any rate: names the resource, the
        layer that takes most of it, the best rate that fits, and what would do.
    """
    return _check_clock(_searched(graph, target, fixed), target.clock)


def _searched(graph: Graph, target: Target, fixed: Mapping[str, int]) -> Connected:
    streams = Streams(graph, target.fabric)
    chooser = Chooser(graph, streams)
    if target.room is None or target.folds is not None:
        try:
            return connect(graph, streams, chooser.choose(target), fixed)
        except TooFast as short:
            raise CompileError(f"Plan: {short}; lower --fps or raise --clock") from short
    found = _Search(graph, streams, chooser, target, target.room, fixed)
    if target.interval_cycles is None:
        return found.fastest()[1]
    try:
        return found.at(target.interval_cycles)
    except (TooFast, NoRoom) as short:
        raise found.explained(short, target.interval_cycles) from short


class _Search:
    def __init__(
        self,
        graph: Graph,
        streams: Streams,
        chooser: Chooser,
        target: Target,
        room: Cost,
        fixed: Mapping[str, int],
    ):
        self.graph, self.streams, self.chooser = graph, streams, chooser
        self.target, self.room, self.fixed = target, room, fixed

    def at(self, interval: int, room: Cost | None = None) -> Connected:
        """The cheapest circuit that takes a frame in ``interval`` cycles, queues and all.

        Raises
        ------
        TooFast
            If a layer cannot keep up.
        NoRoom
            If the room does not suffice.
        """
        room = room or self.room
        left, around = room, dict[str, Cost]()
        for _ in range(_ROUNDS):
            try:
                choice = self.chooser.within(interval, left)
            except NoRoom as lack:
                raise NoRoom(_added(lack.costs, around), room, interval) from lack
            made = connect(self.graph, self.streams, choice, self.fixed)
            costs = made.costs()
            total = sum(costs.values(), Cost())
            if not total.over(room):
                return made
            # Queues, and what is between layers, take room that the choice did not know of.
            left = room - (total - choice.cost)
            around = {n: own - choice.costs.get(n, Cost()) for n, own in costs.items()}
        raise NoRoom(costs, room, interval)

    def fastest(self) -> tuple[int, Connected]:
        """The shortest interval for which there is room, to 2 %, and its circuit."""
        products = sum(unit.nonzeros * unit.positions for unit in self.chooser.units)
        start = int(products * _LANE_LUTS / max(1.0, self.room.luts))
        made: dict[int, Connected] = {}

        def connected(interval: int) -> None:
            made[interval] = self.at(interval)

        # Without queues first, which is quicker; with them it is never faster.
        low = self.chooser.least[0] - 1
        low, start = self._first(low, start, 2.0, lambda n: self.chooser.within(n, self.room))
        _, best = self._first(low, start, _CLOSE, connected)
        return best, made[best]

    def _first(
        self, low: int, start: int, step: float, attempt: Callable[[int], Any]
    ) -> tuple[int, int]:
        """The shortest interval at which ``attempt`` does not fail, and one before, where it does.

        Not below ``low``; at 2 % less than it says it fails too. ``start`` is where to begin, and
        ``step`` how many times as long the next try is where it fails there.

        Raises
        ------
        CompileError
            If it fails even where every layer has a single lane.
        """
        floor, slowest = self.chooser.least[0], self._slowest()
        known: dict[int, CompileError | None] = {}

        def works(interval: int) -> bool:
            if interval not in known:
                known[interval] = None
                try:
                    attempt(interval)
                except (TooFast, NoRoom) as short:
                    known[interval] = short
            return known[interval] is None

        high = min(max(low + 1, start), slowest)
        while not works(high):
            # What fits at no rate is soon known.
            if not works(slowest):
                short = known[slowest]
                assert short is not None
                raise self._at_no_rate(short)
            low, high = high, min(max(high + 1, int(step * high)), slowest)
            step = min(step * step, 2.0)
        while high > max(low + 1, low * _CLOSE):
            # Where nothing has failed yet in big steps, then by halves.
            middle = high // 2 if low < floor else int((low * high) ** 0.5)
            middle = max(middle, low + 1)
            if works(middle):
                high = middle
            else:
                low = middle
        while (less := int(high / _CLOSE)) >= floor and works(less):
            high = less
        return min(low, high - 1), high

    def _slowest(self) -> int:
        """Cycles in which one lane does any layer: with more of them nothing gets smaller."""
        work = [
            unit.positions * max(unit.op.weight.size, unit.signed_digits, *unit.tensor.shape)
            for unit in self.chooser.units
        ]
        return 2 * max(self.chooser.least[0], *work, 1)

    def explained(self, short: CompileError, interval: int) -> CompileError:
        """What is said to a user where a rate cannot be met."""
        try:
            best, _ = self.fastest()
        except CompileError as none:
            return none
        remedies = ["lower --fps"]
        clock = self.target.clock
        if clock is not None and (hertz := clock.hz * best / interval) <= clock.most_hz:
            remedies.append(f"raise --clock to {math.ceil(hertz / 1e5) / 10:g}")
        if isinstance(short, NoRoom):
            remedies += self._larger(short, interval)
        return CompileError(
            f"Plan: {short}; the best rate that fits is {_rate(best, clock)}; {_or(remedies)}"
        )

    def _at_no_rate(self, short: CompileError) -> CompileError:
        if not isinstance(short, NoRoom):
            return CompileError(f"Plan: {short}")
        remedies = self._larger(short, short.interval)
        return CompileError(f"Plan: it fits at no rate: {short}; {_or(remedies)}")

    def _larger(self, short: NoRoom, interval: int) -> list[str]:
        """What would make it fit at that rate, tried out."""
        remedies, room = [f'prune layer "{short.layer}"'], short.enough(self.room)
        for _ in range(_MORE_ROOMS):
            try:
                self.at(interval, room)
            except NoRoom as more:
                room = more.enough(room)
                continue
            have = asdict(self.room)
            wanted = [f"{n:,.0f} {NAMES[k]}" for k, n in asdict(room).items() if n > have[k]]
            return [*remedies, f"take a board where {' and '.join(wanted)} may be used"]
        return [*remedies, "take a larger board"]


def _rate(interval: int, clock: Clock | None) -> str:
    """In words; where a number of frames is given, it is one that asks for these cycles."""
    text = f"{interval:,} cycles a frame"
    if clock is None:
        return text
    for digits in range(9):
        frames = math.floor(clock.hz / interval * 10**digits) / 10**digits
        if frames and int(clock.hz / frames) == interval:
            return f"{text} ({frames:,.{digits}f} frames/s at {clock.hz / 1e6:g} MHz)"
    return text


def _check_clock(made: Connected, clock: Clock | None) -> Connected:
    """Refuse a clock for which the block RAMs of a circuit are too slow."""
    costs = made.costs()
    total = sum(own.brams for own in costs.values())
    if clock is None or clock.hz <= clock.most_hz or not total:
        return made
    layer = max(costs, key=lambda name: costs[name].brams)
    slower = Clock(clock.most_hz)
    raise CompileError(
        f"Plan: with block RAMs the clock must be at most {slower.hz / 1e6:g} MHz on this device, "
        f"not {clock.hz / 1e6:g}, and there are {total}, {costs[layer].brams} of them in layer "
        f'"{layer}"; the best rate of this circuit is {_rate(made.built.interval_cycles, slower)}; '
        f"take --clock {slower.hz / 1e6:g}"
    )


def _added(costs: Mapping[str, Cost], more: Mapping[str, Cost]) -> dict[str, Cost]:
    return {n: costs.get(n, Cost()) + more.get(n, Cost()) for n in (*costs, *more)}


def _or(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
