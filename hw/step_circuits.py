"""Circuits for a function of one integer given as steps, and which of them is cheapest.

Each is a frozen description with ``domain`` (what the code can be), ``latency_cycles`` and
``build(netlist, code, shape)``, the level for a code, in ``shape``.
"""

from dataclasses import dataclass

import numpy as np

from .netlist import Netlist, Word
from .ranges import Range
from .steps import Steps

__all__ = ["Circuit", "Compare", "Constant", "Search", "Shift", "at_least", "choose"]

# Up to here a channel's function is a few lookup tables, and a register between a waste.
_ONE_CYCLE_BITS = 7
# More levels than this are searched: comparisons grow with levels, a search with their logarithm.
_MOST_COMPARED_LEVELS = 32


@dataclass(frozen=True)
class Constant:
    """No step: the level is always the same."""

    domain: Range
    level: int

    latency_cycles = 0

    def build(self, netlist, code, shape):
        return _constant(self.level, shape)


@dataclass(frozen=True)
class Shift:
    """``clamp((code + offset) >> shift, lo, hi)``: levels that rise by one every ``2**shift``.

    One adder (none if ``offset`` is 0) and a clamp; the cycle of the adder comes first.
    """

    domain: Range
    offset: int
    shift: int
    levels: Range

    @property
    def latency_cycles(self) -> int:
        return 2 if self.offset else 1

    def build(self, netlist, code, shape):
        ends = (self.domain.lo + self.offset, self.domain.hi + self.offset)
        inner = Range(*(end >> self.shift for end in ends))
        value = _shift_right(code, self.shift)
        if self.offset:
            # Low bits that the offset leaves alone pass below the adder and are shifted out.
            low = min(self.shift, (self.offset & -self.offset).bit_length() - 1)
            reach = Range(*(end >> low for end in ends))
            offset = Range(self.offset >> low, self.offset >> low)
            total = netlist.add(
                _shift_right(code, low), _constant(offset.lo, offset.shape), reach.bits,
                signed=reach.lo < 0,
            )  # fmt: skip
            value = _shift_right(total, self.shift - low)
            value = netlist.register(value.resize(inner.bits, signed=inner.lo < 0))
        value = value.resize(inner.bits, signed=inner.lo < 0)
        lo, hi = self.levels.lo, self.levels.hi
        # Where the value is too large or too small for the shape it is not the one that is chosen.
        clamped = value.resize(shape.width, signed=shape.signed)
        if inner.hi > hi:
            above = at_least(netlist, value, hi + 1, inner)
            clamped = netlist.choose(above, _constant(hi, shape), clamped)
        if inner.lo < lo:
            reached = at_least(netlist, value, lo, inner)
            clamped = netlist.choose(reached, clamped, _constant(lo, shape))
        return netlist.register(clamped)


@dataclass(frozen=True, eq=False)
class Compare:
    """Compare with every threshold at once, then read the level from the thermometer.

    In one cycle where few bits of the code matter, otherwise in two.
    """

    domain: Range
    steps: Steps

    @property
    def latency_cycles(self) -> int:
        return 1 if _bits_that_matter(self.steps, self.domain) <= _ONE_CYCLE_BITS else 2

    def build(self, netlist, code, shape):
        reached = [at_least(netlist, code, int(t), self.domain) for t in self.steps.thresholds]
        if self.latency_cycles == 2:
            together = netlist.register(Word.join(reached))
            reached = [together[k] for k in range(len(reached))]
        levels = [_constant(int(v), shape) for v in self.steps.levels]
        return netlist.register(_level(netlist, reached, levels))


