"""What a plan lacks: the resource, the layer that takes most of it, how much would do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from .cost import Cost
from .errors import CompileError

__all__ = ["NAMES", "NoRoom", "TooFast"]

NAMES = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSPs", "brams": "block RAMs"}


class TooFast(CompileError):
    """A layer cannot keep up, however much room there is."""


class NoRoom(CompileError):
    """A frame in ``interval`` cycles takes, by layer, ``costs``: more than the ``room``.

    ``over`` is what there is too little of, that which lacks most first; ``excess`` how many times
    as much of it there should be.
    """

    def __init__(self, costs: Mapping[str, Cost], room: Cost, interval: int):
        self.costs, self.interval = costs, interval
        self.need = sum(costs.values(), Cost())
        need, have = asdict(self.need), asdict(room)
        ratio = {name: need[name] / have[name] if have[name] else math.inf for name in need}
        self.over = sorted(self.need.over(room), key=ratio.__getitem__, reverse=True)
        first = self.over[0]
        self.excess = ratio[first]
        self.layer = max(costs, key=lambda name: asdict(costs[name])[first])
        most = asdict(costs[self.layer])[first]
        super().__init__(
            f"{need[first]:,.0f} {NAMES[first]} are needed for a frame in {interval:,} cycles and "
            f'{have[first]:,.0f} may be used; most of them, {most:,.0f}, by layer "{self.layer}"'
        )

    def enough(self, room: Cost) -> Cost:
        """``room``, and as much as is needed of what it has too little of."""
        need = asdict(self.need)
        more = {name: math.ceil(need[name]) for name in self.over}
        return Cost(**(asdict(room) | more))
