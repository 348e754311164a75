"""What the LUTs and flip-flops of operators on frames depend on, counted as they are built.

``sites`` are LUT sites that a count gives, ``registers`` flip-flops; the rest is fitted.
"""

from __future__ import annotations

from sqwire.hw.crop import Crop
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.slots import power_of_two
from sqwire.hw.pad import Pad
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.hw.sumpool import SumPool
from sqwire.hw.window import Window

from .sites import Delay, bits_of, compared_bits, sums, table_luts

__all__ = ["crop", "pad", "pool", "resize", "sum_pool", "window"]


def window(spec: Window) -> dict[str, float]:
    """A chain of registers and memories, and counters that say which taps lie inside."""
    sizes = spec.height, spec.width
    insides = [
        {ends for tap in range(spec.kernel[axis]) if (ends := spec.inside(axis, tap)) is not None}
        for axis in (0, 1)
    ]
    compared: list[int] = []
    for size, end, inside in zip(sizes, spec.ends, insides, strict=True):
        # Equal comparisons are made once.
        limits = {end + 1} | {last + 1 for _, last in inside} | {first for first, _ in inside}
        compared += [compared_bits(bits_of(size), limit) for limit in limits]
    gaps = [b - a for a, b in zip([-1, *spec.places], spec.places, strict=False)]
    delays = [Delay(gap, spec.inputs[0].bits) for gap in gaps]
    pointers = sum(delay.pointer_bits for delay in set(delays))
    counters = [*map(bits_of, (spec.beats_in, *sizes)), bits_of(max(spec.lookahead, 1))]
    counted = sum(counters) + sum(map(bits_of, spec.stride))
    padded = sum(
        spec.inside(0, row) is not None or spec.inside(1, column) is not None
        for row, column in spec.offsets
    )
    taps = len(spec.offsets) * spec.channels * spec.out_range.bits
    return {
        "one": 1,
        **sums([*counters, *(delay.pointer_bits for delay in set(delays)), *compared], spec.stores),
        "counter_bits": counted + pointers,
        "padded": padded,
        "registers": taps
        + sum(delay.registers for delay in delays)
        + counted
        + 2 * pointers
        + sum(map(len, insides)),
    }


def _axis(size: int, first: int, stride: int, count: int) -> tuple[dict[str, float], bool]:
    """A counter of rows or columns that says which are wanted; whether some are not."""
    bits, end = bits_of(size), first + (count - 1) * stride
    limits = [first] * (first > 0) + [end + 1] * (end < size - 1)
    wanted = bool(limits) or stride > 1
    registers = bits + bits_of(stride) + wanted
    return {
        **sums([bits]),
        "compared_bits": sum(compared_bits(bits, limit) for limit in limits),
        "followed_bits": wanted * bits,
        "counter_bits": registers,
        "registers": registers,
    }, wanted


def pad(spec: Pad) -> dict[str, float]:
    """Counters, and a beat that is held, or hidden."""
    (top, left, _, _), (down, along), group = spec.padding, spec.stride, bits_of(spec.group)
    rows, _ = _axis(spec.out_height, top, down, spec.height)
    columns, _ = _axis(spec.out_width, left, along, spec.width)
    own = {"one": 1, "group_bits": group, "bits": spec.outputs[0].bits}
    return _total(rows, columns, own, {"registers": group + spec.beat.bits})


def crop(spec: Crop) -> dict[str, float]:
    """Counters, as far as something is cut."""
    (top, left, _, _), (down, along) = spec.edges, spec.stride
    rows, cut = _axis(spec.height, top, down, spec.out_height)
    columns, cut_along = _axis(spec.width, left, along, spec.out_width)
    known = [{"one": 1.0}] + [rows] * cut + [columns] * (cut or cut_along)
    return _total(*known)


def _total(*parts: dict[str, float]) -> dict[str, float]:
    return {name: sum(part.get(name, 0) for part in parts) for part in parts for name in part}


