"""What the LUTs and flip-flops of functions of one integer depend on, counted as they are built."""

from __future__ import annotations

from sqwire.hw.folded.affine import Affine
from sqwire.hw.folded.compare import compare_cycles
from sqwire.hw.folded.functions import Functions
from sqwire.hw.staircase import Staircase
from sqwire.hw.step_circuits import Compare, Search, Shift

from .sites import bits_of, last_zeros, sums, table_luts

__all__ = ["functions", "staircase"]


def staircase(spec: Staircase) -> dict[str, float]:
    """A circuit a channel; short ones wait for the longest."""
    level, cycles = spec.outputs[0].range.bits, spec.latency_cycles
    widths: list[int] = []
    chained, looked_up, searched, registers = 0, 0, 0, 0
    for circuit in spec.circuits:
        bits, own = circuit.domain.bits, circuit.latency_cycles
        if not own:
            continue
        registers += (cycles - own) * level
        match circuit:
            case Shift():
                adds = circuit.offset != 0
                widths += [bits - circuit.shift] * adds
                chained += 2 * (bits - circuit.shift)
                registers += level + (bits - circuit.shift) * adds
            case Compare():
                signed = 1 << (bits - 1) if circuit.domain.lo < 0 else 0
                chain = [bits - last_zeros(int(t) + signed) for t in circuit.steps.thresholds]
                compared = sum(-(-(length - 1) // 3) for length in chain)
                registers += level
                if own == 1:
                    # One table, or comparisons and a choice, whichever is smaller.
                    looked_up += min(level * table_luts(max(chain)), compared + len(chain))
                else:
                    chained += compared
                    registers += len(chain)
            case Search():
                stages = range(circuit.bits)
                widths += [bits] * circuit.bits
                searched += sum(bits * table_luts(stage) for stage in stages)
                registers += sum(stage + 1 for stage in stages) + bits * (circuit.bits - 1)
    return {
        "one": 1,
        **sums(widths),
        "chained": chained,
        "looked_up": looked_up,
        "searched": searched,
        "registers": registers,
    }


def functions(spec: Functions) -> dict[str, float]:
    """A circuit a lane, whose constants are read channel by channel."""
    level, channel = spec.outputs[0].range.bits, bits_of(spec.beats_position)
    latency = spec.latency_cycles
    widths, registers, clamped = [channel], latency, 0
    waits = 0  # cycles that the channel waits for: in all lanes the same
    for circuit in spec.circuits:
        bits, stores = circuit.domain.bits, circuit.stores("")
        registers += (latency - circuit.latency_cycles) * level
        if isinstance(circuit, Affine):
            total, constants = circuit.sum_range.bits, sum(store.width for store in stores)
            clamped += total - circuit.shift + level
            # Words of LUTs have a register, that of a block RAM is in it.
            words = constants * sum(store.kind == "lut" for store in stores)
            registers += words + constants + 2 * (bits + total) + level
            widths.append(total)
            if circuit.bend is not None:
                # Which part of the line it is, is found first, while the code waits.
                widths.append(bits + 1)
                registers += compare_cycles(stores[-1]) * (bits + channel) + 1
            continue
        # A search: each bit of the answer is a comparison, while the code and the channel wait.
        cycles = [compare_cycles(store) for store in stores]
        for stage, store in enumerate(stores[: circuit.bits]):
            last = stage == circuit.bits - 1
            widths.append(bits + 1)
            registers += (cycles[stage] - last) * bits + cycles[stage] * stage + 1 + store.width
        registers += level * (len(stores) > circuit.bits)
        waits = max(waits, sum(cycles[:-1]))
    return {
        "one": 1,
        **sums(widths, spec.stores),
        "clamped_bits": clamped,
        "registers": registers + channel * (1 + waits),
    }
