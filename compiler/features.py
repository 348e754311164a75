"""What the LUTs and flip-flops of operators without weights depend on, by name."""

from __future__ import annotations

from typing import Any

from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.buffer import Buffer
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.fork import Fork
from sqwire.hw.pace import Pace
from sqwire.hw.queue import Queue
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.hw.width import Pack, Unpack

__all__ = ["small_features"]


def small_features(spec: Any) -> dict[str, float] | None:
    """Those of operators that compare, upsample, spread, convert or hold beats; None of others."""
    name = type(spec).__name__.lower()
    known = _known(spec)
    return None if known is None else {f"{name}.{what}": value for what, value in known.items()}


def _known(spec: Any) -> dict[str, float] | None:
    match spec:
        case CostVolume():
            terms = spec.shifts * sum(term.bits for term in spec.terms)
            form = "term" if spec.form == "difference" else "product"
            return {
                "one": 1,
                f"{form}_bits": terms,
                "out_bits": spec.shifts * spec.range.bits,
                "shifted_bits": spec.shifts * spec.inputs[1].bits,
            }
        case SubpixelArgMax():
            bits, lanes = spec.beat.range.bits, spec.beat.lanes
            steps = spec.parts.bit_length()
            return {"one": 1, "lane_bits": lanes * bits, "step_bits": steps * (bits + steps)}
        case BilinearRows():
            # Two rows, of LUT RAM where they are short.
            luts = sum(store.luts * store.copies for store in spec.stores if store.kind == "lut")
            return {**_mixed(spec), "lut_memory": luts}
        case BilinearColumns():
            return _mixed(spec)
        case Pace():
            count = (spec.cycles // spec.beats).bit_length() + (spec.beats - 1).bit_length()
            return {"one": 1, "counter_bits": count}
        case Pack():
            return {"one": 1, "bits": spec.outputs[0].bits}
        case Unpack():
            bits = spec.inputs[0].bits
            return {"one": 1, "bits": bits, "shifted_bits": bits - spec.beat.bits}
        case Fork():
            return {"ways": spec.ways, "pairs": spec.ways * (spec.ways - 1) / 2}
        case Buffer():
            return {"one": 1, "bits": spec.beat.bits}
        case Queue():
            return _queue(spec)
    return None


def _mixed(spec: BilinearRows | BilinearColumns) -> dict[str, float]:
    counters = (spec.height - 1, spec.width - 1, spec.factor - 1)
    return {
        "one": 1,
        "bits": spec.beat.bits,
        "mixed_bits": spec.outputs[0].bits * spec.factor,
        "counter_bits": sum(count.bit_length() for count in counters),
    }


def _queue(spec: Queue) -> dict[str, float]:
    bits = spec.beat.bits
    if spec.depth < 3:
        return {"register_bits": bits * spec.depth}
    luts = [store.luts for store in spec.stores if store.kind == "lut"]
    return {
        "one": 1,
        "count_bits": spec.depth.bit_length(),
        "out_bits": bits if luts else 0,
        "block_bits": 0 if luts else bits,
        "lut_memory": sum(luts),
    }
