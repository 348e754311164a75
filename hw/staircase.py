"""Any function of one integer, one for each channel, as the steps where it changes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arrays import frozen
from .beat import Beat
from .ranges import Range

__all__ = ["Staircase", "Steps"]

# Up to here a channel's function is a few lookup tables, and comparisons of their own a waste.
_ONE_CYCLE_BITS = 7


@dataclass(frozen=True, eq=False)
class Steps:
    """A function of one integer: ``levels[k]`` where ``k`` is how many ``thresholds`` are ``<= x``.

    ``thresholds`` rise strictly, neighbouring ``levels`` differ and there is one more of them,
    so two equal functions have equal steps.

    Raises
    ------
    ValueError
        If the thresholds do not rise or the number of levels is not one more.
    """

    thresholds: np.ndarray
    levels: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "thresholds", frozen(self.thresholds))
        object.__setattr__(self, "levels", frozen(self.levels))
        if len(self.levels) != len(self.thresholds) + 1:
            raise ValueError(
                f"Steps: levels must be one more than thresholds ({len(self.thresholds)}), "
                f"not {len(self.levels)}"
            )
        if (np.diff(self.thresholds) <= 0).any():
            raise ValueError(f"Steps: thresholds must rise, not {self.thresholds.tolist()}")

    def __eq__(self, other):
        return (
            isinstance(other, Steps)
            and np.array_equal(self.thresholds, other.thresholds)
            and np.array_equal(self.levels, other.levels)
        )

    @classmethod
    def tabulate(cls, lo, values) -> "Steps":
        """The steps of the function whose value at ``lo + n`` is ``values[n]``."""
        values = np.asarray(values)
        changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        return cls(lo + changes, values[np.concatenate([[0], changes])])

    def within(self, domain: Range) -> "Steps":
        """The same function on ``domain``, without the steps that lie outside it."""
        kept = (self.thresholds > domain.lo) & (self.thresholds <= domain.hi)
        first = int((self.thresholds <= domain.lo).sum())
        count = int(kept.sum())
        levels = self.levels[first : first + count + 1]
        thresholds = self.thresholds[kept]
        real = np.flatnonzero(levels[1:] != levels[:-1])
        return Steps(thresholds[real], levels[np.concatenate([[0], real + 1])])

    def __call__(self, x):
        return self.levels[np.searchsorted(self.thresholds, x, side="right")]


@dataclass(frozen=True, eq=False)
class Staircase:
    """``o[c] = steps[c](i[c])``: scale, bias, batch norm, activation and rounding in one.

    Shapes: in and out ``(beats, channels)``. ``ranges`` is what each channel's input can be;
    the output range follows from the levels that are reachable.

    Timing: one beat a cycle; ``latency_cycles`` is 2 (compare, then read the level), or 1 where
    no channel has more than 7 bits that matter and both fit into one cycle's gates. Low bits
    do not matter where all thresholds are multiples of a power of two (a plain shift).

    Circuit: each distinct threshold is compared with a short chain of AND and OR gates, which
    lookup tables swallow whole (a carry chain would cost four times as much). Where all levels
    rise by one, the comparisons are a thermometer and a multiplexer tree reads the code from it.

    Raises
    ------
    ValueError
        If there is not one range and one function a channel.
    """

    steps: tuple[Steps, ...]
    ranges: tuple[Range, ...]
    beats: int = 1

    def __post_init__(self):
        if len(self.steps) != len(self.ranges) or not self.steps:
            raise ValueError(
                f"Staircase: steps and ranges must be one a channel, "
                f"not {len(self.steps)} and {len(self.ranges)}"
            )
        object.__setattr__(self, "ranges", tuple(self.ranges))
        object.__setattr__(
            self,
            "steps",
            tuple(s.within(r) for s, r in zip(self.steps, self.ranges, strict=True)),
        )

    @cached_property
    def out_ranges(self) -> tuple[Range, ...]:
        """For each channel, the smallest and the largest level it reaches."""
        return tuple(Range(s.levels.min(), s.levels.max()) for s in self.steps)

    @property
    def inputs(self):
        return (Beat(Range.span(self.ranges), len(self.ranges)),)

    @property
    def outputs(self):
        return (Beat(Range.span(self.out_ranges), len(self.steps)),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        bits = (_bits_that_matter(s, r) for s, r in zip(self.steps, self.ranges, strict=True))
        return 1 if max(bits) <= _ONE_CYCLE_BITS else 2

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return np.stack([s(x[..., c]) for c, s in enumerate(self.steps)], axis=-1)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Staircase`.

    Members
    -------
    i : ``In(stream)``
        One accumulator a channel.
    o : ``Out(stream)``
        One code a channel.
    """

    def __init__(self, spec: Staircase):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        advance = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
        ]
        two_cycles = spec.latency_cycles == 2
        compared = Signal() if two_cycles else self.i.valid
        with m.If(advance):
            if two_cycles:
                m.d.sync += compared.eq(self.i.valid)
            m.d.sync += self.o.valid.eq(compared)

        shape = spec.outputs[0].range.shape
        for channel, (steps, domain) in enumerate(zip(spec.steps, spec.ranges, strict=True)):
            # Cycle 1: compare. The lane is no wider than this channel's own range.
            code = self.i.payload[channel][: domain.bits]
            comparisons = Cat(_at_least(code, int(t), domain) for t in steps.thresholds)
            reached = Signal(len(comparisons), name=f"reached_{channel}", reset_less=True)
            if two_cycles:
                with m.If(advance):
                    m.d.sync += reached.eq(comparisons)
            else:
                m.d.comb += reached.eq(comparisons)
            # Cycle 2: the level that belongs to the number of thresholds reached.
            level = Signal(shape, name=f"level_{channel}", reset_less=True)
            with m.If(advance):
                m.d.sync += level.eq(_level(reached, [Const(int(v), shape) for v in steps.levels]))
            m.d.comb += self.o.payload[channel].eq(level)
        return m


def _bits_that_matter(steps, domain):
    """Bits of a channel's code above the lowest one that is set in any threshold."""
    together = int(np.bitwise_or.reduce(steps.thresholds, initial=0))
    return domain.bits - ((together & -together).bit_length() - 1) if together else 0


def _at_least(code, threshold, domain):
    """``code >= threshold`` as gates, from the least significant bit up.

    Signed codes are compared as unsigned ones with the sign bit inverted.
    """
    bits = [code[k] for k in range(domain.bits)]
    if domain.lo < 0:
        bits[-1] = ~bits[-1]
        threshold += 1 << (domain.bits - 1)
    result = None  # None: true so far (all lower bits of the threshold are zero)
    for k, bit in enumerate(bits):
        if threshold >> k & 1:
            result = bit if result is None else bit & result
        elif result is not None:
            result = bit | result
    return Const(1, 1) if result is None else result


def _level(reached, levels):
    """Read the thermometer by halves: the middle comparison picks the half to look in."""
    if len(levels) == 1:
        return levels[0]
    middle = len(levels) // 2
    return Mux(
        reached[middle - 1],
        _level(reached[middle:], levels[middle:]),
        _level(reached[: middle - 1], levels[:middle]),
    )
