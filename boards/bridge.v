// A board on the bench: its oscillator, its serial line, and the clock that its PLL makes of it.
module sqwire_board(
    input clk, fast, rx,
    output tx, active, error
);
    shell board(.clk(clk), .rx(rx), .tx(tx), .active(active), .error(error)
`ifdef SQWIRE_BUTTON
        , .button(`SQWIRE_BUTTON)
`endif
    );
endmodule
