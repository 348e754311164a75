"""The client alone, at a line whose other end says whatever it likes."""

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from sqwire.boards.device import Device
from sqwire.boards.errors import DeviceError
from sqwire.boards.link.client import Client
from sqwire.boards.link.codec import NOBODY, Code, Decoder, Kind, Message, encode
from sqwire.boards.link.payloads import Format, Identity

FRAME = Format(1, 1, 2, 12, False)
IDENTITY = Identity(4, 50_000_000, 3_000_000, b"12345678", (FRAME,), (FRAME,))
X = np.arange(40).reshape(20, 1, 1, 2)


class Liar:
    """A line, and at its other end a board that answers as ``answers`` says: the messages, or
    bytes, for a request."""

    def __init__(self, answers):
        self.answers, self.seen = answers, []
        self._decoder, self._there, self._ready = Decoder(), bytearray(), threading.Event()

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
            for one in self.answers(message):
                self._there += encode(one) if isinstance(one, Message) else one
        if self._there:
            self._ready.set()

    def cancel_read(self):
        self._ready.set()

    def close(self):
        pass


def honest(message, identity=IDENTITY):
    """What a board says that echoes frames."""
    if message.kind == Kind.RESET:
        return [Message(Kind.RESTARTED, message.sequence)]
    if message.kind == Kind.IDENTIFY:
        return [Message(Kind.IDENTITY, message.sequence, identity.pack())]
    return [Message(Kind.RESULT, message.sequence, message.payload)]


def device_at(frames, **options):
    """A device at a line that answers frames as ``frames`` says."""

    def answers(message):
        frame = message.kind in (Kind.INFER, Kind.INFER_PACKED)
        return frames(message) if frame else honest(message)

    return Device(Liar(answers), packed=False, **{"timeout_seconds": 0.05, "retries": 2} | options)


@pytest.mark.parametrize(
    "changes",
    [
        {"credits": 0},
        {"baud": 0},
        {"clock_hz": 0},
        {"inputs": (replace(FRAME, height=0),)},
        {"inputs": (replace(FRAME, bits=0),)},
        {"outputs": (replace(FRAME, bits=255),)},
        {"inputs": ()},
        {"outputs": (FRAME, FRAME)},
        {"inputs": (FRAME, replace(FRAME, part=1))},
        {"outputs": (Format(65535, 65535, 65535, 64, True),)},
    ],
)
def test_a_board_that_no_board_can_be_is_refused(changes):
    liar = Liar(lambda message: honest(message, replace(IDENTITY, **changes)))
    with pytest.raises(ValueError, match=r"^Board: it must have credits, a clock, a rate and "):
        Device(liar, timeout_seconds=0.05)


@pytest.mark.parametrize("payload", [b"", b"\1\2", b"\1\2\3", bytes(5), bytes(65535)])
def test_a_result_of_another_length_is_refused(payload):
    # Two bytes for two codes of two bytes each: not to be taken for both halves.
    with (
        device_at(lambda message: [Message(Kind.RESULT, message.sequence, payload)]) as device,
        pytest.raises(ValueError, match=f"^Board: a result must have 4 bytes, not {len(payload)};"),
    ):
        device.run(X)


def test_replies_that_come_twice_or_to_nobody_or_of_another_kind_are_nobodys():
    def answers(message):
        (right,) = honest(message)
        wrong = [replace(right, sequence=(right.sequence + k) % NOBODY) for k in (-1, 50)]
        wrong += [replace(right, kind=kind) for kind in (Kind.IDENTITY, Kind.STATE, 0x77)]
        return [*(replace(one, payload=b"\7" * 4) for one in wrong), right, right]

    with device_at(answers) as device:
        assert np.array_equal(device.run(X), X)


def test_numbers_begin_again_behind_the_last_and_leave_out_what_is_open():
    late = []

    def answers(message):
        late.append(message)
        if len(late) == 1:
            return []
        return [
            one for request in (late if len(late) == 2 else [message]) for one in honest(request)
        ]

    with device_at(answers, timeout_seconds=5) as device:
        device._client._book._number = NOBODY - 2
        assert np.array_equal(device.run(X), X)
        used = [message.sequence for message in device._client._line.seen]
    assert NOBODY not in used and {NOBODY - 1, 0, 1} <= set(used)
    assert len(set(used)) == len(used)


