"""Graphs and plans as JSON: plain data, so that reading one never runs anything."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

from . import ops
from .errors import CompileError
from .graph import Graph, Node
from .host import Input, Output

__all__ = ["from_json", "to_json"]

_OPS = (
    ops.Add,
    ops.ArgMax,
    ops.Concat,
    ops.DepthToSpace,
    ops.Dilate,
    ops.Flatten,
    ops.Linear,
    ops.MaxPool,
    ops.Pad,
    ops.Resize,
    ops.Select,
    ops.Staircase,
    ops.SumPool,
    ops.Alternate,
    ops.Bilinear,
    ops.Candidates,
    ops.Consistency,
    ops.CostVolume,
    ops.Every,
    ops.Median,
    ops.SubpixelArgMax,
)


def _encode(value: Any) -> Any:
    match value:
        case np.ndarray():
            return {"shape": list(value.shape), "values": value.reshape(-1).tolist()}
        case Range():
            return [value.lo, value.hi]
        case Steps():
            return {"thresholds": value.thresholds.tolist(), "levels": value.levels.tolist()}
        case tuple():
            return [_encode(item) for item in value]
        case _:
            return value


def _decode(field: str, value: Any) -> Any:
    if field in ("weight", "bias"):
        return np.array(value["values"], dtype=np.int64).reshape(value["shape"])
    if field == "steps":
        return tuple(
            Steps(np.array(s["thresholds"], np.int64), np.array(s["levels"], np.int64))
            for s in value
        )
    return tuple(value) if isinstance(value, list) else value


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def to_json(graph: Graph) -> str:
    """The graph as text, the same text for the same graph."""
    document = {
        "inputs": [{**vars(input), "range": _encode(input.range)} for input in graph.inputs],
        "nodes": [
            {
                "name": node.name,
                "op": type(node.op).__name__,
                "inputs": list(node.inputs),
                **{name: _encode(value) for name, value in vars(node.op).items()},
            }
            for node in graph.nodes
        ],
        "outputs": [vars(output) for output in graph.outputs],
    }
    return json.dumps(document, indent=1) + "\n"


def from_json(text: str) -> Graph:
    """The graph that :func:`to_json` wrote.

    Raises
    ------
    CompileError
        If the text is not a graph.
    """
    try:
        document = json.loads(text)
        nodes = []
        for entry in document["nodes"]:
            fields = dict(entry)
            name, kind, inputs = fields.pop("name"), fields.pop("op"), fields.pop("inputs")
            op = {cls.__name__: cls for cls in _OPS}[kind]
            decoded = {field: _decode(field, value) for field, value in fields.items()}
            nodes.append(Node(name, op(**decoded), tuple(inputs)))
        return Graph(
            tuple(
                Input(**{**_tuples(source), "range": Range(*source["range"])})
                for source in document["inputs"]
            ),
            tuple(nodes),
            tuple(Output(**_tuples(sink)) for sink in document["outputs"]),
        )
    except CompileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CompileError(f"Graph file: it is not a graph ({error}); compile again") from error
