"""Functions of one integer by one multiplication, an addition and a shift, proved exact."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import product

import numpy as np
from amaranth.hdl import Cat, Mux, Signal

from ..ranges import Range
from ..steps import Steps
from .compare import compare_cycles, reached, reached_store
from .memory import FABRICS, Fabric, Store, pipe
from .rom import pack, rom

__all__ = ["Affine", "levels_of"]

# A hardware multiplier takes 18 bits.
_FACTOR_BITS = 18
_MOST_SHIFT = 30


@dataclass(frozen=True, eq=False)
class Affine:
    """``clamp((factor[c] * x + offset[c]) >> shift)``: one multiplier, one adder.

    With ``to_even``, ``clamp(v >> shift)`` where an odd result of which no bits were shifted out
    is one less: a tie that half a step of ``offset`` had rounded up.

    With a ``bend`` the line of a channel has two parts, as behind a leaky ReLU: ``factor[2 * c]``
    and ``offset[2 * c]`` hold below ``bend[c]``, those behind them from there on.

    Made by :meth:`fit`, which proves it equal to given steps on every reachable ``x``.
    """

    domain: Range
    levels: Range
    factor: np.ndarray
    offset: np.ndarray
    shift: int
    to_even: bool = False
    bend: np.ndarray | None = None
    fabric: Fabric = FABRICS["ecp5"]

    @property
    def latency_cycles(self) -> int:
        first = 0 if self.bend is None else compare_cycles(self._bend_store(""))
        return first + (6 if self.to_even else 5)

    @classmethod
    def fit(cls, steps: tuple[Steps, ...], ranges: tuple[Range, ...]) -> "Affine | None":
        """Factors and offsets that do exactly what ``steps`` do on ``ranges``; None if none do.

        Where one line a channel does not, two that meet where it reaches some level.
        """
        fitted = cls._fit(steps, ranges)
        levels = levels_of([s.within(r) for s, r in zip(steps, ranges, strict=True)])
        left = set(range(levels.lo + 1, levels.hi + 1)) if fitted is None else set()
        for own, domain in zip(steps, ranges, strict=True):
            left = left and left & _bends(own, domain, levels)
        for level in sorted(left):
            bend = [_reaching(s, r, level) for s, r in zip(steps, ranges, strict=True)]
            parts = [
                part
                for own, r, at in zip(steps, ranges, bend, strict=True)
                for part in _parts(own, r, at)
            ]
            fitted = cls._fit(*zip(*parts, strict=True), np.array(bend))
            if fitted is not None:
                break
        return fitted

    @classmethod
    def _fit(cls, steps, ranges, bend=None):
        """The same for given lines."""
        levels = levels_of(steps)
        bounds = [_bounds(s, r, levels) for s, r in zip(steps, ranges, strict=True)]
        if not all(_solvable(b) for b in bounds):
            return None
        for shift, to_even in product(range(_MOST_SHIFT + 1), (False, True)):
            pairs = _solve_all(bounds, shift, to_even)
            if pairs is None:
                continue
            factor, offset = np.array(pairs, dtype=np.int64).T
            fitted = cls(Range.span(ranges), levels, factor, offset, shift, to_even, bend)
            if fitted._factors.bits > _FACTOR_BITS:
                return None
            fitted._prove(steps, ranges)
            return fitted
        return None

    def _prove(self, steps, ranges):
        """Both are monotone: where they agree at both ends of each level, they agree."""
        for c, (own, domain) in enumerate(zip(steps, ranges, strict=True)):
            points = [domain.lo, domain.hi]
            for t in own.thresholds.tolist():
                points += [t - 1, t]
            x = np.unique(np.clip(points, domain.lo, domain.hi))
            # Python integers: products may be long.
            got = [self._level(int(self.factor[c]) * int(v) + int(self.offset[c])) for v in x]
            assert got == own(x).tolist(), "the fit must equal its steps"

    def _level(self, value: int) -> int:
        level = value >> self.shift
        tie = self.to_even and level << self.shift == value
        return min(max(level - (tie and level % 2), self.levels.lo), self.levels.hi)

    @property
    def factor_bits(self) -> int:
        """Bits of the wider one of what is multiplied."""
        return max(self._factors.bits, self.domain.bits)

    @property
    def _factors(self):
        return Range(int(self.factor.min()), int(self.factor.max()))

    @property
    def _offsets(self):
        return Range(int(self.offset.min()), int(self.offset.max()))

    @property
    def product_range(self) -> Range:
        """What the multiplier gives, at the most."""
        factors = self._factors
        return Range.span([self.domain * factors.lo, self.domain * factors.hi])

    @property
    def sum_range(self) -> Range:
        """What is shifted: product and offset."""
        return self.product_range + self._offsets

    def stores(self, name) -> tuple[Store, ...]:
        """Its memories."""
        width = self._factors.bits + self._offsets.bits
        constants = Store(f"{name}_constants", len(self.factor), width, True, 1, self.fabric)
        return (constants,) if self.bend is None else (constants, self._bend_store(name))

    def _bend_store(self, name):
        return reached_store(f"{name}_bends", len(self.bend), self.domain, self.fabric)

    def build(self, m, x, channel, shape, name):
        factors, offsets = self._factors, self._offsets
        store, *bends = self.stores(name)
        if bends:
            # First, which part of the line it is.
            side = reached(m, *bends, self.domain, self.bend, channel, x, f"{name}_bend")
            late = compare_cycles(*bends)
            channel = Cat(side, pipe(m, channel, late, f"{name}_channel"))
            x = pipe(m, x, late, f"{name}_before")
        # Cycle 0: the channel's constants. Cycle 1: they go into registers, block RAM is slow.
        words = pack([self.factor, self.offset], [factors.bits, offsets.bits])
        word = rom(m, store, words, channel)
        factor = Signal(factors.shape, name=f"{name}_factor", reset_less=True)
        offset = Signal(offsets.shape, name=f"{name}_constant", reset_less=True)
        m.d.sync += [factor.eq(word[: factors.bits]), offset.eq(word[factors.bits :])]
        # Cycle 2: multiply. Cycle 3: add. Then round ties, and clamp.
        multiplied = Signal(self.product_range.shape, name=f"{name}_product", reset_less=True)
        m.d.sync += multiplied.eq(pipe(m, x, 2, f"{name}_x") * factor)
        total = self.sum_range
        summed = Signal(total.shape, name=f"{name}_sum", reset_less=True)
        m.d.sync += summed.eq(multiplied + pipe(m, offset, 1, f"{name}_offset"))
        level = Range((total.lo >> self.shift) - self.to_even, total.hi >> self.shift)
        shifted = summed >> self.shift
        if self.to_even:
            tie = shifted[0] & ~summed[: self.shift].any()
            whole = Signal(level.shape, name=f"{name}_rounded", reset_less=True)
            m.d.sync += whole.eq(shifted - tie)
            shifted = whole
        out = Signal(shape, name=f"{name}_level", reset_less=True)
        clamped = shifted
        if level.hi > self.levels.hi:
            clamped = Mux(shifted > self.levels.hi, self.levels.hi, clamped)
        if level.lo < self.levels.lo:
            clamped = Mux(shifted < self.levels.lo, self.levels.lo, clamped)
        m.d.sync += out.eq(clamped)
        return out


def levels_of(steps) -> Range:
    """From the lowest to the highest level of some functions."""
    return Range(min(int(s.levels.min()) for s in steps), max(int(s.levels.max()) for s in steps))


def _reaching(own, domain, level):
    """The first ``x`` above the lowest one from which on ``level`` is reached, or is not any more.

    Where there is none, the first one beyond the domain.
    """
    above = own.levels >= level
    changes = np.flatnonzero(above[1:] != above[:-1])
    return int(own.thresholds[changes[0]]) if len(changes) else domain.hi + 1


def _parts(own, domain, at):
    """A function below ``at``, and from there on, each with its domain."""
    ends = (domain.lo, at - 1), (min(at, domain.hi), domain.hi)
    return [(own.within(part), part) for part in (Range(*pair) for pair in ends)]


def _bends(own, domain, levels):
    """Levels at which two lines may meet that do what one function does.

    The further a part reaches, the more a line must do: so the first part fits up to some ``x``,
    and the second from some other one on.
    """
    every = range(levels.lo + 1, levels.hi + 1)
    every = sorted(every, key=lambda level: _reaching(own, domain, level))

    def fits(number, side):
        part = _parts(own, domain, _reaching(own, domain, every[number]))[side]
        return _solvable(_bounds(*part, levels))

    numbers = range(len(every))
    ends = bisect_left(numbers, True, key=lambda number: not fits(number, 0))
    begins = bisect_left(numbers, True, key=lambda number: fits(number, 1))
    return set(every[begins:ends])


def _solvable(bounds):
    """Whether there is a line at all: what one shift can do, a larger one can too."""
    return bounds is not None and any(
        _solve(bounds, _MOST_SHIFT, to_even) is not None for to_even in (False, True)
    )


def _bounds(own, domain, levels):
    """Points ``(x, level)`` where the function must have reached a level, or not exceed one.

    Only those that a line can touch which does so everywhere. None where it both rises and falls.
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
    return _corners(least, 1), _corners(most, -1)


