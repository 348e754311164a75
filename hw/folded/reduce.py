"""Pooling of channels that follow each other, over windows that stand side by side."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..ranges import Range
from ..raster import windows
from .memory import Store, ram

__all__ = ["Reduce"]


@dataclass(frozen=True)
class Reduce:
    """``o[r, c, ch] = f over i < kh, j < kw of x[r * kh + i, c * kw + j, ch]``; f sum or maximum.

    Rows and columns behind the last whole window are taken and ignored. A kernel as large as the
    frame is global pooling.

    Shapes: in ``(height * width * channels / lanes, lanes)``, out ``(out_height * out_width *
    channels / lanes, lanes)``: positions in raster order, ``lanes`` channels a beat. The output
    range is that of the input, times ``kh * kw`` for sums (``largest`` false).

    Timing: one input beat a cycle; an output is valid ``latency_cycles`` after the beat of its
    channels at the last position of its window. No input is taken while an output waits.

    Circuit: one adder (or comparison) a lane, and a memory of one result for each channel of each
    window of a row in the making.

    Raises
    ------
    ValueError
        If a size is below one, the kernel is larger than the frame, or a position is fewer than
        two beats.
    """

    height: int
    width: int
    channels: int
    range: Range
    kernel: tuple[int, int]
    lanes: int = 1
    largest: bool = False

    def __post_init__(self):
        for what in ("height", "width", "lanes"):
            if getattr(self, what) < 1:
                raise ValueError(f"Reduce: {what} must be at least 1, not {getattr(self, what)}")
        if self.channels % self.lanes or self.channels < 2 * self.lanes:
            raise ValueError(
                f"Reduce: channels must be lanes ({self.lanes}) times two or more, "
                f"not {self.channels}; all at once is a SumPool or a MaxPool"
            )
        if not (1 <= self.kernel[0] <= self.height and 1 <= self.kernel[1] <= self.width):
            raise ValueError(
                f"Reduce: kernel must be from (1, 1) to the frame "
                f"({self.height}, {self.width}), not {self.kernel}"
            )

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self.height // self.kernel[0]

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self.width // self.kernel[1]

    @property
    def inputs(self):
        return (Beat(self.range, self.lanes),)

    @property
    def outputs(self):
        count = 1 if self.largest else self.kernel[0] * self.kernel[1]
        return (Beat(self.range * count, self.lanes),)

    @property
    def beats_position(self) -> int:
        """Beats a position."""
        return self.channels // self.lanes

    @property
    def beats_in(self) -> int:
        return self.height * self.width * self.beats_position

    @property
    def beats_out(self) -> int:
        return self.out_height * self.out_width * self.beats_position

    @property
    def store(self) -> Store:
        """The results in the making: those of a window that ends in its row need no other."""
        kept = self.out_width if self.kernel[0] > 1 else 1
        beat_bits = (self.beats_position - 1).bit_length()
        depth = ((kept - 1) << beat_bits) + self.beats_position
        return Store("results", depth, self.outputs[0].bits, False)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories."""
        return (self.store,) if self.kernel != (1, 1) else ()

    @property
    def read_cycles(self) -> int:
        """From a beat to its result so far, out of a register; a block RAM's goes through two."""
        # A result is read again so many beats later: it must have been written by then.
        return 2 if self.store.kind == "block" and self.beats_position > 2 else 1

    @property
    def latency_cycles(self) -> int:
        return self.read_cycles + 1

    def needs(self) -> np.ndarray:
        kh, kw = self.kernel
        last_row = np.arange(self.out_height)[:, None] * kh + kh - 1
        last_column = np.arange(self.out_width)[None, :] * kw + kw - 1
        before = (last_row * self.width + last_column).reshape(-1, 1) * self.beats_position
        return (before + np.arange(1, self.beats_position + 1)).reshape(-1)

    def compute(self, x):
        (kh, kw), rows, columns = self.kernel, self.out_height, self.out_width
        x = np.asarray(x, dtype=np.int64).reshape(-1, self.height, self.width, self.channels)
        x = x[:, : rows * kh, : columns * kw].reshape(len(x), rows, kh, columns, kw, self.channels)
        y = x.max(axis=(2, 4)) if self.largest else x.sum(axis=(2, 4))
        return y.reshape(len(x), self.beats_out, self.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Reduce`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        What becomes of them.
    """

    def __init__(self, spec: Reduce):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, beats = self.spec, self.spec.beats_position
        shape = spec.outputs[0].range.shape
        advance, take, position = Signal(), Signal(), Signal()
        beat = Signal(range(beats))
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(advance & self.i.valid),
            position.eq(take & (beat == beats - 1)),
        ]
        with m.If(take):
            m.d.sync += beat.eq(Mux(position, 0, beat + 1))
        column = windows(m, position, spec.width, spec.kernel[1], name="column")
        row = windows(m, position & column.end, spec.height, spec.kernel[0], name="row")
        inside = row.inside & column.inside

        def held(value, name, *, reset_less=True):
            """``value`` when the result so far has been read."""
            for cycle in range(1, spec.read_cycles + 1):
                following = Signal(value.shape(), name=f"{name}_{cycle}", reset_less=reset_less)
                with m.If(advance):
                    m.d.sync += following.eq(value)
                value = following
            return value

        x = held(self.i.payload.as_value(), "x")
        valid = held(self.i.valid & inside, "valid", reset_less=False)
        ends = held(row.last & column.last, "ends")
        results = Signal(spec.outputs[0].layout)
        if spec.stores:
            begins = held(row.first & column.first, "begins")
            window = column.window if spec.kernel[0] > 1 else Const(0, 0)
            address = Cat(beat, window)[: max(spec.store.depth - 1, 1).bit_length()]
            word = ram(
                m, spec.store, "results",
                write=held(address, "address"), data=results.as_value(),
                enable=advance & valid, read=address,
            )  # fmt: skip
            before = spec.outputs[0].layout(held(word, "word"))
        codes = spec.inputs[0].layout(x)
        for lane in range(spec.lanes):
            code, result = codes[lane], Signal(shape, name=f"result_{lane}")
            m.d.comb += [result.eq(code), results[lane].eq(result)]
            if spec.stores:
                with m.If(~begins):
                    if spec.largest:
                        m.d.comb += result.eq(Mux(code > before[lane], code, before[lane]))
                    else:
                        m.d.comb += result.eq(code + before[lane])
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(valid & ends),
                self.o.payload.eq(results),
            ]
        return m
