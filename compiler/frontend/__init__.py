"""QONNX in, integer graph out. After this package there are no floats."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper

from ..errors import CompileError
from ..graph import Graph
from ..host import Output
from .handlers import HANDLERS, Call, Context, Unquantized, Value
from .load import load
from .real import Real

__all__ = ["import_qonnx", "load"]


def import_qonnx(source: Path | bytes) -> Graph:
    """The integer graph of the QONNX model in a file, or in the bytes of one.

    A node of the graph has the name of the ONNX node it comes from: a ``Linear`` that of the
    ``Conv``, ``MatMul`` or ``Gemm``, a ``Staircase`` that of the ``Quant``.

    Raises
    ------
    CompileError
        If the file is not a sound ONNX model, or a node in it cannot be mapped; names the node.
    """
    model = load(source)
    graph = model.graph
    values: dict[str, Value] = {tensor.name: _array(tensor) for tensor in graph.initializer}
    inputs = [i for i in graph.input if i.name not in values]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise CompileError(
            f"Model: it must have one input and one output, "
            f"not {len(inputs)} and {len(graph.output)}"
        )
    values[inputs[0].name] = Unquantized(inputs[0].name, _shape(inputs[0]))
    context = Context()
    for number, node in enumerate(graph.node):
        name = node.name or (node.output[0] if node.output else f"{node.op_type}_{number}")
        try:
            values[node.output[0]] = _convert(context, name, node, values)
        except CompileError as error:
            raise CompileError(f'Node "{name}" ({node.op_type}): {error}') from error
        except (ValueError, TypeError, KeyError, IndexError, AssertionError) as error:
            raise CompileError(
                f'Node "{name}" ({node.op_type}): its attributes and inputs must fit together '
                f"({error}); check the export"
            ) from error
    return _finish(context, values, graph)


def _array(tensor: onnx.TensorProto) -> Any:
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise CompileError(
            f'Tensor "{tensor.name}": its data must fill shape {list(tensor.dims)}; '
            "the file is damaged; export it again"
        ) from error


def _shape(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Shape of one frame: all axes but the first."""
    dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
    if len(dims) not in (2, 4) or min(dims[1:]) < 1 or math.prod(dims[1:]) > 1 << 26:
        raise CompileError(
            f'Input "{info.name}": shape must be (frames, channels, height, width) or '
            f"(frames, features) with known sizes, not {dims}"
        )
    return tuple(dims[1:])


def _convert(context: Context, name: str, node: onnx.NodeProto, values: dict[str, Value]) -> Value:
    handler = HANDLERS.get(node.op_type)
    if handler is None:
        known = ", ".join(sorted(HANDLERS))
        raise CompileError(f"the operator must be one of {known}; rewrite the network without it")
    missing = [i for i in node.input if i and i not in values]
    if missing:
        raise CompileError(f'input "{missing[0]}" must be computed before it is used')
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    inputs = tuple(values[i] for i in node.input if i)
    return handler(Call(context, name, node, inputs, attributes))


def _finish(context: Context, values: dict[str, Value], graph: onnx.GraphProto) -> Graph:
    name = graph.output[0].name
    value = values.get(name)
    if not isinstance(value, Real) or context.input is None or not context.nodes:
        raise CompileError(
            f'Output "{name}": it must be computed from the quantized input; '
            "check where the graph ends"
        )
    affine = value.affine
    if affine is None or value.order is not None:
        raise CompileError(
            f'Output "{name}": after the last quantizer only scales and offsets may follow; '
            "put a Quant behind the activation"
        )
    if value.node != context.nodes[-1].name:
        raise CompileError(f'Output "{name}": it must be computed by the last node')
    tensor = context.tensors[value.node]
    pairs = [affine.at(channel) for channel in range(tensor.channels)]
    rank = len(graph.output[0].type.tensor_type.shape.dim)
    shape = (tensor.channels, tensor.height, tensor.width)
    if rank == 2 or (not rank and tensor.positions == 1):
        shape = shape[:1]  # type: ignore[assignment]
    output = Output(
        name, shape, tuple(float(g) for g, _ in pairs), tuple(float(o) for _, o in pairs)
    )
    return Graph(context.input, tuple(context.nodes), output)
