import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from sqwire.hw.folded.memory import FABRICS, Store
from sqwire.hw.folded.rom import program_rom, rom

SHAPES = [(75, 51), (192, 37), (122, 40), (1448, 13), (353, 39), (700, 13), (2100, 44), (40, 3)]


def words_of(store):
    rng = np.random.default_rng(store.depth)
    return [int.from_bytes(rng.bytes(9), "little") % (1 << store.width) for _ in range(store.depth)]


@pytest.mark.parametrize(("depth", "width"), SHAPES)
@pytest.mark.parametrize("reader", [rom, program_rom])
def test_every_word_is_read_wherever_its_bits_are(depth, width, reader):
    store = Store("words", depth, width, True)
    words, late = words_of(store), 1 if reader is rom else store.read_cycles
    m, address = Module(), Signal(range(depth))
    word = Signal(width)
    m.d.comb += word.eq(reader(m, store, words, address))

    async def bench(ctx):
        order = np.random.default_rng(0).permutation(depth).tolist()[:200] + [0, depth - 1]
        read = []
        for at in order + [0] * late:
            ctx.set(address, at)
            await ctx.tick()
            read.append(ctx.get(word))
        assert read[late - 1 :][: len(order)] == [words[at] for at in order]

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("depth", "width"), SHAPES)
def test_what_is_read_stays_while_enable_is_low(depth, width):
    store = Store("words", depth, width, True)
    words = words_of(store)
    m, address, enable = Module(), Signal(range(depth)), Signal()
    word = Signal(width)
    m.d.comb += word.eq(rom(m, store, words, address, enable))

    async def bench(ctx):
        lot, last = np.random.default_rng(1), None
        for at in lot.integers(0, depth, 100).tolist():
            ctx.set(address, at)
            ctx.set(enable, int(lot.integers(2)))
            await ctx.tick()
            last = at if ctx.get(enable) else last
            if last is not None:
                assert ctx.get(word) == words[last]

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_few_columns_more_than_a_block_holds_are_luts():
    for depth, width, blocks, rest in ((192, 37, 1, 1), (122, 40, 1, 4), (75, 51, 1, 15)):
        store = Store("words", depth, width, True)
        assert (store.blocks, store.in_lines.rest) == (blocks, rest)
        assert 0 < store.made_of_luts < store.fabric.worth


def test_the_tail_of_a_deep_program_is_luts():
    store = Store("words", 1048, 18, True)
    assert (store.blocks, store.in_lines.rest, store.in_lines.lines) == (1, 18, 1024)
    assert store.made_of_luts == 18 * 2


def test_no_store_is_dearer_than_all_in_blocks():
    for fabric in FABRICS.values():
        for depth in range(2, 5000, 97):
            for width in (1, 4, 13, 37, 56):
                store = Store("words", depth, width, True, 1, fabric)
                whole = min(
                    -(-(-(-depth // words) * width) // bits) for words, bits in fabric.shapes
                )
                own = store.sites if store.kind == "lut" else store.made_of_luts
                assert own + fabric.worth * store.blocks <= fabric.worth * whole
