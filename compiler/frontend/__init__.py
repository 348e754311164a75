"""QONNX in, integer graph out. After this package there are no floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import CompileError
from ..graph import Graph, Node
from ..host import Output
from . import place
from .context import Call, Context
from .convert import Conversion, convert
from .functions import Unary
from .handlers import HANDLERS
from .load import TensorInfo, load
from .report import Inspection, ends, rows
from .values import Real, Refused

__all__ = ["HANDLERS", "Inspection", "import_qonnx", "inspect", "load"]


def import_qonnx(
    source: Path | bytes, *, progress: Callable[[str], None] = lambda _: None
) -> Graph:
    """The integer graph of the QONNX model in a file, or in the bytes of one.

    A node of the graph has the name of the ONNX node it comes from: a ``Linear`` that of the
    ``Conv``, ``MatMul`` or ``Gemm``, a ``Staircase`` that of the ``Quant``. Inputs and outputs are
    in the order of the file; an input that no output depends on is left out, which ``progress`` is
    told.

    Raises
    ------
    CompileError
        If the file is not a sound ONNX model, or a node in it cannot be mapped; names the node.
    """
    graph, result = _attempt(source)
    if graph is not None:
        for note in result.notes:
            progress(note)
        return graph
    first, more = result.errors[0], len(result.errors) - 1
    if more:
        raise CompileError(f"{first} (and {more} more: sqwire inspect lists them)") from first
    raise first


def inspect(source: Path | bytes) -> Inspection:
    """The network as the compiler sees it, and every reason why it would be refused.

    Where a node is refused, the ones behind it are still looked at, as far as its shape is known.

    Raises
    ------
    CompileError
        If the file is not a sound ONNX model.
    """
    graph, result = _attempt(source)
    reasons = tuple(map(str, result.errors))
    if graph is None:
        return Inspection(rows(result.context, tuple(result.context.nodes)), reasons)
    return Inspection(rows(result.context, graph.nodes), reasons, *ends(graph), tuple(result.notes))


def _attempt(source: Path | bytes) -> tuple[Graph | None, Conversion]:
    """The graph, or None and the errors."""
    model = load(source)
    result = convert(model)
    if not result.errors:
        try:
            graph = _finish(result, model.outputs)
            kept = {source.name for source in graph.inputs}
            unused = [info.name for info in model.inputs if info.name not in kept]
            result.notes += [
                f'input "{name}" is left out: no output depends on it'
                for name in (*model.unused, *unused)
            ]
            return graph, result
        except CompileError as error:
            result.errors.append(error)
    return None, result


def _finish(result: Conversion, outputs: tuple[TensorInfo, ...]) -> Graph:
    context = result.context
    ends = tuple(_output(context, result.values.get(info.name), info.name) for info in outputs)
    wanted = {output.node for output in ends}
    nodes = _used(context.nodes, wanted)
    if not nodes:
        raise CompileError("Model: there must be something to compute between input and output")
    sources = [source for source in context.sources.values() if source.node in wanted]
    return Graph(tuple(source.fixed for source in sources if source.fixed), nodes, ends)


def _used(nodes: list[Node], wanted: set[str]) -> tuple[Node, ...]:
    """The nodes that ``wanted`` ones depend on, which are added to these."""
    kept = []
    for node in reversed(nodes):
        if node.name in wanted:
            kept.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(kept))


_TAILS: dict[Any, str] = {
    ("AtLeast", ((0,),)): "Relu",
    ("Sigmoid", ()): "Sigmoid",
    ("Tanh", ()): "Tanh",
}


def _output(context: Context, value: Any, name: str) -> Output:
    """The output ``name``: the node that gives its codes, and what the host makes of them."""
    try:
        if isinstance(value, Refused) and value.reason:
            raise CompileError(f"it must be available: {value.reason}")
        if not isinstance(value, Real):
            raise CompileError("it must be computed from the network's input")
        real, tail = context.settle(value), value.tail
        steps = real.function.steps
        last = steps[-1] if steps else None
        if not tail and isinstance(last, Unary) and (last.kind, last.constants) in _TAILS:
            tail = _TAILS[last.kind, last.constants]
            real = replace(real, function=replace(real.function, steps=steps[:-1]))
        call = Call(context, name, "output", (real,), {})
        if real.function.line(0) is None:
            real = place.affine(call, real)
        if real.shape[0] != 1:
            raise CompileError("its batch axis must come first")
        layout = "CHW" if tail == "ArgMax" else _layout(real)
        if layout is None:
            real, layout = place.raster(call, real), "CHW"
    except CompileError as error:
        raise CompileError(f'Output "{name}": {error}') from error
    lines: Any = [real.function.line(channel) for channel in range(real.layout.channels)]
    gains, offsets = zip(*lines, strict=True)
    return Output(name, real.node, real.shape[1:], gains, offsets, layout, tail)


def _layout(real: Real) -> Literal["CHW", "HWC"] | None:
    """How the elements of a tensor lie, whatever its axes are; None for another order."""
    layout = real.layout
    index = layout.index().reshape(-1)
    natural = np.arange(math.prod(layout.size))
    if np.array_equal(index, natural.reshape(-1, layout.channels).T.reshape(-1)):
        return "CHW"
    return "HWC" if np.array_equal(index, natural) else None