@dataclass(frozen=True, eq=False)
class Search:
    """Binary search among the thresholds, one bit of the answer a cycle.

    Each cycle compares with one threshold, which the bits found so far select. A last cycle turns
    the number of thresholds reached into the level, unless it is the level.
    """

    domain: Range
    steps: Steps

    @property
    def bits(self) -> int:
        """Width of the number of thresholds reached."""
        return len(self.steps.thresholds).bit_length()

    @property
    def latency_cycles(self) -> int:
        return self.bits + (not self._counts)

    @property
    def _counts(self):
        return np.array_equal(self.steps.levels, np.arange(len(self.steps.levels)))

    def build(self, netlist, code, shape):
        never = self.domain.hi + 1
        reach = Range(self.domain.lo, never).shape
        thresholds = [int(t) for t in self.steps.thresholds]
        thresholds += [never] * ((1 << self.bits) - 1 - len(thresholds))
        found = Word((), False)
        for bit in reversed(range(self.bits)):
            # Among the thresholds that the bits found so far leave, the one in the middle.
            middle = thresholds[(1 << bit) - 1 :: 2 << bit]
            choice = _select(netlist, found, [_constant(t, reach) for t in middle])
            reached = netlist.not_below(code, choice)
            found = netlist.register(Word.join([reached, found]))
            if bit:
                code = netlist.register(code)
        if self._counts:
            return found.resize(shape.width, signed=shape.signed)
        levels = [_constant(int(v), shape) for v in self.steps.levels]
        levels += [levels[-1]] * ((1 << self.bits) - len(levels))
        return netlist.register(_select(netlist, found, levels))


Circuit = Constant | Shift | Compare | Search


def choose(steps: Steps, domain: Range) -> Circuit:
    """The cheapest circuit for ``steps`` on ``domain``."""
    thresholds, levels = steps.thresholds, steps.levels
    if not len(thresholds):
        return Constant(domain, int(levels[0]))
    if len(thresholds) > 1 and (np.diff(levels) == 1).all():
        distance = int(thresholds[1] - thresholds[0])
        if (np.diff(thresholds) == distance).all() and distance & (distance - 1) == 0:
            # Level levels[0] + 1 begins where the shifted sum reaches it.
            offset = (int(levels[0]) + 1) * distance - int(thresholds[0])
            return Shift(
                domain,
                offset,
                distance.bit_length() - 1,
                Range(int(levels[0]), int(levels[-1])),
            )
    if len(levels) > _MOST_COMPARED_LEVELS:
        return Search(domain, steps)
    return Compare(domain, steps)


def _bits_that_matter(steps, domain):
    """Bits of a channel's code above the lowest one that is set in any threshold."""
    together = int(np.bitwise_or.reduce(steps.thresholds, initial=0))
    return domain.bits - ((together & -together).bit_length() - 1) if together else 0


def at_least(netlist: Netlist, code: Word, threshold: int, domain: Range) -> Word:
    """``code >= threshold`` as gates, for a ``code`` in ``domain``, from the lowest bit up.

    A chain of AND and OR: lookup tables swallow it whole, where a carry chain costs about four
    times as much. Signed codes are compared as unsigned ones with the sign bit inverted.
    """
    bits = [code[k] for k in range(domain.bits)]
    if domain.lo < 0:
        bits[-1] = netlist.invert(bits[-1])
        threshold += 1 << (domain.bits - 1)
    result = None  # None: true so far (all lower bits of the threshold are zero)
    for k, bit in enumerate(bits):
        if threshold >> k & 1:
            result = bit if result is None else netlist.both(bit, result)
        elif result is not None:
            result = netlist.either(bit, result)
    return Word.constant(1, 1, signed=False) if result is None else result


def _constant(value, shape):
    return Word.constant(value, shape.width, signed=shape.signed)


def _shift_right(word, places):
    """``word >> places``, at least one bit of it."""
    wide = word.extend(places + 1)
    return wide.slice(places, wide.width, signed=word.signed)


def _select(netlist, index, words):
    """``words[index]``: multiplexers where the words differ."""
    if len(words) == 1 or all(word == words[0] for word in words):
        return words[0]
    inner = index.slice(0, index.width - 1)
    half = len(words) // 2
    low, high = (_select(netlist, inner, part) for part in (words[:half], words[half:]))
    return low if low == high else netlist.choose(index[index.width - 1], high, low)


def _level(netlist, reached, levels):
    """Read the thermometer by halves: the middle comparison picks the half to look in."""
    if len(levels) == 1:
        return levels[0]
    middle = len(levels) // 2
    return netlist.choose(
        reached[middle - 1],
        _level(netlist, reached[middle:], levels[middle:]),
        _level(netlist, reached[: middle - 1], levels[:middle]),
    )
