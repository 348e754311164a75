"""Rows and columns of a frame as counters, and which of them are wanted."""

from dataclasses import dataclass

from amaranth.hdl import Const, Mux, Signal, Value

__all__ = ["Place", "axis", "counter", "windows"]


def counter(m, step, size, name):
    """Count ``size`` cycles in which ``step`` is high, round and round.

    Returns
    -------
    index, last
        The number of the next one, and whether it is the last of a round.
    """
    if size == 1:
        return Const(0, 0), Const(1)
    index, last = Signal(range(size), name=name), Signal(name=f"{name}_last")
    m.d.comb += last.eq(index == size - 1)
    with m.If(step):
        m.d.sync += index.eq(Mux(last, 0, index + 1))
    return index, last


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


@dataclass(frozen=True)
class Place:
    """Where the row (column) of the next beat lies among windows that stand side by side."""

    window: Value
    """The number of its window."""
    first: Value
    """It is the first of its window."""
    last: Value
    """It is the last of its window."""
    inside: Value
    """It belongs to a whole window."""
    end: Value
    """It is the last of the frame (row)."""


def windows(m, step, size, kernel, *, name) -> Place:
    """Count ``size`` rows (columns) as windows of ``kernel`` and places in a window."""
    window = Signal(range((size - 1) // kernel + 1), name=f"{name}_window")
    place = Signal(range(kernel), name=f"{name}_place")
    # place == 0, in a register: it selects at every bit of the sums.
    first = Signal(init=1, name=f"{name}_first")
    last, end = Signal(name=f"{name}_last"), Signal(name=f"{name}_end")
    m.d.comb += [
        last.eq(place == kernel - 1),
        end.eq((window == (size - 1) // kernel) & (place == (size - 1) % kernel)),
    ]
    with m.If(step):
        m.d.sync += [place.eq(Mux(last | end, 0, place + 1)), first.eq(last | end)]
        with m.If(last | end):
            m.d.sync += window.eq(Mux(end, 0, window + 1))
    inside = window < size // kernel if size % kernel else Const(1)
    return Place(window=window, first=first, last=last, inside=inside, end=end)
