"""What stands in the payloads: who the board is, and how it fares."""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass

from .format import Format

__all__ = ["PROTOCOL", "Format", "Identity", "State"]

PROTOCOL = 3
"""Version of the protocol; a host speaks to boards of its own version only."""

_MAGIC = b"sq"
_IDENTITY = struct.Struct("<2sBBII8sBB")
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
        20      1     inputs
        21      1     outputs
        22      16    each input: height 4, width 4, channels 2, bits 1, signed 1,
                      positions a part 4, 0 where a frame is one message
        then    16    each output: the same

    The parts of a result are those of the first output, then those of the second, ...; they are
    numbered through and those of several outputs may come in any order.
    """

    credits: int
    clock_hz: int
    baud: int
    design: bytes
    inputs: tuple[Format, ...]
    outputs: tuple[Format, ...]
    protocol: int = PROTOCOL

    @property
    def frames_are_cut(self) -> bool:
        """Whether frames travel in parts."""
        return self.inputs[0].is_cut

    @property
    def results_are_cut(self) -> bool:
        """Whether results travel in parts."""
        return self.outputs[0].is_cut

    @property
    def is_cut(self) -> bool:
        """Whether frames or results travel in parts."""
        return self.frames_are_cut or self.results_are_cut

    @property
    def fits(self) -> bool:
        """Whether of several inputs whole frames come, and of several outputs parts."""
        inputs = len(self.inputs) == 1 or not any(frame.is_cut for frame in self.inputs)
        return inputs and (len(self.outputs) == 1 or all(frame.is_cut for frame in self.outputs))

    @property
    def is_sound(self) -> bool:
        """Whether there can be such a board."""
        numbers = self.credits and self.clock_hz and self.baud and self.inputs and self.outputs
        return bool(numbers) and self.fits and all(f.is_sound for f in self.inputs + self.outputs)

    def pack(self) -> bytes:
        """The payload."""
        head = _IDENTITY.pack(
            _MAGIC, self.protocol, self.credits, self.clock_hz, self.baud, self.design,
            len(self.inputs), len(self.outputs),
        )  # fmt: skip
        return head + b"".join(_FORMAT.pack(*astuple(f)) for f in self.inputs + self.outputs)

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
        stranger = ValueError("Board: it must identify itself as sqwire does, and does not")
        if len(payload) < _IDENTITY.size or payload[:2] != _MAGIC:
            raise stranger
        _, protocol, credits, clock_hz, baud, design, *counts = _IDENTITY.unpack_from(payload)
        if len(payload) != _IDENTITY.size + sum(counts) * _FORMAT.size:
            raise stranger
        formats = tuple(
            Format(height, width, channels, bits, bool(signed), part)
            for height, width, channels, bits, signed, part in _FORMAT.iter_unpack(
                payload[_IDENTITY.size :]
            )
        )
        inputs, outputs = formats[: counts[0]], formats[counts[0] :]
        identity = cls(credits, clock_hz, baud, design, inputs, outputs, protocol)
        if not identity.is_sound:
            raise ValueError(
                "Board: it must have credits, a clock, a rate and frames that fit into messages, "
                f"not {credits}, {clock_hz} Hz, {baud} baud, {inputs} and {outputs}; "
                "load the bitstream of this build"
            )
        return identity


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
