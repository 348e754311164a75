"""Messages as bytes on a line, and back."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.boards.link.codec import (
    MOST_PAYLOAD,
    Decoder,
    Kind,
    Message,
    encode,
    line_bytes,
    stuff,
    unstuff,
)


def blocks(n):
    return bytes(1 + k % 255 for k in range(n))


@pytest.mark.parametrize(
    ("plain", "stuffed"),
    [
        (b"", b"\x01"),
        (b"\0", b"\x01\x01"),
        (b"\0\0", b"\x01\x01\x01"),
        (b"a", b"\x02a"),
        (b"\0a\0", b"\x01\x02a\x01"),
        (blocks(253), b"\xfe" + blocks(253)),
        (blocks(254), b"\xff" + blocks(254) + b"\x01"),
        (blocks(254) + b"\0", b"\xff" + blocks(254) + b"\x01\x01"),
        (blocks(255), b"\xff" + blocks(254) + b"\x02\xff"),
    ],
)
def test_stuffing_of_the_extremes(plain, stuffed):
    assert stuff(plain) == stuffed
    assert unstuff(stuffed) == plain


def test_stuffing_without_the_surplus_last_block_is_read_too():
    assert unstuff(b"\xff" + blocks(254)) == blocks(254)


@given(st.binary(max_size=1200))
def test_what_is_stuffed_has_no_zero_and_comes_back(plain):
    assert 0 not in stuff(plain)
    assert unstuff(stuff(plain)) == plain


@pytest.mark.parametrize("stuffed", [b"\x03a", b"\x00", b"\x03a\x00", b"\xff" + b"a" * 253])
def test_cut_and_foreign_bytes_are_not_unstuffed(stuffed):
    assert unstuff(stuffed) is None


def test_the_layout_is_the_documented_one():
    plain = b"\x02\x34\x12\x03\x00abc"
    crc = zlib.crc32(plain)
    expected = b"\0" + stuff(plain + crc.to_bytes(4, "little")) + b"\0"
    assert encode(Message(Kind.INFER, 0x1234, b"abc")) == expected


@pytest.mark.parametrize("size", [0, 1, 244, 245, 246, 1024, MOST_PAYLOAD])
def test_line_bytes_counts_what_is_encoded(size):
    payload = bytes(random.Random(size).choices(range(1, 256), k=size))
    message = Message(Kind.INFER, 0x0101, payload)
    # The header has a 0 in its length, or none: the number of blocks may differ by one.
    assert abs(len(encode(message)) - line_bytes(size)) <= 1


@given(
    st.lists(
        st.builds(Message, st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=300)),
        max_size=5,
    ),
    st.integers(1, 50),
)
def test_messages_come_back_from_pieces_of_any_size(messages, piece):
    line = b"".join(map(encode, messages))
    decoder = Decoder()
    found = [m for at in range(0, len(line), piece) for m in decoder.feed(line[at : at + piece])]
    assert found == messages
    assert decoder.damaged == 0


def test_after_anything_the_next_message_is_understood():
    rng = random.Random(1)
    decoder, message = Decoder(), Message(Kind.RESULT, 7, b"\0\1\2")
    for size in (*range(20), 5000, 200_000):
        decoder.feed(rng.randbytes(size))
        assert message in decoder.feed(encode(message))


def test_every_single_wrong_bit_is_noticed():
    message = Message(Kind.RESULT, 0x0102, bytes(range(40)))
    line = encode(message)
    for bit in range(8, 8 * (len(line) - 1)):
        wrong = bytearray(line)
        wrong[bit // 8] ^= 1 << bit % 8
        assert Decoder().feed(bytes(wrong)) == []


@pytest.mark.parametrize(
    "arguments", [(256, 0), (-1, 0), (1, 65536), (1, -1), (1, 1, bytes(65536))]
)
def test_what_has_no_place_in_a_message_is_refused(arguments):
    with pytest.raises(ValueError, match="^Message: (kind|sequence|length) must be from 0 to "):
        Message(*arguments)
