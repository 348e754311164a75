"""The client and frames in parts, at a line whose other end says whatever it likes."""

import random
import threading
from dataclasses import replace

import numpy as np
import pytest

from sqwire.boards.device import Device
from sqwire.boards.errors import DeviceError
from sqwire.boards.link.codec import NOBODY, Code, Decoder, Kind, Message, encode
from sqwire.boards.link.parts import Part, Taken
from sqwire.boards.link.payloads import Format, Identity
from sqwire.boards.link.request import Gap, Request

FRAME = Format(3, 4, 2, 12, False, 5)
IDENTITY = Identity(4, 50_000_000, 3_000_000, b"12345678", (FRAME,), (FRAME,))
X = np.arange(20 * 24).reshape(20, 3, 4, 2)


class Board:
    """A line, and at its other end a board that echoes frames in parts, but for what ``spoil``
    makes of each of its replies: the messages, or bytes, that are sent instead."""

    def __init__(self, spoil=lambda message: [message], identity=IDENTITY):
        self.spoil, self.identity, self.seen = spoil, identity, []
        self._decoder, self._there, self._ready = Decoder(), bytearray(), threading.Event()
        self.forget()

    def forget(self):
        self.next = self.turn = 0
        self.early, self.frame = False, None

    def answers(self, message):
        if message.kind == Kind.IDENTIFY:
            yield Message(Kind.IDENTITY, message.sequence, self.identity.pack())
        elif message.kind == Kind.RESET:
            self.forget()
            yield Message(Kind.RESTARTED, message.sequence)
        else:
            part = Part.unpack(message.payload)
            sequence, index = self.frame or (message.sequence, 0)
            ahead = (part.number - self.next) % 256
            good = (ahead, part.index, message.sequence) == (0, index, sequence)
            self.turn, self.early = part.round, not good and ahead < 128
            if good:
                index += 1
                self.frame = None if index == FRAME.messages else (sequence, index)
                self.next += 1
            yield Message(
                Kind.TAKEN, sequence, Taken(self.next, self.next, self.turn, self.early).pack()
            )
            for output in range(good * len(self.identity.outputs)):
                index = part.index + output * FRAME.messages
                payload = index.to_bytes(4, "little") + part.codes
                yield Message(Kind.RESULT_PART, sequence, payload)

    @property
    def in_waiting(self):
        return len(self._there)

    def read(self, size=1):
        self._ready.wait(0.02)
        self._ready.clear()
        got = bytes(self._there[:size])
        del self._there[:size]
        return got

    def write(self, data):
        for message in self._decoder.feed(data):
            self.seen.append(message)
            for answer in self.answers(message):
                for one in self.spoil(answer):
                    self._there += encode(one) if isinstance(one, Message) else one
        if self._there:
            self._ready.set()

    def cancel_read(self):
        self._ready.set()

    def close(self):
        pass


def device_at(line, **options):
    return Device(line, packed=False, **{"timeout_seconds": 0.05, "retries": 2} | options)


def sometimes(rate, do):
    """Spoil so many replies about parts, drawn by lot."""
    rng = random.Random(1)

    def spoil(message):
        mine = message.kind in (Kind.TAKEN, Kind.RESULT_PART)
        return do(message) if mine and rng.random() < rate else [message]

    return spoil


def test_an_honest_board_gets_each_part_once():
    line = Board()
    with device_at(line) as device:
        assert np.array_equal(device.run(X), X)
        assert device.traffic.again == device.traffic.stale == 0
    assert len(line.seen) == 2 + 20 * FRAME.messages


def test_parts_of_several_outputs_are_taken_apart_whatever_is_lost():
    several = replace(IDENTITY, outputs=(FRAME, FRAME, FRAME))
    for spoil in (lambda message: [message], sometimes(0.2, lambda message: [])):
        line = Board(spoil, several)
        with device_at(line, retries=200) as device:
            results = device.run(X)
            assert len(results) == 3
            assert all(np.array_equal(result, X) for result in results)


def test_parts_of_one_output_keep_their_order_and_those_of_others_come_between():
    outputs = Format(1, 4, 1, 8, False, 2), Format(1, 3, 1, 8, False, 3)

    def part(index, codes):
        return index.to_bytes(4, "little") + codes

    request = Request(Kind.INFER, [b""])
    for missing in (1, 3, 1 << 31):
        with pytest.raises(Gap):
            request.gather(part(missing, b"ab"), outputs)
    assert request.gather(part(0, b"ab"), outputs) is None
    with pytest.raises(Gap):
        request.gather(part(0, b"ab"), outputs)
    with pytest.raises(ValueError, match="part 2 of a result must have 3 bytes, not 2"):
        request.gather(part(2, b"xy"), outputs)
    assert request.gather(part(2, b"xyz"), outputs) is None
    assert request.gather(part(1, b"cd"), outputs) == b"abcdxyz"


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
@pytest.mark.parametrize(
    "do",
    [
        lambda message: [],
        lambda message: [message, message],
        lambda message: [encode(message)[:-3] + b"\0"],
    ],
    ids=["lost", "doubled", "cut"],
)
def test_whatever_happens_to_replies_all_results_are_right(rate, do):
    with device_at(Board(sometimes(rate, do)), retries=50) as device:
        assert np.array_equal(device.run(X), X)


