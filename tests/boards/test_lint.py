"""The Verilog that a design hands out: no warning of Verilator's but those with a name here."""

import re
import subprocess
from pathlib import Path

import pytest

from sqwire.boards.catalog import find_board
from sqwire.boards.fit import formats_of, top_for
from sqwire.compiler.build import compile_model
from sqwire.compiler.choose import Target
from sqwire.compiler.emit import rtlil_to_verilog
from sqwire.compiler.folding import Fold
from sqwire.sim import toolchain

ROOT = Path(__file__).parents[2]

WAIVED = {
    "CASEINCOMPLETE": "Yosys assigns the default in front of the case",
    "CMPCONST": "a comparison that is constant for the range at hand",
    "DECLFILENAME": "all modules are in one file",
    "PROCASSINIT": "registers have an initial value, and are assigned in a process",
    "UNSIGNED": "a comparison with 0 that is constant for the range at hand",
    "UNUSEDSIGNAL": "upper bits of a sum that is cut to its range, names that Yosys keeps",
    "VARHIDDEN": "an instance and a wire or memory inside another one may have the same name",
    "WIDTHEXPAND": "Yosys leaves it to Verilog to extend operands",
    "WIDTHTRUNC": "and to cut results",
}


def lint(*files, top):
    """The exit status, and every warning but those in :data:`WAIVED`."""
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", *(f"-Wno-{name}" for name in WAIVED)]
        + ["--top-module", top, *map(str, files)],
        env=toolchain.environment("verilator"),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def test_the_design_is_clean(residual_build):
    assert lint(residual_build.design, top="sqwire_top") == (0, "")


@pytest.mark.parametrize("fabric", ["ecp5", "ice40"])
def test_a_folded_design_is_clean(residual_model, tmp_path, fabric):
    folds = {name: Fold(2, 2, block_luts=40) for name in ("conv1", "conv2")}
    target = Target(folds=folds, fabric=fabric)
    build = compile_model(residual_model(0), tmp_path / "build", target)
    assert lint(build.design, top="sqwire_top") == (0, "")


@pytest.mark.parametrize("name", ["tang_nano_9k", "orangecrab_85f"])
def test_the_board_around_it_is_clean(residual_build, tmp_path, name):
    board = find_board(name)
    top = top_for(board, formats_of(residual_build), residual_build.files["design.il"])
    shell = rtlil_to_verilog(top.to_rtlil("sqwire_top"), tmp_path, name="shell")
    assert lint(shell, residual_build.design, top="shell") == (0, "")


def test_the_documented_example_is_clean(residual_build, tmp_path):
    text = (ROOT / "docs" / "boards-verilog.md").read_text()
    (example,) = re.findall(r"```verilog\n(.*?)```", text, re.DOTALL)
    widths = {"IN": residual_build.inputs[0].bits, "OUT": residual_build.outputs[0].bits}
    for name, bits in widths.items():
        example = example.replace(f"{name}_BITS = 8", f"{name}_BITS = {bits}")
    (tmp_path / "example.v").write_text(example)
    assert lint(tmp_path / "example.v", residual_build.design, top="example") == (0, "")


def test_the_documented_ports_are_those_of_the_design(residual_build):
    text = (ROOT / "docs" / "boards-verilog.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    source = residual_build.design.read_text()
    (ports,) = re.findall(r"^module sqwire_top\((.*?)\);", source, re.MULTILINE)
    assert documented == set(ports.split(", "))
