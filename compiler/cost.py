"""What hardware costs on an ECP5, before Yosys says it: a model whose coefficients it gave.

``bench/calibrate.py`` fits the coefficients in ``cost.json`` to netlists and measures the error on
other ones. Multipliers and block RAMs are counted, not estimated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqwire.hw.candidates import Candidates
from sqwire.hw.dot import Dot
from sqwire.hw.folded.affine import Affine
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.upsample import Upsample
from sqwire.hw.queue import Queue

__all__ = ["MODEL", "Cost", "cost", "features"]

MODEL = Path(__file__).with_name("cost.json")
"""Where the coefficients are."""


@dataclass(frozen=True)
class Cost:
    """``luts`` are LUT sites: LUT4, two for a carry cell, six for a LUT RAM cell of 16 x 4 bits."""

    luts: float = 0
    ffs: float = 0
    dsps: int = 0
    brams: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.luts + other.luts,
            self.ffs + other.ffs,
            self.dsps + other.dsps,
            self.brams + other.brams,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.luts - other.luts,
            self.ffs - other.ffs,
            self.dsps - other.dsps,
            self.brams - other.brams,
        )

    def over(self, room: Cost) -> list[str]:
        """What there is more of than ``room``."""
        return [name for name, value in asdict(self).items() if value > getattr(room, name)]


def features(spec: Any) -> dict[str, float]:
    """What the LUTs and flip-flops of an operator depend on, by name."""
    if isinstance(spec, Folded):
        return _folded(spec)
    if isinstance(spec, Functions | Pool | Reduce | Upsample):
        return _serial(spec)
    if isinstance(spec, Dot):
        widths = [r.bits for r in spec.graph.ranges]
        adders = widths[len(spec.ranges) :]
        return {"dot.adder_bits": sum(adders), "dot.outputs": sum(r.bits for r in spec.row_ranges)}
    if isinstance(spec, Queue):
        memory = sum(store.luts for store in spec.stores if store.kind == "lut")
        return {"queue.bits": spec.beat.bits, "queue.one": 1, "queue.lut_memory": memory}
    bits = sum(beat.bits for beat in (*spec.inputs, *spec.outputs))
    name = type(spec).__name__.lower()
    known: dict[str, float] = {f"{name}.bits": bits}
    if isinstance(spec, Candidates):
        known[f"{name}.lut_memory"] = sum(s.luts for s in spec.stores if s.kind == "lut")
    return known


def _folded(spec: Folded) -> dict[str, float]:
    layout, kind = spec.program.layout, spec.multiplier
    lanes, code = layout.lanes, spec.range.bits
    return {
        "folded.one": 1,
        f"folded.{kind}": lanes,
        f"folded.{kind}_bits": lanes * code * spec.multiply.value_bits,
        "folded.rotate_bits": lanes * code * (layout.ring - 1).bit_length(),
        "folded.acc_bits": lanes * spec.acc_bits,
        "folded.address_bits": lanes * spec.address_bits,
        "folded.collect_bits": lanes * spec.acc_bits * spec.buffers,
        "folded.lut_memory": sum(s.luts * s.copies for s in spec.stores if s.kind == "lut"),
        "folded.out_bits": layout.lanes_out * spec.acc_bits,
    }


def _serial(spec: Functions | Pool | Reduce | Upsample) -> dict[str, float]:
    """An operator on channels that follow each other."""
    name = type(spec).__name__.lower()
    (x,), (y,) = spec.inputs, spec.outputs
    known: dict[str, float] = {
        f"{name}.one": 1,
        f"{name}.bits": x.bits + y.bits,
        f"{name}.lut_memory": sum(s.luts * s.copies for s in spec.stores if s.kind == "lut"),
    }
    if isinstance(spec, Functions):
        searches = [circuit for circuit in spec.circuits if not isinstance(circuit, Affine)]
        channel = (spec.beats_position - 1).bit_length()
        known["functions.search_bits"] = sum(c.bits * (c.domain.bits + channel) for c in searches)
        known["functions.affine_bits"] = x.range.bits * (len(spec.circuits) - len(searches))
    if isinstance(spec, Pool):
        known["pool.address_bits"] = spec.address_bits
    return known


def cost(specs: Iterable[Any]) -> Cost:
    """The cost of some operators."""
    total = Cost()
    model = _model()
    for spec in specs:
        known = features(spec)
        luts, ffs = (
            sum(model[what].get(name, 0.0) * value for name, value in known.items())
            for what in ("luts", "ffs")
        )
        stores = getattr(spec, "stores", ())
        brams = sum(store.blocks for store in stores)
        # Netlists count two LUT sites for a LUT RAM cell, and it takes six.
        ram = sum(4 * s.cells * s.copies for s in stores if s.kind == "lut")
        total += Cost(max(luts, 0) + ram, max(ffs, 0), _multipliers(spec), brams)
    return total


def _multipliers(spec: Any) -> int:
    if isinstance(spec, Functions):
        return sum(isinstance(circuit, Affine) for circuit in spec.circuits)
    if not isinstance(spec, Folded):
        return 0
    own = spec.multiply.multipliers if spec.multiplier == "dsp" else 0
    return int(own) + sum(isinstance(circuit, Affine) for circuit in spec.requantise)


@cache
def _model() -> dict[str, dict[str, float]]:
    """The coefficients, by what they predict."""
    model: dict[str, dict[str, float]] = json.loads(MODEL.read_text())["coefficients"]
    return model
