"""Bilinear upsampling by a whole factor, one axis at a time."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .folded.memory import Store
from .raster import counter

__all__ = ["BilinearColumns", "BilinearRows"]


@dataclass(frozen=True)
class _Bilinear:
    """What both axes have in common."""

    height: int
    width: int
    beat: Beat
    factor: int

    def __post_init__(self):
        name = type(self).__name__
        if min(self.height, self.width) < 1:
            raise ValueError(f"{name}: frame must be at least 1x1, not {self.height}x{self.width}")
        if self.factor < 2:
            raise ValueError(f"{name}: factor must be at least 2, not {self.factor}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(self.beat.range * self.factor, self.beat.lanes),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.beats_in * self.factor

    def compute(self, x):
        size = self.height, self.width, self.beat.lanes
        frames = np.asarray(x, dtype=np.int64).reshape(-1, *size)
        mixed = _mixed(frames, self.axis, self.factor)
        return mixed.reshape(len(frames), self.beats_out, self.beat.lanes)


@dataclass(frozen=True)
class BilinearRows(_Bilinear):
    """``o[f*r + k, c] = (f - k) * x[r, c] + k * x[min(r + 1, height - 1), c]`` for k = 0 .. f - 1.

    A row stays at ``f`` times its number, rows between are mixed, and behind the last row it
    repeats. Sums are ``f`` times the mean; the division is left to scales. ONNX calls it linear
    and asymmetric.

    Shapes: in ``(height * width, lanes)``, out ``(f * height * width, lanes)``, ``f`` = ``factor``.

    Timing: one output beat a cycle once its rows are there, two cycles after the last beat of the
    second; the next row is taken meanwhile. Two rows are stored.

    Raises
    ------
    ValueError
        If a size is below one or the factor below two.
    """

    axis = 1
    latency_cycles = 2

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its memories, as synthesis makes them."""
        return (Store("rows", max(2, self.width), self.beat.bits, False, 2),)

    def needs(self) -> np.ndarray:
        row, k = np.divmod(np.arange(self.height * self.factor), self.factor)
        rows = np.minimum(row + 1 + (k > 0), self.height)
        return np.repeat(rows * self.width, self.width)

    def create(self) -> wiring.Component:
        return _Rows(self)


@dataclass(frozen=True)
class BilinearColumns(_Bilinear):
    """``o[r, f*c + k] = (f - k) * x[r, c] + k * x[r, min(c + 1, width - 1)]`` for k = 0 .. f - 1.

    As :class:`BilinearRows`, along a row.

    Shapes: in ``(height * width, lanes)``, out ``(height * f * width, lanes)``.

    Timing: one output beat a cycle, one cycle after the input beats that it needs. Two beats are
    stored.

    Raises
    ------
    ValueError
        If a size is below one or the factor below two.
    """

    axis = 2
    latency_cycles = 1

    def needs(self) -> np.ndarray:
        column, k = np.divmod(np.arange(self.width * self.factor), self.factor)
        columns = np.minimum(column + 1 + (k > 0), self.width)
        return (np.arange(self.height)[:, None] * self.width + columns).reshape(-1)

    def create(self) -> wiring.Component:
        return _Columns(self)


def _mixed(frames, axis, factor):
    last = frames.shape[axis] - 1
    following = np.take(frames, np.minimum(np.arange(last + 1) + 1, last), axis)
    parts = [(factor - k) * frames + k * following for k in range(factor)]
    return np.stack(parts, axis + 1)


