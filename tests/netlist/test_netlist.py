"""What Yosys makes of a network computes the same integers."""

import shutil

from sqwire import synth, verify
from sqwire.compiler.build import Build


def test_netlist_of_a_residual_network_equals_the_graph(residual_build, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(residual_build.path, copy)
    result = synth(copy)
    assert result.network.dsp == result.network.bram == 0
    report = verify(Build.load(copy), level="netlist", frames=24)
    assert report.passed, report.lines()
    assert report.frames == 24
    assert report.as_planned