def _corners(points, side):
    """Where a line can touch ``points``, x rising, from above (``side`` 1) or from below (-1).

    Corners of the hull of even levels and of that of odd ones, which are reached by more with
    ties to even. Of thousands of levels few are left, whose pairs are soon looked at.
    """
    kept = []
    for odd in (0, 1):
        hull = []
        for x, level in points:
            if level % 2 == odd:
                while len(hull) > 1 and side * _turn(*hull[-2:], (x, level)) >= 0:
                    hull.pop()
                hull.append((x, level))
        kept += hull
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


def _turn(a, b, c):
    """Above 0 where the way from ``a`` over ``b`` to ``c`` turns left, below 0 where right."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _solve_all(bounds, shift, to_even):
    """A factor and an offset for each channel; None if one of them has none."""
    pairs = []
    for bound in bounds:
        pair = _solve(bound, shift, to_even)
        if pair is None:
            return None
        pairs.append(pair)
    return pairs


def _solve(bound, shift, to_even):
    """A factor and an offset that meet the bounds; None if there are none."""
    least, most = bound
    # An odd level is reached by more than a tie.
    reached = [(part[:, 1] << shift) + (to_even & part[:, 1]) for part in bound]
    lows, highs = reached[0], reached[1] - 1
    if not len(least) or not len(most):
        # Always the highest level, or always the lowest.
        return 0, int(lows.max() if len(least) else highs.min(initial=0))
    # factor * x + offset must be so much at least, and at most: subtract in pairs.
    distance = least[:, None, 0] - most[None, :, 0]
    rise = lows[:, None] - highs[None, :]
    if (rise[distance == 0] > 0).any():
        return None
    up, down = distance > 0, distance < 0
    lowest = np.max(-(-rise[up] // distance[up]), initial=-(1 << 40))
    highest = np.min(rise[down] // distance[down], initial=1 << 40)
    if lowest > highest:
        return None
    factor = _roundest(int(lowest), int(highest))
    low = int((lows - factor * least[:, 0]).max())
    high = int((highs - factor * most[:, 0]).min())
    if low > high:
        return None
    return factor, low


def _roundest(lowest, highest):
    """The number with the most last zeros from ``lowest`` to ``highest``, and a small one."""
    if lowest <= 0 <= highest:
        return 0
    if highest < 0:
        return -_roundest(-highest, -lowest)
    for zeros in range(lowest.bit_length(), -1, -1):
        rounded = -(-lowest >> zeros) << zeros
        if rounded <= highest:
            return rounded
    return lowest
