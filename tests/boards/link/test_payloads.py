"""Identity, state and frames as bytes."""

import numpy as np
import pytest

from sqwire.boards.link.payloads import Format, Identity, State
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

IDENTITY = Identity(
    4, 50_000_000, 3_000_000, b"12345678", Format(8, 8, 1, 4, False), Format(1, 1, 10, 13, True)
)


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


def test_identity_and_state_come_back():
    assert Identity.unpack(IDENTITY.pack()) == IDENTITY
    assert len(IDENTITY.pack()) == 44
    state = State(2**32 - 1, 5, 1, 2, 3, 4, 5, 6, 65535)
    assert State.unpack(state.pack()) == state


def test_another_protocol_is_refused_with_both_versions():
    raw = bytearray(IDENTITY.pack())
    raw[2] = 9
    with pytest.raises(ValueError, match=r"^Board: it must speak protocol 2, not 9; load a "):
        Identity.unpack(bytes(raw))


@pytest.mark.parametrize("raw", [b"", b"xx", IDENTITY.pack()[:-1], b"ab" + IDENTITY.pack()[2:]])
def test_what_is_no_identity_is_refused(raw):
    with pytest.raises(ValueError, match="^Board: it must identify itself"):
        Identity.unpack(raw)


def test_what_is_no_state_is_refused():
    with pytest.raises(ValueError, match="^Board: its state must have 22 bytes, not 3"):
        State.unpack(b"abc")
