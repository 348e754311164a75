"""What stands in the payloads: who the board is, and how it fares."""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass

from .format import Format

__all__ = ["PROTOCOL", "Format", "Identity", "State"]

PROTOCOL = 2
"""Version of the protocol; a host speaks to boards of its own version only."""

_MAGIC = b"sq"
_IDENTITY = struct.Struct("<2sBBII8s")
_FORMAT = struct.Struct("<IIHBBI")
_STATE = struct.Struct("<II7H")


@dataclass(frozen=True)
class Identity:
    """Who answers: payload of ``Kind.IDENTITY``.

    ``design`` is the start of the SHA-256 of the network's RTLIL, ``credits`` how many frames,
    and parts of frames, may be unanswered at a time, ``baud`` the rate of the line in bits a
    second::

        offset  bytes
        0       2     "sq"
        2       1     protocol version
        3       1     credits
        4       4     clock_hz
        8       4     baud
        12      8     design
        20      16    input: height 4, width 4, channels 2, bits 1, signed 1,
                      positions a part 4, 0 where a frame is one message
        36      16    output: the same
    """

    credits: int
    clock_hz: int
    baud: int
    design: bytes
    input: Format
    output: Format
    protocol: int = PROTOCOL

    @property
    def is_cut(self) -> bool:
        """Whether frames or results travel in parts."""
        return self.input.is_cut or self.output.is_cut

    def pack(self) -> bytes:
        """The payload."""
        head = _IDENTITY.pack(
            _MAGIC, self.protocol, self.credits, self.clock_hz, self.baud, self.design
        )
        return head + b"".join(_FORMAT.pack(*astuple(f)) for f in (self.input, self.output))

    @classmethod
    def unpack(cls, payload: bytes) -> Identity:
        """The identity in a payload.

        Raises
        ------
        ValueError
            If it is none, says what no board can be, or is of another version of the protocol.
        """
        if len(payload) >= 3 and payload[:2] == _MAGIC and payload[2] != PROTOCOL:
            raise ValueError(
                f"Board: it must speak protocol {PROTOCOL}, not {payload[2]}; "
                "load a bitstream made by this version of sqwire"
            )
        if len(payload) != _IDENTITY.size + 2 * _FORMAT.size or payload[:2] != _MAGIC:
            raise ValueError("Board: it must identify itself as sqwire does, and does not")
        _, protocol, credits, clock_hz, baud, design = _IDENTITY.unpack_from(payload)
        formats = []
        for at in (_IDENTITY.size, _IDENTITY.size + _FORMAT.size):
            height, width, channels, bits, signed, part = _FORMAT.unpack_from(payload, at)
            formats.append(Format(height, width, channels, bits, bool(signed), part))
        if not (credits and clock_hz and baud and all(one.is_sound for one in formats)):
            raise ValueError(
                "Board: it must have credits, a clock, a rate and frames that fit into messages, "
                f"not {credits}, {clock_hz} Hz, {baud} baud, {formats[0]} and {formats[1]}; "
                "load the bitstream of this build"
            )
        return cls(credits, clock_hz, baud, design, formats[0], formats[1], protocol)


@dataclass(frozen=True)
class State:
    """How a board fares since it started or was reset: payload of ``Kind.STATE``.

    Counters stop at their largest value. All are of 2 bytes but the first two, of 4.
    """

    frames: int = 0
    """Results sent."""
    stall_cycles: int = 0
    """Clock cycles in which the network had an output that the link did not take yet."""
    damaged: int = 0
    """Messages with a wrong CRC or length, or cut off."""
    refused: int = 0
    """Messages of an unknown kind, or of the wrong length for their kind."""
    busy: int = 0
    """Frames dropped because there was no credit for them."""
    timed_out: int = 0
    """Messages begun and not continued for the time-out."""
    network_errors: int = 0
    """Frames of the wrong length that the network saw."""
    most_frames: int = 0
    """The most frames that were unanswered at a time."""
    most_reply_bytes: int = 0
    """The most bytes that waited for the line."""

    @classmethod
    def unpack(cls, payload: bytes) -> State:
        """The state in a payload; ValueError if it is none."""
        if len(payload) != _STATE.size:
            raise ValueError(f"Board: its state must have {_STATE.size} bytes, not {len(payload)}")
        return cls(*_STATE.unpack(payload))

    def pack(self) -> bytes:
        """The payload."""
        return _STATE.pack(*astuple(self))
