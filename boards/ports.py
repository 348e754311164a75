"""Serial ports: which one a board is at, and opening it."""

from __future__ import annotations

import errno
import grp
import termios
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import serial
from serial.tools import list_ports

from .errors import DeviceError

__all__ = ["READ_SECONDS", "find_port", "open_port"]

READ_SECONDS = 0.02
"""How long a read waits: a client looks at its clock that often."""


def find_port(usb_ids: Iterable[tuple[int, int]]) -> str:
    """The one port whose USB vendor and product are among ``usb_ids``.

    Of an adapter with several ports the last one is taken: the first programs the device.

    Raises
    ------
    DeviceError
        If there is none, or more than one adapter.
    """
    wanted = set(usb_ids)
    adapters: dict[Any, str] = {}
    for port in sorted(list_ports.comports(), key=lambda port: (port.location or "", port.device)):
        if (port.vid, port.pid) in wanted:
            place = (port.serial_number, (port.location or "").split(":")[0])
            adapters[place] = port.device
    if len(adapters) == 1:
        return next(iter(adapters.values()))
    if not adapters:
        raise DeviceError(
            "Port: a board must be plugged in, and none is found by its USB id; "
            "plug it in or name its port with --port"
        )
    raise DeviceError(
        f"Port: one board must be plugged in, not {len(adapters)} "
        f"({', '.join(sorted(adapters.values()))}); choose one with --port"
    )


def open_port(port: str, baud: int, *, write_seconds: float = 5.0) -> serial.Serial:
    """Open a port for us alone; a write that takes longer than ``write_seconds`` fails.

    Raises
    ------
    DeviceError
        If it is not there, is in use, we may not use it, or it is no serial port.
    """
    try:
        line = serial.Serial(
            port, baud, timeout=READ_SECONDS, write_timeout=write_seconds, exclusive=True
        )
        line.reset_input_buffer()
    except (OSError, ValueError, OverflowError, termios.error) as error:
        raise DeviceError(f"Port {port}: {_reason(port, baud, error)}") from error
    return line


def _reason(port: str, baud: int, error: Exception) -> str:
    # pyserial hands on some errors as text only; then the one it met stands behind.
    numbers = [e.args[0] for e in (error, error.__context__) if e is not None and e.args]
    number = next((n for n in numbers if isinstance(n, int)), None)
    if isinstance(error, ValueError | OverflowError):
        return f"it must take {baud} baud, and does not; choose another rate with --baud"
    if number == errno.ENOENT:
        known = ", ".join(sorted(p.device for p in list_ports.comports())) or "none"
        return f"it must be there, and is not; ports found: {known}"
    if number in (errno.EACCES, errno.EPERM):
        group = "dialout"
        try:
            group = grp.getgrgid(Path(port).stat().st_gid).gr_name
        except (OSError, KeyError):
            pass
        return (
            "you must be allowed to use it, and are not; join its group and log in again: "
            f"sudo usermod -aG {group} $USER"
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return "it must be free, and another program uses it; end that program"
    if number in (errno.ENOTTY, errno.EINVAL, errno.EISDIR, errno.EIO):
        return "it must be a serial port, and is none"
    return f"it must open, and does not ({error})"
