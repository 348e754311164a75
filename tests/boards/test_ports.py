"""Serial ports: found by their USB ids, opened, or refused in one line."""

import errno
import os
import termios
from types import SimpleNamespace

import pytest
import serial

from sqwire.boards import ports
from sqwire.boards.errors import DeviceError

FT231X, FT2232 = (0x0403, 0x6015), (0x0403, 0x6010)


def port(device, usb, location="1-1", number="A1"):
    return SimpleNamespace(
        device=device, vid=usb[0], pid=usb[1], location=location, serial_number=number
    )


@pytest.fixture
def plugged(monkeypatch):
    def plug(*found):
        monkeypatch.setattr(ports.list_ports, "comports", lambda: list(found))

    return plug


def test_the_only_board_is_found_among_other_ports(plugged):
    plugged(port("/dev/ttyS0", (None, None), None), port("/dev/ttyUSB3", FT231X))
    assert ports.find_port([FT231X, FT2232]) == "/dev/ttyUSB3"


def test_of_an_adapter_with_two_channels_the_second_is_taken(plugged):
    plugged(port("/dev/ttyUSB1", FT2232, "1-1:1.1"), port("/dev/ttyUSB0", FT2232, "1-1:1.0"))
    assert ports.find_port([FT2232]) == "/dev/ttyUSB1"


def test_no_board_and_several_boards_are_refused(plugged):
    plugged(port("/dev/ttyS0", (None, None), None))
    with pytest.raises(DeviceError, match=r"^Port: a board must be plugged in, .*--port$"):
        ports.find_port([FT231X])
    plugged(port("/dev/ttyUSB0", FT231X), port("/dev/ttyUSB1", FT231X, "1-2", "A2"))
    with pytest.raises(DeviceError, match=r"not 2 \(/dev/ttyUSB0, /dev/ttyUSB1\); choose one"):
        ports.find_port([FT231X])


def test_a_port_that_is_not_there_is_refused_with_those_that_are(plugged):
    plugged(port("/dev/ttyUSB7", FT231X))
    with pytest.raises(DeviceError, match=r"must be there, and is not; ports found: /dev/ttyUSB7"):
        ports.open_port("/dev/ttyNONE", 115200)


def test_what_is_no_serial_port_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="it must be a serial port, and is none"):
        ports.open_port(str(tmp_path / "file"), 115200)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            serial.SerialException(errno.EACCES, "denied"),
            r"not allowed|sudo usermod -aG \w+ \$USER",
        ),
        (serial.SerialException(errno.EBUSY, "busy"), "another program uses it; end that program"),
        (termios.error(errno.EIO, "hung up"), "it must be a serial port, and is none"),
        (ValueError("Invalid baud rate: 7"), "it must take 7 baud, and does not; .*--baud"),
    ],
)
def test_every_refusal_of_the_system_says_what_to_do(monkeypatch, error, message):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(ports.serial, "Serial", refuse)
    with pytest.raises(DeviceError, match=f"^Port /dev/ttyUSB0: .*({message})"):
        ports.open_port("/dev/ttyUSB0", 7)


@pytest.mark.parametrize("baud", [2**31, 10**12])
def test_a_rate_beyond_all_rates_is_refused(baud):
    master, slave = os.openpty()
    with pytest.raises(DeviceError, match=f"it must take {baud} baud, and does not; .*--baud"):
        ports.open_port(os.ttyname(slave), baud)
    os.close(master)
    os.close(slave)


def test_a_folder_is_no_serial_port(tmp_path):
    with pytest.raises(DeviceError, match="it must be a serial port, and is none"):
        ports.open_port(str(tmp_path), 115200)
