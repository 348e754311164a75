"""The real client on a real serial port, and behind it a board in Verilator that runs an echo."""

import os
import random
import threading
import time

import numpy as np
import pytest
import serial

from sqwire.boards.device import Device
from sqwire.boards.errors import DeviceError
from sqwire.boards.link.codec import Code, Decoder, Kind, Message, encode
from sqwire.boards.link.faults import Faults, FaultyLine
from sqwire.boards.link.payloads import Identity, State
from sqwire.boards.ports import open_port

BAUD = 3_000_000


@pytest.fixture
def board(echo):
    with echo.run() as running:
        yield running


def frames(count, seed=0):
    codes = np.random.default_rng(seed).integers(-4, 4, (count, 2, 3, 2))
    codes[0], codes[-1] = -4, 3
    return codes


def talk(line, sent, *, seconds=3.0, until=1):
    """Send bytes; the messages that come back, up to so many."""
    decoder, found = Decoder(), []
    line.write(sent)
    end = time.monotonic() + seconds
    while len(found) < until and time.monotonic() < end:
        found += decoder.feed(line.read(max(1, line.in_waiting)))
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_every_frame_comes_back_and_nothing_is_sent_twice(board, packed):
    x = frames(300)
    with Device(board.port, baud=BAUD, packed=packed, timeout_seconds=20) as device:
        seen = []
        assert np.array_equal(device.run(x, progress=lambda *of: seen.append(of)), x)
        assert seen == [(k + 1, 300) for k in range(300)]
        assert device.traffic.again == device.traffic.stale == device.traffic.damaged == 0
        state = device.status()
        assert state == State(
            frames=300,
            stall_cycles=state.stall_cycles,
            most_frames=state.most_frames,
            most_reply_bytes=state.most_reply_bytes,
        )
        assert 1 <= state.most_frames <= 4
    report = board.stop()
    assert report.broken == 0
    assert report.clock_hz == 18_000_000


def test_the_board_says_who_it_is(board, echo):
    with Device(board.port, baud=BAUD, timeout_seconds=20) as device:
        assert device.identity == echo.link.identity


def test_frames_are_sent_ahead_without_waiting(board):
    x = frames(40)
    with Device(board.port, baud=BAUD, timeout_seconds=20) as device:
        replies = [device._send([one]) for one in x]
        results = [device.identity.outputs[0].unpack(reply.result(20)) for reply in replies]
    assert np.array_equal(np.stack(results), x)


@pytest.mark.parametrize("rate", [1e-5, 1e-3, 1e-2])
def test_on_a_bad_line_every_answer_is_right(board, rate):
    x = frames(400 if rate < 1e-2 else 150, seed=1)
    line = FaultyLine(open_port(board.port, BAUD), Faults.all(rate), seed=3)
    with Device(line, timeout_seconds=0.3, retries=200) as device:
        assert np.array_equal(device.run(x), x)
        assert (line.struck == 0) == (device.traffic.again == 0) or rate < 1e-2


@pytest.mark.parametrize("kind", ["flip", "drop", "double", "insert"])
def test_every_kind_of_fault_is_survived(board, kind):
    x = frames(80, seed=2)
    line = FaultyLine(open_port(board.port, BAUD), Faults(**{kind: 0.005}), seed=4)
    with Device(line, timeout_seconds=0.3, retries=200) as device:
        assert np.array_equal(device.run(x), x)
    assert line.struck > 0


def faults(line, rng):
    """What may stand where a message should: damaged, cut, another host's bytes, a reset in it."""
    at = rng.randrange(1, len(line) - 1)
    yield line[:at] + bytes([line[at] ^ 1 << rng.randrange(8)]) + line[at + 1 :]
    yield line[:at] + line[at + 1 :]
    yield line[:at] + line[at : at + 1] + line[at:]
    yield line[:at] + rng.randbytes(1) + line[at:]
    yield line[:at]
    yield line[:at] + rng.randbytes(rng.randrange(1, 40))
    yield line[:at] + encode(Message(Kind.RESET, 0)) + line[at:]


