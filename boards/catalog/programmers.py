"""What loads a bitstream onto a board."""

from __future__ import annotations

from sqwire.boards.board import Programmer

__all__ = ["dfu_util", "iceprog", "icesprog", "open_fpga_loader"]


def open_fpga_loader(*options: str) -> Programmer:
    """openFPGALoader into the device's memory: until the power goes."""
    return Programmer(("openFPGALoader", *options), "apt install openfpgaloader")


def iceprog(*options: str) -> Programmer:
    """iceprog, of Project IceStorm."""
    return Programmer(("iceprog", *options), "apt install fpga-icestorm")


def icesprog() -> Programmer:
    """icesprog, for boards with an iCELink."""
    return Programmer(("icesprog",), "see https://github.com/wuxx/icesugar, folder tools")


def dfu_util() -> Programmer:
    """dfu-util, for boards with a boot loader on USB."""
    return Programmer(("dfu-util", "-a", "0", "-D"), "apt install dfu-util")
