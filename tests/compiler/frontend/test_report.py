"""The manual made from the table of operators, and networks as the compiler sees them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sqwire import cli, verbs
from sqwire.compiler import frontend
from sqwire.compiler.exact import SCALARS, TENSORS
from sqwire.compiler.frontend import HANDLERS, manual

ROOT = Path(__file__).parents[3]


def test_the_manual_is_current():
    assert (ROOT / "docs" / "operators.md").read_text() == manual.document(), (
        "run: python -m sqwire.compiler.frontend.manual > docs/operators.md"
    )


def test_every_handler_says_what_it_does():
    assert all(handler.__doc__ for handler in HANDLERS.values())


def test_the_arbiter_has_a_rule_for_every_operator():
    # Softmax tails are compared through their logarithm, MaxPoolNHWC by the channels-last test.
    known = {*SCALARS, *TENSORS}
    assert set(HANDLERS) - known <= {"LogSoftmax", "MaxPoolNHWC"}


@pytest.fixture
def network(net):
    n = net(1)
    x = n.codes((4, 6, 6))
    y = n.op("Conv", x, n.weight((8, 1, 3, 3)), group=4, name="depthwise")
    y = n.quant(y, 4, 0.3, name="act")
    y = n.op("Flatten", n.op("GlobalAveragePool", y, name="mean"))
    return n.model(n.op("MatMul", y, n.weight((8, 5)), name="fc"))


def test_a_row_a_layer(network):
    found = frontend.inspect(network)
    graph = frontend.import_qonnx(network)
    assert not found.reasons
    assert [row.layer for row in found.rows] == [node.name for node in graph.nodes]
    depthwise = found.rows[0]
    assert (depthwise.weights, depthwise.macs) == (72, 72 * 16)
    assert depthwise.zeros == 72 - np.count_nonzero(graph["depthwise"].op.weight)
    assert depthwise.shape == (4, 4, 8) and depthwise.weight_bits == 3
    assert found.rows[1].bits == 4 and found.rows[-1].weights == 40


def test_all_reasons_are_found_at_once(net):
    n = net(2)
    x = n.codes((4, 6, 6))
    y = n.op("Einsum", x, equation="a->a", name="first")
    y = n.quant(y, 4, 0.3, name="fine")
    y = n.op("Conv", y, n.rng.normal(0, 1, (8, 4, 1, 1)), name="second")
    y = n.quant(y, 4, 0.0, name="third")
    y = n.op("Flatten", y)
    found = frontend.inspect(n.model(n.op("MatMul", y, n.weight((99, 5)), name="fourth")))
    named = [reason.split('"')[1] for reason in found.reasons]
    assert named == ["first", "second", "third", "fourth"]


def test_what_follows_from_another_refusal_is_not_blamed(net):
    n = net(3)
    y = n.op("Einsum", n.codes((4, 6, 6)), equation="a->a", name="bad")
    y = n.op("Relu", n.op("Conv", y, n.weight((8, 4, 1, 1))))
    y = n.op("MaxPool", y, kernel_shape=[2, 2])
    found = frontend.inspect(n.model(n.op("GlobalAveragePool", y)))
    assert len(found.reasons) == 1 and '"bad"' in found.reasons[0]


def test_the_command_prints_a_table_and_json(network, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(network)
    shown = CliRunner().invoke(cli.app, ["inspect", str(file)], terminal_width=200)
    assert shown.exit_code == 0 and "depthwise" in shown.stdout and "112 weights" in shown.stdout
    document = CliRunner().invoke(cli.app, ["inspect", str(file), "--json"])
    assert json.loads(document.stdout) == json.loads(json.dumps(verbs.inspect(file).to_json()))


def test_the_command_exits_with_1_where_a_network_would_be_refused(net, tmp_path):
    n = net(4)
    y = n.op("Einsum", n.codes((3,)), equation="a->a", name="bad")
    file = tmp_path / "model.onnx"
    file.write_bytes(n.model(y))
    shown = CliRunner().invoke(cli.app, ["inspect", str(file)])
    assert shown.exit_code == 1 and 'refused: Node "bad"' in shown.stdout