def test_of_ten_thousand_messages_each_behind_a_fault_is_answered_and_none_wrong(
    board, echo, request
):
    """Without waiting or asking again: so the link is well again before a time-out is over."""
    messages = 10_000 if request.node.callspec.params["echo"] == "rtl" else 1_000
    fmt, rng = echo.link.identity.inputs[0], random.Random(0)
    codes = frames(messages, seed=6)
    payloads = [fmt.pack(one, packed=False) for one in codes]
    line, decoder, timeout = open_port(board.port, BAUD), Decoder(), 5.0
    for k in range(0, messages, 2):
        bad, good = (encode(Message(Kind.INFER, n, payloads[n])) for n in (k, k + 1))
        kinds = list(faults(bad, rng))
        line.write(kinds[k // 2 % len(kinds)] + good)
        deadline, answered = time.monotonic() + timeout, False
        while not answered:
            assert time.monotonic() < deadline, f"no answer to message {k + 1}"
            for message in decoder.feed(line.read(max(1, line.in_waiting))):
                if message.kind == Kind.RESULT:
                    assert message.payload == payloads[message.sequence]
                    answered |= message.sequence == k + 1
    assert decoder.damaged <= messages // 2
    line.close()


def test_after_a_disconnect_in_mid_frame_the_next_client_is_served(board, echo):
    x = frames(20)
    one = encode(Message(Kind.INFER, 7, echo.link.identity.inputs[0].pack(x[0], packed=False)))
    for cut in (1, 5, 12, len(one) - 1):
        line = open_port(board.port, BAUD)
        line.write(one + one[:cut])
        line.close()
        with Device(board.port, baud=BAUD, timeout_seconds=2) as device:
            assert np.array_equal(device.run(x), x)


def test_a_second_hosts_garbage_harms_nobody(board):
    x = frames(150)
    # A netlist is simulated slowly, and more so on a busy machine: a few frames get through between
    # one disturbance and the next, and a time-out leaves time for many.
    with Device(board.port, baud=BAUD, timeout_seconds=5) as device:
        start = time.monotonic()
        device.run(x[:20])
        frame_seconds = (time.monotonic() - start) / 20
    other = serial.Serial(board.port, BAUD)
    stop = threading.Event()

    def disturb():
        rng = random.Random(5)
        while not stop.wait(max(0.01, 5 * frame_seconds)):
            other.write(rng.randbytes(rng.randrange(1, 30)))

    thread = threading.Thread(target=disturb)
    line = FaultyLine(serial.Serial(board.port, BAUD, timeout=0.02), Faults())
    thread.start()
    try:
        wait = max(0.3, 50 * frame_seconds)
        with Device(line, timeout_seconds=wait, retries=200) as device:
            assert np.array_equal(device.run(x), x)
    finally:
        stop.set()
        thread.join()
        other.close()


def test_a_reset_in_the_midst_of_frames_loses_time_but_no_frame(board):
    x = frames(120)
    with Device(board.port, baud=BAUD, timeout_seconds=0.5, retries=50) as device:
        replies = []
        for k, one in enumerate(x):
            replies.append(device._send([one]))
            if k % 30 == 29:
                device.reset()
        got = [device.identity.outputs[0].unpack(reply.result(30)) for reply in replies]
    assert np.array_equal(np.stack(got), x)


def test_a_vanished_host_is_timed_out_and_told(board, echo):
    line = open_port(board.port, BAUD)
    one = encode(Message(Kind.STATUS, 9))
    (reply,) = talk(line, one[:-3])
    assert (reply.kind, reply.payload) == (Kind.ERROR, bytes([Code.DAMAGED]))
    (reply,) = talk(line, one)
    assert State.unpack(reply.payload).timed_out == 1
    line.close()


def test_an_oversized_message_is_refused_and_the_next_one_served(board):
    line = open_port(board.port, BAUD)
    line.write_timeout = None
    (reply,) = talk(line, encode(Message(Kind.INFER, 3, bytes(65535))), seconds=20)
    assert reply == Message(Kind.ERROR, 3, bytes([Code.LENGTH]))
    (reply,) = talk(line, b"\1" * 70_000 + b"\0", seconds=20)
    assert reply.payload == bytes([Code.DAMAGED])
    (reply,) = talk(line, encode(Message(Kind.IDENTIFY, 4)))
    assert Identity.unpack(reply.payload).credits == 4
    line.close()


def test_a_board_at_another_rate_does_not_answer(echo):
    with (
        echo.run(baud=2_000_000) as board,
        pytest.raises(
            DeviceError, match=r"it must answer within 0.1 s, and did not 3 times .*--baud"
        ),
    ):
        Device(board.port, baud=BAUD, timeout_seconds=0.1, retries=2)


def test_a_line_without_a_board_gives_one_line():
    master, slave = os.openpty()
    name = os.ttyname(slave)
    with pytest.raises(DeviceError, match=r"^Board at /dev/.*: it must answer within 0.05 s"):
        Device(name, timeout_seconds=0.05, retries=1)


def test_a_port_that_is_in_use_is_refused(board):
    with (
        Device(board.port, baud=BAUD, timeout_seconds=20),
        pytest.raises(DeviceError, match="it must be free, and another program uses it"),
    ):
        Device(board.port, baud=BAUD)


def test_a_board_that_is_unplugged_fails_what_is_asked(board):
    x = frames(50)
    device = Device(board.port, baud=BAUD, timeout_seconds=0.2, retries=1)
    board.stop()
    with pytest.raises(DeviceError, match=f"^Board at {board.port}: "):
        device.run(x)
    device.close()
    with pytest.raises(DeviceError, match="it must be open, and was closed"):
        device.run(x)


def test_frames_of_another_shape_are_refused(board):
    with (
        Device(board.port, baud=BAUD, timeout_seconds=20) as device,
        pytest.raises(ValueError, match=r"^Codes: their shape must be \(frames, 2, 3, 2\), not "),
    ):
        device.run(np.zeros((1, 2, 2, 2), dtype=np.int64))


def test_images_need_a_build(board):
    with (
        Device(board.port, baud=BAUD, timeout_seconds=20) as device,
        pytest.raises(ValueError, match="^Device: it must be given a build"),
    ):
        device.infer(np.zeros((1, 2, 3, 2)))
