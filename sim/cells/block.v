// A block RAM with two ports: 512 lines of four bytes, of 8 or 9 bits each.
//
// An address counts bits, 8 to a byte: AD[13:5] is the line, AD[4:3] the byte in it, AD[2:0] the
// bit in that. The address bits that a word of two or four bytes has no use for enable its bytes.
//
// MODE says what a port puts out while it writes: 0 what it did before, 1 the new word, 2 the old
// one. RST sets what it puts out to 0, also without CE. There is one clock. What a port reads while the other one writes it is the inverse of what
// was there: nobody may rely on it.
module sqwire_block #(
  parameter BYTE = 9, WIDTH_A = 18, WIDTH_B = 18, MODE_A = 0, MODE_B = 0,
  // Bits of INIT for half a line, of which the first are in use.
  parameter HALF = 18,
  parameter [1024*HALF-1:0] INIT = 0
) (
  input CLKA, CEA, WREA, RSTA, CLKB, CEB, WREB, RSTB,
  input [13:0] ADA, ADB,
  input [4*BYTE-1:0] DIA, DIB,
  output reg [4*BYTE-1:0] DOA, DOB
);
  localparam LINE = 4 * BYTE;

  // Where in its line the least significant bit of a word lies.
  function [5:0] place(input integer width, input [4:0] address);
    case (width)
      LINE: place = 0;
      LINE / 2: place = 2 * BYTE * address[4];
      8, 9: place = BYTE * address[4:3];
      4: place = BYTE * address[4:3] + 4 * address[2];
      2: place = BYTE * address[4:3] + 2 * address[2:1];
      default: place = BYTE * address[4:3] + address[2:0];
    endcase
  endfunction

  // The bits of its line that a word is written to.
  function [LINE-1:0] bits(input integer width, input [4:0] address);
    case (width)
      LINE: bits = {
        {BYTE{address[3]}}, {BYTE{address[2]}}, {BYTE{address[1]}}, {BYTE{address[0]}}};
      LINE / 2: bits =
        {{2*BYTE{1'b0}}, {BYTE{address[1]}}, {BYTE{address[0]}}} << place(width, address);
      default: bits = ~({LINE{1'b1}} << width) << place(width, address);
    endcase
  endfunction

  wire [5:0] place_a = place(WIDTH_A, ADA[4:0]), place_b = place(WIDTH_B, ADB[4:0]);
  wire [LINE-1:0] bits_a = CEA & WREA ? bits(WIDTH_A, ADA[4:0]) : {LINE{1'b0}};
  wire [LINE-1:0] bits_b = CEB & WREB ? bits(WIDTH_B, ADB[4:0]) : {LINE{1'b0}};
  wire [LINE-1:0] data_a = DIA << place_a, data_b = DIB << place_b;
  wire same = ADA[13:5] == ADB[13:5];

  reg [LINE-1:0] mem [0:511];
  integer k;
  initial begin
    DOA = 0;
    DOB = 0;
    for (k = 0; k < 512; k = k + 1)
      mem[k] = {INIT[(2*k+1)*HALF +: LINE/2], INIT[2*k*HALF +: LINE/2]};
  end

  wire [LINE-1:0] old_a = mem[ADA[13:5]] ^ (same ? bits_b : {LINE{1'b0}});
  wire [LINE-1:0] old_b = mem[ADB[13:5]] ^ (same ? bits_a : {LINE{1'b0}});
  wire [LINE-1:0] new_a = MODE_A == 1 ? old_a & ~bits_a | data_a & bits_a : old_a;
  wire [LINE-1:0] new_b = MODE_B == 1 ? old_b & ~bits_b | data_b & bits_b : old_b;

  always @(posedge CLKA) begin
    if (RSTA) DOA <= 0;
    else if (CEA & (~WREA | MODE_A != 0)) DOA <= new_a >> place_a & ~({LINE{1'b1}} << WIDTH_A);
    for (k = 0; k < LINE; k = k + 1) if (bits_a[k]) mem[ADA[13:5]][k] <= data_a[k];
  end

  always @(posedge CLKB) begin
    if (RSTB) DOB <= 0;
    else if (CEB & (~WREB | MODE_B != 0)) DOB <= new_b >> place_b & ~({LINE{1'b1}} << WIDTH_B);
    for (k = 0; k < LINE; k = k + 1) if (bits_b[k]) mem[ADB[13:5]][k] <= data_b[k];
  end
endmodule
