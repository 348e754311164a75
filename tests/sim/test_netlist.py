"""A netlist of ECP5 cells computes what the design does; cells without a model are refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.sim.netlist import check_cells, ecp5_bench
from sqwire.sim.toolchain import SimulationError


@pytest.fixture(scope="module")
def build(pair_network, pair_verilog, library):
    """As much of a build as the bench of its netlist looks at."""
    script = [
        "read_rtlil design.il",
        "hierarchy -check -top sqwire_top",
        "proc",
        "flatten",
        "rename -unescape",
        "synth_ecp5 -nowidelut -top sqwire_top",
        "write_verilog -noattr netlist.v",
    ]
    workshop = Workshop(pair_verilog, pair_verilog, lambda _: None)
    workshop.run(YOSYS, ["-p", "; ".join(script)], ["netlist.v"])
    (pair_verilog / "simulation").mkdir()
    (pair_verilog / "simulation" / "library").symlink_to(library)
    axes = {
        name: [
            {
                "range": [port.beat.range.lo, port.beat.range.hi],
                "channels": port.beat.lanes,
                "beats": port.frame,
            }
            for port in ports
        ]
        for name, ports in (("s_axis", pair_network.inputs), ("m_axis", pair_network.outputs))
    }
    (pair_verilog / "plan.json").write_text(json.dumps(axes))
    return SimpleNamespace(path=pair_verilog, files={"netlist.v": ""})


def test_netlist_equals_the_design_with_and_without_stalls(build, pair_network):
    bench = ecp5_bench(build)
    x = np.random.default_rng(0).integers(-8, 8, (50, 6, 3))
    for result in bench.simulate(x, "none", "both"):
        assert np.array_equal(result.y, pair_network.compute(x))
        assert result.violations == ()


@pytest.mark.parametrize("cell", ["DP16KD", "MULT18X18D"])
def test_cell_without_a_model_is_named(tmp_path, cell):
    netlist = tmp_path / "netlist.v"
    netlist.write_text(f"module sqwire_top;\n  {cell} #(\n  ) _0_ (\n  );\nendmodule\n")
    with pytest.raises(SimulationError, match=f"every cell must have a model .*, {cell} has none"):
        check_cells(netlist)


def test_wire_called_like_a_cell_is_none(tmp_path):
    netlist = tmp_path / "netlist.v"
    netlist.write_text("module sqwire_top;\n  wire DP16KD;\n  LUT4 DP16KD_1 ();\nendmodule\n")
    check_cells(netlist)
