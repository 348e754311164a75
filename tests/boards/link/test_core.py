"""The link's answer to every message, right or wrong, byte by byte."""

import numpy as np
import pytest

from sqwire.boards.link.codec import NOBODY, Code, Kind, Message, encode
from sqwire.boards.link.payloads import Format, Identity, State

FORMATS = {
    "bits": Format(2, 3, 2, 3, True),
    "one": Format(1, 1, 1, 1, False),
    "ones": Format(3, 5, 1, 1, False),
    "byte": Format(2, 2, 3, 8, False),
    "wide": Format(1, 3, 2, 11, True),
    "long": Format(16, 16, 1, 7, True),
}


def frames(fmt, count, seed=0):
    low = -(2 ** (fmt.bits - 1)) if fmt.signed else 0
    shape = (count, fmt.height, fmt.width, fmt.channels)
    codes = np.random.default_rng(seed).integers(low, low + 2**fmt.bits, shape)
    codes[0] = low
    codes[count // 2] = low + 2**fmt.bits - 1
    return codes


def infer(fmt, codes, sequence, *, packed=False):
    kind = Kind.INFER_PACKED if packed else Kind.INFER
    return encode(Message(kind, sequence, fmt.pack(codes, packed=packed)))


def result(fmt, codes, sequence):
    return Message(Kind.RESULT, sequence, fmt.pack(codes, packed=False))


def error(code, sequence=NOBODY):
    return Message(Kind.ERROR, sequence, bytes([code]))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("gaps", [False, True])
def test_frames_come_back_with_their_numbers(host, name, gaps):
    fmt = FORMATS[name]
    codes = frames(fmt, 6)

    async def script(h):
        for k, frame in enumerate(codes):
            packed = k % 2 == 1
            line = infer(fmt, frame, 1000 + 7 * k, packed=packed)
            found = await h.talk(line, idle=60_000, until=1)
            assert found == [result(fmt, frame, 1000 + 7 * k)]

    host(fmt, gaps=gaps).run(script)


def test_frames_in_flight_are_answered_in_order(host, small):
    codes = frames(small, 24)

    async def script(h):
        found, sent = [], 0
        for k, frame in enumerate(codes):
            found += await h.talk(infer(small, frame, k, packed=k % 3 == 0), idle=0)
            sent += 1
            while sent - len(found) == h.link.identity.credits:
                found += await h.cycle()
        found += await h.talk(b"", until=len(codes) - len(found))
        assert found == [result(small, frame, k) for k, frame in enumerate(codes)]

    host(small, seed=3).run(script)


def test_identity_is_what_the_link_was_made_with(host, small):
    async def script(h):
        (reply,) = await h.talk(encode(Message(Kind.IDENTIFY, 0xFFFE)))
        assert (reply.kind, reply.sequence) == (Kind.IDENTITY, 0xFFFE)
        assert Identity.unpack(reply.payload) == h.link.identity

    host(small).run(script)


async def status(h):
    (reply,) = await h.talk(encode(Message(Kind.STATUS, 5)))
    assert (reply.kind, reply.sequence) == (Kind.STATE, 5)
    return State.unpack(reply.payload)


def test_every_kind_of_trouble_is_answered_counted_and_survived(host, small):
    frame = frames(small, 1)[0]
    good = infer(small, frame, 9)
    flipped = bytearray(good)
    flipped[6] ^= 1 if flipped[6] != 1 else 2
    plain = small.pack(frame, packed=False)
    troubles = [
        (bytes(flipped), [error(Code.DAMAGED)]),
        (good[:-4] + b"\0", [error(Code.DAMAGED)]),
        (b"\0\x01\0", [error(Code.DAMAGED)]),
        (b"\0" + bytes(range(1, 255)) + b"\0", [error(Code.DAMAGED)]),
        (b"\0\0\0\0", []),
        (encode(Message(0x33, 1)), [error(Code.UNKNOWN, 1)]),
        (encode(Message(Kind.RESULT, 2, plain)), [error(Code.UNKNOWN, 2)]),
        (encode(Message(Kind.INFER, 3, plain[:-1])), [error(Code.LENGTH, 3)]),
        (encode(Message(Kind.INFER, 4, plain + b"\0")), [error(Code.LENGTH, 4)]),
        (encode(Message(Kind.INFER, 5)), [error(Code.LENGTH, 5)]),
        (encode(Message(Kind.STATUS, 6, b"x")), [error(Code.LENGTH, 6)]),
        (encode(Message(Kind.INFER_PACKED, 7, plain)), [error(Code.LENGTH, 7)]),
        (encode(Message(Kind.INFER, 8, bytes(3000))), [error(Code.LENGTH, 8)]),
        (encode(Message(Kind.RESET, 8, b"\1")), [error(Code.LENGTH, 8)]),
    ]

    async def script(h):
        for line, expected in troubles:
            assert await h.talk(line) == expected
            assert await h.talk(good, until=1) == [result(small, frame, 9)]
        state = await status(h)
        assert (state.damaged, state.refused) == (4, 9)
        assert state.frames == len(troubles)
        assert state.network_errors == state.busy == state.timed_out == 0

    host(small).run(script)


def test_lamps_glow_behind_frames_and_behind_trouble(host, small, monkeypatch):
    monkeypatch.setattr("sqwire.boards.link.core._GLOW_BITS", 9)
    frame = frames(small, 1)[0]
    good = infer(small, frame, 9)
    flipped = good[:8] + bytes([good[8] ^ 4]) + good[9:]

    async def script(h):
        def lit():
            return h.ctx.get(h.core.active), h.ctx.get(h.core.error)

        assert lit() == (1, 1)  # when the board wakes
        await h.talk(b"", idle=600)
        assert lit() == (0, 0)
        for line, expected in ((good, (1, 0)), (flipped, (0, 1)), (good, (1, 0))):
            await h.talk(line, until=1)
            assert lit() == expected
            await h.talk(b"", idle=600)
            assert lit() == (0, 0)

    host(small).run(script)


def test_a_host_that_vanishes_is_timed_out_at_every_byte(host, small):
    frame = frames(small, 1)[0]
    good = infer(small, frame, 9)

    async def script(h):
        cuts = range(2, len(good) - 1)
        for cut in cuts:
            assert await h.talk(good[:cut], idle=600) == [error(Code.DAMAGED)]
            assert await h.talk(good, until=1) == [result(small, frame, 9)]
        assert (await status(h)).timed_out == len(cuts)

    host(small).run(script)


def spoiled(line, at):
    """A message with byte ``at`` flipped, lost, doubled, replaced, or the last one that came."""
    yield line[:at] + bytes([line[at] ^ 0x10]) + line[at + 1 :]
    yield line[:at] + line[at + 1 :]
    yield line[:at] + line[at : at + 1] + line[at:]
    yield line[:at] + b"\xa5" + line[at:]
    yield line[:at] + b"\0" + line[at + 1 :]
    yield line[:at]


def test_the_message_behind_any_fault_is_answered_within_one_time_out(host, small):
    one, two = frames(small, 2)
    bad, good = infer(small, one, 8), infer(small, two, 9)

    async def answered(h, line):
        """Cycles from the last byte to the answer to ``good``, the last message of ``line``."""
        await h.talk(line[:-1], idle=0)
        found, cycles = await h.cycle(line[-1]), 1
        while result(small, two, 9) not in found:
            found += await h.cycle()
            cycles += 1
            assert cycles <= h.link.timeout_cycles
        return cycles

    async def script(h):
        alone = await answered(h, good)
        for at in range(len(bad)):
            for line in spoiled(bad, at):
                # A complaint, or the answer to a message that was not hurt, may come before.
                assert await answered(h, line + good) <= 2 * alone
                await h.talk(b"", idle=200)

    host(small, timeout_bits=9).run(script)


def test_a_message_that_stops_is_given_up_after_one_time_out(host, small):
    good = infer(small, frames(small, 1)[0], 9)

    async def script(h):
        for cut in range(2, len(good) - 1):
            await h.talk(good[:cut], idle=0)
            found, cycles = [], 0
            while not found:
                found = await h.cycle()
                cycles += 1
            assert found == [error(Code.DAMAGED)]
            assert h.link.timeout_cycles - 20 < cycles < h.link.timeout_cycles + 120

    host(small).run(script)


def test_a_damaged_byte_spoils_its_message_only(host, small):
    frame = frames(small, 1)[0]
    good = infer(small, frame, 9)

    async def script(h):
        for at in range(1, len(good) - 1):
            found = []
            for k, byte in enumerate(good):
                found += await h.cycle(None if k == at else byte, bad=k == at)
            assert found + await h.talk(b"") == [error(Code.DAMAGED)]
            assert await h.talk(good, until=1) == [result(small, frame, 9)]

    host(small).run(script)


def test_frames_beyond_the_credits_are_refused_and_no_other_suffers(host):
    fmt = FORMATS["long"]
    codes = frames(fmt, 6)

    async def script(h):
        found = []
        for k, frame in enumerate(codes):
            found += await h.talk(infer(fmt, frame, k), idle=0)
        found += await h.talk(b"", idle=60_000, until=6 - len(found))
        answered = [m.sequence for m in found if m.kind == Kind.RESULT]
        # One complaint waits at a time; those that come meanwhile are only counted.
        complaints = [m for m in found if m.kind == Kind.ERROR]
        assert complaints
        assert all(m == error(Code.BUSY, m.sequence) for m in complaints)
        assert answered not in [m.sequence for m in complaints]
        assert len(answered) < 6
        assert [m for m in found if m.kind == Kind.RESULT] == [
            result(fmt, codes[k], k) for k in answered
        ]
        state = await status(h)
        assert state.most_frames == 2
        assert state.busy == 6 - len(answered)

    host(fmt, credits=2).run(script)


@pytest.mark.parametrize("wait", [0, 1, 5, 20, 100, 400, 900])
def test_reset_forgets_all_frames_and_all_counters(host, wait):
    fmt = FORMATS["long"]
    codes = frames(fmt, 4)

    async def script(h):
        found = []
        for k, frame in enumerate(codes[:2]):
            found += await h.talk(infer(fmt, frame, k), idle=0)
        found += await h.talk(b"", idle=wait)
        found += await h.talk(encode(Message(Kind.RESET, 77)), idle=8000)
        assert found[-1] == Message(Kind.RESTARTED, 77)
        for message in found[:-1]:
            assert message == result(fmt, codes[message.sequence], message.sequence)
        assert (await status(h)).frames == 0
        for k, frame in enumerate(codes):
            found = await h.talk(infer(fmt, frame, k), idle=60_000, until=1)
            assert found == [result(fmt, frame, k)]

    host(fmt, credits=4, gaps=wait % 2 == 1, seed=wait).run(script)


def test_counters_stop_at_their_largest_value():
    from amaranth.sim import Simulator

    from sqwire.boards.link import counters

    dut = counters.Counters()
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def bench(ctx):
        ctx.set(dut.damaged, 1)
        ctx.set(dut.most_frames, 255)
        await ctx.tick().repeat(65535 + 10)
        ctx.set(dut.most_frames, 3)
        await ctx.tick()
        state = State.unpack(ctx.get(dut.o).to_bytes(22, "little"))
        assert state == State(damaged=65535, most_frames=255)

    sim.add_testbench(bench)
    sim.run()
