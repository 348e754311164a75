"""Memories of devices without LUT RAM: block RAMs, which are read a cycle ahead, or flip-flops."""

import json
from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil

from sqwire.compiler.schedule import schedule
from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.hw.folded.affine import Affine
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.memory import FABRICS, Store
from sqwire.hw.folded.requantise import Search
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator

WITHOUT_LUT_RAM = [name for name, fabric in FABRICS.items() if not fabric.lut_ram]


def folded(outputs, inputs, kernel=(1, 1), size=(3, 4), lanes=2, multiplier="lut", **layer):
    rng = np.random.default_rng(outputs)
    shape = (outputs, *kernel, inputs)
    w = np.where(rng.random(shape) < 0.5, rng.integers(1, 8, shape), 0) * rng.choice([-1, 1], shape)
    program = schedule(w, lanes, lanes, in_digits=multiplier == "digit")
    return Folded(*size, Range.unsigned(4), w, program, multiplier=multiplier, **layer)


def right_under_all_stalls(spec):
    rng = np.random.default_rng(0)
    x = rng.integers(spec.range.lo, spec.range.hi + 1, (3, spec.beats_in, spec.inputs[0].lanes))
    x[0] = spec.range.hi
    timing = check_operator(spec, x)
    arrivals = np.zeros(len(x) * spec.beats_in, np.int64)
    assert list(timing.out_cycles[0]) == spec.departures(arrivals).tolist()


@pytest.mark.parametrize("multiplier", ["lut", "digit"])
@pytest.mark.parametrize("outputs", [2, 4, 6, 8, 10, 36])
def test_all_memories_in_blocks_compute_the_same(outputs, multiplier):
    spec = folded(outputs, 4, multiplier=multiplier, fabric="ice40", block_luts=0)
    stores = [s for s in spec.stores if s.kind != "none" and not s.rom]
    assert all(s.kind == ("block" if s.depth >= 4 else "lut") for s in stores)
    assert spec.read_early == (spec.acc_store.depth >= 4)
    right_under_all_stalls(spec)


@pytest.mark.parametrize("fabric", WITHOUT_LUT_RAM)
@pytest.mark.parametrize("block_luts", [0, 120, 1 << 20])
def test_a_convolution_computes_the_same_of_every_fabric(fabric, block_luts):
    spec = folded(5, 6, (3, 3), padding=(1, 1, 1, 1), fabric=fabric, block_luts=block_luts)
    steps = tuple(Steps(np.arange(-20, 25, 3) * (k + 3), np.arange(16)) for k in range(5))
    right_under_all_stalls(replace(spec, steps=steps))


def test_a_memory_without_lut_ram_is_flip_flops_where_blocks_are_dear():
    dear, cheap = (replace(FABRICS["ice40"], worth=worth) for worth in (1000, 100))
    store = Store("queue", 16, 4, False, fabric=dear)
    # 64 flip-flops, their enables, and LUTs that select one word.
    assert (store.kind, store.cells, store.sites, store.blocks) == ("lut", 0, 16 + 4 * (16 + 11), 0)
    assert store.style == "logic"
    block = replace(store, fabric=cheap)
    assert (block.kind, block.blocks, block.style) == ("block", 1, "block")
    assert replace(block, depth=3).kind == "lut"  # a word would be read before it is written


@pytest.mark.parametrize(
    ("depth", "width", "read_only", "written"),
    [(256, 16, 1, 1), (257, 8, 1, 1), (320, 9, 2, 2), (1024, 4, 1, 1), (4096, 1, 1, 2)],
)
def test_blocks_of_an_ice40_are_of_4096_bits(depth, width, read_only, written):
    """A deep program has its words side by side; what is written to has blocks below each other."""
    fabric = replace(FABRICS["ice40"], worth=0)
    for rom, blocks in ((True, read_only), (False, written)):
        assert Store("any", depth, width, rom, fabric=fabric).blocks == blocks


@pytest.mark.parametrize(
    ("fabric", "circuit"), [("ecp5", Affine), ("ice40up", Affine), ("ice40", Search)]
)
def test_without_multipliers_functions_are_searched(fabric, circuit):
    steps = tuple(Steps(np.arange(1, 16) * (3 + k), np.arange(16)) for k in range(4))
    spec = Functions(steps, (Range(0, 60),) * 4, positions=2, fabric=fabric)
    assert isinstance(spec.circuits[0], circuit)
    x = np.random.default_rng(0).integers(0, 61, (2, spec.beats_in, 1))
    check_operator(spec, x)


def test_a_factor_that_is_too_wide_for_the_multiplier_is_searched():
    steps = (Steps(np.array([70_000]), np.array([0, 1])),)
    spec = Functions(steps, (Range(0, 100_000),), fabric="ecp5")
    assert isinstance(spec.circuits[0], Affine)
    assert isinstance(replace(spec, fabric="ice40up").circuits[0], Search)


def test_netlist_of_an_ice40_has_the_block_rams_that_are_said(tmp_path):
    spec = folded(12, 16, (3, 3), (6, 6), padding=(1, 1, 1, 1), fabric="ice40", block_luts=100)
    steps = tuple(Steps(np.arange(-70, 80, 10) * 3 + k, np.arange(16)) for k in range(12))
    spec = replace(spec, steps=steps)
    (tmp_path / "design.il").write_text(rtlil.convert(spec.create(), name="top", emit_src=False))
    script = [
        "read_rtlil design.il",
        "hierarchy -check -top top",
        "proc",
        "flatten -noscopeinfo",
        "rename -unescape",
        "synth_ice40 -top top -run :check",
        "tee -q -o cells.json stat -json",
    ]
    workshop = Workshop(tmp_path, tmp_path, lambda _: None)
    workshop.run(YOSYS, ["-q", "-l", workshop.log(YOSYS), "-p", "; ".join(script)], ["cells.json"])
    counts = json.loads((tmp_path / "cells.json").read_text())["design"]["num_cells_by_type"]
    blocks = sum(n for name, n in counts.items() if name.startswith("SB_RAM40"))
    assert blocks == sum(store.blocks for store in spec.stores)
    assert {store.name for store in spec.stores if store.blocks} >= {
        "banks",
        "accumulators",
        "done",
    }
