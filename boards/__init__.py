"""FPGA boards as data, and the way from RTLIL to a bitstream for them."""
