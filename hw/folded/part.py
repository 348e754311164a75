"""A lane of a split program: sums its part of one output after the other, and keeps some."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .lane import with_low
from .memory import ram

__all__ = ["Part"]


class Part(wiring.Component):
    """One product a cycle, added to what there is of the row; finished rows go to a queue.

    Members
    -------
    product, carry, ends, write : ``In``
        A product, whether it is the last of its row, and whether there is one at all.
    taken : ``In(1)``
        The first part in the queue is taken.
    some, full : ``Out(1)``
        There is a first part; the lane is as far ahead as it may be.
    first : ``Out``
        The first part, to be stored in a register.
    """

    def __init__(self, spec, product, carry):
        self.spec, self.has_carry = spec, carry is not None
        super().__init__(
            {
                "product": In(product.shape()),
                "carry": In(1),
                "ends": In(1),
                "write": In(1),
                "taken": In(1),
                "some": Out(1),
                "full": Out(1),
                "first": Out(spec.acc_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, depth = self.spec, self.spec.ahead.depth
        # The cycle of `write`: add. What is added to begins as 0 where a row ended before.
        acc, total = Signal(spec.acc_bits), Signal(spec.acc_bits)
        if self.has_carry:
            carried = Cat(Const(1, 1), acc) + with_low(self.product, self.carry)
            m.d.comb += total.eq(carried[1:])
        else:
            m.d.comb += total.eq(acc + self.product)
        with m.If(self.write):
            m.d.sync += acc.eq(Mux(self.ends, 0, total))

        written, read = Signal(range(depth)), Signal(range(depth))
        level = Signal(range(-1, depth), init=-1)  # the sign says if there is any
        come = Signal()
        m.d.comb += [
            come.eq(self.write & self.ends),
            self.some.eq(level >= 0),
            self.full.eq(level >= spec.ahead.most),
            self.first.eq(
                ram(m, spec.part_store, "queue", write=written, data=total, enable=come, read=read)
            ),
        ]
        m.d.sync += [
            level.eq(level + come - self.taken),
            written.eq(written + come),
            read.eq(read + self.taken),
        ]
        return m
