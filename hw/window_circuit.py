"""The shift chain of a sliding window, and who says when it holds an output."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .delay import delay

__all__ = ["WindowCircuit"]


class WindowCircuit(wiring.Component):
    """Hardware of a :class:`sqwire.hw.window.Window`.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order, all channels of one position a beat.
    o : ``Out(stream)``
        Windows in raster order of the output.
    """

    def __init__(self, spec):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        lookahead = spec.lookahead

        # One shift of the chain takes a beat, or nothing while the tail of the last frame drains:
        # a gap between two frames is harmless, since no tap of one frame may look into another.
        first = Signal(init=1)  # the next beat starts a frame
        complete = Signal()  # the taps on the chain are an output
        waiting = Signal()  # a frame has begun and its first position is before the anchor
        active = Signal()  # the next shift brings a position of the frame to the anchor
        free = Signal()
        advance = Signal()
        real = Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(free),
            real.eq(self.i.valid & free),
            advance.eq(real | (first & ~self.i.valid & (waiting | active) & free)),
        ]

        with m.If(real):
            self._count(m, spec.beats_in, first)

        starting = Signal()
        if lookahead == 0:
            m.d.comb += starting.eq(real & first)
        else:
            wait = Signal(range(lookahead))
            m.d.comb += starting.eq(waiting & (wait == 0))
            with m.If(advance):
                with m.If(starting):
                    m.d.sync += waiting.eq(0)
                with m.Else():
                    m.d.sync += wait.eq(wait - 1)
                with m.If(real & first):
                    m.d.sync += [waiting.eq(1), wait.eq(lookahead - 1)]

        row, column, emit, last = self._position(m, advance & (starting | active))
        with m.If(free):
            m.d.sync += [
                complete.eq(advance & (starting | active) & emit),
                self.o.valid.eq(complete),
            ]
        with m.If(advance & (starting | active)):
            m.d.sync += active.eq(~last)

        rows_inside = self._inside(m, advance, 0, row)
        columns_inside = self._inside(m, advance, 1, column)
        offsets = spec.offsets
        slots = self._chain(m, advance)

        # Cycle 2: a second register holds the window. Where a tap lies outside it takes the pad
        # code, which is a synchronous reset of flip-flops; gates behind the chain would be LUTs.
        bits, shape = spec.range.bits, spec.out_range.shape
        lanes = []
        for i in range(spec.kernel[0]):
            for j in range(spec.kernel[1]):
                for channel in range(spec.channels):
                    if (i, j) not in offsets:
                        lanes.append(Const(spec.pad_code, shape))
                        continue
                    slot = slots[lookahead - offsets[i, j]]
                    code = slot[channel * bits : (channel + 1) * bits]
                    tap = Signal(shape, name=f"tap_{i}_{j}_{channel}", reset_less=True)
                    with m.If(free):
                        m.d.sync += tap.eq(code.as_signed() if spec.range.lo < 0 else code)
                        with m.If(~(rows_inside[i] & columns_inside[j])):
                            m.d.sync += tap.eq(spec.pad_code)
                    lanes.append(tap)
        m.d.comb += self.o.payload.as_value().eq(Cat(lanes))
        return m

    @staticmethod
    def _count(m, length, first):
        """Keep ``first`` high while the next of ``length`` beats starts a frame."""
        if length == 1:
            return
        count = Signal(range(length))
        m.d.sync += [
            count.eq(Mux(count == length - 1, 0, count + 1)),
            first.eq(count == length - 1),
        ]

    def _position(self, m, step):
        """Row and column of the next anchor, whether it is an output, whether it is the last."""
        spec = self.spec
        row, column = Signal(range(spec.height)), Signal(range(spec.width))
        last_column, last_row = column == spec.width - 1, row == spec.height - 1
        on_grid = []
        for axis, (index, end, when) in enumerate(
            ((row, last_row, step & last_column), (column, last_column, step))
        ):
            stride = spec.stride[axis]
            phase = Signal(range(stride), name=f"phase_{axis}")
            with m.If(when):
                m.d.sync += index.eq(Mux(end, 0, index + 1))
                if stride > 1:
                    m.d.sync += phase.eq(Mux(end | (phase == stride - 1), 0, phase + 1))
            grid = phase == 0 if stride > 1 else Const(1)
            # Positions behind the last output happen where the padding is less than the kernel.
            on_grid.append(grid & (index <= spec.ends[axis]))
        return row, column, on_grid[0] & on_grid[1], last_row & last_column

    def _inside(self, m, advance, axis, index):
        """For each tap row (column), a register: does it lie inside the frame."""
        inside = []
        for tap in range(self.spec.kernel[axis]):
            ends = self.spec.inside(axis, tap)
            if ends is None:
                inside.append(Const(1))
                continue
            lowest, highest = ends
            bit = Signal(name=f"inside_{axis}_{tap}", reset_less=True)
            with m.If(advance):
                m.d.sync += bit.eq((index >= lowest) & (index <= highest))
            inside.append(bit)
        return inside

    def _chain(self, m, advance):
        """The input after each of the shifts; place 0 is the beat that came last."""
        slots = {}
        value, at = self.i.payload.as_value(), -1
        pointers = {}
        for place in self.spec.places:
            gap = place - at
            value = delay(m, advance, value, gap, name=f"slot_{place}", pointers=pointers)
            slots[place], at = value, place
        return slots
