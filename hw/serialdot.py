"""Sparse constant dot product, a few bits of every sum a cycle: weights are wires."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .dot import Dot
from .pace import not_after, not_before

__all__ = ["SerialDot"]


@dataclass(frozen=True, eq=False)
class SerialDot:
    """``dot``, computed ``digit_bits`` bits at a time, the lowest first (digit-serial arithmetic).

    Where a position has several cycles, the adders of :class:`sqwire.hw.dot.Dot` stand idle in all
    but one. Here an adder is as wide as a digit, and a sum takes a cycle for each of its
    ``digits``.

    Shapes as for ``dot``: in ``(beats, lanes)``, out ``(beats, rows)``.

    Timing: a beat is taken every ``cycles`` cycles, one more than the widest sum has digits. A sum
    is valid ``latency_cycles`` after its beat: one for each level of adders and for each digit, and
    one for each of the ``places`` where sums wait. Nothing before them ever stops, so no beat is
    taken that would not find one.

    Circuit: sums are exact modulo two to the power of their bits, so nothing in between needs more
    of them. An adder keeps its carry in a register, which is set anew between words; a shift is a
    delay, with zeros where a word begins; codes are held, and their digits chosen.

    Source: Hartley, Corbett, "Digit-serial processing techniques", IEEE TCAS 37(6), 1990.

    Raises
    ------
    ValueError
        If ``digit_bits`` is not 1, 2 or 4, or a sum would have fewer than two digits.
    """

    dot: Dot
    digit_bits: int

    def __post_init__(self):
        if self.digit_bits not in (1, 2, 4):
            raise ValueError(f"SerialDot: digit_bits must be 1, 2 or 4, not {self.digit_bits}")
        if self.digits < 2:
            raise ValueError(
                f"SerialDot: sums must have two digits at least, not {self.outputs[0].range.bits} "
                f"bits of {self.digit_bits} a digit"
            )

    @property
    def digits(self) -> int:
        """Digits of a sum."""
        return -(-self.outputs[0].range.bits // self.digit_bits)

    @property
    def cycles(self) -> int:
        """Cycles from beat to beat."""
        return self.digits + 1

    @property
    def places(self) -> int:
        """Beats that are on their way if one is taken every ``cycles`` cycles."""
        return 1 - (-(self.dot.sum_cycles + 1) // self.digits)

    @property
    def graph(self):
        """Its adders."""
        return self.dot.graph

    @property
    def inputs(self):
        return self.dot.inputs

    @property
    def outputs(self):
        return self.dot.outputs

    @property
    def beats_in(self) -> int:
        return self.dot.beats_in

    @property
    def beats_out(self) -> int:
        return self.dot.beats_out

    @property
    def latency_cycles(self) -> int:
        return self.dot.sum_cycles + self.digits + self.places

    @property
    def interval_cycles(self) -> int:
        """Cycles a frame, where frames follow each other as fast as they are taken."""
        return self.beats_in * self.cycles

    def needs(self) -> np.ndarray:
        return self.dot.needs()

    def departures(self, arrivals) -> np.ndarray:
        """The cycle in which each output beat leaves if the sink is always ready."""
        return self.takes(arrivals) + self.latency_cycles

    def takes(self, arrivals) -> np.ndarray:
        """The cycle in which each input beat is taken then."""
        return not_before(arrivals, np.arange(len(arrivals)) * self.cycles)

    def latest(self, leaves) -> np.ndarray:
        """The latest cycles in which input beats may arrive so that outputs leave by ``leaves``."""
        times = np.arange(len(leaves)) * self.cycles
        return not_after(np.asarray(leaves) - self.latency_cycles, times)

    def compute(self, x):
        return self.dot.compute(x)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`SerialDot`.

    Members
    -------
    i : ``In(stream)``
        One code a lane.
    o : ``Out(stream)``
        One accumulator a row.
    """

    def __init__(self, spec: SerialDot):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, dot, graph = self.spec, self.spec.dot, self.spec.dot.graph
        words = _Words(m, spec, self.i, self.o)

        values = []
        for lane, own in enumerate(dot.ranges):
            fixed = own.size == 1
            digit = words.constant(own.lo) if fixed else words.code(self.i.payload[lane], own, lane)
            values.append([digit])
        for own in graph.ranges[len(values) : len(graph.ranges) - len(graph.ops)]:
            values.append([words.constant(own.lo)])
        depths = list(graph.depths)

        def at(number, depth):
            """The digits of a value so many levels of adders behind the codes."""
            known = values[number]
            while len(known) <= depth - depths[number]:
                known.append(words.later(known[-1]))
            return known[depth - depths[number]]

        for number, op in enumerate(graph.ops, start=len(values)):
            level = depths[number] - 1
            a = words.shifted(at(op.a, level), op.a_shift, level)
            b = words.shifted(at(op.b, level), op.b_shift, level)
            values.append([words.sum(a, b, level, subtract=op.subtract)])

        negated = dot.sum_cycles > graph.depth
        for row, out in enumerate(graph.outputs):
            digit = Const(0, spec.digit_bits)
            if out.value is not None:
                digit = words.shifted(at(out.value, graph.depth), out.shift, graph.depth)
                if negated:
                    zero = Const(0, spec.digit_bits)
                    one, other = (zero, digit) if out.negate else (digit, zero)
                    digit = words.sum(one, other, graph.depth, subtract=out.negate)
            words.deliver(self.o.payload[row], digit, row)
        return m


