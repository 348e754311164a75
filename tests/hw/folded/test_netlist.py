"""What Yosys makes of an engine: the memories and multipliers that its description says."""

import json

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.compiler.schedule import schedule
from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.memory import Store
from sqwire.hw.folded.rom import program_rom
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps


def cells(component, folder):
    """Counts by type, as boards.yosys maps a network."""
    (folder / "design.il").write_text(rtlil.convert(component, name="top", emit_src=False))
    script = [
        "read_rtlil design.il",
        "hierarchy -check -top top",
        "proc",
        "flatten -noscopeinfo",
        "rename -unescape",
        "synth_ecp5 -nowidelut -top top -run :check",
        "tee -q -o cells.json stat -json",
    ]
    workshop = Workshop(folder, folder, lambda _: None)
    workshop.run(YOSYS, ["-q", "-l", workshop.log(YOSYS), "-p", "; ".join(script)], ["cells.json"])
    return json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]


@pytest.mark.parametrize(("multiplier", "multipliers"), [("lut", 1), ("dsp", 2 + 1), ("digit", 0)])
def test_netlist_has_the_memories_and_multipliers_that_are_said(multiplier, multipliers, tmp_path):
    rng = np.random.default_rng(0)
    weight = np.where(rng.random((96, 3, 3, 128)) < 0.045, rng.integers(-7, 8, (96, 3, 3, 128)), 0)
    program = schedule(weight, 4, 4, in_digits=multiplier == "digit")
    steps = tuple(Steps(np.arange(-70, 80, 10) * 3 + k, np.arange(16)) for k in range(96))
    spec = Folded(
        14, 14, Range.unsigned(4), weight, program, steps=steps, padding=(1, 1, 1, 1),
        multiplier=multiplier,
    )  # fmt: skip
    assert {store.name for store in spec.stores if store.kind == "block"} >= {"banks", "execute"}
    counts = cells(spec.create(), tmp_path)
    assert counts.get("DP16KD", 0) == sum(store.blocks for store in spec.stores)
    assert counts.get("MULT18X18D", 0) == multipliers


@pytest.mark.parametrize(
    ("channels", "slots", "words"), [(64, 640, 16 * 640), (40, 1024, 10 << 10)]
)
def test_netlist_of_a_long_line_buffer_has_no_more_memory_than_it_needs(
    channels, slots, words, tmp_path
):
    weight = np.random.default_rng(0).integers(-7, 8, (8, 3, 3, channels))
    program = schedule(weight, 4, 4)
    spec = Folded(8, 258, Range.unsigned(4), weight, program, padding=(1,) * 4, slots=slots)
    assert spec.bank_store.depth == words and spec.bank_store.blocks == 4 * 3
    assert cells(spec.create(), tmp_path)["DP16KD"] == sum(store.blocks for store in spec.stores)


def test_netlist_of_roms_has_the_block_rams_that_are_said_and_luts_beside_them(tmp_path):
    shapes = [(75, 51), (192, 37), (122, 40), (1448, 13), (1448, 56), (2100, 44), (700, 13)]
    stores = [Store(f"words_{k}", *shape, True) for k, shape in enumerate(shapes)]
    assert any(store.in_lines.rest for store in stores if store.kind == "block")
    counts = cells(_Roms(stores), tmp_path)
    assert counts["DP16KD"] == sum(store.blocks for store in stores)


class _Roms(wiring.Component):
    """ROMs of random words."""

    def __init__(self, stores):
        self.stores = stores
        ports = {store.name: Out(store.width) for store in stores}
        super().__init__({"address": In(12)} | ports)

    def elaborate(self, platform):
        m, rng = Module(), np.random.default_rng(0)
        for store in self.stores:
            words = [int.from_bytes(rng.bytes(9), "little") for _ in range(store.depth)]
            words = [word % (1 << store.width) for word in words]
            address = self.address[: (store.depth - 1).bit_length()]
            m.d.comb += getattr(self, store.name).eq(program_rom(m, store, words, address))
        return m
