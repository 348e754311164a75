"""A lane: adds products to its accumulators, and shows finished ones."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .memory import pipe, ram

__all__ = ["Lane", "with_low"]


class Lane(wiring.Component):
    """One product a cycle, added to accumulator ``row``.

    Accumulators are never cleared. They run on through all positions modulo ``2**acc_bits``, and
    the sum of a position is the difference from the position before, which
    :class:`sqwire.hw.folded.collect.Collect` takes once for all lanes.

    What is written to an accumulator is also written to a second memory, in the part ``buffer``
    of it, where it is read when the position is done while the next ones are computed.

    Members
    -------
    row, starts : ``In``
        The program; with ``starts`` stored differences of rows begin at 0.
    product, carry, write, buffer : ``In``
        ``latency_cycles`` of the multiplier later; ``write``, whether there is a product, and
        which position it belongs to, one more cycle later where there are many accumulators.
    show_row, show_buffer, show : ``In``
        Which accumulator is shown a cycle later, or 0 without ``show``.
    shown : ``Out``
        The accumulator, the OR of these.
    """

    def __init__(self, spec, product, carry):
        self.spec, self.has_carry = spec, carry is not None
        program = spec.program
        super().__init__(
            {
                "product": In(product.shape()),
                "row": In(program.row_bits if program.dense else program.stored_row_bits),
                "starts": In(1),
                "carry": In(1),
                "write": In(1),
                "buffer": In(spec.buffer_bits),
                "show_row": In(program.row_bits),
                "show_buffer": In(spec.buffer_bits),
                "show": In(1),
                "shown": Out(spec.acc_bits).array(spec.done_parts),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        if program.delta_bits is None:
            row = pipe(m, self.row, spec.multiply.latency_cycles, "row")
        else:
            rise = pipe(m, self.row, spec.multiply.latency_cycles - 1, "rise")
            starts = pipe(m, self.starts, spec.multiply.latency_cycles - 1, "starts")
            row = Signal(program.row_bits, reset_less=True)
            m.d.sync += row.eq(Mux(starts, 0, row) + rise)

        # The cycle of `write`: add and write. Few accumulators are read in the same cycle; many in
        # the one before, unless what they hold is just being written.
        total = Signal(spec.acc_bits)
        product, carry = self.product, self.carry
        late = row
        if spec.read_early:
            late = pipe(m, row, 1, "late_row")
            product, carry = pipe(m, product, 1, "product"), pipe(m, carry, 1, "carry")
        if program.row_bits:
            acc = ram(
                m, spec.acc_store, "accumulators", write=late, data=total, enable=self.write,
                read=row,
            )  # fmt: skip
            if spec.read_early:
                acc = pipe(m, Mux(self.write & (row == late), total, acc), 1, "acc")
        else:
            acc = Signal(spec.acc_bits, reset_less=True)
            with m.If(self.write):
                m.d.sync += acc.eq(total)
        if self.has_carry:
            m.d.comb += total.eq((Cat(Const(1, 1), acc) + with_low(product, carry))[1:])
        else:
            m.d.comb += total.eq(acc + product)
        # In as many memories as there are words in a LUT RAM for; all but one show 0.
        within = (spec.buffers // spec.done_parts - 1).bit_length()
        for part in range(spec.done_parts):
            finished = ram(
                m, spec.done_store, f"done_{part}",
                write=Cat(late, self.buffer[:within]), data=total,
                enable=self.write & (self.buffer[within:] == part),
                read=Cat(self.show_row, self.show_buffer[:within]),
            )  # fmt: skip
            shown = Signal(spec.acc_bits, name=f"shown_{part}", reset_less=True)
            m.d.sync += shown.eq(finished)
            with m.If(~(self.show & (self.show_buffer[within:] == part))):
                m.d.sync += shown.eq(0)
            m.d.comb += self.shown[part].eq(shown)
        return m


def with_low(value, bit):
    """``value`` with one more bit below: an adder makes of that its carry."""
    return Cat(bit, value).as_signed() if value.shape().signed else Cat(bit, value)
