"""Frames in parts, byte by byte: whatever happens to a part, results are right or missing."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil

from sqwire.boards.link.codec import NOBODY, Code, Kind, Message, encode
from sqwire.boards.link.link import Link
from sqwire.boards.link.parts import Part, Taken, result_part
from sqwire.boards.link.payloads import Format, Identity, State
from sqwire.boards.link.window import Window

FORMATS = {
    "bits": Format(3, 5, 2, 3, True, 4),
    "even": Format(2, 4, 1, 8, False, 2),
    "one": Format(1, 3, 2, 11, True, 1),
    "ones": Format(5, 5, 1, 1, False, 12),
    "wide": Format(2, 3, 12, 4, True, 1),
}

FRAME = Format(2, 3, 2, 3, True)


def frames(fmt, count, seed=0):
    low = -(2 ** (fmt.bits - 1)) if fmt.signed else 0
    shape = (count, fmt.height, fmt.width, fmt.channels)
    codes = np.random.default_rng(seed).integers(low, low + 2**fmt.bits, shape)
    codes[0] = low
    codes[count // 2] = low + 2**fmt.bits - 1
    return codes


class Talk:
    """An honest host: frames out through a window, results in; what it sends may be spoiled."""

    def __init__(self, host, spoil=lambda count, line: line):
        self.host, self.spoil = host, spoil
        self.fmt = host.link.identity.inputs[0]
        self.window = Window(host.link.identity.credits)
        self.sent, self.got, self.others = 0, {}, []

    def add(self, sequence, codes, *, packed=False):
        kind = Kind.PART_PACKED if packed else Kind.PART
        self.window.add(sequence, kind, self.fmt.messages_of(codes, packed=packed))

    def hear(self, found):
        for message in found:
            if message.kind == Kind.TAKEN:
                self.window.heard(Taken.unpack(message.payload))
            elif message.kind == Kind.RESULT_PART:
                index, codes = result_part(message.payload)
                parts = self.got.setdefault(message.sequence, [])
                assert index == len(parts)
                parts.append(codes)
            elif message.kind == Kind.RESULT:
                self.got[message.sequence] = [message.payload]
            else:
                self.others.append(message)

    async def send(self, *, patience=1500):
        """Until the board has taken all; behind ``patience`` cycles without a word go back."""
        quiet = 0
        while self.window.waits or not self.window.is_sent:
            found = self.window.next()
            if found is not None:
                line = self.spoil(self.sent, encode(found[0]))
                self.sent += 1
                heard = await self.host.talk(line, idle=0)
            else:
                heard = await self.host.cycle()
            quiet = 0 if heard or found else quiet + 1
            self.hear(heard)
            if quiet > patience:
                self.window.back()
                quiet = 0
            assert self.window.stuck < 20
        while quiet < 1200:
            heard = await self.host.cycle()
            quiet = 0 if heard else quiet + 1
            self.hear(heard)

    def result(self, sequence):
        return self.host.link.identity.outputs[0].unpack(b"".join(self.got[sequence]))


async def echoed(host, codes):
    """All frames there and back, each as it went; what was said."""
    talk = Talk(host)
    for k, one in enumerate(codes):
        talk.add(k, one)
    await talk.send()
    for k, one in enumerate(codes):
        assert np.array_equal(talk.result(k), one)
    return talk


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("gaps", [False, True])
def test_frames_in_parts_come_back_in_parts(host, name, gaps):
    fmt = FORMATS[name]
    codes = frames(fmt, 5)

    async def script(h):
        talk = Talk(h)
        for k, one in enumerate(codes):
            talk.add(50 + k, one, packed=k % 2 == 1)
        await talk.send()
        for k, one in enumerate(codes):
            assert np.array_equal(talk.result(50 + k), one)
            assert len(talk.got[50 + k]) == fmt.messages
        assert talk.sent == 5 * fmt.messages
        assert talk.others == []

    host(fmt, gaps=gaps, timeout_bits=10).run(script)


@pytest.mark.parametrize(
    ("into", "out"),
    [
        (replace(FORMATS["bits"], part=0), FORMATS["bits"]),
        (FORMATS["bits"], replace(FORMATS["bits"], part=0)),
        (FORMATS["bits"], replace(FORMATS["bits"], part=7)),
    ],
    ids=["in whole", "out whole", "of other sizes"],
)
def test_each_direction_is_in_parts_or_whole_for_itself(host, into, out):
    codes = frames(into, 4)

    async def script(h):
        talk = Talk(h)
        for k, one in enumerate(codes):
            if into.is_cut:
                talk.add(k, one)
                await talk.send()
            else:
                line = encode(Message(Kind.INFER, k, into.pack(one, packed=False)))
                talk.hear(await h.talk(line, idle=2500))
            assert np.array_equal(talk.result(k), one)
        assert talk.others == []

    host(into, output=out, timeout_bits=10).run(script)


def spoilers(rng):
    """Ways to spoil one message, or to send it, and others in its place."""
    yield "lost", lambda line: b""
    yield "doubled", lambda line: line + line
    yield "cut", lambda line: line[: rng.randrange(1, len(line) - 1)]
    yield "flipped", lambda line: line[:4] + bytes([line[4] ^ 0x55]) + line[5:]
    yield "last byte", lambda line: line[:-2] + bytes([line[-2] ^ 0x55]) + line[-1:]
    yield "noise", lambda line: rng.randbytes(30) + line


@pytest.mark.parametrize("which", range(6))
def test_a_part_that_is_lost_doubled_or_damaged_is_sent_again_and_all_results_are_right(
    host, which
):
    fmt = FORMATS["bits"]
    codes = frames(fmt, 3)
    _, spoil = list(spoilers(random.Random(which)))[which]

    async def script(h):
        at = 0
        for victim in range(2 * fmt.messages):
            talk = Talk(h, lambda count, line, v=victim: spoil(line) if count == v else line)
            await h.talk(encode(Message(Kind.RESET, 9)), idle=600)
            for one in codes:
                talk.add(at, one)
                at += 1
            await talk.send()
            for k, one in enumerate(codes):
                assert np.array_equal(talk.result(at - 3 + k), one)
            assert talk.others in ([], [Message(Kind.ERROR, NOBODY, bytes([Code.DAMAGED]))])

    host(fmt, timeout_bits=9).run(script)


def test_every_second_part_is_lost_and_all_results_are_right(host):
    fmt, rng = FORMATS["even"], random.Random(1)
    codes = frames(fmt, 6)

    async def script(h):
        talk = Talk(h, lambda _, line: line[: rng.choice((0, 9, len(line), len(line)))])
        for k, one in enumerate(codes):
            talk.add(k, one)
        await talk.send()
        for k, one in enumerate(codes):
            assert np.array_equal(talk.result(k), one)

    host(fmt, timeout_bits=9).run(script)


def test_a_part_that_is_not_the_next_changes_nothing_and_is_told(host):
    fmt = FORMATS["bits"]
    one, two = frames(fmt, 2)
    parts = fmt.messages_of(one, packed=False)

    def message(index, number, sequence=7, turn=0, codes=None):
        codes = parts[index % len(parts)] if codes is None else codes
        return encode(Message(Kind.PART, sequence, Part(index, number, turn, codes).pack()))

    async def script(h):
        async def said(line):
            return await h.talk(line, idle=1500)

        def told(*state):
            return Message(Kind.TAKEN, 7, Taken(*state).pack())

        found = await said(message(0, 0))
        assert found[0] == told(1, 1, 0, False)
        # Doubled; two lost before it; another frame's; of the right number and another index.
        assert await said(message(0, 0, turn=3)) == [told(1, 1, 3, False)]
        assert await said(message(3, 3, turn=4)) == [told(1, 1, 4, True)]
        assert await said(message(1, 1, sequence=8)) == [told(1, 1, 0, True)]
        assert await said(message(2, 1)) == [told(1, 1, 0, True)]
        assert await said(message(257, 1)) == [told(1, 1, 0, True)]
        assert await said(message(1 << 24 | 1, 1)) == [told(1, 1, 0, True)]
        # A frame begins only behind the end of the one before.
        assert await said(message(0, 1, sequence=9)) == [told(1, 1, 0, True)]
        for wrong in (b"", parts[1][:-1], parts[1] + b"\0"):
            wrong = message(1, 1, codes=wrong)
            assert await said(wrong) == [Message(Kind.ERROR, 7, bytes([Code.LENGTH]))]
        for k in range(6):
            wrong = encode(Message(Kind.PART, 7, bytes(k)))
            assert await said(wrong) == [Message(Kind.ERROR, 7, bytes([Code.LENGTH]))]
        wrong = encode(Message(Kind.INFER, 7, fmt.pack(one, packed=False)))
        assert await said(wrong) == [Message(Kind.ERROR, 7, bytes([Code.UNKNOWN]))]
        for k in range(1, len(parts)):
            found += await said(message(k, k))
        assert b"".join(
            result_part(m.payload)[1] for m in found if m.kind == Kind.RESULT_PART
        ) == fmt.pack(one, packed=False)
        (state,) = await said(encode(Message(Kind.STATUS, 1)))
        state = State.unpack(state.payload)
        assert (state.frames, state.refused, state.damaged, state.busy) == (1, 10, 0, 0)
        assert state.network_errors == 0

    host(fmt, timeout_bits=10).run(script)


def test_a_frame_cut_short_and_a_reset_never_shift_the_next_one(host):
    fmt = FORMATS["bits"]
    one, two = frames(fmt, 2)

    async def script(h):
        for parts in range(1, fmt.messages):
            for cut in (0, 9):
                gone = Talk(h)
                gone.add(3, one)
                for _ in range(parts):
                    await h.talk(encode(gone.window.next()[0]), idle=300)
                following = gone.window.next()
                line = encode(following[0])[:cut] if following else b""
                assert await h.talk(line, idle=0) == [] or cut
                found = await h.talk(encode(Message(Kind.RESET, 5)), idle=2000)
                assert found[-1] == Message(Kind.RESTARTED, 5)
                talk = Talk(h)
                talk.add(4, two)
                await talk.send()
                assert np.array_equal(talk.result(4), two)
        (state,) = await h.talk(encode(Message(Kind.STATUS, 1)))
        assert State.unpack(state.payload).network_errors == 0

    host(fmt, timeout_bits=9).run(script)


def test_parts_beyond_the_credits_are_refused_and_no_other_suffers(host):
    fmt = FORMATS["wide"]
    codes = frames(fmt, 2)

    async def script(h):
        # The network is held back: nothing is fed.
        h.stuck = True
        talk = Talk(h)
        talk.window.credits = 99
        talk.add(1, codes[1])
        found = []
        for _ in range(fmt.messages):
            found += await h.talk(encode(talk.window.next()[0]), idle=400)
        # Two in the ring, that of the echo's queue fed before; those beyond are refused.
        busy = [m for m in found if m == Message(Kind.ERROR, 1, bytes([Code.BUSY]))]
        assert busy
        h.stuck = False
        talk.hear([m for m in found if m.kind == Kind.TAKEN])
        talk.hear(await h.talk(b"", idle=20_000))
        talk.window.credits = 2
        talk.window.back()
        await talk.send()
        assert np.array_equal(talk.result(1), codes[1])

    host(fmt, credits=2, timeout_bits=10).run(script)


@pytest.mark.parametrize("credits", [1, 2, 4])
def test_a_network_that_answers_before_it_has_all_does_not_lock_the_line(host, credits):
    # The echo answers each position at once, and a message of the result is longer than the
    # parts that may be on their way.
    into = Format(8, 8, 1, 8, False, 3)
    out = Format(8, 8, 1, 8, False, 0)
    codes = frames(into, 3)

    async def script(h):
        talk = await echoed(h, codes)
        assert talk.sent == 3 * into.messages

    host(into, output=out, credits=credits, timeout_bits=10).run(script)


def test_no_frame_is_begun_while_as_many_as_credits_have_no_result(host):
    # Results that nobody reads hold frames back; nothing is lost.
    fmt = FORMATS["even"]
    codes = frames(fmt, 24)

    async def script(h):
        await echoed(h, codes)
        (state,) = await h.talk(encode(Message(Kind.STATUS, 1)))
        assert State.unpack(state.payload).most_frames <= 2 * h.link.identity.credits

    host(fmt, credits=2, gaps=True, timeout_bits=10).run(script)


@pytest.mark.parametrize("out", [Format(1, 1, 1, 8, False), Format(1, 2, 1, 1, False, 1)])
def test_the_smallest_results_leave_no_signal_of_no_bits(out):
    # Verilog has no name for one.
    into = FORMATS["bits"]
    core = Link(Identity(4, 1_000_000, 100_000, bytes(8), (into,), (out,)), 8).core()
    text = rtlil.convert(core, name="core", emit_src=False)
    assert "width 0" not in text


def test_a_position_too_large_for_a_message_is_refused():
    into = Format(1, 2, 65_530, 8, False, 1)
    identity = Identity(2, 1_000_000, 100_000, bytes(8), (into,), (FRAME,))
    with pytest.raises(
        ValueError, match="part of the input must have at most 65529 bytes, not 6553"
    ):
        Link(identity)


@pytest.mark.parametrize(
    "frame",
    [Format(1, 9, 4, 65, False), Format(9, 9, 1, 8, False, 82), Format(1 << 20, 512, 1, 8, 0, 9)],
)
def test_frames_that_can_not_be_are_refused(frame):
    with pytest.raises(ValueError, match="^Link: the output must have codes of up to 64 bits"):
        Link(Identity(2, 1_000_000, 100_000, bytes(8), (FRAME,), (frame,)))
