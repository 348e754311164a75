"""What one transfer of a stream carries: some integers of one range, side by side."""

from dataclasses import dataclass

from amaranth.lib import data, stream

from .ranges import Range

__all__ = ["Beat"]


@dataclass(frozen=True)
class Beat:
    """``lanes`` integers of the same ``range``, lane 0 in the least significant bits.

    Every link between two components is an :mod:`amaranth.lib.stream` whose payload is such a beat.

    Raises
    ------
    ValueError
        If ``lanes`` is below one.
    """

    range: Range
    lanes: int

    def __post_init__(self):
        if self.lanes < 1:
            raise ValueError(f"Beat: lanes must be at least 1, not {self.lanes}")

    @property
    def layout(self) -> data.ArrayLayout:
        """Shape of the payload: an array of ``lanes`` elements."""
        return data.ArrayLayout(self.range.shape, self.lanes)

    @property
    def signature(self) -> stream.Signature:
        """The stream that carries one beat a transfer, from its source's point of view."""
        return stream.Signature(self.layout)

    @property
    def bits(self) -> int:
        """Width of a whole beat."""
        return self.range.bits * self.lanes

    def pack(self, values) -> int:
        """The payload, as one unsigned integer, that carries ``values`` (one a lane).

        Raises
        ------
        ValueError
            If there are not ``lanes`` values, or one of them lies outside the range.
        """
        if len(values) != self.lanes:
            raise ValueError(f"Beat: values must be {self.lanes}, not {len(values)}")
        bits, mask = self.range.bits, (1 << self.range.bits) - 1
        word = 0
        for lane, value in enumerate(values):
            value = int(value)
            if value not in self.range:
                raise ValueError(f"Beat: lane {lane} must be in {self.range}, not {value}")
            word |= (value & mask) << (lane * bits)
        return word

    def unpack(self, word: int) -> list[int]:
        """The integers that the payload ``word`` carries; the inverse of :meth:`pack`."""
        bits, mask = self.range.bits, (1 << self.range.bits) - 1
        sign = 1 << (bits - 1) if self.range.lo < 0 else 0
        return [(((word >> (lane * bits)) & mask) ^ sign) - sign for lane in range(self.lanes)]
