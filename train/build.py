"""Where quantizers go, and which of them share a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from . import layers, matching_layers
from .candidates import Records
from .method import Method, Weights
from .qat import QAT, Site
from .quantizer import ActQuantizer, Step
from .trace import FUNCTION, LINEAR, Traced

__all__ = ["Builder"]

_ENDS = matching_layers.Head | matching_layers.Agreement | Records
"""What the host reads, and nothing else."""
_MOVES = (
    layers.Concat, layers.MaxPool, layers.Upsample, layers.Flatten, layers.Noise,
    matching_layers.Channels, matching_layers.Edges, matching_layers.Middle,
)  # fmt: skip


class Builder:
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
        # For layers that share weights and functions, the first one's quantizer.
        self.twins: dict[tuple[Any, ...], str] = {}

    def build(self, steps_per_epoch: int) -> QAT:
        order = {t.name: self.place(t) for t in self.traced.values()}
        ends = []
        for name in self.outputs:
            placed = order[name]
            ends.append(placed if self.is_logits(name) else self.close(placed))
        self.share()
        self.compare()
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
            if isinstance(t.layer, matching_layers.Head) and self.comparable(t.inputs[0]):
                return self.put(t.name, t.layer, t.inputs[0])
            if isinstance(t.layer, matching_layers.Agreement):
                if not all(isinstance(self.sites[i].layer, matching_layers.Head) for i in t.inputs):
                    raise ValueError("its inputs must be two Disparity heads")
                return self.put(t.name, t.layer, *t.inputs)
            if isinstance(t.layer, Records) and isinstance(
                self.linear_root(t.inputs[0]), layers.Linear
            ):
                return self.put(t.name, t.layer, t.inputs[0])
            if isinstance(t.layer, layers.Noise) and not self.is_closed(t.inputs[0]):
                return self.put(t.name, t.layer, t.inputs[0])
            closed = tuple(self.close(i) for i in t.inputs)
        except ValueError as error:
            raise ValueError(f'Layer "{t.name}": {error}') from error
        if isinstance(t.layer, layers.Add | layers.Concat | matching_layers.Cost):
            self.unite(closed)
        return self.put(t.name, t.layer, *closed)

    def put(self, name: str, layer: nn.Module, *inputs: str) -> str:
        self.sites[name] = Site(layer, inputs)
        return name

    def linear(self, t: Traced) -> layers.Linear:
        source: Any = t.layer
        if source not in self.shared:
            weight = source.weight
            if isinstance(source, nn.ConvTranspose1d | nn.ConvTranspose2d):
                first = layers.outputs_first(weight.detach(), source.groups)
                weight = nn.Parameter(first.contiguous(), requires_grad=weight.requires_grad)
            self.shared[source] = Weights(weight, self.methods[t.name])
        return layers.Linear(source, self.shared[source])

    def comparable(self, name: str) -> bool:
        """Whether a tensor is sums of products alone, so that its channels share a scale."""
        layer = self.sites[name].layer
        return (
            isinstance(layer, layers.Linear)
            and layer.bias is None
            and not getattr(self.methods[name], "per_channel", False)
        )

    def compare(self) -> None:
        """Sums that nobody reads but a head are compared as integers in evaluation too."""
        for site in self.sites.values():
            if isinstance(site.layer, matching_layers.Head):
                (name,) = site.inputs
                source = self.sites[name].layer
                readers = [n for s in self.sites.values() for n in s.inputs].count(name)
                if isinstance(source, layers.Linear) and readers == 1:
                    source.compared = name not in self.outputs

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
            if isinstance(self.sites[root].layer, Records | matching_layers.Agreement):
                raise ValueError(
                    f'nothing may follow "{root}": the host reads candidates and consistency'
                )
            for function in reversed(functions):
                positive = self.keeps_positive(function, positive)
            if isinstance(self.sites[root].layer, layers.Add | layers.AvgPool) and not functions:
                positive = all(self.unsigned(i) for i in self.sites[root].inputs)
            elif isinstance(cost := self.sites[root].layer, matching_layers.Cost) and not functions:
                positive = cost.positive
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
            if root in self.traced and isinstance(self.traced[root].layer, LINEAR):
                # Twins keep one step, so that one circuit may serve both.
                key = (self.traced[root].layer, *functions)
                self.unite([self.twins.setdefault(key, act), act])
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
        root = self.linear_root(name)
        return isinstance(root, layers.Linear | layers.AvgPool | _ENDS)

    def linear_root(self, name: str) -> nn.Module | None:
        """The layer of which a tensor is an affine function, if it is one."""
        while isinstance(self.sites[name].layer, layers.Pointwise):
            function = self.sites[name].layer.function
            if isinstance(function, FUNCTION):
                return None
            name = self.sites[name].inputs[0]
        return self.sites[name].layer
