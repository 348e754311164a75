"""Messages on the line: what the host and the tests speak, and the circuit must understand.

A message, before it goes on the line (integers least significant byte first)::

    offset  bytes
    0       1      kind, one of Kind
    1       2      sequence: chosen by the host, sent back in every reply; 0xFFFF is nobody's
    3       2      length of the payload
    5       length payload
    5 + l   4      CRC-32 of all before it (ISO-HDLC, as in zlib)

On the line no byte of a message is 0: the bytes are stuffed (COBS: Cheshire and Baker, "Consistent
Overhead Byte Stuffing", 1999) and a 0 stands before and behind each message. So whatever
happened before, a receiver is back in step at the next 0, and a message costs 12 bytes and one
more in 254.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "HEADER_BYTES",
    "MOST_PAYLOAD",
    "NOBODY",
    "PART_HEAD_BYTES",
    "RESULT_HEAD_BYTES",
    "Code",
    "Decoder",
    "Kind",
    "Message",
    "encode",
    "line_bytes",
    "stuff",
    "unstuff",
]

HEADER_BYTES = 5
CRC_BYTES = 4
MOST_PAYLOAD = 0xFFFF
NOBODY = 0xFFFF
"""The sequence number of an error that belongs to no message."""

PART_HEAD_BYTES, RESULT_HEAD_BYTES = 6, 4
"""What stands before the codes of a part: see :class:`sqwire.boards.link.parts.Part`."""


class Kind(IntEnum):
    """What a message is. A reply is its request with the uppermost bit set, but that parts of
    results have a kind of their own."""

    IDENTIFY = 0x01
    INFER = 0x02
    INFER_PACKED = 0x03
    STATUS = 0x04
    RESET = 0x05
    PART = 0x06
    PART_PACKED = 0x07
    IDENTITY = 0x81
    RESULT = 0x82
    STATE = 0x84
    RESTARTED = 0x85
    TAKEN = 0x86
    RESULT_PART = 0x87
    ERROR = 0xFF


class Code(IntEnum):
    """The one payload byte of an error reply: why there is no other one."""

    DAMAGED = 1
    """What came was no whole message; its sequence number is unknown."""
    UNKNOWN = 2
    """No request is of this kind."""
    LENGTH = 3
    """A request of this kind has another length."""
    BUSY = 4
    """There are as many unanswered frames, or parts, as credits."""


@dataclass(frozen=True)
class Message:
    """One message: ``kind`` (0 to 255), ``sequence`` (0 to 65535), payload."""

    kind: int
    sequence: int
    payload: bytes = b""

    def __post_init__(self) -> None:
        for name, value, most in (
            ("kind", self.kind, 0xFF),
            ("sequence", self.sequence, 0xFFFF),
            ("length", len(self.payload), MOST_PAYLOAD),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"Message: {name} must be from 0 to {most}, not {value}")


def encode(message: Message) -> bytes:
    """The bytes of a message on the line, with a 0 at both ends."""
    head = message.kind.to_bytes(1, "little") + message.sequence.to_bytes(2, "little")
    plain = head + len(message.payload).to_bytes(2, "little") + message.payload
    return b"\0" + stuff(plain + zlib.crc32(plain).to_bytes(CRC_BYTES, "little")) + b"\0"


def line_bytes(payload: int) -> int:
    """Bytes on the line of a message with that many payload bytes, none of them 0."""
    plain = HEADER_BYTES + payload + CRC_BYTES
    return plain + 3 + plain // 254


def stuff(plain: bytes) -> bytes:
    """``plain`` without any 0: blocks of up to 254 bytes, each behind its length plus one.

    Behind every block but the last and those of 254 bytes a 0 was left out.
    """
    out = bytearray()
    for run in plain.split(b"\0"):
        for start in range(0, len(run) - 253, 254):
            out += b"\xff" + run[start : start + 254]
        rest = run[len(run) - len(run) % 254 :]
        out.append(len(rest) + 1)
        out += rest
    return bytes(out)


def unstuff(stuffed: bytes) -> bytes | None:
    """The inverse of :func:`stuff`; None where the last block is cut off or there is a 0."""
    out, at = bytearray(), 0
    while at < len(stuffed):
        code = stuffed[at]
        block = stuffed[at + 1 : at + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            return None
        out += block
        at += code
        if code < 255 and at < len(stuffed):
            out.append(0)
    return bytes(out)


class Decoder:
    """Finds messages in what comes from the line, in pieces of any size.

    ``damaged`` counts what stood between two zeros and was no message.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._rest = bytearray()

    def feed(self, received: bytes) -> list[Message]:
        """The messages that are complete with these bytes."""
        self._rest += received
        *pieces, self._rest = self._rest.split(b"\0")
        # What is longer than any message is none: do not keep it until a 0 comes.
        if len(self._rest) > line_bytes(MOST_PAYLOAD):
            self._rest = self._rest[-line_bytes(MOST_PAYLOAD) :]
        found = [_message(bytes(piece)) for piece in pieces if piece]
        self.damaged += found.count(None)
        return [message for message in found if message]


def _message(stuffed: bytes) -> Message | None:
    plain = unstuff(stuffed)
    if plain is None or len(plain) < HEADER_BYTES + CRC_BYTES:
        return None
    body, crc = plain[:-CRC_BYTES], plain[-CRC_BYTES:]
    payload = body[HEADER_BYTES:]
    if int.from_bytes(body[3:5], "little") != len(payload):
        return None
    if zlib.crc32(body).to_bytes(CRC_BYTES, "little") != crc:
        return None
    return Message(body[0], int.from_bytes(body[1:3], "little"), payload)