def test_a_missing_part_of_a_result_makes_the_frame_be_asked_again_under_another_number():
    lost = []

    def spoil(message):
        if message.kind == Kind.RESULT_PART and message.payload[0] == 1 and not lost:
            lost.append(message.sequence)
            return []
        return [message]

    line = Board(spoil)
    with device_at(line) as device:
        assert np.array_equal(device.run(X[:1]), X[:1])
        assert device.traffic.again == 1
    numbers = [message.sequence for message in line.seen if message.kind == Kind.PART]
    # The parts of the first one are sent to their end.
    assert numbers.count(lost[0]) == FRAME.messages
    assert len(numbers) == 2 * FRAME.messages


@pytest.mark.parametrize("size", [3, 4, 5, 23, 25, 65535])
def test_a_part_of_another_length_is_refused(size):
    def spoil(message):
        if message.kind == Kind.RESULT_PART:
            message = replace(message, payload=message.payload[:4].ljust(size, b"\0")[:size])
        return [message]

    with (
        device_at(Board(spoil)) as device,
        pytest.raises((ValueError, DeviceError), match=r"part (0 )?of a result must have"),
    ):
        device.run(X)


@pytest.mark.parametrize("index", [1, 255, 2**32 - 1])
def test_parts_that_are_never_the_next_are_given_up(index):
    def spoil(message):
        if message.kind == Kind.RESULT_PART:
            message = replace(message, payload=index.to_bytes(4, "little") + message.payload[4:])
        return [message]

    with device_at(Board(spoil)) as device, pytest.raises(DeviceError, match="did not 3 times"):
        device.run(X)


@pytest.mark.parametrize(
    "state",
    [Taken(0, 0, 0, True), Taken(0, 0, 0, False), Taken(200, 200, 0, False), Taken(0, 9, 9, True)],
)
def test_a_board_that_says_only_nonsense_is_reset_and_given_up(state):
    def spoil(message):
        return [replace(message, payload=state.pack())] if message.kind == Kind.TAKEN else []

    def but_for_the_begin(message):
        known = message.kind in (Kind.IDENTITY, Kind.RESTARTED)
        return [message] if known else spoil(message)

    line = Board(but_for_the_begin)
    with device_at(line) as device, pytest.raises(DeviceError, match=r"did not \d+ times"):
        device.run(X)
    resets = [message for message in line.seen if message.kind == Kind.RESET]
    assert 1 < len(resets) < 500


@pytest.mark.parametrize("code", list(Code))
def test_a_board_that_only_complains_is_given_up(code):
    def spoil(message):
        if message.kind in (Kind.IDENTITY, Kind.RESTARTED):
            return [message]
        sequence = NOBODY if code == Code.DAMAGED else message.sequence
        return [Message(Kind.ERROR, sequence, bytes([code]))]

    with device_at(Board(spoil)) as device, pytest.raises(DeviceError, match="^Board at the line"):
        device.run(X)


def test_a_board_that_is_silent_even_to_a_reset_fails_all_frames():
    begun = []

    def spoil(message):
        if message.kind == Kind.TAKEN:
            begun.append(message)
        return [] if begun else [message]

    with device_at(Board(spoil), retries=1) as device:
        replies = [device._send([one]) for one in X]
        for reply in replies:
            with pytest.raises(DeviceError, match="it must answer within"):
                reply.result(20)


def test_only_frames_that_are_on_their_way_are_kept_as_bytes(monkeypatch):
    made = []
    whole = Format.messages_of

    def counted(self, codes, *, packed):
        made.append(len(done))
        return whole(self, codes, packed=packed)

    monkeypatch.setattr(Format, "messages_of", counted)
    done = []
    with device_at(Board()) as device:
        assert np.array_equal(device.run(X, progress=lambda k, _: done.append(k)), X)
    assert all(k - before < 2 * IDENTITY.credits for k, before in enumerate(made))


def test_an_identity_with_frames_beyond_belief_is_refused():
    large = Format(2**20, 2**9, 1, 8, False, 508)
    line = Board(identity=replace(IDENTITY, outputs=(large,)))
    with pytest.raises(ValueError, match="^Board: it must have credits, a clock, a rate and "):
        Device(line, timeout_seconds=0.05)
