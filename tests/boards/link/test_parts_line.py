"""Frames in parts: the real client, a serial port, and a board in Verilator that runs an echo."""

import threading

import numpy as np
import pytest

from sqwire.boards.device import Device
from sqwire.boards.link.codec import Kind, Message, encode
from sqwire.boards.link.faults import Faults, FaultyLine
from sqwire.boards.link.window import Window
from sqwire.boards.ports import open_port

BAUD = 3_000_000


@pytest.fixture
def board(cut_echo):
    with cut_echo.run() as running:
        yield running


def frames(count, seed=0):
    codes = np.random.default_rng(seed).integers(-4, 4, (count, 6, 7, 2))
    codes[0], codes[-1] = -4, 3
    return codes


@pytest.mark.parametrize("packed", [False, True])
def test_every_frame_comes_back_and_no_part_is_sent_twice(board, packed):
    x = frames(60)
    with Device(board.port, baud=BAUD, packed=packed, timeout_seconds=20) as device:
        assert np.array_equal(device.run(x), x)
        traffic = device.traffic
        assert traffic.again == traffic.stale == traffic.damaged == traffic.complaints == 0
        assert traffic.sent == 2 + 60 * 9
        assert traffic.answered == 2 + 60
        state = device.status()
        assert (state.frames, state.network_errors, state.busy) == (60, 0, 0)
        assert 1 <= state.most_frames <= 8
    assert board.stop().broken == 0


def test_a_frame_larger_than_any_message_comes_back(large_echo):
    x = np.random.default_rng(0).integers(0, 256, (2, 216, 162, 2))
    with (
        large_echo.run() as running,
        Device(running.port, baud=BAUD, timeout_seconds=30) as device,
    ):
        assert device.identity.inputs[0].frame_bytes(packed=False) > 65535
        assert np.array_equal(device.run(x), x)
        assert device.traffic.again == 0


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 5e-3])
def test_on_a_bad_line_every_answer_is_right(board, rate):
    x = frames(60 if rate < 5e-3 else 20, seed=1)
    line = FaultyLine(open_port(board.port, BAUD), Faults.all(rate), seed=3)
    with Device(line, timeout_seconds=0.3, retries=200) as device:
        assert np.array_equal(device.run(x), x)
        assert line.struck > 0
        assert device.status().network_errors == 0


@pytest.mark.parametrize("rate", [0, 2e-3])
def test_parts_in_one_direction_only(half_cut_echo, rate):
    x = frames(40, seed=5)
    with half_cut_echo.run() as running:
        line = FaultyLine(open_port(running.port, BAUD), Faults.all(rate), seed=6)
        seconds = 0.3 if rate else 20
        with Device(line, timeout_seconds=seconds, retries=200) as device:
            assert device.identity.frames_are_cut != device.identity.results_are_cut
            assert np.array_equal(device.run(x), x)
            assert (line.struck > 0) == (rate > 0)
            assert rate or device.traffic.again == 0
            assert device.status().network_errors == 0


@pytest.mark.parametrize("kind", ["flip", "drop", "double", "insert"])
def test_every_kind_of_fault_is_survived(board, kind):
    x = frames(15, seed=2)
    line = FaultyLine(open_port(board.port, BAUD), Faults(**{kind: 0.003}), seed=4)
    with Device(line, timeout_seconds=0.3, retries=200) as device:
        assert np.array_equal(device.run(x), x)
    assert line.struck > 0


def test_after_a_disconnect_in_mid_frame_the_next_client_is_served(board, cut_echo):
    x = frames(5)
    fmt = cut_echo.link.identity.inputs[0]
    for parts in (1, 3, 4):
        for cut in (0, 1, 7):
            window = Window(4)
            window.add(7, Kind.PART, fmt.messages_of(x[1], packed=False))
            sent = b"".join(encode(window.next()[0]) for _ in range(parts))
            line = open_port(board.port, BAUD)
            line.write(encode(Message(Kind.RESET, 1)) + sent[: len(sent) - cut])
            line.close()
            with Device(board.port, baud=BAUD, timeout_seconds=2) as device:
                assert np.array_equal(device.run(x), x)


def test_a_reset_in_the_midst_of_frames_loses_time_but_no_frame(board):
    x = frames(40)
    with Device(board.port, baud=BAUD, timeout_seconds=0.5, retries=50) as device:
        replies = []
        for k, one in enumerate(x):
            replies.append(device._send([one]))
            if k % 10 == 9:
                device.reset()
        got = [device.identity.outputs[0].unpack(reply.result(30)) for reply in replies]
    assert np.array_equal(np.stack(got), x)


def test_a_reset_by_another_host_loses_time_but_no_frame(board):
    # Its resets come between our messages, wherever in a frame that is.
    x = frames(40)
    line = open_port(board.port, BAUD)
    written = threading.Lock()

    class Shared:
        """A line of ours; the other host writes between two messages."""

        def __getattr__(self, name):
            return getattr(line, name)

        def write(self, data):
            self.count = getattr(self, "count", 0) + 1
            with written:
                if self.count % 97 == 0:
                    line.write(encode(Message(Kind.RESET, 60_000)))
                return line.write(data)

    with Device(Shared(), timeout_seconds=0.3, retries=8) as device:
        assert np.array_equal(device.run(x), x)
        assert device.traffic.again > 0
        assert device.status().network_errors == 0