def resize(spec: Resize) -> dict[str, float]:
    """Counters, a row in a memory, and a beat that comes from there or from the input."""
    counters = [*map(bits_of, (*spec.factor, spec.width))]
    line = Delay(spec.width if spec.factor[0] > 1 else 0, spec.beat.bits)
    return {
        "one": 1,
        **sums([*counters, line.pointer_bits], spec.stores),
        "counter_bits": sum(counters) + line.pointer_bits,
        "bits": spec.beat.bits,
        "registers": sum(counters) + 2 * line.pointer_bits + spec.beat.bits + line.registers,
    }


def sum_pool(spec: SumPool) -> dict[str, float]:
    """Counters, an adder a channel, and the sums that wait for the next row of their windows."""
    bits, line = spec.outputs[0].bits, Delay(spec.out_width - 1, spec.outputs[0].bits)
    counters, inside = [], []
    for size, kernel in zip((spec.height, spec.width), spec.kernel, strict=True):
        window = bits_of((size - 1) // kernel + 1)
        counters += [window, bits_of(kernel)]
        inside += [compared_bits(window, size // kernel)] * (size % kernel > 0)
    adders = [spec.outputs[0].range.bits] * spec.channels
    return {
        "one": 1,
        **sums([*counters, *inside, *adders, line.pointer_bits], spec.stores),
        "counter_bits": sum(counters) + line.pointer_bits,
        "sum_bits": bits,
        "registers": sum(counters) + 2 * line.pointer_bits + bits + line.registers,
    }


def pool(spec: Pool) -> dict[str, float]:
    """A walk over positions, a line buffer, and a comparison a lane."""
    raster, slot, taps = spec.raster, spec.slot_bits, spec.program.tap_bits
    most = max(raster.steps)
    limit = spec.slots + raster.lead + most
    ahead = Range(-raster.reach - most, limit).bits
    wanting = Range(-spec.slots - most, limit).bits
    frames = Range(-2, spec.slots // raster.inputs).bits
    wait = Range(-1, spec.pace_cycles - 1).bits if spec.pace_cycles > 1 else 0
    sizes = raster.out_height, raster.out_width
    compared, flags = [], 0
    for axis, count in enumerate(sizes):
        insides = {raster.outside(axis, place) for place in range(spec.kernel[axis])}
        limits = {lowest for lowest, _ in insides if lowest > 0}
        limits |= {highest + 1 for _, highest in insides if highest < count - 1}
        compared += [compared_bits(bits_of(count), limit) for limit in limits]
        flags += len(insides - {(0, count - 1)})
    rows, columns = map(bits_of, sizes)
    place, beat, position = map(bits_of, (spec.places, spec.beats_position, raster.inputs))
    # Bits of a step that are not the same as others, or none.
    alike = {tuple(step >> bit & 1 for step in raster.steps) for bit in range(most.bit_length())}
    steps = len(alike - {(0, 0, 0)})
    lanes = spec.outputs[0].bits
    counters = [rows, columns, position, beat, beat, place, wait]
    # Sums of three are two of two.
    adders = [*counters, *(2 * [ahead, wanting, frames]), slot, slot, slot, *compared]
    words = 1 if spec.bank_store.kind == "block" else 2
    return {
        "one": 1,
        **sums([*adders, *([spec.range.bits] * spec.lanes)], (spec.bank_store,)),
        "counter_bits": sum(counters),
        "table_luts": slot * table_luts(taps) + (spec.places - 1) * (flags > 0),
        "lane_bits": lanes,
        "around": not power_of_two(spec.slots),
        "registers": 2 * rows
        + 2 * columns
        + position
        + 3 * beat
        + place
        + wait
        + (ahead + wanting + frames)
        + 6 * slot
        + 3 * steps
        + 2 * flags
        + spec.address_bits
        + 2 * taps
        + 3 * spec.program.local_bits
        + spec.lanes
        + (3 + words) * lanes,
    }
