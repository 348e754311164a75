"""Networks with several inputs and outputs, byte by byte: whichever gives or wants first."""

from dataclasses import replace

import numpy as np
import pytest

from sqwire.boards.link.codec import NOBODY, Code, Kind, Message, encode
from sqwire.boards.link.link import Link
from sqwire.boards.link.parts import Taken, result_part
from sqwire.boards.link.payloads import Format, Identity, State
from sqwire.boards.link.window import Window
from sqwire.hw.add import Add
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.crop import Crop
from sqwire.hw.fork import Fork
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ranges import Range

SMALL, LARGE = Range.signed(3), Range.signed(10)
BEAT = Beat(SMALL, 2)
ROWS, COLUMNS = 6, 4
IMAGE = Port(BEAT, ROWS * COLUMNS)


def forked(source):
    """A frame three times, without any queue: its last row, all of it, and its first row.

    The first output gives nothing before the others gave all but one row, and the last one is
    done when the others begin: in no order can a whole output be taken after another.
    """
    return (
        Stage("fork", Fork(BEAT, 3, ROWS * COLUMNS), (source,)),
        Stage("last", Crop(ROWS, COLUMNS, BEAT, (ROWS - 1, 0, 0, 0)), (Source("fork", 0),)),
        Stage("first", Crop(ROWS, COLUMNS, BEAT, (0, 0, ROWS - 1, 0)), (Source("fork", 2),)),
    )


ONE_INPUT = Network(
    (IMAGE,), forked(Source(None)), (Source("last"), Source("fork", 1), Source("first"))
)
# Of its first input it wants nothing before it has all but a row of the second.
SUM = Add(((LARGE,) * 2, (SMALL,) * 2), (1, 1), COLUMNS)
TWO_INPUTS = Network(
    (Port(Beat(LARGE, 2), COLUMNS), IMAGE),
    (*forked(Source(None, 1)), Stage("sum", SUM, (Source(None, 0), Source("last")))),
    (Source("sum"), Source("fork", 1), Source("first")),
)


def link_for(net, *, parts=(1, 5, 4), part=0, credits=4, timeout_bits=10):
    """A link whose results travel in parts of so many positions, and frames of ``part``."""
    inputs, outputs = (
        tuple(Format.of(port, (1, port.frame, port.beat.lanes)) for port in ports)
        for ports in (net.inputs, net.outputs)
    )
    outputs = tuple(replace(frame, part=n) for frame, n in zip(outputs, parts, strict=True))
    if part:
        inputs = (replace(inputs[0], part=part),)
    return Link(Identity(credits, 1_000_000, 100_000, bytes(8), inputs, outputs), timeout_bits)


def frames(net, count, seed=0):
    """Codes (frames, beats, lanes) for each input, extremes among them."""
    rng = np.random.default_rng(seed)
    codes = []
    for port in net.inputs:
        domain = port.beat.range
        x = rng.integers(domain.lo, domain.hi + 1, (count, port.frame, port.beat.lanes))
        x[0], x[-1] = domain.lo, domain.hi
        codes.append(x)
    return codes


def results(found, outputs):
    """Codes by output, frame by frame in the order in which they came, by sequence number."""
    got = {}
    for message in found:
        assert message.kind == Kind.RESULT_PART
        index, codes = result_part(message.payload)
        number = 0
        while index >= outputs[number].messages:
            index -= outputs[number].messages
            number += 1
        own = got.setdefault(message.sequence, [[] for _ in outputs])[number]
        assert index == len(own)
        own.append(codes)
    for parts in got.values():
        assert [len(own) for own in parts] == [frame.messages for frame in outputs]
    return {
        sequence: [f.unpack(b"".join(own))[0] for f, own in zip(outputs, parts, strict=True)]
        for sequence, parts in got.items()
    }


def infer(link, codes, sequence, *, packed=False):
    inputs = zip(link.identity.inputs, codes, strict=True)
    payload = b"".join(frame.pack(own, packed=packed) for frame, own in inputs)
    kind = Kind.INFER_PACKED if packed else Kind.INFER
    return encode(Message(kind, sequence, payload))


def check(net, got, x, first=0):
    wanted = net.compute(*x)
    assert list(got) == [first + k for k in range(len(x[0]))]
    for k, outputs in enumerate(got.values()):
        for own, want in zip(outputs, wanted, strict=True):
            assert np.array_equal(own, want[k])


