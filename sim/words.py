"""Rows of integers to wide unsigned words and back, a whole array at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sqwire.hw import axis

__all__ = ["fields", "from_tdata", "pack", "to_tdata", "unpack"]


def pack(values: NDArray[np.int64], field_bits: int) -> list[int]:
    """One unsigned integer for each row of ``values`` (rows, fields).

    Field ``f`` takes the bits ``[f * field_bits, (f + 1) * field_bits)``, in two's complement;
    a value that does not fit loses its upper bits.
    """
    rows, columns = values.shape
    raw = np.ascontiguousarray(values, dtype="<i8").view(np.uint8).reshape(rows, columns, 8)
    if field_bits % 8 == 0 and field_bits <= 64:
        packed = raw[:, :, : field_bits // 8].reshape(rows, columns * field_bits // 8)
    else:
        bits = np.unpackbits(raw, axis=2, bitorder="little")
        if field_bits > 64:
            bits = np.concatenate([bits, np.repeat(bits[:, :, -1:], field_bits - 64, axis=2)], 2)
        flat = bits[:, :, :field_bits].reshape(rows, columns * field_bits)
        packed = np.packbits(flat, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def unpack(
    words: Sequence[int], columns: int, field_bits: int, *, signed: bool
) -> NDArray[np.int64]:
    """The integers in ``words``, an array (words, columns); the inverse of :func:`pack`.

    Raises
    ------
    ValueError
        If a field is wider than 64 bits: an ``int64`` could not hold it.
    """
    if field_bits > 64:
        raise ValueError(f"unpack: field_bits must be at most 64, not {field_bits}")
    size = (columns * field_bits + 7) // 8
    raw = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8)
    bits = np.unpackbits(raw.reshape(len(words), size), axis=1, bitorder="little")
    bits = bits[:, : columns * field_bits].reshape(len(words), columns, field_bits)
    top = bits[:, :, -1:] if signed else np.zeros_like(bits[:, :, -1:])
    whole = np.concatenate([bits, np.repeat(top, 64 - field_bits, axis=2)], axis=2)
    return np.packbits(whole, axis=2, bitorder="little").view("<i8").reshape(len(words), columns)


def fields(word: int, columns: int, field_bits: int, *, signed: bool) -> list[int]:
    """The integers in one word, for messages; fields may be of any width."""
    mask, sign = (1 << field_bits) - 1, (1 << (field_bits - 1)) if signed else 0
    shifts: Iterable[int] = range(0, columns * field_bits, field_bits)
    return [(((word >> at) & mask) ^ sign) - sign for at in shifts]


def to_tdata(port: axis.Port, values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """``tdata`` of each row of ``values``, as bytes."""
    size = port.lane_bytes
    low, high = (-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1)
    if port.beat.range.lo >= 0:
        low, high = 0, (1 << (8 * size)) - 1
    if values.size and not low <= values.min() <= values.max() <= high:
        raise ValueError(
            f"s_axis: values must fit in {size} bytes ({low}..{high}), "
            f"not {values.min()}..{values.max()}"
        )
    raw = np.ascontiguousarray(values, dtype="<i8").view(np.uint8).reshape(*values.shape, 8)
    return np.ascontiguousarray(raw[:, :, :size]).reshape(len(values), port.beat.lanes * size)


def from_tdata(port: axis.Port, raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The integers in rows of ``tdata`` bytes; fields are extended as the port says."""
    lanes, size = port.beat.lanes, port.lane_bytes
    fields = np.zeros((len(raw), lanes, 8), dtype=np.uint8)
    fields[:, :, :size] = raw.reshape(len(raw), lanes, size)
    if port.beat.range.lo < 0:
        fields[:, :, size:] = np.where(fields[:, :, size - 1 : size] >> 7, 0xFF, 0)
    return fields.view("<i8").reshape(len(raw), lanes).astype(np.int64)
