"""The registers of an operator: stopped as a whole while its output is held, or never."""

from amaranth.hdl import Cat, Signal

from .folded.memory import Store, pipe, tail

__all__ = ["Pipeline", "endless", "endless_store", "registered"]


class Pipeline:
    """Takes a beat of each of ``inputs``, and offers one at ``o`` so many ``cycles`` later.

    A beat of one input is taken only together with those of the others. Without cycles in between
    beats pass.

    Attributes
    ----------
    advance : Signal
        Everything moves a cycle on.
    take : Value
        Beats are taken.
    """

    def __init__(self, m, inputs, o, cycles):
        self.m = m
        self.advance = advance = Signal(name="advance")
        first, *others = inputs
        valid = Cat(i.valid for i in inputs).all() if others else first.valid
        self.take = advance & valid
        for i in inputs:
            partners = [other.valid for other in inputs if other is not i]
            m.d.comb += i.ready.eq(advance & Cat(partners).all() if partners else advance)
        m.d.comb += advance.eq((~o.valid | o.ready) if cycles else o.ready)
        for cycle in range(1, cycles + 1):
            valid = self.register(valid, 1, f"valid_{cycle}", reset_less=False)
        m.d.comb += o.valid.eq(valid)

    def register(self, value, shape, name, *, reset_less=True):
        """``value`` a cycle later."""
        return registered(self.m, self.advance, value, shape, name, reset_less=reset_less)


def registered(m, advance, value, shape, name, *, reset_less=True):
    """``value`` a cycle later, where a cycle with ``advance`` high counts."""
    held = Signal(shape, name=name, reset_less=reset_less)
    with m.If(advance):
        m.d.sync += held.eq(value)
    return held


def endless_store(cycles: int, bits: int) -> Store:
    """The memory of an :func:`endless` pipeline: a beat for each it may hold, and for the way back.

    It is of LUTs, whose word is there at once.
    """
    depth = 1 << (cycles + 1).bit_length()
    return Store("queue", depth, bits, False)


def endless(m, i, o, cycles, circuit):
    """``o = circuit(i)`` of one that takes ``cycles`` and never stops; one cycle more in all.

    Nothing has to reach all its registers in the cycle in which the sink holds the output, which
    takes long where they are many and lie far apart. Beats wait in a queue behind it instead, and
    none is taken that would not find a place there.

    Parameters
    ----------
    circuit : callable
        Makes of the value of a beat that of the output ``cycles`` later.
    """
    store = endless_store(cycles, len(o.payload.as_value()))
    places = Signal(range(-1, store.depth), init=store.depth - 1)  # the sign says if any
    sent, take = Signal(), Signal()
    m.d.comb += [
        i.ready.eq(places >= 0),
        take.eq(i.valid & i.ready),
        sent.eq(o.valid & o.ready),
    ]
    m.d.sync += places.eq(places + sent - take)
    valid = pipe(m, take, cycles, "valid", reset_less=False)
    word, some = tail(m, store, circuit(i.payload.as_value()), valid, sent)
    m.d.comb += [o.payload.as_value().eq(word), o.valid.eq(some)]
