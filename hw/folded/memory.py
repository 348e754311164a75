"""Memories of the folded engine, and what they take: block RAM or LUTs, whichever is cheaper."""

from dataclasses import dataclass, replace
from functools import lru_cache

from amaranth.hdl import Mux, Signal
from amaranth.lib.memory import Memory

__all__ = [
    "FABRICS",
    "LUTS_A_BLOCK",
    "Fabric",
    "Lines",
    "Store",
    "lut_memory",
    "pipe",
    "plain",
    "ram",
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


@dataclass(frozen=True)
class Lines:
    """A ROM in ``blocks`` block RAMs, and LUTs beside them for its last ``rest`` columns.

    Where it is deeper than a block several of its words lie side by side in one of ``lines``.
    """

    lines: int
    blocks: int
    rest: int
    luts: int


@lru_cache(maxsize=1 << 14)
def _lines(depth: int, width: int, fabric: Fabric) -> Lines:
    """The cheapest, of all ways to use a block; then that with the fewest words side by side."""
    found = []
    for words, bits in fabric.shapes:
        lines = min(words, depth)
        ways = -(-depth // lines)
        columns = ways * width
        # Of the last words side by side there are fewer: their columns take few LUTs.
        last = _rom_luts(depth - (ways - 1) * lines)
        for blocks in range(-(-columns // bits), max(columns // bits - 2, 0), -1):
            rest = max(columns - blocks * bits, 0)
            own = min(rest, width)
            luts = own * last + (rest - own) * _rom_luts(lines)
            found.append((ways, Lines(lines, blocks, rest, luts)))
    _, best = min(found, key=lambda one: (one[1].luts + fabric.worth * one[1].blocks, one[0]))
    return best


def _rom_luts(depth: int) -> int:
    """LUTs a bit of a ROM of LUTs."""
    return max(1, -(-depth * 2 // 16) - 1)


def lut_memory(stores) -> int:
    """LUT sites of what is made of LUTs in some memories, all copies, about."""
    return sum(store.made_of_luts * store.copies for store in stores)


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
            return self.width * _rom_luts(self.depth)
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
        beside = self.in_lines.luts if self.rom else 0
        return "lut" if self.sites <= beside + self.fabric.worth * self._blocks else "block"

    @property
    def in_lines(self) -> Lines:
        """How a ROM lies in block RAMs, if it is made of them."""
        return _lines(self.depth, self.width, self.fabric)

    @property
    def read_cycles(self) -> int:
        """What :func:`sqwire.hw.folded.rom.program_rom` takes."""
        return 3 if self.kind == "block" and self.depth > self.in_lines.lines else 2

    @property
    def _blocks(self) -> int:
        """Block RAMs of a copy; those of a memory that is written to lie below each other."""
        if self.rom:
            return self.in_lines.blocks
        depth, width = self.depth, self.width
        return min(-(-depth // words) * -(-width // bits) for words, bits in self.fabric.shapes)

    @property
    def blocks(self) -> int:
        """Block RAMs of all copies."""
        return self.copies * self._blocks if self.kind == "block" else 0

    @property
    def made_of_luts(self) -> int:
        """LUT sites of one copy, as it is made."""
        if self.kind == "lut":
            return self.luts
        return self.in_lines.luts if self.kind == "block" and self.rom else 0

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
    block = _BLOCK * store._blocks + passed
    return replace(store, fabric=replace(store.fabric, worth=0 if cells >= block else 1 << 30))


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
