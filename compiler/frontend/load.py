"""An ONNX file from outside: bounded, checked, put in order, never executed."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from ..errors import CompileError

__all__ = ["Model", "NodeInfo", "TensorInfo", "array", "attributes", "load"]

MAX_FILE_BYTES = 1 << 30
MAX_ELEMENTS = 1 << 28
MAX_NODES = 100_000

_AGAIN = "the file is damaged; export it again"


@dataclass(frozen=True)
class TensorInfo:
    """What the file says about a tensor: axes without a known size are 0; None where unknown."""

    name: str
    shape: tuple[int, ...] | None
    elem_type: int
    datatype: str
    """The QONNX annotation, such as INT4, or nothing."""


@dataclass(frozen=True)
class NodeInfo:
    """One node of the file."""

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    proto: onnx.NodeProto


@dataclass(frozen=True)
class Model:
    """The part of a file that its outputs depend on, nodes in topological order."""

    nodes: tuple[NodeInfo, ...]
    initializers: Mapping[str, onnx.TensorProto]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    known: Mapping[str, TensorInfo]
    opset: int
    unused: tuple[str, ...] = ()
    """Inputs of the file that no output depends on."""


def load(source: Path | bytes) -> Model:
    """The model in a file, or in the bytes of one.

    Raises
    ------
    CompileError
        If the file is missing, too large, truncated or no ONNX model, if it keeps data in other
        files, if an array in it is larger than it can be or than ``MAX_ELEMENTS``, or if its
        nodes form a circle.
    """
    name = source.name if isinstance(source, Path) else "the model"
    model = _parse(source, name)
    try:
        graph = model.graph
        if not graph.node or not graph.input or not graph.output:
            raise CompileError(
                f"Model {name}: an ONNX graph must have nodes, inputs and outputs; "
                "the file is empty or truncated; export it again"
            )
        if len(graph.node) > MAX_NODES:
            raise CompileError(
                f"Model {name}: it must have at most {MAX_NODES} nodes, not {len(graph.node)}"
            )
        if graph.sparse_initializer:
            raise CompileError(
                f"Model {name}: initializers must be dense, not sparse; convert them"
            )
        for tensor in graph.initializer:
            _check(tensor)
        infos = (*graph.initializer, *graph.input, *graph.output, *graph.value_info)
        if not all(isinstance(info.name, str) for info in infos):
            raise CompileError(f"Model {name}: names must be text; {_AGAIN}")
        initializers = {tensor.name: tensor for tensor in graph.initializer}
        outputs = [info.name for info in graph.output]
        nodes = _order([_node(k, node) for k, node in enumerate(graph.node)], outputs)
        used = {name for node in nodes for name in node.inputs} | set(outputs)
        known = _known(graph)
        inputs = [i.name for i in graph.input if i.name not in initializers]
        return Model(
            tuple(nodes),
            initializers,
            tuple(known[name] for name in inputs if name in used),
            tuple(known[name] for name in outputs),
            known,
            max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=13),
            tuple(name for name in inputs if name not in used),
        )
    except UnicodeDecodeError as error:
        raise CompileError(f"Model {name}: names must be text; {_AGAIN}") from error


def _parse(source: Path | bytes, name: str) -> onnx.ModelProto:
    if isinstance(source, Path):
        try:
            size = source.stat().st_size
            if size > MAX_FILE_BYTES:
                raise CompileError(
                    f"Model {name}: a file must be at most {MAX_FILE_BYTES} bytes, not {size}"
                )
            data = source.read_bytes()
        except OSError as error:
            raise CompileError(
                f"Model {source}: the file cannot be read ({error.strerror}); check the path"
            ) from error
    else:
        data = source
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError, TypeError) as error:
        raise CompileError(
            f"Model {name}: it must be an ONNX file, and is truncated or something else; "
            "export it again"
        ) from error


def _check(tensor: onnx.TensorProto) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise CompileError(
            f'Tensor "{tensor.name}": it must be in the model file itself, not in another; '
            "save it without external data"
        )
    elements = 1
    for dim in tensor.dims:
        elements *= max(dim, 0)
        if dim < 0 or elements > MAX_ELEMENTS:
            raise CompileError(
                f'Tensor "{tensor.name}": it must have at most {MAX_ELEMENTS} elements, '
                f"not shape {list(tensor.dims)}"
            )


def _node(number: int, proto: onnx.NodeProto) -> NodeInfo:
    outputs = tuple(proto.output)
    text = (proto.name, proto.op_type, proto.domain, *proto.input, *outputs)
    if not all(isinstance(t, str) for t in text):  # protobuf gives bytes for what is no UTF-8
        raise CompileError(f"Node {number}: names must be text; {_AGAIN}")
    name = proto.name or next(filter(None, outputs), f"{proto.op_type}_{number}")
    return NodeInfo(name, proto.op_type, proto.domain, tuple(proto.input), outputs, proto)


def _order(nodes: list[NodeInfo], wanted: list[str]) -> list[NodeInfo]:
    """The nodes that ``wanted`` tensors depend on, each after those it depends on."""
    maker: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in maker:
                raise CompileError(
                    f'Node "{node.name}" ({node.kind}): its output "{name}" must be made once, '
                    f'and "{nodes[maker[name]].name}" makes it too; {_AGAIN}'
                )
            maker[name] = number
    needed: set[int] = set()
    todo = [maker[name] for name in wanted if name in maker]
    while todo:
        number = todo.pop()
        if number not in needed:
            needed.add(number)
            todo += [maker[name] for name in nodes[number].inputs if name in maker]
    readers: dict[int, list[int]] = {number: [] for number in needed}
    waits = {}
    for number in needed:
        sources = {maker[name] for name in nodes[number].inputs if name in maker}
        waits[number] = len(sources)
        for source in sources:
            readers[source].append(number)
    ready = [number for number, count in waits.items() if not count]
    heapq.heapify(ready)
    result = []
    while ready:
        number = heapq.heappop(ready)
        result.append(nodes[number])
        for reader in readers[number]:
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(result) < len(needed):
        number = min(n for n, count in waits.items() if count)
        raise CompileError(
            f'Node "{nodes[number].name}" ({nodes[number].kind}): it must not depend on its own '
            f"output; {_AGAIN}"
        )
    return result


def _known(graph: onnx.GraphProto) -> dict[str, TensorInfo]:
    datatypes = {
        note.tensor_name: entry.value
        for note in graph.quantization_annotation
        for entry in note.quant_parameter_tensor_names
        if entry.key == "finn_datatype"
    }
    known = {}
    for info in (*graph.value_info, *graph.output, *graph.input):
        tensor = info.type.tensor_type
        shape = None
        if tensor.HasField("shape"):
            shape = tuple(max(0, d.dim_value) for d in tensor.shape.dim)
        known[info.name] = TensorInfo(
            info.name, shape, tensor.elem_type, datatypes.get(info.name, "")
        )
    return known


def array(tensor: onnx.TensorProto) -> NDArray[Any]:
    """The numbers of a tensor; half floats and the like as float32.

    Raises
    ------
    CompileError
        If its data does not fill its shape, or is something else than numbers.
    """
    _check(tensor)
    try:
        values = np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise CompileError(
            f'Tensor "{tensor.name}": its data must fill shape {list(tensor.dims)}; {_AGAIN}'
        ) from error
    if values.dtype.kind in "cOSU":
        raise CompileError(f'Tensor "{tensor.name}": it must hold real numbers, not {values.dtype}')
    if values.dtype.kind not in "iub" and values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    return values


def attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node as Python numbers, text, lists and arrays.

    Raises
    ------
    CompileError
        If one of them is damaged.
    """
    result: dict[str, Any] = {}
    for attribute in proto.attribute:
        try:
            value = onnx.helper.get_attribute_value(attribute)
            if isinstance(value, bytes):
                value = value.decode()
            elif isinstance(value, onnx.TensorProto):
                value = array(value)
            elif isinstance(value, Sequence) and not isinstance(value, str):
                value = list(value)
        except (ValueError, TypeError) as error:
            if isinstance(error, CompileError):
                raise
            raise CompileError(
                f'attribute "{attribute.name}" must have a known type; {_AGAIN}'
            ) from error
        result[attribute.name] = value
    return result
