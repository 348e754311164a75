"""From any traceable module to a network that trains sparse and quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from . import layers
from .method import Method, Weights
from .qat import QAT, Site
from .quantizer import ActQuantizer, Step
from .trace import LINEAR, Traced, trace
from .uniform import Uniform

__all__ = ["Select", "prepare"]

Select = str | Callable[[str, nn.Module], bool]
"""A layer's name, or a predicate of name and module."""

EXCLUDED_BITS = 8
_MOVES = (layers.Concat, layers.MaxPool, layers.Upsample, layers.Flatten, layers.Noise)


def prepare(
    model: nn.Module,
    method: Method,
    example: Tensor,
    *,
    exclude: Iterable[Select] = (),
    own: Mapping[Select, Mapping[str, Any]] | None = None,
    input_bits: int | None = None,
    input_scale: float | None = None,
    input_signed: bool | None = None,
    steps_per_epoch: int = 1,
) -> QAT:
    """A copy of ``model`` that trains with ``method``; the model itself stays as it is.

    Parameters
    ----------
    example
        A batch of inputs as they will come: gives the shape, the grid of the input where that is
        not given, and the first clip levels. Without given grid: integers from 0 get step 1 and
        as many bits as they need; anything else 8 bits over its range, signed where negative.
    exclude
        Layers that the method leaves alone: their weights get 8 bits and no zeros.
    own
        Settings of the method that single layers have otherwise, by name or predicate.
    steps_per_epoch
        How many calls of ``qat.step()`` the method counts as an epoch; with 1 its epochs are
        steps.

    Activations are quantized where they are used by a layer, added, concatenated or pooled; batch
    norms and activation functions before that see real numbers, and become part of the staircase
    when frozen. Tensors that meet in an add or a concat share one scale, and a sum keeps it.

    Raises
    ------
    ValueError
        If something in the model has no circuit, a selection matches no layer, a setting is out of
        range, or ``example`` is not finite; names the layer.
    """
    if not torch.isfinite(example).all():
        raise ValueError("prepare: the example must be finite, and holds inf or nan")
    if steps_per_epoch < 1:
        raise ValueError(f"prepare: steps_per_epoch must be at least 1, not {steps_per_epoch}")
    traced, outputs = trace(model)
    chosen = _methods(traced, method, exclude, own or {})
    grid = _input_grid(example, input_bits, input_scale, input_signed)
    qat = _Builder(traced, outputs, chosen, method, grid, tuple(example.shape[1:])).build(
        steps_per_epoch
    )
    qat.to(example.device)
    qat.first_pass(example)
    return qat


def _methods(
    traced: list[Traced],
    method: Method,
    exclude: Iterable[Select],
    own: Mapping[Select, Mapping[str, Any]],
) -> dict[str, Method]:
    """The method of every layer with weights."""
    modules = {t.name: t.layer for t in traced if isinstance(t.layer, LINEAR)}
    chosen = dict.fromkeys(modules, method)
    for select, settings in own.items():
        for name in _matches(select, modules):
            try:
                chosen[name] = replace(chosen[name], **settings)  # type: ignore[type-var]
            except TypeError as error:
                known = ", ".join(method.__dataclass_fields__)  # type: ignore[attr-defined]
                raise ValueError(
                    f'prepare: settings of "{name}" must be among {known}, not {dict(settings)}'
                ) from error
    for select in exclude:
        for name in _matches(select, modules):
            chosen[name] = Uniform(weight_bits=EXCLUDED_BITS, act_bits=method.act_bits)
    return chosen


def _matches(select: Select, modules: Mapping[str, nn.Module]) -> list[str]:
    if callable(select):
        found = [name for name, module in modules.items() if select(name, module)]
    else:
        found = [name for name in modules if name == select]
    if not found:
        what = getattr(select, "__name__", select)
        raise ValueError(
            f'prepare: "{what}" must select layers with weights ({", ".join(modules)}), and '
            "selects none"
        )
    return found


def _input_grid(
    example: Tensor, bits: int | None, scale: float | None, signed: bool | None
) -> tuple[int, float, bool]:
    """Bits, step and sign of the input's codes."""
    low, high = float(example.min()), float(example.max())
    signed = low < 0 if signed is None else signed
    if bits is None and scale is None and not signed and bool((example == example.round()).all()):
        return max(1, int(high).bit_length()), 1.0, False
    bits = 8 if bits is None else bits
    if not 1 <= bits <= 16:
        raise ValueError(f"prepare: input_bits must be 1 to 16, not {bits}")
    if scale is None:
        largest = max(abs(low), abs(high)) or 1.0
        scale = float(torch.tensor(largest / (2 ** (bits - signed) - 1)))
    if not 0 < scale < float("inf"):
        raise ValueError(f"prepare: input_scale must be above 0, not {scale}")
    return bits, float(torch.tensor(scale)), signed


