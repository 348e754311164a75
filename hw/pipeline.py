"""The registers of an operator that stops as a whole while its output is held."""

from amaranth.hdl import Cat, Signal

__all__ = ["Pipeline"]


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
        held = Signal(shape, name=name, reset_less=reset_less)
        with self.m.If(self.advance):
            self.m.d.sync += held.eq(value)
        return held
