"""Rows and columns of a frame as counters, and which of them are wanted."""

from amaranth.hdl import Const, Mux, Signal

__all__ = ["axis"]


def axis(m, step, size, first, stride, count, *, name):
    """Count ``size`` rows (columns), one each cycle in which ``step`` is high, round and round.

    Wanted are ``first``, ``first + stride``, ... : ``count`` of them.

    Returns
    -------
    wanted, last
        Of the row (column) that the next step passes: is it wanted, is it the last of all.
        The first comes out of a register, as it may select at many bits.
    """
    index, following = Signal(range(size), name=name), Signal(range(size), name=f"{name}_next")
    last = Signal(name=f"{name}_last")
    m.d.comb += [
        last.eq(index == size - 1),
        following.eq(Mux(last, 0, index + 1)),
    ]
    with m.If(step):
        m.d.sync += index.eq(following)
    end = first + (count - 1) * stride
    conditions = []
    if first > 0:
        conditions.append(following >= first)
    if end < size - 1:
        conditions.append(following <= end)
    if stride > 1:
        start = -first % stride
        phase = Signal(range(stride), init=start, name=f"{name}_phase")
        then = Mux(last, start, Mux(phase == stride - 1, 0, phase + 1))
        with m.If(step):
            m.d.sync += phase.eq(then)
        conditions.append(then == 0)
    if not conditions:
        return Const(1), last
    wanted = Signal(init=first == 0, name=f"{name}_wanted")
    every = conditions[0]
    for condition in conditions[1:]:
        every = every & condition
    with m.If(step):
        m.d.sync += wanted.eq(every)
    return wanted, last
