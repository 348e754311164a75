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

    In a ``split`` program each lane has a bank to itself, and sums its part of each output, one
    row after the other (see :class:`sqwire.hw.folded.split.Split`). Stored is whether a row ends
    here, and the place ``tap << local_bits | local``; or, where ``place_bits`` is not None, only by
    how much the place of the next cycle is beyond this one, less than ``2**place_bits``. Places are
    in a circle, and a row ends where they come around; behind the last cycle comes the first.

    In a ``dense`` program all lanes have the same tap, place and row, and all rings of a part the
    same rotation, counted by counters (the row fastest, then place, tap, rotation), so only values
    are stored. Each part has its share of the rotations (:attr:`Layout.turned`).

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
    split: bool = False
    place_bits: int | None = None

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
        if self.split:
            self._check_split()

    def _check_split(self):
        layout = self.layout
        if not layout.lanes == layout.ring == layout.parts or layout.lanes_out > 1:
            raise ValueError(
                f"Program: a split one must have as many banks and parts as lanes "
                f"({layout.lanes}) and one channel a beat, not {layout.ring}, {layout.parts} "
                f"and {layout.lanes_out}"
            )
        if self.rotation.any() or (np.diff(self.row, axis=0) < 0).any() or self.dense:
            raise ValueError("Program: a split one must turn no ring and go from row to row")

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
        if self.split:
            return np.arange(len(self.taps))
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
        """Bits of a rotation, in a dense program of the one of the first part."""
        if self.split:
            return 0
        return _bits(self.layout.turns if self.dense else self.layout.ring)

    @property
    def stored_row_bits(self) -> int:
        """Bits of a row as it is stored."""
        if self.split:
            return 1 if self.place_bits is None else 0
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

    @cached_property
    def ends(self) -> np.ndarray:
        """(cycles, lanes): does the row of a lane end here?"""
        return np.vstack([np.diff(self.row, axis=0) != 0, np.ones((1, self.layout.lanes), bool)])

    @cached_property
    def shown(self) -> np.ndarray:
        """(rows, lanes): does a lane have that row?"""
        shown = np.zeros((self.layout.rows, self.layout.lanes), bool)
        shown[self.row, np.arange(self.layout.lanes)] = True
        return shown

    @cached_property
    def places(self) -> np.ndarray:
        """Tap and local as one number."""
        return self.tap.astype(np.int64) << self.local_bits | self.local

    @cached_property
    def rises(self) -> np.ndarray:
        """By how much the place of the next cycle is beyond each, around the circle."""
        around = len(self.taps) << self.local_bits
        return np.roll(self.places, -1, axis=0) - self.places + around * self.ends

    def fetch_bits(self) -> int:
        """Width of the part that addresses banks and turns rings."""
        if self.dense:
            return 0
        layout = self.layout
        place = self.tap_bits + self.local_bits if self.place_bits is None else self.place_bits
        return layout.lanes * place + layout.rings * self.rotation_bits

    def execute_bits(self, value_bits: int) -> int:
        """Width of the part that the lanes take, with values of ``value_bits``."""
        rows = 0 if self.dense else self.stored_row_bits
        return self.layout.lanes * (value_bits + rows)
