"""Radiona ULX3S: https://github.com/emard/ulx3s, constraint file ``ulx3s_v20.lpf``."""

from sqwire.boards.board import Board, Resources

__all__ = ["BOARDS", "ULX3S_85F"]

# Balls of the headers in the order of their numbers: J1 carries gp/gn 0-13, J2 carries 14-27.
_GP = (
    "B11 A10 A9 B9 A7 C8 C6 A6 A4 A2 C4 F4 G3 H4 "
    "U18 N17 N16 L16 H18 F17 D18 C18 B15 B17 C16 D14 B13 D13"
).split()
_GN = (
    "C11 A11 B10 C10 A8 B8 C7 B6 A5 B1 B4 E3 F3 G5 "
    "U17 P16 M17 L17 H17 G18 E17 D17 C15 C17 D16 E14 C13 E13"
).split()

ULX3S_85F = Board(
    name="ulx3s_85f",
    title="Radiona ULX3S with LFE5U-85F",
    device="85k",
    package="CABGA381",
    speed=6,
    resources=Resources(lut4=83640, ff=83640, dsp=156, bram=208),
    clock_site="G2",
    clock_hz=25_000_000,
    io_type="LVCMOS33",
    header={f"gp{k}": site for k, site in enumerate(_GP)}
    | {f"gn{k}": site for k, site in enumerate(_GN)},
    # gp/gn 11-13 are shared with the radio module, 14-17 with the converter: not used.
    shell={
        "rst": "gp0",
        "i_data": "gp1",
        "i_shift": "gp2",
        "i_strobe": "gp3",
        "i_ready": "gn3",
        "o_data": "gn1",
        "o_shift": "gp4",
        "o_valid": "gn4",
        "o_done": "gp5",
        "error": "gn5",
    },
    programmer="ulx3s",
)

BOARDS = (ULX3S_85F,)
