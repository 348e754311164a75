// PLLs as the harness of a simulated board sees them: it is told the ratio of each, drives `fast`
// of the module sqwire_board at that rate, and here it comes out as the PLL's clock.

import "DPI-C" function void sqwire_pll(input int multiplier, input int divider);

`define SQWIRE_LOCK(clock, lock) \
    reg [5:0] seen = 0; \
    assign lock = &seen; \
    always @(posedge clock) if (!lock) seen <= seen + 1;

module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
    parameter CLKOP_ENABLE = "", FEEDBK_PATH = "", OUTDIVIDER_MUXA = "", PLLRST_ENA = "",
    parameter INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = ""
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    input PLLWAKESYNC, ENCLKOP,
    output CLKOP, LOCK
);
    initial sqwire_pll(CLKFB_DIV, CLKI_DIV);
    assign CLKOP = sqwire_board.fast;
    `SQWIRE_LOCK(CLKOP, LOCK)
endmodule

module SB_PLL40_CORE #(
    parameter FEEDBACK_PATH = "", PLLOUT_SELECT = "", DIVR = 0, DIVF = 0, DIVQ = 0,
    parameter FILTER_RANGE = 0
) (
    input REFERENCECLK, RESETB, BYPASS,
    output PLLOUTGLOBAL, LOCK
);
    initial sqwire_pll(DIVF + 1, (DIVR + 1) * (1 << DIVQ));
    assign PLLOUTGLOBAL = sqwire_board.fast;
    `SQWIRE_LOCK(PLLOUTGLOBAL, LOCK)
endmodule

module SB_PLL40_PAD #(
    parameter FEEDBACK_PATH = "", PLLOUT_SELECT = "", DIVR = 0, DIVF = 0, DIVQ = 0,
    parameter FILTER_RANGE = 0
) (
    input PACKAGEPIN, RESETB, BYPASS,
    output PLLOUTGLOBAL, LOCK
);
    initial sqwire_pll(DIVF + 1, (DIVR + 1) * (1 << DIVQ));
    assign PLLOUTGLOBAL = sqwire_board.fast;
    `SQWIRE_LOCK(PLLOUTGLOBAL, LOCK)
endmodule

module rPLL #(
    parameter IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 8, FCLKIN = "", DEVICE = "",
    parameter DYN_IDIV_SEL = "", DYN_FBDIV_SEL = "", DYN_ODIV_SEL = "", PSDA_SEL = "",
    parameter DYN_DA_EN = "", DUTYDA_SEL = "", CLKOUT_FT_DIR = 0, CLKOUTP_FT_DIR = 0,
    parameter CLKOUT_DLY_STEP = 0, CLKOUTP_DLY_STEP = 0, CLKFB_SEL = "", CLKOUT_BYPASS = "",
    parameter CLKOUTP_BYPASS = "", CLKOUTD_BYPASS = "", DYN_SDIV_SEL = 0, CLKOUTD_SRC = "",
    parameter CLKOUTD3_SRC = ""
) (
    input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL,
    input [3:0] PSDA, DUTYDA, FDLY,
    output CLKOUT, LOCK
);
    initial sqwire_pll(FBDIV_SEL + 1, IDIV_SEL + 1);
    assign CLKOUT = sqwire_board.fast;
    `SQWIRE_LOCK(CLKOUT, LOCK)
endmodule
