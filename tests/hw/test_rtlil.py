import pytest
from amaranth.back import rtlil

from sqwire.hw.add import Add
from sqwire.hw.argmax import ArgMax
from sqwire.hw.axis import AxisIn, AxisOut, Port
from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.buffer import Buffer
from sqwire.hw.candidates import Candidates
from sqwire.hw.concat import Concat
from sqwire.hw.consistency import Consistency
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.flatten import Flatten
from sqwire.hw.fork import Fork
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.median import Median
from sqwire.hw.pad import Pad
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.hw.select import Select
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.hw.sumpool import SumPool
from sqwire.hw.width import Pack, Unpack

S4 = Range.signed(4)
BEAT = Beat(S4, 2)
COMPONENTS = {
    "add": Add(((S4, S4),) * 2, (1, 1)).create,
    "argmax": ArgMax(Beat(S4, 5)).create,
    "axis_in": lambda: AxisIn(Port(BEAT, 5)),
    "axis_out": lambda: AxisOut(Port(BEAT, 5)),
    "bilinear rows": BilinearRows(3, 5, BEAT, 2).create,
    "bilinear columns": BilinearColumns(3, 5, BEAT, 4).create,
    "buffer": Buffer(BEAT).create,
    "candidates": Candidates(BEAT, 9, 3, (1,), (2,)).create,
    "concat": Concat((BEAT, BEAT)).create,
    "consistency": Consistency(2, 9, Range(0, 30), Range(0, 30), 4, 2).create,
    "cost volume": CostVolume(3, 5, (S4,) * 3, (S4,) * 3, 4).create,
    "crop": Crop(3, 4, BEAT, (1, 0, 1, 2)).create,
    "depth to space": DepthToSpace(3, 6, Beat(S4, 9), 3).create,
    "flatten": Flatten(BEAT, 3).create,
    "fork": Fork(BEAT, 3).create,
    "maxpool": MaxPool(2, 5, S4).create,
    "maxpool of one tap": MaxPool(2, 1, S4).create,
    "median": Median(3, 4, BEAT).create,
    "pack": Pack(BEAT, 3, 6).create,
    "pack by one": Pack(BEAT, 1, 6).create,
    "pad": Pad(3, 4, BEAT, (1, 2, 0, 1), (2, 3), 5).create,
    "queue of none": Queue(BEAT, 0).create,
    "queue of one": Queue(BEAT, 1).create,
    "queue of two": Queue(BEAT, 2).create,
    "queue of nine": Queue(BEAT, 9).create,
    "resize": Resize(3, 6, BEAT, (2, 2)).create,
    "resize of columns": Resize(3, 6, BEAT, (1, 2)).create,
    "select": Select((S4, S4), (1, 0, 1)).create,
    "subpixel argmax": SubpixelArgMax(Beat(S4, 5)).create,
    "sumpool": SumPool(5, 5, 2, S4, (2, 2)).create,
    "sumpool with a memory": SumPool(4, 12, 2, S4, (2, 2)).create,
    "unpack": Unpack(BEAT, 3, 6).create,
    "unpack by one": Unpack(BEAT, 1, 6).create,
}


@pytest.mark.parametrize("create", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_component_converts_to_the_same_rtlil_twice(create):
    text = rtlil.convert(create(), emit_src=False)
    assert "module \\top" in text
    assert rtlil.convert(create(), emit_src=False) == text
