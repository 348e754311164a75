"""A netlist as Amaranth and as RTLIL is the same circuit: Yosys proves it."""

import numpy as np
import pytest
from amaranth.back import rtlil

from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.hw.dot import Dot
from sqwire.hw.netlist import Library, Netlist, Word
from sqwire.hw.ranges import Range
from sqwire.hw.staircase import Staircase
from sqwire.hw.steps import Steps


def dot():
    rng = np.random.default_rng(4)
    weight = rng.integers(-7, 8, (4, 5)) * (rng.random((4, 5)) < 0.7)
    ranges = (Range(0, 7), Range(-4, 3), Range(0, 1), Range(-1, 0), Range(3, 3))
    return Dot(weight, np.array([5, 0, -3, 0]), ranges)


def staircase():
    functions = [
        lambda x: 5,
        lambda x: min(max((x + 9) >> 3, 0), 15),
        lambda x: min(max(round(x * 0.141), -8), 7),
        lambda x: int(x * 0.47),
    ]
    domain = Range(-64, 63)
    values = range(domain.lo, domain.hi + 1)
    steps = tuple(Steps.tabulate(domain.lo, np.array([f(x) for x in values])) for f in functions)
    return Staircase(steps, (domain,) * 4)


@pytest.mark.parametrize("make", [dot, staircase])
def test_both_forms_are_proved_equal(make, tmp_path):
    spec = make()
    library = Library()
    (tmp_path / "gold.il").write_text(rtlil.convert(spec.create(), name="gold", emit_src=False))
    gate = rtlil.convert(spec.create(), platform=library, name="gate", emit_src=False)
    assert "cells_0" in gate
    (tmp_path / "gate.il").write_text(gate + library.to_rtlil())
    script = [
        "read_rtlil gold.il",
        "read_rtlil gate.il",
        "setattr -mod -unset top gold gate",
        "proc",
        "flatten",
        "miter -equiv -make_outputs -flatten gold gate both",
        "hierarchy -top both",
        # From zeros in all registers: enough cycles for every input to reach the output.
        f"sat -verify -seq {spec.latency_cycles + 2} -set-init-zero -prove trigger 0 both",
        "write_json done.json",
    ]
    workshop = Workshop(tmp_path, tmp_path, lambda _: None, "sat")
    workshop.run(YOSYS, ["-q", "-p", "; ".join(script)], ["done.json"])


def test_equal_netlists_share_a_module():
    library = Library()
    first, second = Dot(np.ones((1, 2), int), np.zeros(1, int), (Range(0, 3),) * 2), dot()
    for spec in (first, first, second):
        rtlil.convert(spec.create(), platform=library, emit_src=False)
    assert library.to_rtlil().count("module \\cells_") == 2


def test_words_are_cut_joined_and_extended_bit_by_bit():
    net = Netlist(8)
    word = Word.join([net.input(1, 3, signed=False), Word.constant(-2, 4, signed=True)])
    assert word.parts == ((0, 1, 3), (None, 14, 4))
    assert word.slice(2, 5).parts == ((0, 3, 1), (None, 2, 2))
    assert word.width == 7
    assert net.input(0, 2, signed=True).extend(4).parts == ((0, 0, 2), (0, 1, 1), (0, 1, 1))
    assert net.input(0, 2, signed=False).extend(4).parts == ((0, 0, 2), (None, 0, 2))
    assert word.extend(3) == word
