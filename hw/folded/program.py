"""The program of a folded layer: what each lane does in each cycle of a position."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .layout import Layout

__all__ = ["Program"]


def _bits(count):
    """Bits that tell ``count`` things apart."""
    return max(count - 1, 0).bit_length()


@dataclass(frozen=True, eq=False)
class Program:
    """In cycle ``t`` lane ``i`` adds ``value[t, i] * x`` to its accumulator ``row[t, i]``.

    ``x`` is what bank ``(i + rotation[t, i // ring]) % ring`` of its ring holds at tap
    ``taps[tap[t, i]]`` (a place of the kernel, ``ky * kernel_columns + kx``) and place
    ``local[t, i]``. A value of 0 means that the lane idles.

    Shapes: ``rotation`` (cycles, rings), all others (cycles, lanes).

    ``delta_bits`` None stores rows as they are. Otherwise what is stored is by how much the row
    rises, less than ``2**delta_bits``; it counts from 0 whenever the rotation changes.

    In a ``dense`` program all lanes have the same rotation, tap, place and row, counted by
    counters (the row fastest, then place, tap, rotation), so only values are stored.

    Raises
    ------
    ValueError
        If the arrays do not fit each other. What they compute is checked by
        :func:`sqwire.hw.folded.check.check`.
    """

    layout: Layout
    columns: int
    """Of the kernel."""
    taps: tuple[int, ...]
    rotation: np.ndarray
    tap: np.ndarray
    local: np.ndarray
    row: np.ndarray
    value: np.ndarray
    delta_bits: int | None = None
    dense: bool = False

    def __post_init__(self):
        object.__setattr__(self, "taps", tuple(int(t) for t in self.taps))
        shape = (self.cycles, self.layout.lanes)
        for name in ("tap", "local", "row", "value"):
            array = getattr(self, name)
            array.flags.writeable = False
            if array.shape != shape:
                raise ValueError(f"Program: {name} must be {shape}, not {array.shape}")
        self.rotation.flags.writeable = False
        if self.rotation.shape != (self.cycles, self.layout.rings) or not self.cycles:
            raise ValueError(
                f"Program: rotation must be (cycles, {self.layout.rings}), "
                f"not {self.rotation.shape}"
            )

    @property
    def cycles(self) -> int:
        """Length: cycles a position."""
        return len(self.value)

    @property
    def terms(self) -> int:
        """Products that count."""
        return int(np.count_nonzero(self.value))

    @property
    def utilisation(self) -> float:
        """Share of the lanes' cycles in which they add a product."""
        return self.terms / (self.cycles * self.layout.lanes)

    @cached_property
    def tap_codes(self) -> np.ndarray:
        """How each tap is stored: row and column side by side, if that takes no more bits.

        Then whether it lies in the padding is found in its row and its column apart.
        """
        rows, columns = np.divmod(np.array(self.taps), self.columns)
        codes = rows << self.column_bits | columns
        if int(codes.max()).bit_length() > _bits(len(self.taps)):
            return np.arange(len(self.taps))
        return codes

    @property
    def column_bits(self) -> int:
        """Bits of the column of a tap."""
        return _bits(self.columns)

    @property
    def apart(self) -> bool:
        """Whether taps are stored as row and column side by side."""
        return len(self.taps) > 1 and not np.array_equal(self.tap_codes, np.arange(len(self.taps)))

    @cached_property
    def values(self) -> np.ndarray:
        """All values that occur, and 0."""
        return np.unique(np.append(np.unique(self.value), 0))

    @property
    def tap_bits(self) -> int:
        """Bits of a tap."""
        return int(self.tap_codes.max()).bit_length()

    @property
    def local_bits(self) -> int:
        """Bits of a place in a bank."""
        return _bits(self.layout.locals)

    @property
    def row_bits(self) -> int:
        """Bits of a row."""
        return _bits(self.layout.rows)

    @property
    def rotation_bits(self) -> int:
        """Bits of a rotation."""
        return _bits(self.layout.ring)

    @property
    def stored_row_bits(self) -> int:
        """Bits of a row as it is stored."""
        return self.row_bits if self.delta_bits is None else self.delta_bits

    @cached_property
    def deltas(self) -> np.ndarray:
        """By how much each row rises, counting from 0 where the rotation changes."""
        before = np.vstack([np.zeros_like(self.row[:1]), self.row[:-1]])
        return np.where(np.repeat(self.starts, self.layout.ring, axis=1), 0, -before) + self.row

    @cached_property
    def starts(self) -> np.ndarray:
        """(cycles, rings): does the rotation of a ring begin here?"""
        changed = np.diff(self.rotation, axis=0) != 0
        return np.vstack([np.ones((1, self.layout.rings), bool), changed])

    def fetch_bits(self) -> int:
        """Width of the part that addresses banks and turns rings."""
        if self.dense:
            return 0
        layout = self.layout
        return layout.lanes * (self.tap_bits + self.local_bits) + layout.rings * self.rotation_bits

    def execute_bits(self, value_bits: int) -> int:
        """Width of the part that the lanes take, with values of ``value_bits``."""
        rows = 0 if self.dense else self.stored_row_bits
        return self.layout.lanes * (value_bits + rows)
