"""What the LUTs and flip-flops of operators without weights depend on, by name."""

from __future__ import annotations

from typing import Any

from sqwire.hw.argmax import ArgMax
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.buffer import Buffer
from sqwire.hw.concat import Concat
from sqwire.hw.costvolume import CostVolume
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.folded.argmax import ArgMax as FoldedArgMax
from sqwire.hw.folded.costvolume import CostVolume as FoldedCostVolume
from sqwire.hw.folded.depthtospace import DepthToSpace as FoldedDepthToSpace
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.memory import lut_memory
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.subpixel import SubpixelArgMax as FoldedSubpixelArgMax
from sqwire.hw.fork import Fork
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.pace import Pace
from sqwire.hw.pad import Pad
from sqwire.hw.queue import Queue
from sqwire.hw.resize import Resize
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.staircase import Staircase
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.hw.sumpool import SumPool
from sqwire.hw.width import Pack, Unpack
from sqwire.hw.window import Window

from . import frame_features as frames
from . import function_features as functions
from .sites import bits_of, sums

__all__ = ["small_features"]

# The difference of two codes of so few bits is a table.
_NARROW = 2


def small_features(spec: Any) -> dict[str, float] | None:
    """Those of operators that compare, upsample, spread, convert or hold beats; None of others."""
    name = type(spec).__name__.lower()
    known = _known(spec)
    return None if known is None else {f"{name}.{what}": value for what, value in known.items()}


def _known(spec: Any) -> dict[str, float] | None:
    match spec:
        case CostVolume():
            return _cost_volume(spec, spec.shifts)
        case FoldedCostVolume():
            own = _cost_volume(spec.volume, spec.lanes)
            switched = spec.inputs[1].bits * spec.lanes
            own |= {"switched_bits": switched * (spec.lanes - 1).bit_length()}
            own |= {"bits": switched + 2 * spec.inputs[0].bits, "memory": lut_memory(spec.stores)}
            return {f"folded_{name}": value for name, value in own.items()}
        case SerialDot():
            return _serial_dot(spec)
        case FoldedSubpixelArgMax():
            bits, steps = spec.whole.beat.range.bits, spec.whole.parts.bit_length()
            return {
                "folded": 1,
                "folded_lane_bits": spec.lanes * bits,
                "folded_step_bits": steps * (bits + steps),
            }
        case SubpixelArgMax():
            bits, lanes = spec.beat.range.bits, spec.beat.lanes
            steps = spec.parts.bit_length()
            return {"one": 1, "lane_bits": lanes * bits, "step_bits": steps * (bits + steps)}
        case BilinearRows():
            # Two rows, of LUT RAM where they are short.
            return {**_mixed(spec), "lut_memory": lut_memory(spec.stores)}
        case BilinearColumns():
            return _mixed(spec)
        case Pace():
            count = spec.cycles.bit_length() + (spec.beats - 1).bit_length()
            return {"one": 1, "counter_bits": count}
        case Pack() | Unpack():
            bits, count = spec.beat.bits * spec.factor, bits_of(spec.factor)
            shifted = bits - spec.beat.bits if isinstance(spec, Unpack) else 0
            known = {"one": 1, "shifted_bits": shifted, "counter_bits": count}
            return {**known, **sums([count]), "registers": bits + count}
        case Fork():
            return {"ways": spec.ways, "pairs": spec.ways * (spec.ways - 1) / 2}
        case Buffer():
            return {"one": 1, "bits": spec.beat.bits}
        case Queue():
            return _queue(spec)
        case Concat():
            # Beyond four parts it takes more than a LUT to tell that all are there.
            return {"one": 1, "ways": len(spec.parts), "more": max(len(spec.parts) - 4, 0)}
        case Interleave():
            ways, bits, beat = len(spec.parts), spec.outputs[0].bits, bits_of(max(spec.counts))
            chosen, registers = (ways - 1) * bits, bits + beat + bits_of(ways)
            known = {"one": 1, "ways": ways, "chosen_bits": chosen, "registers": registers}
            return {**known, **sums([beat]), "counter_bits": beat}
        case Staircase():
            return functions.staircase(spec)
        case Functions():
            return functions.functions(spec)
    return _known_reducing(spec)


def _known_reducing(spec: Any) -> dict[str, float] | None:
    """Operators that keep a part of a frame, or choose from what they see."""
    match spec:
        case Window():
            return frames.window(spec)
        case Pool():
            return frames.pool(spec)
        case Pad():
            return frames.pad(spec)
        case Crop():
            return frames.crop(spec)
        case Resize():
            return frames.resize(spec)
        case SumPool():
            return frames.sum_pool(spec)
        case MaxPool():
            return _max_pool(spec)
        case DepthToSpace():
            bits, memory = spec.inputs[0].bits, lut_memory(spec.stores)
            return {"one": 1, "bits": bits, "out_bits": spec.outputs[0].bits, "lut_memory": memory}
        case FoldedDepthToSpace():
            bits, memory = spec.inputs[0].bits, lut_memory(spec.stores)
            return {"folded": 1, "folded_bits": bits, "folded_memory": memory}
        case ArgMax():
            index = (spec.beat.lanes - 1).bit_length()
            pairs = spec.beat.lanes - 1
            return {"pair_bits": pairs * spec.beat.range.bits, "index_bits": pairs * index}
        case FoldedArgMax():
            index = (spec.channels - 1).bit_length()
            return {"folded": 1, "code_bits": spec.range.bits, "counter_bits": index}
    return None


def _max_pool(spec: MaxPool) -> dict[str, float]:
    """Comparisons and choices; the odd one of a level only waits."""
    bits, pairs = spec.range.bits, spec.channels * (spec.taps - 1)
    levels = range(1, (spec.taps - 1).bit_length() + 1)
    held = sum(-(-spec.taps // 2**level) for level in levels)
    # Of two narrow codes each bit of the larger one is a table.
    compared = sums([bits] * pairs if bits > _NARROW else [])
    known = {"one": 1, "pair_bits": pairs * bits, **compared}
    return {**known, "registers": held * spec.channels * bits + len(levels)}


def _serial_dot(spec: SerialDot) -> dict[str, float]:
    lanes = [r.bits for r in spec.dot.ranges if r.size > 1]
    digits, rows = spec.digit_bits, len(spec.dot.bias)
    return {
        "one": 1,
        "adder_digits": len(spec.graph.ops) * digits,
        "adders": len(spec.graph.ops),
        "lane_bits": sum(lanes),
        "lane_digits": len(lanes) * digits,
        "word_bits": rows * spec.digits * digits,
        "waiting_bits": rows * spec.outputs[0].range.bits * (spec.places - 1),
    }


def _cost_volume(spec: CostVolume, shifts: int) -> dict[str, float]:
    """Those of so many shifts at a time."""
    widths = [term.bits for term in spec.terms]
    terms, sums = shifts * sum(widths), shifts * _tree(widths)
    if spec.form == "product":
        return {"one": 1, "product_bits": terms, "product_sum_bits": sums}
    # Narrow ones are a table each, without carries.
    kind = "narrow" if max(widths) <= _NARROW else "difference"
    return {"one": 1, f"{kind}_bits": terms, "sum_bits": sums}


def _tree(widths: list[int]) -> int:
    """Bits of all sums in a tree of adders."""
    total = 0
    while len(widths) > 1:
        pairs = zip(widths[::2], widths[1::2], strict=False)
        sums = [max(pair) + 1 for pair in pairs]
        total, widths = total + sum(sums), sums + widths[len(widths) // 2 * 2 :]
    return total


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
