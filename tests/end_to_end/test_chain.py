"""One quickly trained network through the whole chain: torch = graph = Verilog = netlist."""

import shutil
from dataclasses import replace

import numpy as np
import torch

from sqwire import verify
from sqwire.compiler import codec, frontend, ops
from sqwire.compiler.build import Build
from sqwire.compiler.graph import Graph, Node
from sqwire.compiler.host import Input, Output
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.train import frozen as fz


def as_graph(network: fz.Frozen) -> Graph:
    """The graph that a frozen network must become, made from its integers and by torch's own word:
    every staircase is what torch computes on every accumulator that the layer can reach."""
    nodes, names, shapes = [], {}, {}
    for name, node in network.nodes.items():
        inputs = tuple(names[i] for i in node.inputs)
        match node.op:
            case fz.Quantize(shape=shape, bits=bits):
                source = Input("x", shape, 1.0, Range.unsigned(bits))
                names[name], shapes[name] = source.source, shape
                continue
            case fz.Conv(weight=weight, stride=stride, padding=padding):
                bias = np.zeros(len(weight), int)
                rows, columns = padding
                op = ops.Linear(
                    weight.transpose(0, 2, 3, 1), bias, stride, (rows, columns, rows, columns)
                )
            case fz.Staircase():
                functions = []
                before = network.nodes[node.inputs[0]].bounds
                for channel, (lo, hi) in enumerate(
                    zip(before.low.tolist(), before.high.tolist(), strict=True)
                ):
                    acc = torch.zeros(hi - lo + 1, len(before.low), 1, 1)
                    acc[:, channel, 0, 0] = torch.arange(lo, hi + 1)
                    codes = node.op(acc)[:, channel, 0, 0].numpy().astype(np.int64)
                    functions.append(Steps.tabulate(lo, codes))
                op = ops.Staircase(tuple(functions))
            case fz.AddCodes():
                op = ops.Add()
            case fz.MaxPool(kernel=kernel):
                op = ops.MaxPool(kernel, kernel)
            case fz.FullyConnected(weight=weight):
                positions = weight.shape[1] // len(network.nodes[node.inputs[0]].bounds.low)
                nodes.append(Node(f"{name}.flatten", ops.Flatten(), inputs))
                inputs = (f"{name}.flatten",)
                # ONNX flattens channels first; positions first is how they arrive.
                codes = weight.reshape(len(weight), -1, positions).transpose(0, 2, 1)
                op = ops.Linear(codes.reshape(len(weight), 1, 1, -1), np.zeros(len(weight), int))
            case fz.Logits(gain=gain, bias=bias):
                scale = tuple(float(g) for g in gain)
                sink = Output(
                    "y", nodes[-1].name, (len(bias),), scale, tuple(float(b) for b in bias)
                )
                continue
        nodes.append(Node(name, op, inputs))
        names[name] = name
    return Graph((source,), tuple(nodes), (sink,))


def test_import_of_export_gives_the_same_graph(trained):
    assert frontend.import_qonnx(trained.model) == as_graph(trained.frozen)


def test_graph_equals_torch_on_every_test_image_in_every_layer(trained, digits):
    graph = frontend.import_qonnx(trained.model)
    traced = graph.trace(graph.input.quantize(digits.x))
    torch_says = trained.frozen.trace(digits.x)
    assert set(torch_says) == {n for n in traced if not n.endswith(".flatten")}
    for name, want in torch_says.items():
        got = traced[name].transpose(0, 3, 1, 2)
        assert np.array_equal(got, want), name


def test_logits_equal_torch_on_every_test_image(trained, digits):
    graph = frontend.import_qonnx(trained.model)
    codes = graph.run(graph.input.quantize(digits.x))
    last = graph.tensors[graph.nodes[-1].name]
    assert np.array_equal(graph.output.codes(trained.frozen(digits.x), last), codes)


def test_verilog_equals_torch_on_every_test_image(digits_build, trained):
    report = verify(digits_build, vectors=trained.vectors)
    assert report.passed, report.lines()
    assert report.frames == 540
    assert report.as_planned


def test_every_component_equals_its_compute_on_real_data(digits_build, trained):
    report = verify(digits_build, vectors=trained.vectors, level="component", frames=1)
    assert report.passed, report.lines()
    assert len(report.findings) == 1 + len(digits_build.plan.network.stages)


def test_a_flipped_weight_makes_verify_fail_and_name_the_layer(digits_build, tmp_path):
    """Somebody changed the graph behind the circuit's back, checksum and all."""
    copy = tmp_path / "copy"
    shutil.copytree(digits_build.path, copy, ignore=shutil.ignore_patterns("simulation"))
    graph = digits_build.graph
    node = graph["conv2"]
    weight = node.op.weight.copy()
    at = tuple(np.argwhere(weight)[0])
    weight[at] = -weight[at]
    flipped = replace(node, op=replace(node.op, weight=weight))
    nodes = tuple(flipped if n.name == "conv2" else n for n in graph.nodes)
    (tmp_path / "graph.json").write_text(codec.to_json(replace(graph, nodes=nodes)))
    Build.load(copy).add(tmp_path, ["graph.json"])
    report = verify(Build.load(copy), frames=20)
    assert not report.passed
    assert 'first: Layer "conv2", frame' in report.lines()[-1]
