"""SubpixelArgMax: where between the lanes the largest one lies, by a parabola through three."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .pipeline import Pipeline
from .ranges import Range

__all__ = ["SubpixelArgMax", "best", "rivals", "vertex"]


@dataclass(frozen=True)
class SubpixelArgMax:
    """``o[m, 0] = parts * k + floor(parts * v + 1/2)``: the place of the largest lane in parts.

    ``k`` is the first lane with the largest value ``b``, ``a`` and ``c`` are its neighbours, and
    ``v = (c - a) / (2 * (2 * b - a - c))`` is how far from ``k`` the vertex of the parabola through
    the three lies, at most a half. At the first and the last lane, and where all three are equal,
    ``v`` is 0. Scaling or shifting all lanes alike changes nothing.

    Shapes: in ``(beats, lanes)``, out ``(beats, 1)`` with the range ``0 .. parts * (lanes - 1)``.

    Timing: one beat a cycle; ``latency_cycles`` is three, the depth of the tree of comparisons
    and a cycle for each bit of ``parts``: ``3 + ceil(log2(lanes)) + parts.bit_length()``. The whole
    pipeline stops while the output is held.

    Circuit: the comparisons carry ``p = b - a`` and ``q = b - c`` with them, and a long division
    gives ``floor(parts * p / (p + q) + 1/2)``, which is the fraction and half of ``parts``.

    Raises
    ------
    ValueError
        If ``parts`` is not even from 2 to 64, or ``beats`` is below one.
    """

    beat: Beat
    parts: int = 16
    beats: int = 1

    def __post_init__(self):
        if self.parts % 2 or not 2 <= self.parts <= 64:
            raise ValueError(
                f"SubpixelArgMax: parts must be an even number from 2 to 64, not {self.parts}"
            )
        if self.beats < 1:
            raise ValueError(f"SubpixelArgMax: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(Range(0, self.parts * (self.beat.lanes - 1)), 1),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        return 3 + (self.beat.lanes - 1).bit_length() + self.parts.bit_length()

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        best = x.argmax(axis=-1, keepdims=True)
        last = x.shape[-1] - 1
        b = np.take_along_axis(x, best, -1)
        p = b - np.take_along_axis(x, np.maximum(best - 1, 0), -1)
        q = b - np.take_along_axis(x, np.minimum(best + 1, last), -1)
        inner = (best > 0) & (best < last) & (p + q > 0)
        curve = np.where(inner, p + q, 1)
        fraction = (2 * self.parts * p + curve) // (2 * curve) - self.parts // 2
        return self.parts * best + np.where(inner, fraction, 0)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`SubpixelArgMax`.

    Members
    -------
    i : ``In(stream)``
        Codes.
    o : ``Out(stream)``
        The place of the largest.
    """

    def __init__(self, spec: SubpixelArgMax):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i], self.o, spec.latency_cycles)
        register = pipeline.register
        # Cycle 1: codes, and the distances to both neighbours; 0 and 0 give no fraction.
        codes = [self.i.payload[k] for k in range(spec.beat.lanes)]
        rows = []
        for k, code in enumerate(codes):
            inner = 0 < k < len(codes) - 1
            sides = (codes[k - 1], codes[k + 1]) if inner else (code, code)
            rows.append(rivals(register, spec.beat.range, code, *sides, k))
        _, p, q, index = best(register, rows)
        place = vertex(register, spec.parts, index, p, q)
        result = register(place, spec.outputs[0].range.shape, "place")
        m.d.comb += self.o.payload[0].eq(result)
        return m


def rivals(register, codes, code, before, after, name):
    """A cycle later: a code, and how far those ``before`` and ``after`` it are below it.

    Those that are below a neighbour hold rubbish, and never win.
    """
    width = Range(0, codes.hi - codes.lo).bits
    p, q = (Const(0) if side is code else (code - side)[:width] for side in (before, after))
    return (
        register(code, codes.shape, f"code_{name}"),
        register(p, width, f"p_{name}"),
        register(q, width, f"q_{name}"),
        Const(0, 0),
    )


def best(register, rows):
    """Of some :func:`rivals` the first with the largest code, with its number in place of nothing.

    A cycle for each level of a tree: neighbours are compared; the odd one out only waits.
    """
    for level in range(1, (len(rows) - 1).bit_length() + 1):
        following = []
        for k in range(0, len(rows), 2):
            left = rows[k]
            right = rows[k + 1] if k + 1 < len(rows) else left
            second = right[0] > left[0] if k + 1 < len(rows) else Const(0, 1)
            name = f"{level}_{k // 2}"
            code, p, q = (
                register(Mux(second, b, a), a.shape(), f"{what}_{name}")
                for what, a, b in zip(("code", "p", "q"), left, right, strict=False)
            )
            place = second
            if level > 1:
                place = Cat(Mux(second, right[3], left[3]), second)
            following.append((code, p, q, register(place, level, f"place_{name}")))
        rows = following
    return rows[0]


def vertex(register, parts, index, p, q):
    """``parts * index`` and the fraction that ``p`` and ``q`` give, ``1 + parts.bit_length()``
    cycles later."""
    width = len(p)
    # Twice the numerator with a half added, and twice the denominator; 0 / 0 is a half.
    flat = register((p | q) == 0, 1, "flat")
    curve = register(p + q, width + 1, "curve")
    rest = register(2 * parts * p + p + q, width + 8, "numerator")
    index = register(index, len(index), "index")
    # A cycle for each bit of the quotient, from the highest.
    found = Const(0, 0)
    for bit in reversed(range(parts.bit_length())):
        fits = rest >= curve << (bit + 1)
        less = rest - (curve << (bit + 1))
        rest = register(Mux(fits, less, rest), width + 2 + bit, f"rest_{bit}")
        found = register(Cat(fits, found), len(found) + 1, f"found_{bit}")
        curve = register(curve, len(curve), f"curve_{bit}")
        flat = register(flat, 1, f"flat_{bit}")
        index = register(index, len(index), f"index_{bit}")
    # The lane is not the first where the fraction is negative.
    half = parts // 2
    return index * parts + Mux(flat, half, found) - half
