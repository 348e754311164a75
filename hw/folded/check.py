"""Proves that a program computes its layer."""

import numpy as np

from .program import Program

__all__ = ["check"]


def check(program: Program, weight: np.ndarray, *, products: bool = True) -> None:
    """Refuse a ``program`` that does not compute ``weight`` (out, rows, columns, in).

    Proved, for the cycles of one position: the values executed for each weight sum to it; with
    ``products`` a nonzero weight is executed exactly once (otherwise, in digits, more often);
    nothing is executed that has no weight; in no cycle do two lanes of a ring read one bank; each
    accumulator belongs to one output and is written at least once (so it never holds what an
    earlier position left, see :class:`sqwire.hw.folded.Folded`), or in a split program, whose
    accumulators begin anew with each row, each output has a row in some lane; and rows and places
    that are stored as differences come out as they should.

    Raises
    ------
    ValueError
        Naming what is wrong, where.
    """
    layout = program.layout
    outputs, height, width, inputs = weight.shape
    if (outputs, inputs) != (layout.outputs, layout.inputs):
        raise ValueError(
            f"Program: weight must be ({layout.outputs}, ..., {layout.inputs}), not {weight.shape}"
        )
    taps = np.array(program.taps, dtype=np.int64)
    if len(np.unique(taps)) < len(taps) or (taps < 0).any() or (taps >= height * width).any():
        raise ValueError(f"Program: taps must be different places of the kernel, not {taps}")
    _within("rotation", program.rotation, layout.ring)
    _within("tap", program.tap, len(taps))
    used = program.value != 0
    # The places that a lane of a split program idles at on its way need not exist.
    local = np.where(used, program.local, 0) if program.split else program.local
    _within("local", local, layout.locals)
    _within("row", program.row, layout.rows)

    lanes = np.arange(layout.lanes)
    bank = (lanes % layout.ring + np.repeat(program.rotation, layout.ring, axis=1)) % layout.ring
    by_ring = np.sort(bank.reshape(program.cycles, layout.rings, layout.ring), axis=2)
    if (np.diff(by_ring, axis=2) == 0).any():
        raise ValueError("Program: two lanes must not read one bank in one cycle")

    output = layout.output_at[np.broadcast_to(lanes, bank.shape), program.row]
    channel = layout.input_at[bank, local]
    if (used & ((output < 0) | (channel < 0))).any():
        cycle, lane = np.argwhere(used & ((output < 0) | (channel < 0)))[0]
        raise ValueError(f"Program: cycle {cycle}, lane {lane}: no such channel")
    key = (output[used] * height * width + taps[program.tap[used]]) * inputs + channel[used]
    size = weight.size
    value = program.value[used].astype(np.float64)
    total = np.bincount(key, value, size)  # exact: weights and counts are far below 2**53
    flat = weight.reshape(-1)
    if (total != flat).any():
        _refuse(weight, np.flatnonzero(total != flat)[0], total, "in sum")
    count = np.bincount(key, minlength=size)
    if products and (count != (flat != 0)).any():
        _refuse(weight, np.flatnonzero(count != (flat != 0))[0], count, "times")

    if program.split:
        _check_split(program)
    else:
        written = np.zeros((layout.lanes, layout.rows), bool)
        written[np.broadcast_to(lanes, bank.shape), program.row] = True
        if (~written & (layout.output_at >= 0)).any():
            lane, row = np.argwhere(~written & (layout.output_at >= 0))[0]
            raise ValueError(f"Program: lane {lane}, row {row} must be written in each position")
    if program.delta_bits is not None:
        _within("delta", program.deltas, 1 << program.delta_bits)
    if program.dense:
        _check_dense(program)


def _within(name, array, count):
    if array.size and (array.min() < 0 or array.max() >= count):
        raise ValueError(f"Program: {name} must be in 0..{count - 1}, not {array.min()}")


def _refuse(weight, place, counts, what):
    at = tuple(int(k) for k in np.unravel_index(place, weight.shape))
    raise ValueError(
        f"Program: weight {at} is {weight.reshape(-1)[place]} and is executed "
        f"{counts[place]:g} {what}"
    )


def _check_split(program):
    missing = np.flatnonzero(~program.shown.any(axis=1))
    if len(missing):
        raise ValueError(f"Program: row {missing[0]} must be in some lane")
    if program.place_bits is not None:
        _within("place", program.places, len(program.taps) << program.local_bits)
        _within("rise", program.rises, 1 << program.place_bits)


def _check_dense(program):
    layout = program.layout
    sizes = (layout.turns, len(program.taps), layout.locals, layout.rows)
    if program.cycles != np.prod(sizes):
        raise ValueError(
            f"Program: a dense one must take {np.prod(sizes)} cycles, not {program.cycles}"
        )
    counters = np.unravel_index(np.arange(program.cycles), sizes)
    fields = (program.rotation - layout.turned, program.tap, program.local, program.row)
    for name, counter, field in zip(
        ("rotation", "tap", "local", "row"), counters, fields, strict=True
    ):
        if (field != counter[:, None]).any():
            raise ValueError(f"Program: {name} of a dense one must follow the counters")