def test_what_is_no_frame_keeps_its_number_so_that_a_late_answer_is_as_good():
    seen = []

    def answers(message):
        if message.kind != Kind.IDENTIFY:
            return honest(message)
        # The first try is complained about, and answered behind the second.
        seen.append(message.sequence)
        complaint = Message(Kind.ERROR, NOBODY, bytes([Code.DAMAGED]))
        return honest(replace(message, sequence=seen[0])) if seen[1:] else [complaint]

    with Device(Liar(answers), timeout_seconds=0.05, retries=2) as device:
        assert device.identity == IDENTITY
    assert len(seen) == 2 and seen[0] == seen[1]


@pytest.mark.parametrize("code", list(Code))
def test_a_board_that_only_complains_is_given_up(code):
    def answers(message):
        sequence = NOBODY if code == Code.DAMAGED else message.sequence
        return [Message(Kind.ERROR, sequence, bytes([code]))]

    with device_at(answers) as device, pytest.raises(DeviceError, match="^Board at the line: it "):
        device.run(X)


def test_noise_without_an_end_is_not_kept():
    with device_at(lambda _: [b"\1" * 200_000]) as device:
        with pytest.raises(DeviceError, match="did not 3 times"):
            device.run(X)
        assert len(device._client._decoder._rest) < 70_000


def test_a_request_too_long_for_a_message_is_refused():
    client = Client(Liar(honest), "here")
    with pytest.raises(ValueError, match="^Message: length must be from 0 to 65535, not 65536"):
        client.submit(Kind.INFER, bytes(65536))
    client.close()


def test_whatever_goes_wrong_at_the_line_nobody_waits_for_ever():
    def answers(_):
        raise RuntimeError("odd")

    client = Client(Liar(answers), "here")
    with pytest.raises(DeviceError, match=r"^Board at here: .*odd"):
        client.submit(Kind.RESET).result(5)
    client.close()


def test_requests_that_pile_up_while_the_line_is_stuck_do_not_block():
    # To wake the client costs a byte in a pipe, as at a real port.
    stuck, taken = threading.Event(), threading.Event()

    class Stuck(Liar):
        def __init__(self):
            super().__init__(honest)
            self.out, self.pipe = os.pipe()

        def write(self, data):
            taken.set()
            stuck.wait(20)
            raise OSError("Write timeout")

        def cancel_read(self):
            os.write(self.pipe, b"x")

    line = Stuck()
    os.set_blocking(line.pipe, False)  # a full one is an error, not a test that never ends
    client = Client(line, "here")
    replies = [client.submit(Kind.STATUS)]
    assert taken.wait(5)
    replies += [client.submit(Kind.STATUS) for _ in range(70_000)]
    stuck.set()
    with pytest.raises(DeviceError, match="Write timeout"):
        replies[-1].result(10)
    client.close()
    os.close(line.out)
    os.close(line.pipe)


def test_a_board_that_claims_to_be_slow_is_not_waited_for_for_ever():
    master, slave = os.openpty()
    os.set_blocking(master, False)
    slow, stop = replace(IDENTITY, clock_hz=6, baud=1), threading.Event()

    def serve():
        decoder = Decoder()
        while not stop.wait(0.005):
            try:
                found = decoder.feed(os.read(master, 4096))
            except BlockingIOError:
                continue
            for message in found:
                if message.kind in (Kind.RESET, Kind.IDENTIFY):
                    for one in honest(message, slow):
                        os.write(master, encode(one))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        begun = time.monotonic()
        with (
            Device(os.ttyname(slave), timeout_seconds=0.5, retries=1) as device,
            pytest.raises(DeviceError, match="did not 2 times"),
        ):
            device.run(X)
        assert time.monotonic() - begun < 10
    finally:
        stop.set()
        thread.join()
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    "codes",
    [X + 4096, X - 1, X.astype(np.float64), np.full((1, 1, 1, 2), np.nan)],
    ids=["above", "below", "real", "nan"],
)
def test_codes_that_are_none_of_the_boards_are_refused(codes):
    with (
        device_at(honest) as device,
        pytest.raises(ValueError, match="^Codes: they must be whole numbers from 0 to 4095"),
    ):
        device.run(codes)


def test_no_frames_give_no_results():
    with device_at(honest) as device:
        assert device.run(X[:0]).shape == (0, 1, 1, 2)
