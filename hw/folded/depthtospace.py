"""Blocks of channels as positions, of channels that follow each other."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Const, EnableInserter, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..ranges import Range
from .memory import Store, pipe, ram

__all__ = ["DepthToSpace"]


@dataclass(frozen=True)
class DepthToSpace:
    """``o[r * block + i, c * block + j, ch] = x[r, c, (i * block + j) * outputs + ch]``.

    That is ONNX's mode DCR; with ``depth_first`` (mode CRD) the channel of ``x`` is
    ``(ch * block + i) * block + j``. ``outputs`` are ``channels / block**2``.

    Shapes: in ``(height * width * channels / lanes, lanes)``, out as many beats: positions in
    raster order, ``lanes`` channels a beat.

    Timing: one beat a cycle in and out; the first output of a row of blocks is valid
    ``latency_cycles`` after the last input of its row. A row more is taken while outputs wait.

    Circuit: a memory of two rows of the input; one is written while the other is read.

    Raises
    ------
    ValueError
        If a size is below one, ``block**2`` times ``lanes`` does not divide the channels, or
        ``depth_first`` is wanted of more than one lane.
    """

    height: int
    width: int
    channels: int
    range: Range
    block: int
    lanes: int = 1
    depth_first: bool = False

    def __post_init__(self):
        for what in ("height", "width", "channels", "block", "lanes"):
            if getattr(self, what) < 1:
                raise ValueError(
                    f"DepthToSpace: {what} must be at least 1, not {getattr(self, what)}"
                )
        if self.channels % (self.block**2 * self.lanes):
            raise ValueError(
                f"DepthToSpace: channels must be a multiple of {self.block**2 * self.lanes} "
                f"(block {self.block} squared, {self.lanes} lanes), not {self.channels}"
            )
        if self.depth_first and self.lanes > 1:
            raise ValueError(
                f"DepthToSpace: lanes must be 1 with depth_first, not {self.lanes}: "
                "neighbouring channels are not neighbours in the output"
            )

    @property
    def inputs(self):
        return (Beat(self.range, self.lanes),)

    outputs = inputs

    @property
    def beats_position(self) -> int:
        """Input beats a position."""
        return self.channels // self.lanes

    @property
    def beats_row(self) -> int:
        """Beats of a row of the input, and of the rows that it becomes."""
        return self.width * self.beats_position

    @property
    def beats_in(self) -> int:
        return self.height * self.beats_row

    @property
    def beats_out(self) -> int:
        return self.beats_in

    latency_cycles = 4

    @property
    def digits(self) -> tuple[tuple[int, int], ...]:
        """How an output row of blocks is read: loops from the inner to the outer, (count, step)."""
        block, own = self.block, self.beats_position // self.block**2
        channel, column, row = (1, own, block * own)
        if self.depth_first:
            channel, column, row = (block**2, 1, block)
        return ((own, channel), (block, column), (self.width, self.beats_position), (block, row))

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories."""
        return (Store("rows", 2 * self.beats_row, self.inputs[0].bits, False),)

    def needs(self) -> np.ndarray:
        return np.repeat(np.arange(1, self.height + 1) * self.beats_row, self.beats_row)

    def compute(self, x):
        x, block = np.asarray(x, dtype=np.int64), self.block
        size = (len(x), self.height, self.width)
        if self.depth_first:
            blocks = x.reshape(*size, -1, block, block).transpose(0, 1, 4, 2, 5, 3)
        else:
            blocks = x.reshape(*size, block, block, -1).transpose(0, 1, 3, 2, 4, 5)
        return blocks.reshape(len(x), self.beats_out, self.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`DepthToSpace`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        Those of the larger frame.
    """

    def __init__(self, spec: DepthToSpace):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, (store,) = self.spec, self.spec.stores
        rows = Signal(range(3))  # written, and not yet asked for
        late = Signal()  # the last of a row has been asked for, and waits to be read
        advance, write, step, whole, done = (Signal(name=n) for n in
            ("advance", "write", "step", "whole", "done"))  # fmt: skip
        place, address = Signal(range(store.depth)), Signal(range(store.depth), reset_less=True)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq((rows < 2) & ~(late & (place == address))),
            write.eq(self.i.valid & self.i.ready),
            whole.eq(write & ((place == spec.beats_row - 1) | (place == store.depth - 1))),
            step.eq(advance & (rows > 0)),
        ]
        with m.If(write):
            m.d.sync += place.eq(Mux(place == store.depth - 1, 0, place + 1))
        m.d.sync += rows.eq(rows + whole - done)

        # Cycle 1: the address. Cycle 2: the word, out of a register. Cycle 3: at the output.
        carry, parts = step, []
        for number, (count, stride) in enumerate((*spec.digits, (2, spec.beats_row))):
            if number == len(spec.digits):
                m.d.comb += done.eq(carry)
            digit, carry = _digit(m, carry, count, stride, f"digit_{number}")
            parts.append(digit)
        word, valid = Signal(store.width, reset_less=True), step
        read = ram(
            m, store, "rows", write=place, data=self.i.payload.as_value(), enable=write,
            read=address,
        )  # fmt: skip
        gated = Module()
        m.submodules.gated = EnableInserter(advance)(gated)
        gated.d.sync += late.eq(done)
        gated.d.sync += [
            address.eq(sum(parts)),
            word.eq(read),
            self.o.payload.as_value().eq(word),
        ]
        m.d.comb += self.o.valid.eq(pipe(gated, valid, 3, "valid", reset_less=False))
        return m


def _digit(m, step, count, stride, name):
    """``stride`` times a digit that counts ``step``; is this the step that ends a round."""
    if count == 1:
        return Const(0), step
    digit, ends = Signal(range((count - 1) * stride + 1), name=name), Signal(name=f"{name}_ends")
    last = digit == (count - 1) * stride
    m.d.comb += ends.eq(step & last)
    with m.If(step):
        m.d.sync += digit.eq(Mux(last, 0, digit + stride))
    return digit, ends
