"""From the nodes of a file to the nodes of the integer graph, one handler call each."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from sqwire.hw.ranges import Range

from ..errors import CompileError
from ..host import source_of
from .context import UNIT, Blank, Call, Context, Source, check_size
from .functions import IDENTITY, Affine
from .handlers import CHANNELS_LAST, DOMAINS, FOLDS, HANDLERS, POINTWISE
from .layout import Layout
from .load import Model, NodeInfo, TensorInfo, array, attributes
from .place import channels_first, channels_last
from .rounding import Counting, Quantizer, Rounding
from .values import Real, Refused, Value, Weight

__all__ = ["Conversion", "convert"]

_INTEGERS = {
    int(onnx.TensorProto.UINT8): Range.unsigned(8), int(onnx.TensorProto.INT8): Range.signed(8),
    int(onnx.TensorProto.UINT16): Range.unsigned(16), int(onnx.TensorProto.INT16): Range.signed(16),
    int(onnx.TensorProto.BOOL): Range(0, 1),
}  # fmt: skip
_CHANNELS_LAST_PERMS = ([0, 3, 1, 2], [0, 2, 1])


@dataclass
class Conversion:
    """A file as far as it could be converted, and every reason why a node could not."""

    context: Context
    values: dict[str, Value] = field(default_factory=dict)
    """The tensors that somebody still needs: at the end, the network's outputs."""
    errors: list[CompileError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the user should know about a network that is not refused."""


def convert(model: Model) -> Conversion:
    """All nodes of ``model``; where one is refused, its error is kept and the others go on."""
    result = Conversion(Context())
    for info in model.inputs:
        try:
            result.values[info.name] = _input(result.context, model, info)
        except CompileError as error:
            result.errors.append(error)
            result.values[info.name] = Refused()
    uses = Counter(name for node in model.nodes for name in node.inputs)
    uses.update(info.name for info in model.outputs)
    for step in model.nodes:
        outputs = _outputs(result, model, step)
        for name, value in zip(step.outputs, outputs, strict=False):
            result.values[name] = value
        uses.subtract(step.inputs)
        for name in {*step.inputs, *step.outputs}:
            if uses[name] <= 0:
                result.values.pop(name, None)
    return result


def _input(context: Context, model: Model, info: TensorInfo) -> Real:
    shape = info.shape or ()
    if not 2 <= len(shape) <= 4 or min(shape[1:]) < 1 or math.prod(shape[1:]) > 1 << 24:
        raise CompileError(
            f'Input "{info.name}": shape must be (frames, features), (frames, channels, length) or '
            f"(frames, channels, height, width) with known sizes, not {list(shape)}"
        )
    last = len(shape) > 2 and _is_channels_last(model, info.name)
    channels, positions = (shape[-1], shape[1:-1]) if last else (shape[1], shape[2:])
    size: Any = (*(1, 1, *positions)[-2:], channels)
    check_size(*size)
    layout = Layout((1, *shape[1:]), size, "last" if last else "first")
    raw, node = f"?{info.name}", source_of(info.name)
    context.names.update((raw, node))
    context.sources[raw] = Source(info.name, shape[1:], layout, node, _integers(info))
    return Real(raw, IDENTITY, layout)


def _integers(info: TensorInfo) -> Quantizer | None:
    """How the host makes codes of an input that holds integers, if the file says that it does."""
    domain, name = _INTEGERS.get(info.elem_type), info.datatype
    if name == "BIPOLAR":
        return Counting(((Fraction(0),),), 0, Affine((Fraction(2),), (Fraction(-1),)))
    if name in ("BINARY", "TERNARY"):
        domain = Range(-(name == "TERNARY"), 1)
    for prefix, make in (("UINT", Range.unsigned), ("INT", Range.signed)):
        bits = name.removeprefix(prefix)
        if name.startswith(prefix) and bits.isdecimal() and 1 <= int(bits) <= 16:
            domain = make(int(bits))
    if domain is None:
        return None
    one, zero = (Fraction(1),), (Fraction(0),)
    return Rounding(one, zero, (domain.lo,), (domain.hi,), (0,), UNIT)


def _is_channels_last(model: Model, name: str) -> bool:
    """Whether the first operator that tells one axis from another takes channels to be last."""
    reached = {name}
    for node in model.nodes:
        if not reached.intersection(node.inputs[:1]):
            continue
        if DOMAINS.get(node.domain) or node.kind == "MaxPoolNHWC":
            return True
        given = {a.name: a for a in node.proto.attribute}
        if node.kind == "Transpose" and "perm" in given:
            return list(given["perm"].ints) in _CHANNELS_LAST_PERMS
        if node.kind == "MultiThreshold" and given.get("data_layout"):
            return given["data_layout"].s.endswith(b"C") and len(given["data_layout"].s) > 2
        if node.kind == "MatMul" or node.kind.startswith("Reduce") and "axes" in given:
            return node.kind == "MatMul" or list(given["axes"].ints) in ([1], [1, 2])
        if node.kind not in POINTWISE:
            return False
        reached.update(node.outputs)
    return False


def _outputs(result: Conversion, model: Model, node: NodeInfo) -> tuple[Value, ...]:
    """What a node puts out, or a stand-in where it is refused."""
    known = (result.values.get(name) for name in node.inputs)
    shape = next((value.shape for value in known if isinstance(value, Real)), None)
    try:
        layout = _known(node)
        inputs = tuple(_value(result, model, name) for name in node.inputs)
        with np.errstate(all="ignore"):  # floats here are bounds; what matters is exact
            made = _call(result.context, node, inputs, layout)
        values = made if isinstance(made, tuple) else (made,)
        spare = Refused(reason=f"of {node.kind} it is not computed")
        return values + (spare,) * (len(node.outputs) - len(values))
    except Blank:
        pass
    except CompileError as error:
        result.errors.append(_named(node, error))
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError) as error:
        result.errors.append(_unfit(node, error))
    except (AssertionError, TypeError, ValueError) as error:
        result.errors.append(_unfit(node, error))
    return tuple(_stand_in(result.context, model, name, shape) for name in node.outputs)


def _named(node: NodeInfo, error: CompileError) -> CompileError:
    text = " ".join(str(error).split())
    named = CompileError(f'Node "{node.name}" ({node.kind}): {text}')
    named.__cause__ = error
    return named


def _unfit(node: NodeInfo, error: Exception) -> CompileError:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return _named(
        node,
        CompileError(
            f"its attributes and inputs must fit together ({text}); check the export"
        ).with_traceback(error.__traceback__),
    )


def _stand_in(context: Context, model: Model, name: str, shape: tuple[int, ...] | None) -> Value:
    """Something of the right shape, so that what comes after a refused node is checked too."""
    info = model.known.get(name)
    if info is not None and info.shape and min(info.shape[1:], default=0) > 0:
        shape = (1, *info.shape[1:])
    if shape is None or not 2 <= len(shape) <= 4:
        return Refused()
    return context.assume(shape)


def _value(result: Conversion, model: Model, name: str) -> Value | None:
    if not name:
        return None
    if name not in result.values and name in model.initializers:
        result.values[name] = array(model.initializers[name])
    if name not in result.values:
        raise CompileError(f'input "{name}" must be computed before it is used; nothing does')
    return result.values[name]


def _known(node: NodeInfo) -> str:
    """How the tensors of a node lie; the node must have an operator that there is a handler for."""
    layout = DOMAINS.get(node.domain)
    if layout is None or node.kind not in {*HANDLERS, *FOLDS}:
        what = f"{node.domain}.{node.kind}" if node.domain else node.kind
        raise CompileError(
            f"the operator must be one of those in docs/operators.md, not {what}; rewrite the "
            "network without it"
        )
    return layout


def _call(context: Context, node: NodeInfo, inputs: tuple[Value | None, ...], layout: str) -> Any:
    call = Call(context, node.name, node.kind, inputs, attributes(node.proto), len(node.outputs))
    if not any(isinstance(value, Real | Refused) for value in inputs) and node.kind in FOLDS:
        return FOLDS[node.kind](call)
    if node.kind not in HANDLERS:
        raise CompileError("the operator must work on constants only; rewrite the network")
    if layout != "channels last" and node.kind != "MaxPoolNHWC":
        return HANDLERS[node.kind](call)
    if node.kind not in CHANNELS_LAST:
        raise CompileError(f"with channels last there are only {', '.join(CHANNELS_LAST)}")
    moved = [channels_first(call.real()), *inputs[1:]]
    if node.kind == "Conv":
        moved[1] = _weight_first(inputs[1])
    return channels_last(HANDLERS[node.kind](replace(call, inputs=tuple(moved))))  # type: ignore[arg-type]


def _weight_first(value: Value | None) -> Value | None:
    """A convolution's weight (out, ..., in) as (out, in, ...)."""
    if isinstance(value, Weight):
        rank = value.codes.ndim
        scale = value.scale.reshape((1,) * (rank - value.scale.ndim) + value.scale.shape)
        return Weight(np.moveaxis(value.codes, -1, 1), np.moveaxis(scale, -1, 1))
    return np.moveaxis(value, -1, 1) if isinstance(value, np.ndarray) else value
