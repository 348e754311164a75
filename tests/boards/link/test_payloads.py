"""Identity, state and frames as bytes."""

from dataclasses import replace

import numpy as np
import pytest

from sqwire.boards.link.format import PART_BYTES, Format
from sqwire.boards.link.payloads import Identity, State
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

IDENTITY = Identity(
    4, 50_000_000, 3_000_000, b"12345678",
    (Format(8, 8, 1, 4, False),), (Format(1, 1, 10, 13, True),),
)  # fmt: skip


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 16, 17, 31])
@pytest.mark.parametrize("signed", [False, True])
def test_bytes_are_those_of_the_port(bits, signed):
    domain = Range.signed(bits) if signed else Range(0, 2**bits - 1)
    port = Port(Beat(domain, 3), frame=4)
    fmt = Format.of(port, (2, 2, 3))
    rng = np.random.default_rng(bits)
    codes = rng.integers(domain.lo, domain.hi + 1, (2, 2, 3))
    codes.flat[:2] = domain.lo, domain.hi
    raw = fmt.pack(codes, packed=False)
    words = [port.pack(row).to_bytes(port.bits // 8, "little") for row in codes.reshape(-1, 3)]
    assert raw == b"".join(words)
    assert len(raw) == fmt.frame_bytes(packed=False)
    assert np.array_equal(fmt.unpack(raw), codes)


SHAPES = [
    ((375, 450, 2, 8), 254),
    ((375, 1242, 2, 8), 254),
    ((240, 320, 3, 8), 169),
    ((224, 224, 3, 8), 169),
    ((100, 100, 400, 12), 1),  # a position has more bytes than a part should
    ((1, 168_750, 2, 8), 254),
]


@pytest.mark.parametrize(("shape", "part"), SHAPES)
@pytest.mark.parametrize("packed", [False, True])
def test_frames_of_any_size_are_cut_into_parts_of_whole_positions(shape, part, packed):
    height, width, channels, bits = shape
    fmt = Format(height, width, channels, bits, False).cut(4095)
    assert (fmt.part, fmt.is_cut, fmt.is_sound) == (part, True, True)
    codes = np.arange(fmt.codes).reshape(height, width, channels) % 2**bits
    parts = fmt.messages_of(codes, packed=packed)
    sizes = [
        fmt.message_bytes(packed=packed, last=k == fmt.messages - 1) for k in range(len(parts))
    ]
    assert [len(one) for one in parts] == sizes
    assert len(parts) == fmt.messages
    if not packed:
        assert b"".join(parts) == fmt.pack(codes, packed=False)
        assert max(sizes) <= PART_BYTES or part == 1


@pytest.mark.parametrize("size", [1, 508, 2048, 4095])
def test_a_frame_that_fits_stays_one_message(size):
    fmt = Format(1, size, 1, 8, False).cut(4095)
    assert (fmt.is_cut, fmt.messages, fmt.message_bytes(packed=False)) == (False, 1, size)
    assert fmt.message_bytes(packed=False, last=True) == size


def test_a_single_position_is_not_cut():
    fmt = Format(1, 1, 60_000, 8, False).cut(4095)
    assert not fmt.is_cut and fmt.is_sound
    assert not Format(1, 1, 66_000, 8, False).cut(4095).is_sound
    assert not Format(1, 2, 66_000, 8, False).cut(4095).is_sound
    assert not Format(1, 2, 65_530, 8, False).cut(4095).is_sound
    assert Format(1, 2, 65_529, 8, False).cut(4095).is_sound


@pytest.mark.parametrize("part", [0, 1, 3, 15, 16])
def test_no_part_may_be_more_than_a_frame(part):
    assert Format(3, 5, 1, 8, False, part).is_sound == (part <= 15)


@pytest.mark.parametrize("bits", [1, 3, 4, 8, 11])
def test_packed_codes_follow_each_other_without_a_gap(bits):
    fmt = Format(3, 5, 1, bits, True)
    codes = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, 5, 1))
    raw = fmt.pack(codes, packed=True)
    assert len(raw) == fmt.frame_bytes(packed=True) == -(-15 * bits // 8)
    word = int.from_bytes(raw, "little")
    mask = 2**bits - 1
    assert [word >> bits * k & mask for k in range(15)] == [int(c) & mask for c in codes.flat]
    assert word >> bits * 15 == 0


def test_four_bits_take_half_the_bytes():
    fmt = Format(8, 8, 1, 4, False)
    assert 2 * fmt.frame_bytes(packed=True) == fmt.frame_bytes(packed=False) == 64


def test_what_travels_in_parts_is_in_the_identity():
    frame = Format(375, 450, 2, 8, False).cut(4095)
    identity = replace(IDENTITY, inputs=(frame,))
    assert identity.is_cut and Identity.unpack(identity.pack()) == identity
    assert replace(IDENTITY, outputs=(frame,)).is_cut and not IDENTITY.is_cut


def test_identity_and_state_come_back():
    assert Identity.unpack(IDENTITY.pack()) == IDENTITY
    assert len(IDENTITY.pack()) == 54
    state = State(2**32 - 1, 5, 1, 2, 3, 4, 5, 6, 65535)
    assert State.unpack(state.pack()) == state


def test_another_protocol_is_refused_with_both_versions():
    raw = bytearray(IDENTITY.pack())
    raw[2] = 9
    with pytest.raises(ValueError, match=r"^Board: it must speak protocol 3, not 9; load a "):
        Identity.unpack(bytes(raw))


@pytest.mark.parametrize("raw", [b"", b"xx", IDENTITY.pack()[:-1], b"ab" + IDENTITY.pack()[2:]])
def test_what_is_no_identity_is_refused(raw):
    with pytest.raises(ValueError, match="^Board: it must identify itself"):
        Identity.unpack(raw)


def test_what_is_no_state_is_refused():
    with pytest.raises(ValueError, match="^Board: its state must have 22 bytes, not 3"):
        State.unpack(b"abc")
