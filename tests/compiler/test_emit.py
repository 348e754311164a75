"""The circuit as text."""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib.memory import Memory

from sqwire.compiler import emit, frontend, passes
from sqwire.compiler.choose import Target
from sqwire.compiler.folding import Fold
from sqwire.compiler.plan import plan


def test_engine_of_one_lane_becomes_verilog_though_some_of_its_signals_have_no_bits(
    qonnx_builder, tmp_path
):
    net = qonnx_builder(0, (3, 4, 4))
    net.conv("conv1", 3, 4)
    net.act("conv1", 4)
    graph = passes.optimize(frontend.import_qonnx(net.model((4, 4, 4))))
    text = emit.emit_rtlil(plan(graph, Target(folds={"conv1": Fold(1, 1)})).network)
    assert "width 0" not in text
    assert "Y_WIDTH 0" not in text
    assert emit.rtlil_to_verilog(text, tmp_path).is_file()


def test_equal_words_side_by_side_in_a_memory_are_set_by_a_loop_and_all_others_one_by_one():
    words = [*range(40, 50, 3), 0, 0, 0, 5, *[0] * 40, 7, 7, 7, 7, 3]
    lines = [f"    \\store[0] [{at}] = 8'h{word:02x};" for at, word in enumerate(words)]
    block = ["  initial begin", *lines, "  end", ""]
    out = ["  always @* begin", *["    out[0] = 1'h0;"] * 9, "  end", ""]
    text = emit.with_loops("\n".join(block + out + block))
    assert text.count("for (") == 4
    assert len(set(re.findall(r"begin : (\S+) ", text))) == 2
    assert "\n".join(out) in text
    for part in text.split("\n".join(out)):
        found = {}
        for line in part.splitlines():
            if loop := re.match(
                r"    for \(\w+ = (\d+); \w+ <= (\d+); \w+ = \w+ \+ 1\) (.*)", line
            ):
                each = [(at, loop[3]) for at in range(int(loop[1]), int(loop[2]) + 1)]
            else:
                each = [(None, line.strip())]
            for at, statement in each:
                if word := re.fullmatch(r"\\store\[0\] \[(\w+)\] = 8'h(..);", statement):
                    found[at if at is not None else int(word[1])] = int(word[2], 16)
        assert found == dict(enumerate(words))


@pytest.mark.parametrize("width", [1, 8, 31, 32, 33, 64])
def test_a_memory_that_starts_with_zeros_is_set_by_one_line_whatever_its_width(width, tmp_path):
    m = Module()
    m.submodules.store = store = Memory(shape=width, depth=40, init=[])
    write, read = store.write_port(), store.read_port()
    text = rtlil.convert(m, ports=[write.en, write.addr, write.data, read.addr, read.data])
    verilog = emit.rtlil_to_verilog(str(text), tmp_path).read_text()
    assert verilog.count("for (") == 1
    assert len(re.findall(r"\[init_address\] = ", verilog)) == 1
