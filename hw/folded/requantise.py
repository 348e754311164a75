"""Functions of one integer, another for each channel, by one circuit that all channels share."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from amaranth.hdl import Cat, Signal

from ..ranges import Range
from ..steps import Steps
from .affine import Affine, levels_of
from .compare import compare_cycles, reached, reached_store
from .memory import FABRICS, Fabric, Store, pipe
from .rom import pack, rom

__all__ = ["Identity", "Search", "choose"]


@dataclass(frozen=True, eq=False)
class Identity:
    """``x + offset[c]``."""

    domain: Range
    offset: np.ndarray
    fabric: Fabric = FABRICS["ecp5"]

    @property
    def latency_cycles(self) -> int:
        return 2 if self.offset.any() else 0

    @property
    def levels(self) -> Range:
        """What comes out, at most."""
        return Range(
            self.domain.lo + min(0, int(self.offset.min())),
            self.domain.hi + max(0, int(self.offset.max())),
        )

    def stores(self, name) -> tuple[Store, ...]:
        """Its memories."""
        if not self.offset.any():
            return ()
        bits = Range(int(self.offset.min()), int(self.offset.max())).bits
        return (Store(f"{name}_offset", len(self.offset), bits, True, 1, self.fabric),)

    def build(self, m, x, channel, shape, name):
        if not self.offset.any():
            return x
        (store,) = self.stores(name)
        word = rom(m, store, pack([self.offset], [store.width]), channel)
        offset = word.as_signed() if self.offset.min() < 0 else word
        total = Signal(shape, name=f"{name}_total", reset_less=True)
        m.d.sync += total.eq(pipe(m, x, 1, f"{name}_x") + offset)
        return total


@dataclass(frozen=True, eq=False)
class Search:
    """Binary search among the thresholds, some cycles for each bit of the answer; any function."""

    domain: Range
    steps: tuple[Steps, ...]
    fabric: Fabric = FABRICS["ecp5"]

    @property
    def levels(self) -> Range:
        """What comes out."""
        return levels_of(self.steps)

    @property
    def bits(self) -> int:
        """Width of the number of thresholds reached."""
        return max(len(s.thresholds) for s in self.steps).bit_length()

    @property
    def latency_cycles(self) -> int:
        stores = self.stores("")
        return sum(compare_cycles(s) for s in stores[: self.bits]) + (0 if self._counts else 1)

    @property
    def _counts(self):
        """Is the level of each channel the number of its thresholds reached, and a constant?"""
        lo = self.levels.lo
        return all(np.array_equal(s.levels, lo + np.arange(len(s.levels))) for s in self.steps)

    def stores(self, name) -> tuple[Store, ...]:
        """Its memories."""
        channels = len(self.steps)
        stores = [
            reached_store(f"{name}_thresholds_{k}", channels << k, self.domain, self.fabric)
            for k in range(self.bits)
        ]
        if not self._counts:
            store = f"{name}_levels", channels << self.bits, self.levels.bits
            stores.append(Store(*store, True, 1, self.fabric))
        return tuple(stores)

    def build(self, m, x, channel, shape, name):
        stores = self.stores(name)
        never = self.domain.hi + 1
        full = np.full((len(self.steps), (1 << self.bits) - 1), never)
        for c, own in enumerate(self.steps):
            full[c, : len(own.thresholds)] = own.thresholds
        found = []  # bits of the answer, the highest first
        for k in range(self.bits):
            bit = self.bits - 1 - k
            middle = full[:, (1 << bit) - 1 :: 2 << bit]
            limits, address = middle.reshape(-1), Cat(*reversed(found), channel)
            cycles = compare_cycles(stores[k])
            now = reached(m, stores[k], self.domain, limits, address, x, f"{name}_{k}")
            x = pipe(m, x, cycles, f"{name}_x_{k}")
            channel = pipe(m, channel, cycles, f"{name}_channel_{k}")
            found = [pipe(m, f, cycles, f"{name}_found_{k}_{n}") for n, f in enumerate(found)]
            found.append(now)
        index = Cat(*reversed(found))
        if self._counts:
            out = Signal(shape, name=f"{name}_level")
            m.d.comb += out.eq(index + self.levels.lo)
            return out
        table = np.zeros((len(self.steps), 1 << self.bits), np.int64)
        for c, own in enumerate(self.steps):
            table[c] = own.levels[np.minimum(np.arange(1 << self.bits), len(own.thresholds))]
        word = rom(
            m, stores[-1], pack([table.reshape(-1)], [self.levels.bits]), Cat(index, channel)
        )
        return word.as_signed() if self.levels.lo < 0 else word


def choose(
    steps: tuple[Steps, ...],
    ranges: tuple[Range, ...],
    *,
    multiply: bool,
    fabric: Fabric = FABRICS["ecp5"],
):
    """The circuit for ``steps``: a multiplier if that is allowed and does it, else a search.

    ``fabric`` is what there is to make it of.
    """
    steps = tuple(s.within(r) for s, r in zip(steps, ranges, strict=True))
    fitted = _fit(steps, ranges) if multiply and fabric.factor_bits else None
    if fitted is not None and fitted.factor_bits <= fabric.factor_bits:
        return replace(fitted, fabric=fabric)
    return Search(Range.span(ranges), steps, fabric)


@lru_cache(maxsize=256)
def _fit(steps, ranges):
    """A plan asks for the same functions of a layer many times."""
    return Affine.fit(steps, ranges)