@pytest.mark.parametrize("net", [ONE_INPUT, TWO_INPUTS], ids=["one input", "two inputs"])
@pytest.mark.parametrize(
    ("parts", "gaps"), [((1, 5, 4), False), ((4, 24, 1), True), ((4, 1, 3), False)]
)
def test_whole_frames_give_all_outputs_whoever_is_first(host, net, parts, gaps):
    link, x = link_for(net, parts=parts), frames(net, 6)
    messages = sum(frame.messages for frame in link.identity.outputs)

    async def script(h):
        found = []
        for k in range(6):
            line = infer(link, [own[k] for own in x], k, packed=k % 2 == 1)
            found += await h.talk(line, idle=0)
            # A frame is not sent before there is a credit.
            while k + 1 - len(found) // messages >= link.identity.credits:
                found += await h.cycle()
        found += await h.talk(b"", idle=20_000, until=6 * messages - len(found))
        check(net, results(found, link.identity.outputs), x)
        (state,) = await h.talk(encode(Message(Kind.STATUS, 9)))
        state = State.unpack(state.payload)
        assert (state.frames, state.network_errors, state.busy) == (6, 0, 0)
        assert state.most_frames > 1

    host(link=link, network=net.top(), gaps=gaps).run(script)


@pytest.mark.parametrize("part", [1, 7])
def test_a_frame_in_parts_gives_all_outputs(host, part):
    link, x = link_for(ONE_INPUT, part=part), frames(ONE_INPUT, 3)
    (frame,) = link.identity.inputs

    async def script(h):
        window, found, quiet = Window(link.identity.credits), [], 0
        for k, own in enumerate(x[0]):
            window.add(k, Kind.PART, frame.messages_of(own, packed=False))
        while quiet < 1000:
            message = window.next()
            heard = await (h.talk(encode(message[0]), idle=0) if message else h.cycle())
            quiet = 0 if heard or message else quiet + 1
            for one in heard:
                if one.kind == Kind.TAKEN:
                    window.heard(Taken.unpack(one.payload))
                else:
                    found.append(one)
        assert window.stuck == 0
        check(ONE_INPUT, results(found, link.identity.outputs), x)

    host(link=link, network=ONE_INPUT.top()).run(script)


def test_what_is_damaged_too_short_or_too_long_reaches_no_input(host):
    link, x = link_for(TWO_INPUTS), frames(TWO_INPUTS, 2)
    messages = sum(frame.messages for frame in link.identity.outputs)

    async def script(h):
        for k in range(2):
            codes = [own[k : k + 1] for own in x]
            line = infer(link, [own[0] for own in codes], k)
            spoiled = line[:-7] + bytes([line[-7] ^ 1 or 2]) + line[-6:]
            damaged = Message(Kind.ERROR, NOBODY, bytes([Code.DAMAGED]))
            assert await h.talk(spoiled, idle=600) == [damaged]
            payload = b"".join(
                f.pack(own, packed=False)
                for f, own in zip(link.identity.inputs, codes, strict=True)
            )
            for wrong in (payload[:-1], payload + b"\0", payload[: 4 * COLUMNS], b""):
                answer = await h.talk(encode(Message(Kind.INFER, 9, wrong)), idle=600)
                assert answer == [Message(Kind.ERROR, 9, bytes([Code.LENGTH]))]
            found = await h.talk(line, idle=6000, until=messages)
            check(TWO_INPUTS, results(found, link.identity.outputs), codes, k)

    host(link=link, network=TWO_INPUTS.top()).run(script)


@pytest.mark.parametrize("net", [ONE_INPUT, TWO_INPUTS], ids=["one input", "two inputs"])
def test_a_reset_at_any_time_leaves_nothing_of_any_output(host, net):
    link, x = link_for(net), frames(net, 16, seed=1)
    messages = sum(frame.messages for frame in link.identity.outputs)

    async def script(h):
        for k in range(0, 16, 2):
            await h.talk(infer(link, [own[k] for own in x], 77), idle=60 * k)
            found = await h.talk(encode(Message(Kind.RESET, 5)), idle=900)
            assert found[-1] == Message(Kind.RESTARTED, 5)
            codes = [own[k + 1 : k + 2] for own in x]
            line = infer(link, [own[0] for own in codes], k)
            found = await h.talk(line, idle=6000, until=messages)
            check(net, results(found, link.identity.outputs), codes, k)

    host(link=link, network=net.top()).run(script)


@pytest.mark.parametrize(
    ("inputs", "outputs"), [((0, 5), (1, 5, 4)), ((0, 0), (0, 5, 4)), ((0, 0), (0, 0, 0))]
)
def test_frames_of_several_inputs_in_parts_and_whole_results_of_several_outputs_are_refused(
    inputs, outputs
):
    identity = link_for(TWO_INPUTS).identity
    changed = (
        tuple(replace(frame, part=part) for frame, part in zip(old, parts, strict=True))
        for old, parts in ((identity.inputs, inputs), (identity.outputs, outputs))
    )
    with pytest.raises(ValueError, match="^Link: of several inputs no frames must be cut and of"):
        Link(replace(identity, **dict(zip(("inputs", "outputs"), changed, strict=True))))