class _Rows(wiring.Component):
    """Hardware of a :class:`BilinearRows`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order.
    o : ``Out(stream)``
        Positions of the higher frame in raster order.
    """

    def __init__(self, spec: BilinearRows):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        f = spec.factor
        bits = spec.beat.bits
        # How many whole rows are stored, of those from the one that is shown on.
        stored = Signal(range(3))
        take, advance, show = Signal(), Signal(), Signal()
        _, row_taken = counter(m, take, spec.width, "taken")
        column, row_shown = counter(m, show, spec.width, "column")
        again, last_again = counter(m, show & row_shown, f, "again")
        _, bottom = counter(m, show & row_shown & last_again, spec.height, "row")
        filled, freed = Signal(), Signal()
        written = Signal(range(max(2, spec.width)))
        m.d.comb += [
            self.i.ready.eq(stored != 2),
            take.eq(self.i.valid & self.i.ready),
            filled.eq(take & row_taken),
            freed.eq(show & row_shown & last_again),
            advance.eq(~self.o.valid | self.o.ready),
            # The row itself needs no other; rows between need the next one, if there is one.
            show.eq(advance & ((stored == 2) | ((stored == 1) & ((again == 0) | bottom)))),
        ]
        m.d.sync += stored.eq(stored + filled - freed)
        with m.If(take):
            m.d.sync += written.eq(Mux(row_taken, 0, written + 1))
        # Rows go to the two memories in turn.
        into, shown = Signal(), Signal()
        with m.If(filled):
            m.d.sync += into.eq(~into)
        with m.If(freed):
            m.d.sync += shown.eq(~shown)

        rows = []
        for k in range(2):
            (store,) = spec.stores
            style = "block" if store.kind == "block" else "distributed"
            memory = Memory(shape=bits, depth=store.depth, init=[], attrs={"ram_style": style})
            m.submodules[f"row_{k}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(written),
                write.data.eq(self.i.payload.as_value()),
                write.en.eq(take & (into == k)),
                read.addr.eq(column),
                read.en.eq(advance),
            ]
            rows.append(read.data)
        # The next cycle: both rows are there, with what says how to mix them.
        which, part, alone = Signal(), Signal(range(f)), Signal()
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(show), which.eq(shown), part.eq(again), alone.eq(bottom)
            ]  # fmt: skip
        upper, lower = Signal(spec.beat.layout), Signal(spec.beat.layout)
        m.d.comb += [
            upper.as_value().eq(Mux(which, rows[1], rows[0])),
            lower.as_value().eq(Mux(which ^ alone, rows[0], rows[1])),
        ]
        for lane in range(spec.beat.lanes):
            m.d.comb += self.o.payload[lane].eq(_mix(upper[lane], lower[lane], part, f))
        return m


def _mix(first, second, part, factor):
    """``(factor - part) * first + part * second``."""
    result = factor * first
    for k in range(1, factor):
        result = Mux(part == k, (factor - k) * first + k * second, result)
    return result


class _Columns(wiring.Component):
    """Hardware of a :class:`BilinearColumns`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order.
    o : ``Out(stream)``
        Positions of the wider frame in raster order.
    """

    def __init__(self, spec: BilinearColumns):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        f = spec.factor
        here = Signal(spec.beat.layout, reset_less=True)
        following = Signal(spec.beat.layout, reset_less=True)
        stored = Signal(range(3))
        shift, take, step = Signal(), Signal(), Signal()
        part, last_part = counter(m, step, f, "part")
        _, edge = counter(m, shift, spec.width, "column")
        m.d.comb += [
            self.o.valid.eq((stored == 2) | ((stored == 1) & ((part == 0) | edge))),
            step.eq(self.o.valid & self.o.ready),
            shift.eq(step & last_part),
            self.i.ready.eq((stored != 2) | shift),
            take.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += stored.eq(stored + take - shift)
        # A beat goes to the place behind those that stay.
        with m.If(shift):
            m.d.sync += here.eq(following)
        with m.If(take):
            with m.If((stored - shift) == 0):
                m.d.sync += here.eq(self.i.payload)
            with m.Else():
                m.d.sync += following.eq(self.i.payload)
        for lane in range(spec.beat.lanes):
            second = Mux(edge, here[lane], following[lane])
            m.d.comb += self.o.payload[lane].eq(_mix(here[lane], second, part, f))
        return m
