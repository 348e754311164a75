"""Memories of the folded engine, and what they take: block RAM or LUTs, whichever is cheaper."""

from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Array, Const, Mux, Signal
from amaranth.lib.memory import Memory

__all__ = [
    "FABRICS",
    "LUTS_A_BLOCK",
    "Fabric",
    "Store",
    "block_rams",
    "lut_memory",
    "pack",
    "pipe",
    "plain",
    "program_rom",
    "ram",
    "rom",
    "tail",
]

# LUTs that a block RAM is worth, unless somebody knows better: a device has about 400 for each.
LUTS_A_BLOCK = 200
# What Yosys weighs where nobody says what a memory is to be: a LUT RAM cell, a bit of a word that
# is selected among those of two cells, and a block RAM.
_CELL, _SELECTED, _BLOCK = 4, 0.5, 128
# Fewer words than this are kept in registers where there is no LUT RAM.
_FEW_WORDS = 4


@dataclass(frozen=True)
class Fabric:
    """Of what a family of devices makes memories, and how wide its multipliers are.

    ``shapes`` are the words and bits of the ways in which a block RAM can be used; without
    ``lut_ram`` what is in none is flip-flops. ``factor_bits`` is the width of what a multiplier
    takes, 0 where there are none. ``worth`` is how many LUTs are as dear as a block RAM.
    """

    shapes: tuple[tuple[int, int], ...]
    lut_ram: bool
    factor_bits: int
    worth: int = LUTS_A_BLOCK


# What an ECP5 and Gowin's devices can make of a block RAM.
_LARGE = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
_ICE40 = Fabric(((256, 16), (512, 8), (1024, 4), (2048, 2)), lut_ram=False, factor_bits=0)
FABRICS = {
    "ecp5": Fabric(_LARGE, lut_ram=True, factor_bits=18),
    # There are a few LUT RAMs, which nextpnr does not find a place for where they are many.
    "gowin": Fabric(_LARGE, lut_ram=False, factor_bits=18),
    "ice40": _ICE40,
    "ice40up": replace(_ICE40, factor_bits=16),
}
"""What there is to make memories of, by name."""
_ECP5 = FABRICS["ecp5"]


