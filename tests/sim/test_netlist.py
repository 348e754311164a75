"""A netlist of ECP5 cells computes what the design does; cells without a model are refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.sim.cells import library_of
from sqwire.sim.netlist import netlist_bench
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
    return SimpleNamespace(path=pair_verilog, files={"netlist.v": ""}, planned=axes)


def test_netlist_equals_the_design_with_and_without_stalls(build, pair_network):
    bench = netlist_bench(build)
    x = np.random.default_rng(0).integers(-8, 8, (50, 6, 3))
    for result in bench.simulate(x, "none", "both"):
        assert np.array_equal(result.y, pair_network.compute(x))
        assert result.violations == ()


def netlist(folder, *cells):
    file = folder / "netlist.v"
    file.write_text("\n".join(["module sqwire_top;", "  LUT4 _0_ (\n  );", *cells, "endmodule\n"]))
    return file


def test_cell_without_a_model_is_named(tmp_path):
    with pytest.raises(SimulationError, match="every cell must have a model .*, ALU54B has none"):
        library_of(netlist(tmp_path, "  ALU54B #(\n    .REG(1'h0)\n  ) _1_ (\n  );"))


@pytest.mark.parametrize(
    ("cell", "parameter", "value"),
    [
        ("DP16KD", "REGMODE_A", '"OUTREG"'),
        ("DP16KD", "CLKBMUX", '"INV"'),
        ("MULT18X18D", "REG_OUTPUT_CLK", '"CLK0"'),
    ],
)
def test_mode_without_a_model_is_named(cell, parameter, value, tmp_path):
    file = netlist(tmp_path, f"  {cell} #(\n    .{parameter}({value})\n  ) _1_ (\n  );")
    plain = value.strip('"')
    with pytest.raises(SimulationError, match=f"{cell} must be used .* {parameter} {plain}, not"):
        library_of(file)


def test_contents_and_known_modes_pass(tmp_path):
    lines = [f"    .INITVAL_00(320'h{1:080x})", "    .DATA_WIDTH_A(32'd18)", '    .CLKAMUX("CLKA")']
    cell = "  DP16KD #(\n" + ",\n".join(lines) + "\n  ) _1_ (\n  );"
    assert library_of(netlist(tmp_path, cell)).name == "ecp5"


def test_wire_called_like_a_cell_is_none(tmp_path):
    assert library_of(netlist(tmp_path, "  wire ALU54B;", "  LUT4 ALU54B_1 (\n  );")).name == "ecp5"
