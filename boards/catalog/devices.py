"""What the devices on the boards hold, from their data sheets."""

from __future__ import annotations

from sqwire.boards.board import Resources

__all__ = ["ECP5_25F", "ECP5_45F", "ECP5_85F", "GW1NR_9", "HX8K", "UP5K"]

# FPGA-DS-02012. The 12F is sold with 12,000 LUTs and holds the die of the 25F.
ECP5_25F = Resources(lut4=24288, ff=24288, dsp=28, bram=56, bram_bits=18432)
ECP5_45F = Resources(lut4=43848, ff=43848, dsp=72, bram=108, bram_bits=18432)
ECP5_85F = Resources(lut4=83640, ff=83640, dsp=156, bram=208, bram_bits=18432)

# FPGA-DS-02008 and FPGA-DS-02029.
UP5K = Resources(lut4=5280, ff=5280, dsp=8, bram=30, bram_bits=4096)
HX8K = Resources(lut4=7680, ff=7680, dsp=0, bram=32, bram_bits=4096)

# DS117.
GW1NR_9 = Resources(lut4=8640, ff=6480, dsp=20, bram=26, bram_bits=18432)
