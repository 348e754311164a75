"""An ONNX file from outside: bounded, checked, never executed."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ..errors import CompileError

__all__ = ["load"]

MAX_FILE_BYTES = 1 << 30
MAX_ELEMENTS = 1 << 28


def load(source: Path | bytes) -> onnx.ModelProto:
    """The model in a file, or in the bytes of one.

    Raises
    ------
    CompileError
        If the file is missing, too large, truncated or no ONNX model, if it keeps data in other
        files, or if an array in it is larger than it can be or than ``MAX_ELEMENTS``.
    """
    name = source.name if isinstance(source, Path) else "the model"
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
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError, TypeError) as error:
        raise CompileError(
            f"Model {name}: it must be an ONNX file, and is truncated or something else; "
            "export it again"
        ) from error
    if not model.graph.node or not model.graph.input or not model.graph.output:
        raise CompileError(
            f"Model {name}: an ONNX graph must have nodes, inputs and outputs; "
            "the file is empty or truncated; export it again"
        )
    for tensor in model.graph.initializer:
        _check(tensor, name)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _check(attribute.t, name)
    return model


def _check(tensor: onnx.TensorProto, model: str) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise CompileError(
            f'Model {model}: tensor "{tensor.name}" must be in the file itself, not in another; '
            "save it without external data"
        )
    elements = 1
    for dim in tensor.dims:
        elements *= max(dim, 0)
        if dim < 0 or elements > MAX_ELEMENTS:
            raise CompileError(
                f'Model {model}: tensor "{tensor.name}" must have at most {MAX_ELEMENTS} '
                f"elements, not shape {list(tensor.dims)}"
            )
