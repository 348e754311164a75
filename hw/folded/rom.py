"""Memories that are never written: of LUTs, or of block RAMs with LUTs beside them."""

import numpy as np
from amaranth.hdl import Array, Cat, Const, Signal
from amaranth.lib.memory import Memory

from .memory import Store, pipe

__all__ = ["pack", "program_rom", "rom"]


def pack(columns, widths) -> list[int]:
    """Words from integer columns (each one-dimensional), the first in the least significant bits.

    Negative integers are two's complement in the width of their column.
    """
    columns = [np.asarray(c, dtype=np.int64) for c, w in zip(columns, widths, strict=True) if w]
    widths = [w for w in widths if w]
    if not columns:
        return []
    bits = np.concatenate(
        [(c[:, None] >> np.arange(w)) & 1 for c, w in zip(columns, widths, strict=True)], axis=1
    ).astype(np.uint8)
    rows = np.packbits(bits, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def rom(m, store: Store, words, address, enable=None):
    """``words[address]``, one cycle later; what is read stays while ``enable`` is low."""
    if store.kind == "none":
        return Const(words[0] if words else 0, max(store.width, 1))
    line, way = _line(m, store, words, address, enable)
    if way is None:
        return line
    held = Signal.like(way, name=f"{store.name}_way", reset_less=True)
    with m.If(1 if enable is None else enable):
        m.d.sync += held.eq(way)
    return _chosen(store, line, held)


def program_rom(m, store: Store, words, address):
    """``words[address]``, out of a register, ``store.read_cycles`` later.

    A block RAM is slow: its word goes to a register before anything is done with it.
    """
    if store.read_cycles == 2:
        return pipe(m, rom(m, store, words, address), 1, f"{store.name}_word")
    line, way = _line(m, store, words, address, None)
    line, way = pipe(m, line, 1, f"{store.name}_line"), pipe(m, way, 2, f"{store.name}_way")
    return pipe(m, _chosen(store, line, way), 1, f"{store.name}_word")


def _line(m, store, words, address, enable):
    """The line of an address, one cycle later, and now, which word of it is meant, if not all."""
    if store.kind == "lut":
        return _memory(m, store.name, "logic", store.width, words, address, enable), None
    lines, rest = store.in_lines.lines, store.in_lines.rest
    ways, bits = -(-store.depth // lines), (lines - 1).bit_length()
    words = words + [0] * (lines * ways - len(words))
    side_by_side = [
        sum(words[way * lines + line] << (way * store.width) for way in range(ways))
        for line in range(lines)
    ]
    columns, low = store.width * ways, address[:bits] if ways > 1 else address
    whole = columns - rest
    inside = [word & (1 << whole) - 1 for word in side_by_side]
    line = _memory(m, store.name, "block", whole, inside, low, enable)
    if rest:
        beside = [word >> whole for word in side_by_side]
        line = Cat(line, _memory(m, f"{store.name}_rest", "logic", rest, beside, low, enable))
    return line, address[bits:] if ways > 1 else None


def _chosen(store, line, way):
    ways = -(-store.depth // store.in_lines.lines)
    return Array(line[k * store.width : (k + 1) * store.width] for k in range(ways))[way]


def _memory(m, name, style, width, words, address, enable):
    memory = Memory(shape=width, depth=len(words), init=words, attrs={"ram_style": style})
    m.submodules[name] = memory
    port = memory.read_port()
    m.d.comb += port.addr.eq(address)
    if enable is not None:
        m.d.comb += port.en.eq(enable)
    return port.data