class _Words:
    """Words of digits, the lowest first, that all begin in one cycle."""

    def __init__(self, m, spec, i, o):
        self.m, self.spec, self.width = m, spec, spec.digit_bits
        self.take = Signal(name="take")
        self.digit = Signal(range(spec.digits), name="digit")
        busy, sent = Signal(name="busy"), Signal(name="sent")
        places = Signal(range(-1, spec.places), init=spec.places - 1)  # the sign says if any
        m.d.comb += [
            i.ready.eq(~busy & (places >= 0)),
            self.take.eq(i.valid & i.ready),
            sent.eq(o.valid & o.ready),
        ]
        m.d.sync += places.eq(places + sent - self.take)
        with m.If(self.take):
            m.d.sync += [busy.eq(1), self.digit.eq(0)]
        with m.Elif(busy):
            m.d.sync += [busy.eq(self.digit != spec.digits - 1), self.digit.eq(self.digit + 1)]
        # For each level of adders: digits of a word are there. Between two words they are not.
        self.runs = [busy]
        for level in range(spec.dot.sum_cycles):
            runs = Signal(name=f"runs_{level + 1}")
            m.d.sync += runs.eq(self.runs[level])
            self.runs.append(runs)
        # Words wait where their digits were collected, and in registers behind. Each goes on where
        # the next place is empty: they come so seldom that this costs no time.
        full = [Signal(name=f"full_{place}") for place in range(spec.places - 1)] + [o.valid]
        self.moves = []
        for before, after in pairwise(full):
            whole = before & ~self.runs[-1] if before is full[0] else before
            self.moves.append(whole & ~after)
            with m.If(self.moves[-1]):
                m.d.sync += [before.eq(0), after.eq(1)]
        with m.If(self.runs[-1]):
            m.d.sync += full[0].eq(1)
        with m.If(sent):
            m.d.sync += o.valid.eq(0)
        self.count = 0

    def _name(self, what):
        self.count += 1
        return f"{what}_{self.count}"

    def code(self, code, own, lane):
        """The digits of a code, which is held while they go."""
        held = Signal(code.shape(), name=f"code_{lane}", reset_less=True)
        with self.m.If(self.take):
            self.m.d.sync += held.eq(code)
        bits = held[: own.bits]
        sign = bits[-1] if own.lo < 0 else Const(0, 1)
        count = min(-(-own.bits // self.width), self.spec.digits)
        wide = Cat(bits, sign.replicate(count * self.width))
        digits = [wide[k * self.width : (k + 1) * self.width] for k in range(count)]
        return self._chosen(digits, sign.replicate(self.width))

    def constant(self, value):
        """The digits of a number."""
        mask = (1 << self.width) - 1
        digits = [Const(value >> (k * self.width) & mask, self.width)
                  for k in range(self.spec.digits)]  # fmt: skip
        return self._chosen(digits, Const(-1 if value < 0 else 0, self.width))

    def _chosen(self, digits, rest):
        """One of ``digits`` in its cycle, ``rest`` behind them."""
        result = Signal(self.width, name=self._name("digit"))
        self.m.d.comb += result.eq(rest)
        with self.m.Switch(self.digit):
            for k, digit in enumerate(digits):
                with self.m.Case(k):
                    self.m.d.comb += result.eq(digit)
        return result

    def later(self, digit):
        """A cycle later."""
        held = Signal(self.width, name=self._name("later"), reset_less=True)
        self.m.d.sync += held.eq(digit)
        return held

    def shifted(self, digit, places, level):
        """A word times two to the power of ``places``, at its ``level``."""
        whole, part = divmod(places, self.width)
        if part:
            before = self._cleared(digit[self.width - part :], level)
            digit = Cat(before, digit[: self.width - part])
        for _ in range(whole):
            digit = self._cleared(digit, level)
        return digit

    def _cleared(self, bits, level):
        """Bits a cycle later; zeros where a word begins."""
        held = Signal(len(bits), name=self._name("shift"), reset_less=True)
        self.m.d.sync += held.eq(bits)
        with self.m.If(~self.runs[level]):
            self.m.d.sync += held.eq(0)
        return held

    def sum(self, a, b, level, *, subtract):
        """``a + b`` or ``a - b`` of words at ``level``, at the next."""
        name = self._name("sum")
        carry = Signal(name=f"{name}_carry", init=int(subtract))
        bits, into = [], carry
        for k in range(self.width):
            x, y = a[k], ~b[k] if subtract else b[k]
            bits.append(x ^ y ^ into)
            into = (x & y) | (into & (x ^ y))
        held = Signal(self.width, name=name, reset_less=True)
        self.m.d.sync += [held.eq(Cat(bits)), carry.eq(into)]
        with self.m.If(~self.runs[level]):
            self.m.d.sync += carry.eq(int(subtract))
        return held

    def deliver(self, lane, digit, row):
        """Collect the digits of a word, and hand it on."""
        bits = self.spec.digits * self.width
        word = Signal(bits, name=f"word_{row}", reset_less=True)
        with self.m.If(self.runs[-1]):
            self.m.d.sync += word.eq(Cat(word, digit)[self.width :])
        word = word[: len(lane)]
        for place, moves in enumerate(self.moves[:-1], 1):
            waits = Signal.like(word, name=f"word_{row}_{place}", reset_less=True)
            with self.m.If(moves):
                self.m.d.sync += waits.eq(word)
            word = waits
        with self.m.If(self.moves[-1]):
            self.m.d.sync += lane.eq(word)
