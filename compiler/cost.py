"""What hardware costs on an ECP5, before Yosys says it: a model whose coefficients it gave.

``bench/calibrate.py`` fits the coefficients in ``cost.json`` to netlists and measures the error on
other ones. Multipliers and block RAMs are counted, not estimated. For devices without LUT RAM
memories are counted as what they become there; a LUT site is then a cell of a LUT and a flip-flop,
of which the latter often stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.candidates import Candidates
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.dot import Dot
from sqwire.hw.folded.affine import Affine
from sqwire.hw.folded.costvolume import CostVolume as FoldedCostVolume
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.memory import FABRICS, Fabric, Store, lut_memory
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.slots import power_of_two
from sqwire.hw.folded.upsample import Upsample

from .features import small_features

__all__ = ["MODEL", "Cost", "cost", "features", "stores_of"]

MODEL = Path(__file__).with_name("cost.json")
"""Where the coefficients are."""
# On an iCE40, this share of flip-flops has no LUT in front (the network of the demo).
_ALONE = 0.5
# Yosys makes a block RAM there of what has more bits than this, where nobody says what it is to be.
_AUTO_BITS = 64


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
    if isinstance(spec, Reduce | Upsample):
        return _serial(spec)
    if isinstance(spec, Dot):
        widths = [r.bits for r in spec.graph.ranges]
        adders = widths[len(spec.ranges) :]
        return {
            "dot.adder_bits": sum(adders),
            "dot.outputs": sum(r.bits for r in spec.row_ranges),
            "dot.lut_memory": lut_memory(spec.stores),
        }
    small = small_features(spec)
    if small is not None:
        return small
    bits = sum(beat.bits for beat in (*spec.inputs, *spec.outputs))
    name = type(spec).__name__.lower()
    known: dict[str, float] = {f"{name}.bits": bits}
    if isinstance(spec, Candidates):
        known[f"{name}.lut_memory"] = sum(s.luts for s in spec.stores if s.kind == "lut")
    return known


def _folded(spec: Folded) -> dict[str, float]:
    layout, kind = spec.program.layout, spec.multiplier
    lanes, code = layout.lanes, spec.range.bits
    around = not power_of_two(spec.slots)
    if spec.program.split:
        return {
            "split.one": 1,
            f"split.{kind}": lanes,
            f"split.{kind}_bits": lanes * code * spec.multiply.value_bits,
            "split.acc_bits": lanes * spec.acc_bits,
            "split.address_bits": lanes * spec.address_bits,
            "split.place_bits": lanes * (spec.program.place_bits or 0),
            "split.lut_memory": lut_memory(spec.stores),
            "split.out_bits": spec.acc_bits,
            "split.around": around,
            "split.around_addresses": around * lanes,
        }
    banks, addresses = spec.bank_store.copies, 1 if spec.program.dense else lanes
    return {
        "folded.one": 1,
        f"folded.{kind}": lanes,
        f"folded.{kind}_bits": lanes * code * spec.multiply.value_bits,
        "folded.rotate_bits": banks * code * spec.program.rotation_bits,
        "folded.acc_bits": lanes * spec.acc_bits,
        "folded.dense": spec.program.dense,
        "folded.address_bits": addresses * spec.address_bits,
        "folded.collect_bits": lanes * spec.acc_bits * spec.buffers,
        "folded.lut_memory": lut_memory(spec.stores),
        "folded.out_bits": layout.lanes_out * spec.acc_bits,
        "folded.around": around,
        "folded.around_addresses": around * addresses,
    }


def _serial(spec: Reduce | Upsample) -> dict[str, float]:
    """An operator on channels that follow each other."""
    name = type(spec).__name__.lower()
    (x,), (y,) = spec.inputs, spec.outputs
    return {
        f"{name}.one": 1,
        f"{name}.bits": x.bits + y.bits,
        f"{name}.lut_memory": lut_memory(spec.stores),
    }


def cost(specs: Iterable[Any], fabric: str = "ecp5") -> Cost:
    """The cost of some operators on devices of a ``fabric``."""
    total = Cost()
    model, made_of = _model(), FABRICS[fabric]
    for spec in specs:
        known = features(spec)
        luts, ffs = (
            sum(model[what].get(name, 0.0) * value for name, value in known.items())
            for what in ("luts", "ffs")
        )
        luts, ffs = max(luts, 0), max(ffs, 0)
        stores = [_on(store, made_of) for store in stores_of(spec)]
        brams = sum(store.blocks for store in stores)
        rams = [store for store in stores if store.kind == "lut" and not store.rom]
        if made_of.lut_ram:
            # Netlists count two LUT sites for a LUT RAM cell, and it takes six.
            luts += sum(4 * store.cells * store.copies for store in rams)
        else:
            luts += _ALONE * ffs
            ffs += sum(store.bits for store in rams)
        total += Cost(luts, ffs, _multipliers(spec), brams)
    return total


def stores_of(spec: Any) -> tuple[Store, ...]:
    """The memories of an operator."""
    return tuple(getattr(spec, "stores", ()))


def _on(store: Store, made_of: Fabric) -> Store:
    """``store`` as it comes out there; what was described for other devices is left to Yosys."""
    if store.fabric.shapes == made_of.shapes:
        return store
    auto = replace(store, fabric=replace(made_of, worth=0 if store.bits > _AUTO_BITS else 1 << 30))
    return store if store.rom else auto


def _multipliers(spec: Any) -> int:
    if isinstance(spec, Functions):
        return sum(isinstance(circuit, Affine) for circuit in spec.circuits)
    if isinstance(spec, CostVolume):
        # Yosys gives every product a multiplier of its own, however narrow.
        return len(spec.left) * spec.shifts if spec.form == "product" else 0
    if isinstance(spec, FoldedCostVolume):
        return len(spec.volume.left) * spec.lanes if spec.volume.form == "product" else 0
    if isinstance(spec, BilinearColumns | BilinearRows):
        return spec.beat.lanes if spec.factor > 2 else 0
    if not isinstance(spec, Folded):
        return 0
    own = spec.multiply.multipliers if spec.multiplier == "dsp" else 0
    return int(own) + sum(isinstance(circuit, Affine) for circuit in spec.requantise)


@cache
def _model() -> dict[str, dict[str, float]]:
    """The coefficients, by what they predict."""
    model: dict[str, dict[str, float]] = json.loads(MODEL.read_text())["coefficients"]
    return model
