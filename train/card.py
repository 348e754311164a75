"""The quantization card: what a frozen network is, how it was made, and what it stores.

After Garg et al., arXiv 2102.06366, who ask that methods report what confounds them; the fields are
ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from . import ops
from .accounting import FLOAT_BITS, storage
from .frozen import Frozen

__all__ = ["REQUIRED", "Card", "Layer", "card"]

REQUIRED = ("method", "settings", "epochs", "seed", "data", "calibration", "excluded")
"""What must be known about the training."""


@dataclass(frozen=True)
class Layer:
    """A layer with weights, or a sum (addition, pool) with none.

    ``stored`` are the bits of the weights in the best ``format`` of :mod:`sqwire.train.accounting`;
    ``constants`` are float32 gains and biases of the staircases or the logits behind the layer,
    scales and batch norm in one. ``macs`` are products a frame, ``active_macs`` those with a
    weight that is not 0, ``bops`` active products times bits of weight and activation.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    nonzeros: int
    weight_bits: int
    largest_code: int
    input_bits: int
    act_bits: int | None
    act_signed: bool | None
    accumulator: tuple[int, int]
    accumulator_bits: int
    format: str
    stored: int
    constants: int
    macs: int
    active_macs: int
    bops: int

    @property
    def zeros(self) -> float:
        """Share of the weights that are zero."""
        return 1 - self.nonzeros / self.weights if self.weights else 0.0

    @property
    def stored_bits(self) -> int:
        """All bits of the layer."""
        return self.stored + self.constants * FLOAT_BITS


@dataclass(frozen=True)
class Card:
    """What was trained, how, and how much smaller it is. ``facts`` are those of the training."""

    layers: tuple[Layer, ...]
    input_bits: int
    input_signed: bool
    input_scale: float
    facts: Mapping[str, Any]

    @property
    def weights(self) -> int:
        """Weights of all layers, zeros included, shared ones once, and those of layers that were
        removed."""
        return sum(layer.weights for layer in self.own) + self.removed

    @property
    def own(self) -> tuple[Layer, ...]:
        """Layers without those that only use the weights of another one once more."""
        shared = self.facts.get("shared", {})
        return tuple(layer for layer in self.layers if layer.name not in shared)

    @property
    def removed(self) -> int:
        """Weights of layers that had none left and were removed."""
        return int(sum(dict(self.facts.get("removed", {})).values()))

    @property
    def nonzeros(self) -> int:
        """Weights that are not zero."""
        return sum(layer.nonzeros for layer in self.own)

    @property
    def zeros(self) -> float:
        """Share of all weights that are zero."""
        return 1 - self.nonzeros / self.weights

    @property
    def compression(self) -> float:
        """Honest: float bits of the weights over all bits stored for every layer."""
        return FLOAT_BITS * self.weights / sum(layer.stored_bits for layer in self.own)

    @property
    def papers_compression(self) -> float:
        """As papers on sparsity count: nonzero weights only; where they stand and all constants
        are free."""
        stored = sum(layer.nonzeros * layer.weight_bits for layer in self.own)
        return FLOAT_BITS * self.weights / stored if stored else math.inf

    @property
    def papers_width_compression(self) -> float:
        """As papers on widths count: every weight at its layer's width without the sign."""
        stored = sum(layer.weights * (layer.weight_bits - 1) for layer in self.own)
        return FLOAT_BITS * self.weights / stored if stored else math.inf

    @property
    def bops(self) -> int:
        """Active products times bits of weight and activation, a frame."""
        return sum(layer.bops for layer in self.layers)

    @property
    def float_bops(self) -> int:
        """All products at 32 by 32 bits."""
        return sum(layer.macs for layer in self.layers) * FLOAT_BITS**2

    def document(self) -> dict[str, Any]:
        """The card as plain data.

        Raises
        ------
        ValueError
            If a field is missing: one of :data:`REQUIRED`, or one of a layer.
        """
        missing = [name for name in REQUIRED if self.facts.get(name) is None]
        for layer in self.layers:
            # Whoever makes layers by hand may leave something open.
            missing += [
                f"{layer.name}.{f.name}"
                for f in fields(layer)
                if getattr(layer, f.name) is None and f.name not in ("act_bits", "act_signed")
            ]
        if missing:
            raise ValueError(
                f"Card: every field must be filled, and {', '.join(missing)} is not; give it to "
                "qat.freeze(...)"
            )
        linear = [layer for layer in self.layers if layer.weights]
        sums = [layer for layer in self.layers if layer.kind == "add"]
        return {
            "weights": self.weights,
            "nonzeros": self.nonzeros,
            "zeros": self.zeros,
            "compression": self.compression,
            "papers_compression": self.papers_compression,
            "papers_width_compression": self.papers_width_compression,
            "bops": self.bops,
            "float_bops": self.float_bops,
            "input": {
                "bits": self.input_bits, "signed": self.input_signed, "scale": self.input_scale
            },
            "weight_grid": "symmetric, zero-anchored, narrow",
            "scale_format": "float32 gain and bias a channel in each staircase; codes have step 1",
            "bias": "float32, in the staircase",
            "rounding": "half to even",
            "batch_norm": "folded into the staircase, never into weights",
            "activation_range": "static, a learned clip level",
            "residual_bits": sorted({b for s in sums if (b := s.act_bits) is not None}),
            "first_layer": {"name": linear[0].name, "weight_bits": linear[0].weight_bits},
            "last_layer": {"name": linear[-1].name, "weight_bits": linear[-1].weight_bits},
            "layers": [
                {**asdict(layer), "zeros": layer.zeros, "stored_bits": layer.stored_bits}
                for layer in self.layers
            ],
            **self.facts,
        }  # fmt: skip

    def to_json(self) -> str:
        """The card as text; the same card gives the same text. Raises as :meth:`document`."""
        return json.dumps(self.document(), indent=2) + "\n"

    def save(self, path: Path | str) -> None:
        """Write :meth:`to_json` to a file; raises as that, and then writes nothing."""
        text = self.to_json()
        Path(path).write_text(text)

    def __str__(self) -> str:
        """The card to read."""
        head = f"{'layer':24}{'weights':>10}{'zeros':>8}{'bits':>6}{'acc':>5}{'act':>5}  stored as"
        rows = [head]
        for layer in self.layers:
            act = "-" if layer.act_bits is None else f"{'su'[not layer.act_signed]}{layer.act_bits}"
            rows.append(
                f"{layer.name:24}{layer.weights:>10,}{layer.zeros:>8.1%}{layer.weight_bits:>6}"
                f"{layer.accumulator_bits:>5}{act:>5}  {layer.format} {layer.stored_bits:,} bits"
            )
        rows.append(
            f"{self.weights:,} weights, {self.zeros:.1%} zeros; compression "
            f"{self.compression:.1f}x with everything counted, {self.papers_compression:.1f}x as "
            f"papers on sparsity count, {self.papers_width_compression:.1f}x as papers on widths "
            f"count; BOPs {self.bops:.3g} of {self.float_bops:.3g}"
        )
        return "\n".join(rows)


