"""Functions of one integer, another for each channel, by one circuit that all channels share."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Mux, Signal

from ..ranges import Range
from ..steps import Steps
from .memory import Store, pack, pipe, rom

__all__ = ["Affine", "Identity", "Search", "choose"]

# A hardware multiplier takes 18 bits.
_FACTOR_BITS = 18
_MOST_SHIFT = 30


@dataclass(frozen=True, eq=False)
class Identity:
    """``x + offset[c]``."""

    domain: Range
    offset: np.ndarray

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
        return (Store(f"{name}_offset", len(self.offset), bits, True),)

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
class Affine:
    """``clamp((factor[c] * x + offset[c]) >> shift)``: one multiplier, one adder.

    Made by :meth:`fit`, which proves it equal to given steps on every reachable ``x``.
    """

    domain: Range
    levels: Range
    factor: np.ndarray
    offset: np.ndarray
    shift: int

    latency_cycles = 5

    @classmethod
    def fit(cls, steps: tuple[Steps, ...], ranges: tuple[Range, ...]) -> "Affine | None":
        """Factors and offsets that do exactly what ``steps`` do on ``ranges``; None if none do."""
        levels = _levels(steps)
        bounds = [_bounds(s, r, levels) for s, r in zip(steps, ranges, strict=True)]
        if any(b is None for b in bounds):
            return None
        shift = 0
        while shift <= _MOST_SHIFT:
            pairs = []
            for bound in bounds:
                pair = _solve(bound, shift)
                if pair is None:
                    break
                pairs.append(pair)
            else:
                factor, offset = np.array(pairs, dtype=np.int64).T
                if Range(int(factor.min()), int(factor.max())).bits > _FACTOR_BITS:
                    return None
                fitted = cls(Range.span(ranges), levels, factor, offset, shift)
                fitted._prove(steps, ranges)
                return fitted
            shift += 1
        return None

    def _prove(self, steps, ranges):
        """Both are monotone: where they agree at both ends of each level, they agree."""
        for c, (own, domain) in enumerate(zip(steps, ranges, strict=True)):
            points = [domain.lo, domain.hi]
            for t in own.thresholds.tolist():
                points += [t - 1, t]
            x = np.unique(np.clip(points, domain.lo, domain.hi))
            # Python integers: products may be long.
            got = [
                min(max((int(self.factor[c]) * int(v) + int(self.offset[c])) >> self.shift,
                        self.levels.lo), self.levels.hi) for v in x
            ]  # fmt: skip
            assert got == own(x).tolist(), "the fit must equal its steps"

    def stores(self, name) -> tuple[Store, ...]:
        """Its memories."""
        factor = Range(int(self.factor.min()), int(self.factor.max())).bits
        offset = Range(int(self.offset.min()), int(self.offset.max())).bits
        return (Store(f"{name}_constants", len(self.factor), factor + offset, True),)

    def build(self, m, x, channel, shape, name):
        factors = Range(int(self.factor.min()), int(self.factor.max()))
        offsets = Range(int(self.offset.min()), int(self.offset.max()))
        # Cycle 0: the channel's constants. Cycle 1: they go into registers, block RAM is slow.
        (store,) = self.stores(name)
        words = pack([self.factor, self.offset], [factors.bits, offsets.bits])
        word = rom(m, store, words, channel)
        factor, offset = Signal(factors.shape, reset_less=True), Signal(offsets.shape)
        m.d.sync += [
            factor.eq(word[: factors.bits]),
            offset.eq(word[factors.bits :]),
        ]
        # Cycle 2: multiply. Cycle 3: add. Cycle 4: clamp.
        product = Range.span([self.domain * factors.lo, self.domain * factors.hi])
        multiplied = Signal(product.shape, name=f"{name}_product", reset_less=True)
        total = product + offsets
        level = Range(total.lo >> self.shift, total.hi >> self.shift)
        summed = Signal(level.shape, name=f"{name}_sum", reset_less=True)
        out = Signal(shape, name=f"{name}_level", reset_less=True)
        m.d.sync += [
            multiplied.eq(pipe(m, x, 2, f"{name}_x") * factor),
            summed.eq((multiplied + pipe(m, offset, 1, f"{name}_offset")) >> self.shift),
        ]
        clamped = summed
        if level.hi > self.levels.hi:
            clamped = Mux(summed > self.levels.hi, self.levels.hi, clamped)
        if level.lo < self.levels.lo:
            clamped = Mux(summed < self.levels.lo, self.levels.lo, clamped)
        m.d.sync += out.eq(clamped)
        return out


@dataclass(frozen=True, eq=False)
class Search:
    """Binary search among the thresholds, some cycles for each bit of the answer; any function."""

    domain: Range
    steps: tuple[Steps, ...]

    @property
    def levels(self) -> Range:
        """What comes out."""
        return _levels(self.steps)

    @property
    def bits(self) -> int:
        """Width of the number of thresholds reached."""
        return max(len(s.thresholds) for s in self.steps).bit_length()

    @property
    def latency_cycles(self) -> int:
        stores = self.stores("")
        return sum(_cycles(s) for s in stores[: self.bits]) + (0 if self._counts else 1)

    @property
    def _counts(self):
        """Is the level of each channel the number of its thresholds reached, and a constant?"""
        lo = self.levels.lo
        return all(np.array_equal(s.levels, lo + np.arange(len(s.levels))) for s in self.steps)

    @property
    def _reach(self):
        return Range(self.domain.lo, self.domain.hi + 1)

    def stores(self, name) -> tuple[Store, ...]:
        """Its memories."""
        channels = len(self.steps)
        stores = [
            Store(f"{name}_thresholds_{k}", channels << k, self._reach.bits, True)
            for k in range(self.bits)
        ]
        if not self._counts:
            stores.append(Store(f"{name}_levels", channels << self.bits, self.levels.bits, True))
        return tuple(stores)

    def build(self, m, x, channel, shape, name):
        stores = self.stores(name)
        never = self._reach.hi
        full = np.full((len(self.steps), (1 << self.bits) - 1), never)
        for c, own in enumerate(self.steps):
            full[c, : len(own.thresholds)] = own.thresholds
        found = []  # bits of the answer, the highest first
        for k in range(self.bits):
            bit = self.bits - 1 - k
            middle = full[:, (1 << bit) - 1 :: 2 << bit]
            words = pack([middle.reshape(-1)], [self._reach.bits])
            cycles = _cycles(stores[k])
            threshold = rom(m, stores[k], words, Cat(*reversed(found), channel))
            limit = Signal(self._reach.shape, name=f"{name}_limit_{k}")
            m.d.comb += limit.eq(pipe(m, threshold, cycles - 2, f"{name}_threshold_{k}"))
            reached = Signal(name=f"{name}_reached_{k}", reset_less=True)
            x = pipe(m, x, cycles - 1, f"{name}_x_{k}")
            m.d.sync += reached.eq(x >= limit)
            x = pipe(m, x, 1, f"{name}_y_{k}")
            channel = pipe(m, channel, cycles, f"{name}_channel_{k}")
            found = [pipe(m, f, cycles, f"{name}_found_{k}_{n}") for n, f in enumerate(found)]
            found.append(reached)
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


def choose(steps: tuple[Steps, ...], ranges: tuple[Range, ...], *, multiply: bool):
    """The circuit for ``steps``: a multiplier if that is allowed and does it, else a search."""
    steps = tuple(s.within(r) for s, r in zip(steps, ranges, strict=True))
    return (Affine.fit(steps, ranges) if multiply else None) or Search(Range.span(ranges), steps)


def _cycles(store):
    """Look up and compare; the word of a block RAM, which is slow, goes through a register."""
    return 3 if store.kind == "block" else 2


def _levels(steps):
    return Range(min(int(s.levels.min()) for s in steps), max(int(s.levels.max()) for s in steps))


def _bounds(own, domain, levels):
    """Points ``(x, level)`` where the function must have reached a level, or not exceed one.

    None where it both rises and falls.
    """
    rises = np.diff(own.levels)
    falling = bool((rises < 0).any())
    if falling and (rises > 0).any():
        return None
    least, most = [], []
    ends = [domain.lo, *(int(t) for t in own.thresholds), domain.hi + 1]
    for level, first, behind in zip(own.levels.tolist(), ends, ends[1:], strict=False):
        low_end, high_end = (behind - 1, first) if falling else (first, behind - 1)
        if level > levels.lo:
            least.append((low_end, level))
        if level < levels.hi:
            most.append((high_end, level + 1))
    return np.array(least, dtype=np.int64).reshape(-1, 2), np.array(most).reshape(-1, 2)


def _solve(bound, shift):
    """A factor and an offset that meet the bounds; None if there are none."""
    least, most = bound
    if not len(least) or not len(most):
        # Always the highest level, or always the lowest.
        ends = [int(v) << shift for v in least[:, 1]] + [(int(v) << shift) - 1 for v in most[:, 1]]
        if len(least):
            return 0, max(ends)
        return 0, min(ends, default=0)
    # factor * x + offset >= level << shift for the one, < for the other: subtract in pairs.
    distance = least[:, None, 0] - most[None, :, 0]
    rise = ((least[:, None, 1] - most[None, :, 1]) << shift) + 1
    if (rise[distance == 0] > 0).any():
        return None
    up, down = distance > 0, distance < 0
    lowest = np.max(-(-rise[up] // distance[up]), initial=-(1 << 40))
    highest = np.min(rise[down] // distance[down], initial=1 << 40)
    if lowest > highest:
        return None
    factor = int(min(max(0, lowest), highest))
    if lowest < highest:
        # The fewest bits: the number with the most trailing zeros.
        for zeros in range(40, -1, -1):
            rounded = -(-int(lowest) >> zeros) << zeros
            if lowest <= rounded <= highest:
                factor = rounded
                break
    low = int(((least[:, 1] << shift) - factor * least[:, 0]).max())
    high = int(((most[:, 1] << shift) - 1 - factor * most[:, 0]).min())
    if low > high:
        return None
    return factor, low
