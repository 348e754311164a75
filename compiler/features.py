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
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.memory import lut_memory
from sqwire.hw.folded.subpixel import SubpixelArgMax as FoldedSubpixelArgMax
from sqwire.hw.fork import Fork
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.pace import Pace
from sqwire.hw.pad import Pad
from sqwire.hw.queue import Queue
from sqwire.hw.resize import Resize
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.hw.sumpool import SumPool
from sqwire.hw.width import Pack, Unpack
from sqwire.hw.window import Window

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
        case Concat() | Interleave():
            ways, bits = len(spec.inputs), spec.outputs[0].bits
            return {"ways": ways, "bits": bits, "chosen_bits": (ways - 1) * bits}
        case Crop() | Pad():
            counters = spec.height.bit_length() + spec.width.bit_length()
            return {"counter_bits": counters, "bits": spec.outputs[0].bits}
    return _known_reducing(spec)


def _known_reducing(spec: Any) -> dict[str, float] | None:
    """Operators that keep a part of a frame, or choose from what they see."""
    match spec:
        case Window():
            rows, columns = spec.height.bit_length(), spec.width.bit_length()
            pointers = sum(2 * depth.bit_length() for depth in {s.depth for s in spec.stores})
            return {
                "counter_bits": 2 * (rows + columns) + spec.lookahead.bit_length() + pointers,
                "inside_bits": spec.kernel[0] * rows + spec.kernel[1] * columns,
                "tap_bits": spec.outputs[0].bits,
                "shift_bits": spec.inputs[0].bits * len(spec.places),
                "lut_memory": lut_memory(spec.stores),
            }
        case MaxPool():
            bits = spec.channels * spec.range.bits
            kind = "narrow" if spec.range.bits <= _NARROW else "pair"
            held = sum(-(-spec.taps // 2**k) for k in range(1, (spec.taps - 1).bit_length() + 1))
            return {f"{kind}_bits": (spec.taps - 1) * bits, "register_bits": held * bits}
        case SumPool():
            counters = spec.height.bit_length() + spec.width.bit_length()
            bits, held = spec.outputs[0].bits, 1 if spec.stores else spec.out_width - 1
            return {
                "counter_bits": counters,
                "sum_bits": bits,
                "register_bits": held * bits,
                "lut_memory": lut_memory(spec.stores),
            }
        case Resize() | DepthToSpace():
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