def card(network: Frozen, facts: Mapping[str, Any] | None = None) -> Card:
    """The card of a frozen network; ``facts`` about its training add to those it holds."""
    shapes = network.shapes()
    layers = tuple(
        _layer(network, name, shapes)
        for name, node in network.nodes.items()
        if isinstance(node.op, ops.Conv | ops.FullyConnected | ops.AddCodes | ops.SumPool)
    )
    entry = network.input
    told = {**(network.facts or {}), **(facts or {})}
    return Card(layers, entry.bits, entry.signed, entry.scale, told)


def _layer(network: Frozen, name: str, shapes: Mapping[str, tuple[int, ...]]) -> Layer:
    """One layer, with the staircases or the logits made of its accumulators."""
    node = network.nodes[name]
    op, bounds = node.op, node.bounds
    linear = op if isinstance(op, ops.Conv | ops.FullyConnected) else None
    weight = linear.weight if linear else np.zeros(0, dtype=np.int64)
    kept = storage(weight, linear.bits if linear else 0)
    after = [n.op for n in network.nodes.values() if name in n.inputs]
    stairs = [s for s in after if isinstance(s, ops.Staircase)]
    nonzeros = int(np.count_nonzero(weight))
    positions = 1
    if isinstance(op, ops.Conv):
        over = node.inputs[0] if op.transposed else name
        positions = int(np.prod(shapes[over][1:]))
    low, high = int(bounds.low.min()), int(bounds.high.max())
    input_bits = max(_code_bits(network, i) for i in node.inputs)
    kinds = {ops.Conv: "conv", ops.FullyConnected: "linear", ops.AddCodes: "add"}
    return Layer(
        name=name,
        kind=kinds.get(type(op), "pool"),
        shape=weight.shape if weight.size else (),
        weights=weight.size,
        nonzeros=nonzeros,
        weight_bits=linear.bits if linear else 0,
        largest_code=int(np.abs(weight).max(initial=0)),
        input_bits=input_bits,
        act_bits=stairs[0].bits if stairs else None,
        act_signed=stairs[0].signed if stairs else None,
        accumulator=(low, high),
        accumulator_bits=max(
            high.bit_length() + (low < 0), (-low - 1).bit_length() + 1 if low else 0
        ),
        format=kept.best,
        stored=kept.bits,
        constants=sum(_constants(a) for a in after),
        macs=weight.size * positions,
        active_macs=nonzeros * positions,
        bops=nonzeros * positions * (linear.bits if linear else 0) * input_bits,
    )


def _constants(op: ops.Op) -> int:
    """Float32 numbers that an operation holds."""
    if isinstance(op, ops.Logits):
        return len(op.gain) + len(op.bias)
    if not isinstance(op, ops.Staircase):
        return 0
    return sum(int(np.size(v)) for f in op.chain.functions for v in vars(f).values())


def _code_bits(network: Frozen, name: str) -> int:
    """Bits of the codes after a node."""
    node = network.nodes[name]
    if isinstance(node.op, ops.Quantize | ops.Staircase):
        return node.op.bits
    return max(_code_bits(network, i) for i in node.inputs)
