"""What Yosys makes of an engine: the memories and multipliers that its description says."""

import json

import numpy as np
import pytest
from amaranth.back import rtlil

from sqwire.compiler.schedule import schedule
from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.hw.folded.engine import Folded
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps


def cells(spec, folder):
    """Counts by type, as boards.yosys maps a network."""
    (folder / "design.il").write_text(rtlil.convert(spec.create(), name="top", emit_src=False))
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
    counts = cells(spec, tmp_path)
    assert counts.get("DP16KD", 0) == sum(store.blocks for store in spec.stores)
    assert counts.get("MULT18X18D", 0) == multipliers
