"""Every operator as Verilog, in ordinary sizes and in the smallest that are no mere wires."""

import importlib
import pkgutil
import re

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module

import sqwire.hw
from sqwire.compiler.emit import TOP, rtlil_to_verilog, without_empty
from sqwire.compiler.schedule import schedule
from sqwire.hw.add import Add
from sqwire.hw.argmax import ArgMax
from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.buffer import Buffer
from sqwire.hw.candidates import Candidates
from sqwire.hw.concat import Concat
from sqwire.hw.consistency import Consistency
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.dot import Dot
from sqwire.hw.flatten import Flatten
from sqwire.hw.folded.argmax import ArgMax as SerialArgMax
from sqwire.hw.folded.costvolume import CostVolume as SerialCostVolume
from sqwire.hw.folded.depthtospace import DepthToSpace as SerialDepthToSpace
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.subpixel import SubpixelArgMax as SerialSubpixelArgMax
from sqwire.hw.folded.upsample import Upsample
from sqwire.hw.fork import Fork
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.median import Median
from sqwire.hw.netlist import Library
from sqwire.hw.network import Network
from sqwire.hw.pace import Pace
from sqwire.hw.pad import Pad
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.recast import Recast
from sqwire.hw.resize import Resize
from sqwire.hw.select import Select
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.staircase import Staircase
from sqwire.hw.steps import Steps
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.hw.sumpool import SumPool
from sqwire.hw.width import Pack, Unpack
from sqwire.hw.window import Window

BIT, CODE, WIDE = Range(0, 1), Range(0, 15), Range(-100, 100)
ONE, FOUR = Beat(BIT, 1), Beat(CODE, 4)


def functions(channels):
    """A rising function of every channel, and its range."""
    levels = np.arange(WIDE.size) // 20
    return (Steps.tabulate(WIDE.lo, levels),) * channels, (WIDE,) * channels


def engines():
    """Folded layers: one lane and several, of each kind, with shared inputs and with their own."""
    rng = np.random.default_rng(0)
    for outputs, channels, lanes, split in ((1, 1, 1, False), (8, 8, 4, False), (8, 8, 2, True)):
        weight = rng.integers(1, 4, (outputs, 3, 3, channels))
        for kind in ("lut", "dsp", "digit"):
            program = schedule(
                weight, lanes, lanes, parts=lanes if split else 1, by_input=split,
                in_digits=kind == "digit",
            )  # fmt: skip
            yield Folded(4, 4, CODE, weight, program, padding=(1, 1, 1, 1), multiplier=kind)


