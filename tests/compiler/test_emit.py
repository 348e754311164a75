"""The circuit as text."""

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
