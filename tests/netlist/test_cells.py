"""Memories and products in cells of each family compute what their description says."""

import numpy as np
import pytest

from sqwire.sim.netlist import netlist_bench


def traffic(design, beats):
    """Random bytes; half of the addresses come from so few that most are read after a write."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (beats, 1, design.port_in.beat.lanes))
    few = rng.integers(0, 2, beats) == 1
    x[few, :, 2], x[few, :, 4] = 0, 0
    x[few, :, 1] %= 8
    x[few, :, 3] %= 8
    return x


@pytest.mark.parametrize(
    ("board", "kind"),
    [("ulx3s_85f", "shapes"), ("icebreaker", "small_shapes"), ("tang_nano_9k", "shapes")],
)
def test_cells_of_a_family_do_what_was_described(board, kind, mapped, request):
    design = request.getfixturevalue(kind)
    build = mapped(design, board)
    assert build.cells.bram
    assert build.cells.dsp
    x = traffic(design, 3000)
    # What is in a memory stays over the reset in between.
    want = np.split(design.compute(np.concatenate([x, x])), 2)
    for result, y in zip(netlist_bench(build).simulate(x, "none", "both"), want, strict=True):
        wrong = np.argwhere((result.y != y)[:, 0])
        assert not wrong.size, f"beat and byte: {wrong[:4].tolist()}"
        assert result.violations == ()