OPERATORS = (
    Add(((BIT,), (BIT,)), (1, 1)), Add(((CODE,) * 4,) * 2, (1, 2)),
    *(ArgMax(Beat(CODE, n)) for n in (2, 3, 10)),
    BilinearRows(4, 4, FOUR, 2), BilinearRows(1, 1, ONE, 4),
    BilinearColumns(4, 4, FOUR, 4), BilinearColumns(1, 1, ONE, 2),
    Buffer(ONE), Buffer(FOUR),
    Candidates(Beat(WIDE, 3), 16, 4, (0,), (1,)), Candidates(Beat(WIDE, 1), 1, 1, (0,), (0,)),
    Concat((ONE, ONE)), Concat((FOUR, FOUR)),
    Consistency(4, 8, Range(0, 63), Range(0, 63)), Consistency(1, 1, BIT, BIT),
    CostVolume(2, 8, (CODE,) * 4, (CODE,) * 4, 4), CostVolume(1, 1, (BIT,), (BIT,), 1),
    CostVolume(2, 8, (CODE,) * 2, (CODE,) * 2, 3, "product"),
    Crop(4, 4, FOUR, (1, 1, 1, 1)), Crop(1, 1, ONE, (0, 0, 0, 0)),
    DepthToSpace(4, 4, FOUR, 2), DepthToSpace(1, 1, ONE, 1),
    Dot(np.array([[1, -2], [0, 3]]), np.array([0, 1]), (CODE,) * 2),
    Dot(np.array([[0]]), np.array([0]), (BIT,)),
    Flatten(FOUR, 4), Flatten(ONE, 1),
    SerialArgMax(CODE, 10), SerialArgMax(BIT, 1),
    SerialCostVolume(CostVolume(2, 8, (CODE,) * 4, (CODE,) * 4, 8), 4),
    SerialCostVolume(CostVolume(1, 1, (BIT,), (BIT,), 2, "product"), 1),
    SerialSubpixelArgMax(SubpixelArgMax(Beat(CODE, 8)), 4),
    SerialSubpixelArgMax(SubpixelArgMax(Beat(BIT, 2), 2), 1),
    SerialDepthToSpace(4, 4, 8, CODE, 2), SerialDepthToSpace(1, 1, 4, BIT, 2),
    *engines(),
    Functions(*functions(8), lanes=2, positions=4), Functions(*functions(1)),
    Functions(*functions(8), multiply=False),
    Interleave((ONE, ONE), (1, 2)), Interleave((FOUR, FOUR), (2, 2), 3),
    Pool(4, 4, 4, CODE, (2, 2), (2, 2)), Pool(1, 1, 1, BIT, (1, 1)),
    Reduce(4, 4, 4, CODE, (2, 2)), Reduce(1, 1, 2, BIT, (1, 1), largest=True),
    Upsample(4, 4, FOUR, 2, (2, 2)), Upsample(1, 1, ONE, 1, (1, 2)),
    Fork(ONE, 2), Fork(FOUR, 3),
    MaxPool(1, 2, BIT), MaxPool(4, 9, CODE),
    Median(1, 1, ONE), Median(4, 4, FOUR), Median(4, 4, FOUR, dilation=3),
    Pace(FOUR, 20, 4), Pace(ONE, 1, 1),
    Pad(4, 4, FOUR, (1, 2, 0, 1)), Pad(1, 1, ONE),
    *(Queue(FOUR, depth) for depth in (1, 2, 3, 40)),
    Recast(FOUR, Range(0, 31), 4),
    Resize(4, 4, FOUR, (2, 2)), Resize(1, 1, ONE, (1, 1)), Resize(1, 1, ONE, (2, 3)),
    Select((CODE,) * 4, (3, 0)),
    SerialDot(Dot(np.array([[1, -2], [0, 3]]), np.array([0, 1]), (CODE,) * 2), 1),
    SerialDot(Dot(np.array([[9]]), np.array([0]), (CODE,)), 4),
    Staircase(*functions(4)), Staircase(*functions(1)),
    SubpixelArgMax(Beat(CODE, 8)), SubpixelArgMax(Beat(BIT, 1), 2),
    SumPool(4, 4, 4, CODE, (2, 2)), SumPool(1, 1, 1, BIT, (1, 1)),
    Pack(FOUR, 4, 8), Pack(ONE, 2, 2), Unpack(FOUR, 4, 8), Unpack(ONE, 2, 2),
    Window(4, 4, 4, CODE, (3, 3), padding=(1, 1, 1, 1)), Window(1, 1, 1, BIT, (1, 1)),
)  # fmt: skip


def test_every_operator_is_here():
    made = {Network}  # emitted in tests of the compiler
    for module in pkgutil.walk_packages(sqwire.hw.__path__, "sqwire.hw."):
        members = vars(importlib.import_module(module.name)).values()
        made |= {m for m in members if hasattr(m, "compute") and hasattr(m, "create")}
    assert made == {type(spec) for spec in OPERATORS} | {Network}


@pytest.fixture(scope="module")
def verilog(tmp_path_factory):
    m, library = Module(), Library()
    for number, spec in enumerate(OPERATORS):
        m.submodules[f"operator_{number}"] = spec.create()
    text = str(rtlil.convert(m, ports=[], platform=library, name=TOP, emit_src=False))
    text = without_empty(text) + library.to_rtlil()
    return rtlil_to_verilog(text, tmp_path_factory.mktemp("verilog")).read_text()


@pytest.mark.parametrize("number", range(len(OPERATORS)), ids=lambda n: repr(OPERATORS[n])[:60])
def test_operator_becomes_verilog(verilog, number):
    assert re.search(rf"\boperator_{number}\b", verilog)
