"""FPGA boards as data, the way from RTLIL to a bitstream for them, and the link to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .device import Device

__all__ = ["Device"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: who only synthesises needs no serial port.
    if name == "Device":
        from .device import Device

        return Device
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