class _Builder:
    """Puts quantizers where tensors are used, and gives those that meet one step."""

    def __init__(
        self,
        traced: list[Traced],
        outputs: list[str],
        methods: Mapping[str, Method],
        method: Method,
        grid: tuple[int, float, bool],
        shape: tuple[int, ...],
    ):
        self.traced = {t.name: t for t in traced}
        self.outputs = outputs
        self.methods = methods
        self.method = method
        self.grid = grid
        self.shape = shape
        self.shared: dict[nn.Module, Weights] = {}
        self.sites: dict[str, Site] = {}
        # For each open tensor the quantizer behind it, made when first needed.
        self.closed: dict[str, str] = {}
        self.parent: dict[str, str] = {}
        self.quantizers: dict[str, tuple[int, bool]] = {}

    def build(self, steps_per_epoch: int) -> QAT:
        order = {t.name: self.place(t) for t in self.traced.values()}
        ends = []
        for name in self.outputs:
            placed = order[name]
            ends.append(placed if self.is_logits(name) else self.close(placed))
        self.share()
        return QAT(self.sites, tuple(ends), self.method, steps_per_epoch)

    def place(self, t: Traced) -> str:
        bits, step, signed = self.grid
        if t.name == "input":
            layer: nn.Module = layers.Input(self.shape, bits, Step(bits, step), signed=signed)
            return self.put(t.name, layer)
        try:
            if isinstance(t.layer, LINEAR):
                return self.put(t.name, self.linear(t), self.close(t.inputs[0]))
            if isinstance(t.layer, layers.Pointwise):
                return self.put(t.name, t.layer, t.inputs[0])
            if isinstance(t.layer, layers.Noise) and not self.is_closed(t.inputs[0]):
                return self.put(t.name, t.layer, t.inputs[0])
            closed = tuple(self.close(i) for i in t.inputs)
        except ValueError as error:
            raise ValueError(f'Layer "{t.name}": {error}') from error
        if isinstance(t.layer, layers.Add | layers.Concat):
            self.unite(closed)
        return self.put(t.name, t.layer, *closed)

    def put(self, name: str, layer: nn.Module, *inputs: str) -> str:
        self.sites[name] = Site(layer, inputs)
        return name

    def linear(self, t: Traced) -> layers.Linear:
        source: Any = t.layer
        if source not in self.shared:
            self.shared[source] = Weights(source.weight, self.methods[t.name])
        return layers.Linear(source, self.shared[source])

    def is_closed(self, name: str) -> bool:
        """Whether the tensor of that name is made of codes."""
        layer = self.sites[name].layer
        if isinstance(layer, layers.Noise):
            return self.is_closed(self.sites[name].inputs[0])
        return isinstance(layer, (layers.Input, ActQuantizer, *_MOVES))

    def close(self, name: str) -> str:
        """The name of a quantized version of a tensor."""
        if self.is_closed(name):
            return name
        if name not in self.closed:
            root, positive = name, False
            functions = []
            while isinstance(self.sites[root].layer, layers.Pointwise | layers.Noise):
                functions.append(getattr(self.sites[root].layer, "function", None))
                root = self.sites[root].inputs[0]
            for function in reversed(functions):
                positive = self.keeps_positive(function, positive)
            if isinstance(self.sites[root].layer, layers.Add | layers.AvgPool) and not functions:
                positive = all(self.unsigned(i) for i in self.sites[root].inputs)
            act, count = f"{root}.act", 1
            while act in self.sites or act in self.traced:
                count += 1
                act = f"{root}.act{count}"
            bits = self.bits(root)
            self.quantizers[act] = (bits, not positive)
            self.parent[act] = act
            # The step is put in by share().
            self.closed[name] = self.put(act, nn.Identity(), name)
            self.sites[act] = Site(ActQuantizer(bits, Step(bits), signed=not positive), (name,))
            if isinstance(self.sites[root].layer, layers.Add):
                # A sum keeps the step of what is added, so that the circuit only has to clamp it.
                self.unite([act, *self.sites[root].inputs])
        return self.closed[name]

    def keeps_positive(self, function: object, before: bool) -> bool:
        match function:
            case nn.Hardtanh():
                return function.min_val >= 0
            case nn.ReLU() | nn.Sigmoid():
                return True
            case nn.Dropout() | nn.Dropout1d() | nn.Dropout2d() | nn.LeakyReLU():
                return before
        return False

    def bits(self, root: str) -> int:
        """Bits of the codes behind a sum: those of its layer's method."""
        return self.methods[root].act_bits if root in self.methods else self.method.act_bits

    def unsigned(self, name: str) -> bool:
        return all(not self.signed(root) for root in self.roots(name))

    def signed(self, root: str) -> bool:
        return self.grid[2] if root == "input" else self.quantizers[root][1]

    def roots(self, name: str) -> list[str]:
        """The quantizers whose codes a closed tensor holds."""
        layer = self.sites[name].layer
        if isinstance(layer, layers.Input | ActQuantizer):
            return [name]
        return [root for i in self.sites[name].inputs for root in self.roots(i)]

    def unite(self, closed: Iterable[str]) -> None:
        """One step for all quantizers whose codes are in these tensors."""
        first, *others = (root for i in closed for root in self.roots(i))
        for root in others:
            self.parent[self.top(root)] = self.top(first)

    def top(self, root: str) -> str:
        while self.parent.get(root, root) != root:
            root = self.parent[root]
        return root

    def share(self) -> None:
        """One step for each group of quantizers: that of the input, or a learned one."""
        groups: dict[str, list[str]] = {}
        for root in (*(["input"] if "input" in self.sites else []), *self.quantizers):
            groups.setdefault(self.top(root), []).append(root)
        for members in groups.values():
            if "input" in members:
                entry = self.sites["input"].layer
                assert isinstance(entry, layers.Input)
                step = entry.step
            else:
                step = Step(max(self.quantizers[m][0] for m in members))
            for name in members:
                if name != "input":
                    bits, signed = self.quantizers[name]
                    source = self.sites[name].inputs
                    self.sites[name] = Site(ActQuantizer(bits, step, signed=signed), source)

    def is_logits(self, name: str) -> bool:
        """Whether an output is an affine function of sums, which the host can apply."""
        while isinstance(self.sites[name].layer, layers.Pointwise):
            function = self.sites[name].layer.function
            if isinstance(function, (nn.ReLU, nn.Hardtanh, nn.LeakyReLU, nn.Hardswish, nn.SiLU)):
                return False
            if isinstance(function, nn.Sigmoid):
                return False
            name = self.sites[name].inputs[0]
        return isinstance(self.sites[name].layer, layers.Linear | layers.AvgPool)
