"""Of what Yosys makes memories of which nobody says what they are to be."""

import pytest
from amaranth.back import rtlil

from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.compiler.features import small_features
from sqwire.compiler.tools import Workshop
from sqwire.hw.beat import Beat
from sqwire.hw.folded.memory import plain
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.window import Window

BITS = Range(0, 15)


@pytest.fixture
def mapped(tmp_path):
    """The cells of an operator on an ECP5."""

    def cells(spec):
        text = rtlil.convert(spec.create(), name="operator", emit_src=False)
        (tmp_path / "design.il").write_text(str(text))
        workshop = Workshop(tmp_path, tmp_path, lambda _: None)
        return yosys.netlist(workshop, "operator", find_board("ulx3s_85f"))

    return cells


@pytest.mark.parametrize(
    ("depth", "bits", "kind"),
    [(200, 8, "block"), (33, 32, "block"), (300, 4, "lut"), (48, 28, "lut"), (12, 256, "lut")],
)
def test_delays_are_what_yosys_made_of_them(depth, bits, kind):
    """As measured with Yosys 0.70."""
    assert plain("delay", depth, bits).kind == kind


@pytest.mark.parametrize("channels", [2, 8])
def test_window_has_the_memories_and_flip_flops_that_are_counted(mapped, channels):
    """So a block RAM has nothing beside it for reading what is being written."""
    spec = Window(8, 37, channels, BITS, (3, 3), padding=(1, 1, 1, 1))
    cells = mapped(spec)
    assert {store.kind for store in spec.stores} == {"lut" if channels == 2 else "block"}
    assert cells.bram == sum(store.blocks for store in spec.stores)
    assert cells.lutram == sum(store.cells for store in spec.stores if store.kind == "lut")
    # Valid, complete, and what has begun: first, waiting, active.
    assert cells.ff == small_features(spec)["window.registers"] + 5


def test_queue_at_the_limit_is_of_luts(mapped):
    spec = Queue(Beat(BITS, 8), 34)
    assert [store.kind for store in spec.stores] == ["lut"]
    assert mapped(spec).bram == 0
