"""A value as it was some steps ago: registers where that is short, a memory where it is long."""

from amaranth.hdl import Mux, Signal
from amaranth.lib.memory import Memory

from .folded.memory import Store, plain

__all__ = ["MEMORY_FROM", "delay", "delay_stores"]

# A delay shorter than this is a shift register, a longer one a memory:
# a LUT-RAM cell costs two LUT sites for four bits, flip-flops beside unused LUTs cost none.
MEMORY_FROM = 4


def delay_stores(name: str, length: int, bits: int) -> tuple[Store, ...]:
    """The memory of a :func:`delay` of a value of ``bits``, if it has one."""
    return (plain(name, length, bits),) if length >= MEMORY_FROM else ()


def delay(m, step, value, length, *, name, pointers=None):
    """``value`` as it was ``length`` steps ago, where a cycle with ``step`` high is a step.

    What comes out in the first ``length`` steps after a reset may be anything.

    Parameters
    ----------
    pointers
        A dictionary that delays with the same ``step`` in the same module pass on to each
        other: those of one length then share their address counters.
    """
    if length < MEMORY_FROM:
        for place in range(length):
            held = Signal(len(value), name=f"{name}_{place}", reset_less=True)
            with m.If(step):
                m.d.sync += held.eq(value)
            value = held
        return value
    pointers = {} if pointers is None else pointers
    if length not in pointers:
        # The reader is one word ahead of the writer, so they never meet on one address.
        write = Signal(range(length), name=f"write_{length}")
        read = Signal(range(length), init=1, name=f"read_{length}")
        with m.If(step):
            m.d.sync += [write.eq(read), read.eq(Mux(read == length - 1, 0, read + 1))]
        pointers[length] = write, read
    write, read = pointers[length]
    # Without the attribute Yosys adds logic to a block RAM for reading what is being written; it
    # is heard only where the register behind the memory stands outside.
    m.submodules[f"{name}_memory"] = line = Memory(
        shape=len(value), depth=length, init=[], attrs={"no_rw_check": 1}
    )
    write_port, read_port = line.write_port(), line.read_port(domain="comb")
    m.d.comb += [
        write_port.addr.eq(write),
        write_port.data.eq(value),
        write_port.en.eq(step),
        read_port.addr.eq(read),
    ]
    word = Signal(len(value), name=f"{name}_word", reset_less=True)
    with m.If(step):
        m.d.sync += word.eq(read_port.data)
    return word
