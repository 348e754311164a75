"""The integers of a frame as bytes, and how a frame is cut into parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.axis import Port

from .codec import MOST_PAYLOAD, PART_HEAD_BYTES

__all__ = ["MOST_FRAME", "PART_BYTES", "Format"]

PART_BYTES = 508
"""Codes in a part of a frame, where a position is no larger: four fill 2 kB of memory, each with
a byte of the ring's; the same with the index before them fills 512 bytes."""

MOST_FRAME = 1 << 28
"""Bytes of the largest frame that is believed in; one of 9000 x 9000 pixels in colour has less."""

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Format:
    """Shape and integers of a frame: positions in raster order, channels innermost.

    Codes have ``bits`` bits, two's complement if ``signed``. As bytes, each code takes whole
    bytes, least significant first, extended by its sign. Packed, codes follow each other
    without a gap from the least significant bit of the first byte, and the last byte is filled
    up with zeros.

    A frame travels in one message, or, where ``part`` is not 0, in parts: as many positions as
    ``part`` says in each, the rest in the last.
    """

    height: int
    width: int
    channels: int
    bits: int
    signed: bool
    part: int = 0

    @classmethod
    def of(cls, port: Port, shape: tuple[int, int, int]) -> Format:
        """The format of the frames of a port, of ``shape`` (height, width, channels).

        Where a position is several beats, they stand side by side as if the frame were wider.
        """
        height, width, channels = shape
        lanes = port.beat.lanes
        width = width * channels // lanes
        assert height * width == port.frame, "not of this port"
        return cls(height, width, lanes, port.beat.range.bits, port.beat.range.lo < 0)

    @property
    def codes(self) -> int:
        """Codes in a frame."""
        return self.height * self.width * self.channels

    @property
    def lane_bytes(self) -> int:
        """Bytes that a code takes where it is not packed."""
        return (self.bits + 7) // 8

    def frame_bytes(self, *, packed: bool) -> int:
        """Bytes of a frame."""
        return (self.codes * self.bits + 7) // 8 if packed else self.codes * self.lane_bytes

    @property
    def positions(self) -> int:
        """Positions in a frame."""
        return self.height * self.width

    @property
    def is_cut(self) -> bool:
        """Whether a frame travels in parts."""
        return self.part != 0

    @property
    def messages(self) -> int:
        """Messages that a frame takes."""
        return -(-self.positions // self.part) if self.part else 1

    def message_bytes(self, *, packed: bool, last: bool = False) -> int:
        """Bytes of the codes in a message, of the last one or of those before it."""
        most = self.part or self.positions
        codes = (self.positions - (self.messages - 1) * most if last else most) * self.channels
        return (codes * self.bits + 7) // 8 if packed else codes * self.lane_bytes

    @property
    def in_parts(self) -> Format:
        """The same frames in parts of up to :data:`PART_BYTES`, but at least one position."""
        part = max(PART_BYTES // (self.channels * self.lane_bytes), 1)
        return replace(self, part=min(part, self.positions))

    def cut(self, most_bytes: int) -> Format:
        """The same frames, in parts if they have more than ``most_bytes`` and make several."""
        fits = self.frame_bytes(packed=False) <= most_bytes or self.in_parts.messages == 1
        return replace(self, part=0) if fits else self.in_parts

    @property
    def is_sound(self) -> bool:
        """Whether there can be such frames, and messages for them."""
        return (
            self.codes > 0
            and 1 <= self.bits <= 64
            and 0 <= self.part <= self.positions
            and self.frame_bytes(packed=False) <= MOST_FRAME
            and self.message_bytes(packed=False) <= MOST_PAYLOAD - PART_HEAD_BYTES * self.is_cut
        )

    def messages_of(self, codes: Int, *, packed: bool) -> list[bytes]:
        """The codes in each message of a frame (height, width, channels), as :meth:`pack` does."""
        flat, step = codes.reshape(self.positions, self.channels), self.part or self.positions
        starts = range(0, self.positions, step)
        return [self.pack(flat[at : at + step], packed=packed) for at in starts]

    def pack(self, codes: Int, *, packed: bool) -> bytes:
        """Codes, of a frame or of some of its positions, as bytes; they are taken modulo
        ``2**bits``."""
        raw = np.ascontiguousarray(codes, dtype="<i8").reshape(-1, 1).view(np.uint8)
        if not packed:
            return raw[:, : self.lane_bytes].tobytes()
        bits = np.unpackbits(raw, axis=1, bitorder="little")[:, : self.bits]
        return np.packbits(bits, bitorder="little").tobytes()

    def unpack(self, raw: bytes) -> Int:
        """The frame (height, width, channels) in bytes that are not packed.

        Raises
        ------
        ValueError
            If these are not as many as a frame has.
        """
        wanted = self.frame_bytes(packed=False)
        if len(raw) != wanted:
            raise ValueError(
                f"Board: a result must have {wanted} bytes, not {len(raw)}; "
                "load the bitstream of this build"
            )
        wide = np.zeros((self.codes, 8), dtype=np.uint8)
        wide[:, : self.lane_bytes] = np.frombuffer(raw, np.uint8).reshape(self.codes, -1)
        codes = wide.view("<i8")[:, 0].astype(np.int64)
        spare = 64 - 8 * self.lane_bytes
        if self.signed:
            codes = (codes << spare) >> spare
        return codes.reshape(self.height, self.width, self.channels)
