"""Damaged model files: each must be refused in one line, within seconds, or come through whole.

    python bench/fuzz_frontend.py [--count N] [--seed S] [MODEL.onnx ...]

Mutates bytes and protobuf fields of models (small ones made here, unless given), imports every
mutant and reports what is neither an integer graph nor a CompileError, what took long, and how
much memory the process needed. Reproducible: mutant ``k`` of a model depends on the seed and ``k``.
"""

from __future__ import annotations

import argparse
import collections
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError

LIMIT_S = 5
HUGE = [0, 1, -1, 2, 3, 7, 255, 1 << 16, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63), -(1 << 31)]
REALS = [0.0, -0.0, 1.0, -1.0, 1e-38, 1e38, -1e38, 3e-45, np.nan, np.inf, -np.inf, 0.3, 1e9]
KINDS = sorted(frontend.HANDLERS)


def mutate_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, slices cut, copied, overwritten."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(out)))
        size = int(rng.integers(1, 64))
        match int(rng.integers(0, 6)):
            case 0:
                out[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                out[at : at + size] = rng.bytes(size)
            case 2:
                del out[at : at + size]
            case 3:
                out[at:at] = out[:size]
            case 4:
                out = out[: max(1, at)]
            case _:
                out[at] = int(rng.choice([0, 0x7F, 0x80, 0xFF]))
    return bytes(out)


def _pick(rng, items):
    return items[int(rng.integers(0, len(items)))] if len(items) else None


def _tensor(tensor: onnx.TensorProto, rng: np.random.Generator) -> None:
    match int(rng.integers(0, 6)):
        case 0 if tensor.dims:
            tensor.dims[int(rng.integers(0, len(tensor.dims)))] = _pick(rng, HUGE)
        case 1:
            tensor.dims.append(_pick(rng, HUGE))
        case 2:
            tensor.data_type = int(rng.integers(0, 24))
        case 3:
            tensor.raw_data = rng.bytes(int(rng.integers(0, 64)))
        case 4:
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "../../../etc/passwd"
        case _:
            values = np.frombuffer(tensor.raw_data or b"\0\0\0\0", np.uint8).copy()
            if tensor.data_type == TensorProto.FLOAT and len(values) >= 4:
                floats = values[: len(values) // 4 * 4].view(np.float32)
                floats[int(rng.integers(0, len(floats)))] = _pick(rng, REALS)
                tensor.raw_data = floats.tobytes()


def _attribute(node: onnx.NodeProto, rng: np.random.Generator) -> None:
    attribute = _pick(rng, node.attribute)
    names = ["axis", "perm", "group", "pads", "strides", "kernel_shape", "alpha", "mode", "axes"]
    match int(rng.integers(0, 5)):
        case 0 if attribute is not None and attribute.ints:
            attribute.ints[int(rng.integers(0, len(attribute.ints)))] = _pick(rng, HUGE)
        case 1 if attribute is not None:
            attribute.i, attribute.f = _pick(rng, HUGE), float(_pick(rng, REALS))
        case 2 if attribute is not None:
            attribute.type = int(rng.integers(0, 15))
        case 3:
            value = _pick(rng, [3, -1, 1 << 40, [1, 2], [0] * 9, 0.5, "text", [1 << 40] * 4])
            node.attribute.append(helper.make_attribute(_pick(rng, names), value))
        case _ if attribute is not None:
            attribute.s = _pick(rng, [b"", b"\xff\xfe", b"CRD", b"FLOOR", b"SAME_UPPER"])


def mutate_fields(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """One field of the graph changed to something it should not be."""
    graph = model.graph
    node, other = _pick(rng, graph.node), _pick(rng, graph.node)
    tensor = _pick(rng, graph.initializer)
    names = [name for n in graph.node for name in (*n.input, *n.output)]
    match int(rng.integers(0, 14)):
        case 0 | 1 | 2 if tensor is not None:
            _tensor(tensor, rng)
        case 3 | 4 | 5 if node is not None:
            _attribute(node, rng)
        case 6 if node is not None and node.input:
            node.input[int(rng.integers(0, len(node.input)))] = _pick(rng, [*names, "", "nobody"])
        case 7 if node is not None:
            node.op_type = _pick(rng, KINDS)
        case 8 if node is not None:
            graph.node.remove(node)
        case 9 if node is not None and other is not None:
            node.CopyFrom(other)
        case 10 if tensor is not None:
            graph.initializer.remove(tensor)
        case 11 if graph.input:
            shape = _pick(rng, graph.input).type.tensor_type.shape
            if shape.dim:
                shape.dim[int(rng.integers(0, len(shape.dim)))].dim_value = _pick(rng, HUGE)
        case 12 if node is not None:
            node.domain = _pick(rng, ["", "qonnx.custom_op.channels_last", "x", "ai.onnx"])
        case _:
            if node is not None and node.input:
                node.input.append(_pick(rng, names))
            if model.opset_import:
                model.opset_import[0].version = int(_pick(rng, HUGE))


def mutants(data: bytes, count: int, seed: int):
    """``count`` damaged versions of a model, the same ones for the same seed."""
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        if k % 3 == 0:
            yield mutate_bytes(data, rng)
            continue
        model = onnx.load_model_from_string(data)
        for _ in range(int(rng.integers(1, 4))):
            mutate_fields(model, rng)
        yield model.SerializeToString()


class TooLong(BaseException):
    """The import of a mutant took longer than it may."""


def _alarm(*_):
    raise TooLong


def outcome(data: bytes) -> tuple[str, float]:
    """What becomes of a model, and in how many seconds; anything but "graph" and "refused" is
    wrong."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(2 * LIMIT_S)
    begin = time.perf_counter()
    try:
        frontend.import_qonnx(data)
        result = "graph"
    except CompileError as error:
        text = str(error)
        result = "refused" if "\n" not in text and len(text) < 2000 else f"message: {text[:200]}"
    except TooLong:
        result = "too long"
    except BaseException:
        result = f"traceback: {traceback.format_exc(limit=-3)}"
    finally:
        signal.alarm(0)
    return result, time.perf_counter() - begin


def small_models() -> list[bytes]:
    """Two networks with many operators."""
    rng = np.random.default_rng(0)
    models = []
    for first in (True, False):
        nodes, constants = [], []

        def constant(value, kind=np.float32, constants=constants):
            name = f"c{len(constants)}"
            constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
            return name

        def op(kind, *inputs, nodes=nodes, outputs=1, **attributes):
            domain = "qonnx.custom_op.general" if kind in ("Quant", "MultiThreshold") else ""
            out = [f"t{len(nodes)}_{k}" for k in range(outputs)]
            nodes.append(
                helper.make_node(kind, inputs, out, f"n{len(nodes)}", None, domain, **attributes)
            )
            return out[0] if outputs == 1 else out

        def quant(x, bits=4.0, scale=0.3, constant=constant, op=op, **more):
            flags = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **more}
            return op("Quant", x, constant(scale), constant(0.0), constant(bits), **flags)

        def weight(*shape, constant=constant, quant=quant):
            return quant(constant(rng.normal(0, 0.4, shape)), 3.0, 0.25, narrow=1)

        y = quant("x")
        if first:
            y = op("Conv", y, weight(4, 2, 3, 3), pads=[1] * 4, strides=[1, 1], group=1)
            params = [constant(rng.uniform(0.5, 2, 4)) for _ in range(4)]
            y = skip = quant(op("Relu", op("BatchNormalization", y, *params)), signed=0)
            y = quant(op("Conv", y, weight(4, 1, 3, 3), pads=[1] * 4, group=4), scale=0.2)
            y = quant(op("Add", y, skip), scale=0.5)
            y = op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
            y = op("Reshape", y, constant([1, -1], np.int64))
            y = op("Gemm", y, weight(36, 3), constant(rng.normal(0, 1, 3)), alpha=0.5)
            y = op("Softmax", y, axis=1)
        else:
            y = op("ConvTranspose", y, weight(2, 4, 2, 2), strides=[2, 2])
            thresholds = constant(np.sort(rng.normal(0, 2, (4, 7))))
            y = op("MultiThreshold", y, thresholds, out_dtype="UINT3")
            left, right = op("Split", y, outputs=2, axis=1)
            y = op("Concat", right, quant(op("Sigmoid", left), scale=1.0), axis=1)
            y = op("DepthToSpace", y, blocksize=2, mode="CRD")
            y = op("Resize", y, "", constant([1, 1, 2, 2]), mode="nearest",
                   coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
            y = op("Pad", y, constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
            y = op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
            y = op("ArgMax", op("Transpose", y, perm=[0, 2, 3, 1]), axis=3)
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes, "fuzz", [info("x", 1, [1, 2, 6, 6])], [info(y, 1, None)], constants
        )
        models.append(helper.make_model(graph, ir_version=8).SerializeToString())
    return models


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=5000, help="mutants of each model")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    bad = 0
    for number, data in enumerate([m.read_bytes() for m in args.models] or small_models()):
        name = str(args.models[number]) if args.models else f"model {number}"
        counts, slowest = collections.Counter(), 0.0
        for k, mutant in enumerate(mutants(data, args.count, args.seed)):
            result, seconds = outcome(mutant)
            slowest = max(slowest, seconds)
            counts[result.split(":")[0]] += 1
            if result not in ("graph", "refused") or seconds > LIMIT_S:
                bad += 1
                print(f"{name}: mutant {k}: {seconds:.1f} s: {result}")
        print(f"{name}: {dict(counts)}, slowest {slowest:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{bad} wrong; peak memory {peak} MB")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DecodeError as error:
        sys.exit(f"not an ONNX model: {error}")