def block_rams(depth: int, width: int, fabric: Fabric = _ECP5, *, rom: bool = True) -> int:
    """Block RAMs that a memory takes.

    Where a ``rom`` is deeper than a block, several of its words lie side by side in one line of
    blocks (:func:`program_rom`); a memory that is written to is made of blocks below each other.
    """
    if rom:
        return min(_blocks(depth, width, shape) for shape in fabric.shapes)
    return min(-(-depth // words) * -(-width // bits) for words, bits in fabric.shapes)


def lut_memory(stores) -> int:
    """LUT sites of those memories that are made of LUTs, all copies, about."""
    return sum(store.luts * store.copies for store in stores if store.kind == "lut")


def _blocks(depth, width, shape):
    words, bits = shape
    return -(-(-(-depth // words) * width) // bits)


@dataclass(frozen=True)
class Store:
    """A memory of ``depth`` words of ``width`` bits, ``rom`` or written to.

    ``kind`` is ``"block"``, ``"lut"`` (LUT RAM or flip-flops, or a ROM of logic) or ``"none"``
    where there is nothing to store.
    """

    name: str
    depth: int
    width: int
    rom: bool
    copies: int = 1
    fabric: Fabric = _ECP5

    @property
    def cells(self) -> int:
        """LUT RAM cells (TRELLIS_DPR16X4) of one copy if it is made of them."""
        if self.rom or not self.fabric.lut_ram:
            return 0
        return -(-self.width // 4) * -(-self.depth // 16)

    @property
    def luts(self) -> int:
        """LUT sites of one copy if it is made of LUTs, about; two for a LUT RAM cell.

        Of flip-flops each takes a site, their words are selected by 2 LUTs for 3 of them.
        """
        if self.rom:
            return self.width * max(1, -(-self.depth * 2 // 16) - 1)
        if not self.fabric.lut_ram:
            return self.depth + self.width * (self.depth + -(-self.depth * 2 // 3))
        return 2 * self.cells + self.width * (-(-self.depth // 16) - 1)

    @property
    def sites(self) -> int:
        """The same as placement sees it: a LUT RAM cell takes 4 LUTs, and the write port 2."""
        return self.luts + 4 * self.cells

    @property
    def kind(self) -> str:
        if not self.width or (self.rom and self.depth < 2):
            return "none"
        if not self.fabric.lut_ram and self.depth < _FEW_WORDS:
            return "lut"
        blocks = block_rams(self.depth, self.width, self.fabric, rom=self.rom)
        return "lut" if self.sites <= self.fabric.worth * blocks else "block"

    @property
    def lines(self) -> int:
        """Words below each other where it is made of blocks; deeper ones have words side by side.

        Of the ways to use a block that with the fewest blocks, and then the fewest side by side.
        """
        shapes = self.fabric.shapes
        shape = min(shapes, key=lambda s: (_blocks(self.depth, self.width, s), -s[0]))
        return min(shape[0], self.depth)

    @property
    def read_cycles(self) -> int:
        """What :func:`program_rom` takes."""
        return 3 if self.kind == "block" and self.depth > self.lines else 2

    @property
    def blocks(self) -> int:
        """Block RAMs of all copies."""
        if self.kind != "block":
            return 0
        return self.copies * block_rams(self.depth, self.width, self.fabric, rom=self.rom)

    @property
    def style(self) -> str:
        """What Yosys calls the ``kind`` of a memory that is written to."""
        if self.kind == "block":
            return "block"
        return "distributed" if self.fabric.lut_ram else "logic"

    @property
    def bits(self) -> int:
        """Bits of all copies."""
        return self.copies * self.depth * self.width


def plain(name: str, depth: int, width: int, *, passed: bool = False) -> Store:
    """A memory that is written to, of which nobody says what it is to be: as Yosys makes it.

    With ``passed``, what is being written may be read, for which a block RAM needs logic.
    """
    store = Store(name, depth, width, False)
    cells = _CELL * store.cells + _SELECTED * width * (-(-depth // 16) - 1)
    block = _BLOCK * block_rams(depth, width, rom=False) + passed
    return replace(store, fabric=replace(store.fabric, worth=0 if cells >= block else 1 << 30))


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


def rom(m, store: Store, words, address):
    """``words[address]``, one cycle later."""
    if store.kind == "none":
        return Const(words[0] if words else 0, max(store.width, 1))
    style = "block" if store.kind == "block" else "logic"
    memory = Memory(shape=store.width, depth=store.depth, init=words, attrs={"ram_style": style})
    m.submodules[store.name] = memory
    port = memory.read_port()
    m.d.comb += port.addr.eq(address)
    return port.data


def program_rom(m, store: Store, words, address):
    """``words[address]``, out of a register, ``store.read_cycles`` later.

    A block RAM is slow: its word goes to a register before anything is done with it.
    """
    if store.read_cycles == 2:
        return pipe(m, rom(m, store, words, address), 1, f"{store.name}_word")
    lines, ways = store.lines, -(-store.depth // store.lines)
    words = words + [0] * (lines * ways - len(words))
    side_by_side = [
        sum(words[way * lines + line] << (way * store.width) for way in range(ways))
        for line in range(lines)
    ]
    memory = Memory(
        shape=store.width * ways, depth=lines, init=side_by_side, attrs={"ram_style": "block"}
    )
    m.submodules[store.name] = memory
    port, bits = memory.read_port(), (lines - 1).bit_length()
    m.d.comb += port.addr.eq(address[:bits])
    line = pipe(m, port.data, 1, f"{store.name}_line")
    way = pipe(m, address[bits:], 2, f"{store.name}_way")
    parts = Array(line[k * store.width : (k + 1) * store.width] for k in range(ways))
    return pipe(m, parts[way], 1, f"{store.name}_word")


def ram(m, store: Store, name, *, write, data, enable, read):
    """The word at ``read``, at once; store it in a register next if ``store`` is a block RAM.

    A word that is written in the same cycle must not be read: what comes then may be anything.
    """
    memory = Memory(
        shape=store.width, depth=store.depth, init=[],
        # Without this Yosys adds logic to a block RAM for reading what is being written.
        attrs={"ram_style": store.style, "no_rw_check": 1},
    )  # fmt: skip
    m.submodules[name] = memory
    port, out = memory.write_port(), memory.read_port(domain="comb")
    m.d.comb += [port.addr.eq(write), port.data.eq(data), port.en.eq(enable), out.addr.eq(read)]
    return out.data


def pipe(m, value, cycles, name, *, reset_less=True):
    """``value`` some cycles later; with a reset where a rubbish one would do harm."""
    for cycle in range(cycles):
        held = Signal(value.shape(), name=f"{name}_{cycle + 1}", reset_less=reset_less)
        m.d.sync += held.eq(value)
        value = held
    return value


def tail(m, store: Store, word, valid, taken):
    """The queue at the end of a pipeline that does not stall: its first word, whether there is one.

    Whoever starts a word must know that there is a place for it.
    """
    write, read = Signal(range(store.depth)), Signal(range(store.depth))
    level = Signal(range(-1, store.depth), init=-1)  # the sign says if there is any
    if store.kind == "block":
        # It is read a cycle ahead, and what is just being written passes by it.
        memory = Memory(
            shape=store.width, depth=store.depth, init=[], attrs={"ram_style": store.style}
        )
        m.submodules.queue = memory
        port = memory.write_port()
        out = memory.read_port(transparent_for=(port,))
        m.d.comb += [port.addr.eq(write), port.data.eq(word), port.en.eq(valid)]
        m.d.comb += out.addr.eq(Mux(taken, read + 1, read))
        first = out.data
    else:
        first = ram(m, store, "queue", write=write, data=word, enable=valid, read=read)
    m.d.sync += level.eq(level + valid - taken)
    with m.If(valid):
        m.d.sync += write.eq(write + 1)
    with m.If(taken):
        m.d.sync += read.eq(read + 1)
    return first, level >= 0
