"""CostVolume: how well a position of one picture fits each of several shifted ones of another."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .pipeline import Pipeline
from .ranges import Range
from .raster import axis

__all__ = ["CostVolume", "summed"]

FORMS = ("difference", "product")


@dataclass(frozen=True)
class CostVolume:
    """``o[y, x, d] = sum over c of f(i0[y, x, c], i1[y, x - d, c])`` for d = 0 .. shifts - 1.

    ``f`` is ``|a - b|`` (form "difference") or ``a * b`` ("product"). Left of the frame, at
    ``x < d``, ``i1`` is 0.

    Shapes: inputs ``(height * width, channels)``, all channels of a position in a beat, where
    ``left`` and ``right`` are what each channel of them can be; out ``(height * width, shifts)``.

    Timing: one beat a cycle; ``latency_cycles`` is two and the depth of the tree that sums up the
    channels, ``2 + ceil(log2(channels))``. A beat is taken only together with its partner. The
    whole pipeline stops while the output is held.

    Circuit: ``shifts`` registers of the right picture, which are zeroed as a row begins; no line
    is stored. Form "difference" has no multiplier.

    Raises
    ------
    ValueError
        If a size is below one, the channels differ in number, or the form is unknown.
    """

    height: int
    width: int
    left: tuple[Range, ...]
    right: tuple[Range, ...]
    shifts: int
    form: str = "difference"

    def __post_init__(self):
        for what in ("height", "width", "shifts"):
            if getattr(self, what) < 1:
                raise ValueError(
                    f"CostVolume: {what} must be at least 1, not {getattr(self, what)}"
                )
        if len(self.left) != len(self.right) or not self.left:
            raise ValueError(
                f"CostVolume: both pictures must have as many channels, not {len(self.left)} and "
                f"{len(self.right)}"
            )
        if self.form not in FORMS:
            raise ValueError(
                f'CostVolume: form must be "difference" or "product", not "{self.form}"'
            )

    @property
    def inputs(self):
        return tuple(Beat(Range.span(r), len(r)) for r in (self.left, self.right))

    @property
    def terms(self) -> tuple[Range, ...]:
        """What ``f`` can be for each channel, 0 for the right picture included."""
        return tuple(self._term(a, b) for a, b in zip(self.left, self.right, strict=True))

    def _term(self, a, b):
        b = Range.span([b, Range(0, 0)])
        if self.form == "product":
            return Range.span([a * b.lo, a * b.hi])
        return Range(max(0, a.lo - b.hi, b.lo - a.hi), max(a.hi - b.lo, b.hi - a.lo))

    @property
    def range(self) -> Range:
        """What a sum can be."""
        total = Range(0, 0)
        for term in self.terms:
            total = total + term
        return total

    @property
    def outputs(self):
        return (Beat(self.range, self.shifts),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.beats_in

    @property
    def latency_cycles(self) -> int:
        return 2 + (len(self.left) - 1).bit_length()

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_in + 1)

    def compute(self, left, right):
        shape = (-1, self.height, self.width, len(self.left))
        left = np.asarray(left, dtype=np.int64).reshape(shape)
        right = np.asarray(right, dtype=np.int64).reshape(shape)
        result = np.empty((*left.shape[:3], self.shifts), dtype=np.int64)
        for d in range(self.shifts):
            shifted = np.zeros_like(right)
            shifted[:, :, d:] = right[:, :, : max(0, self.width - d)]
            term = np.abs(left - shifted) if self.form == "difference" else left * shifted
            result[..., d] = term.sum(axis=-1)
        return result.reshape(len(left), self.beats_in, self.shifts)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`CostVolume`.

    Members
    -------
    i0 : ``In(stream)``
        Positions of the left picture in raster order.
    i1 : ``In(stream)``
        Those of the right one.
    o : ``Out(stream)``
        Sums for each shift.
    """

    def __init__(self, spec: CostVolume):
        self.spec = spec
        ports = {f"i{k}": In(beat.signature) for k, beat in enumerate(spec.inputs)}
        super().__init__({**ports, "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i0, self.i1], self.o, spec.latency_cycles)

        # Cycle 1: the left position stands beside the right one and those before it in the row.
        starts, _ = axis(m, pipeline.take, spec.width, 0, spec.width, 1, name="column")
        left = Signal(spec.inputs[0].layout, reset_less=True)
        before = spec.inputs[1].layout
        right = [Signal(before, name=f"right_{d}", reset_less=True) for d in range(spec.shifts)]
        with m.If(pipeline.take):
            m.d.sync += [left.eq(self.i0.payload), right[0].eq(self.i1.payload)]
            for d in range(1, spec.shifts):
                moved = right[d - 1].as_value()
                m.d.sync += right[d].as_value().eq(Mux(starts, 0, moved))

        for d in range(spec.shifts):
            total = summed(pipeline.register, spec, left, right[d], d)
            m.d.comb += self.o.payload[d].eq(total)
        return m


def summed(register, spec, left, right, name):
    """How well ``left`` and ``right`` fit; takes a cycle, and one for each level of a tree.

    ``register(value, shape, name)`` is ``value`` a cycle later.
    """
    # A cycle for the terms.
    terms = []
    for c, bounds in enumerate(spec.terms):
        a, b = left[c], right[c]
        if spec.form == "product":
            term = a * b
        else:
            term = Mux(a > b, (a - b)[: bounds.bits], (b - a)[: bounds.bits])
        terms.append((register(term, bounds.shape, f"term_{name}_{c}"), bounds))
    # One for each level of a tree of sums.
    for level in range(1, (len(terms) - 1).bit_length() + 1):
        pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
        terms = []
        for k, pair in enumerate(pairs):
            bounds = sum((r for _, r in pair), Range(0, 0))
            total = sum((v for v, _ in pair[1:]), pair[0][0])
            terms.append((register(total, bounds.shape, f"sum_{name}_{level}_{k}"), bounds))
    return terms[0][0]
