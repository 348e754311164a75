"""The real-number meaning of a QONNX graph, evaluated for single values: the arbiter.

Reference vectors are computed in float32, where a sum can fall on the other side of a rounding
boundary than the real number. This module evaluates the graph of the file, node by node, in
fractions, for just those elements that one value depends on. It shares nothing with the frontend
but the reading of the file, so that each checks the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompileError
from ..frontend.load import Model, array, attributes, load
from .rules import Rule, Spec
from .scalars import SCALARS
from .span import Span, Undecided
from .tensors import TENSORS

__all__ = ["Arbiter", "Evaluator", "Undecided"]

Value = Any
"""A fraction, or a :class:`Span` of them where the number is irrational."""


class Evaluator:
    """The exact values of a graph, element by element, each computed once a frame.

    Parameters
    ----------
    model :
        What :func:`load` made of a file.
    bits :
        Good bits of irrational numbers.
    """

    def __init__(self, model: Model, bits: int = 256):
        self.model = model
        self.bits = bits
        self.rules: dict[str, tuple[Rule, Sequence[str]]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.values: dict[str, dict[int, Value]] = {}
        self._leaves: dict[str, list[Any]] = {}
        self._grids: dict[str, tuple[int, dict[int, int], int]] = {}
        self._depth: dict[str, int] = {}
        self._types: dict[str, str] = {}
        self._changing = {info.name for info in model.inputs}
        """What differs from frame to frame."""
        for info in model.inputs:
            shape = info.shape or ()
            if not shape or min(shape[1:], default=1) < 1:
                raise CompileError(f'Input "{info.name}": its sizes must be known, not {shape}')
            self.shapes[info.name], self._depth[info.name] = (1, *shape[1:]), 0
        for node in model.nodes:
            self._plan(node)

    def frame(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Take other values for the network's inputs, each without the batch axis."""
        for name in self._changing:
            self.values.pop(name, None)
            self._grids.pop(name, None)
        for name, values in inputs.items():
            self._leaf(name, np.asarray(values)[None])

    def _leaf(self, name: str, values: NDArray[Any]) -> None:
        self.shapes[name] = values.shape
        self._leaves[name] = values.reshape(-1).tolist()
        self._depth[name] = 0

    def _plan(self, node: Any) -> None:
        for name in node.inputs:
            if name and name not in self.shapes:
                values = array(self.model.initializers[name])
                self._types[name] = str(values.dtype)
                self._leaf(name, values)
        make = SCALARS.get(node.kind) or TENSORS.get(node.kind)
        if make is None:
            raise CompileError(f'Node "{node.name}" ({node.kind}): there is no exact rule for it')
        spec = Spec(
            node,
            attributes(node.proto),
            [self.shapes.get(name) for name in node.inputs],
            lambda k: self.array(node.inputs[k]),
            self.bits,
            lambda k: self._types.get(node.inputs[k], "") if k < len(node.inputs) else "",
        )
        made = make(spec)
        rules = made if isinstance(made, tuple) else (made,)
        depth = 1 + max((self._depth.get(name, 0) for name in node.inputs), default=0)
        changing = not self._changing.isdisjoint(node.inputs)
        for name, rule in zip(node.outputs, rules, strict=False):
            if changing:
                self._changing.add(name)
            if name:
                self.rules[name] = (rule, node.inputs)
                self.shapes[name], self._depth[name] = rule.shape, depth

    def array(self, name: str) -> NDArray[Any]:
        """All values of a (small) tensor."""
        size = math.prod(self.shapes[name])
        values = self.at(name, range(size))
        result = np.empty(size, dtype=object)
        result[:] = values
        return result.reshape(self.shapes[name])

    def at(self, name: str, flat: Sequence[int]) -> list[Value]:
        """The values of some elements of a tensor, by their flat positions."""
        wanted: dict[str, set[int]] = {name: set(flat)}
        order = []
        while wanted:
            # The deepest tensor first: whoever needs it has been asked by then.
            at = max(wanted, key=lambda n: self._depth[n])
            missing = wanted.pop(at) - self.values.get(at, {}).keys()
            if not missing:
                continue
            order.append((at, missing))
            if at in self.rules:
                rule, inputs = self.rules[at]
                for k, needs in rule.needs(np.array(sorted(missing), dtype=np.int64)):
                    wanted.setdefault(inputs[k], set()).update(needs.tolist())
        for at, missing in reversed(order):
            self._compute(at, missing)
        return [self.values[name][k] for k in flat]

    def _compute(self, name: str, missing: set[int]) -> None:
        known = self.values.setdefault(name, {})
        if name in self._leaves:
            leaf = self._leaves[name]
            known.update((k, Fraction(leaf[k])) for k in missing)
            return
        rule, inputs = self.rules[name]
        known.update(rule.compute(sorted(missing), _Reader(self, inputs)))

    def grid(self, name: str) -> tuple[int, dict[int, int]] | None:
        """All known values of a tensor as integers over one denominator, if they are fractions."""
        known = self.values.get(name, {})
        if name not in self._grids or self._grids[name][2] != len(known):
            if any(isinstance(v, Span) for v in known.values()):
                return None
            common = math.lcm(*{v.denominator for v in known.values()})
            whole = {k: v.numerator * (common // v.denominator) for k, v in known.items()}
            self._grids[name] = (common, whole, len(known))
        return self._grids[name][:2]


@dataclass(frozen=True)
class _Reader:
    """What a rule sees of its inputs."""

    evaluator: Evaluator
    inputs: Sequence[str]

    def value(self, k: int, flat: int) -> Value:
        """One element of input ``k``."""
        return self.evaluator.values[self.inputs[k]][flat]

    def dot(self, a: int, left: Sequence[int], b: int, right: Sequence[int]) -> Value:
        """The sum of products of elements of two inputs."""
        p, q = (self.evaluator.grid(self.inputs[k]) for k in (a, b))
        if p is None or q is None:
            pairs = zip(left, right, strict=True)
            return sum((self.value(a, x) * self.value(b, y) for x, y in pairs), Fraction(0))
        x, y = p[1], q[1]
        total = sum(x[i] * y[j] for i, j in zip(left, right, strict=True))
        return Fraction(total, p[0] * q[0])


class Arbiter:
    """Exact values of a model's tensors, frame by frame.

    Parameters
    ----------
    source :
        The model: a file, the bytes of one, or what :func:`load` made of it.

    Raises
    ------
    CompileError
        If the graph holds an operator without an exact rule.
    """

    def __init__(self, source: Path | bytes | Model):
        self.model = source if isinstance(source, Model) else load(source)
        self._evaluators = {256: Evaluator(self.model)}

    def explain(
        self,
        frame: NDArray[Any] | Mapping[str, NDArray[Any]],
        name: str,
        indices: Sequence[tuple[int, ...]],
    ) -> list[Fraction]:
        """The exact values of some elements of tensor ``name`` for one input frame.

        ``frame`` (one array, or one for each input by name) and ``indices`` are without the
        batch axis. Irrational values are given to 256 bits.

        Raises
        ------
        Undecided
            If a value on the way lies on a rounding boundary as far as 4096 bits can tell.
        """
        frames = frame if isinstance(frame, Mapping) else {self.model.inputs[0].name: frame}
        try:
            return self._explain(256, frames, name, indices)
        except Undecided:
            return self._explain(4096, frames, name, indices)

    def _explain(
        self,
        bits: int,
        frames: Mapping[str, NDArray[Any]],
        name: str,
        indices: Sequence[tuple[int, ...]],
    ) -> list[Fraction]:
        if bits not in self._evaluators:
            self._evaluators[bits] = Evaluator(self.model, bits)
        evaluator = self._evaluators[bits]
        evaluator.frame(frames)
        shape = evaluator.shapes[name]
        strides = [math.prod(shape[k + 1 :]) for k in range(1, len(shape))]
        flat = [sum(i * s for i, s in zip(index, strides, strict=True)) for index in indices]
        values = evaluator.at(name, flat)
        return [v.middle if isinstance(v, Span) else Fraction(v) for v in values]
