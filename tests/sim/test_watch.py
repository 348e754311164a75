"""Streams inside a design are found in its Verilog, whatever Amaranth and Yosys called them."""

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim.watch import Signals, Watch, find

VERILOG = r"""
module sqwire_top(clk, o__valid);
  output o__valid;
  wire o__valid;
endmodule

module \sqwire_top.network.a (clk, \o__valid$22 , \o__payload$18 , o__ready);
  output \o__valid$22 ;
  wire \o__valid$22 ;
  reg o__valid = 1'h0;
  input o__ready;
  wire o__ready;
  output [23:0] \o__payload$18 ;
  wire [23:0] \o__payload$18 ;
  wire signed [9:0] \o__payload[0] ;
endmodule

module \sqwire_top.network.b (clk);
  reg o1__valid = 1'h0;
  wire o1__ready;
  wire [3:0] o1__payload;
  reg \o__valid$1 = 1'h0;
  reg \o__valid$2 = 1'h0;
  wire o__ready;
  wire o__payload;
endmodule
"""


def watch(name, instance, port="o"):
    return Watch(name, instance, Beat(Range(0, 1), 1), port)


def test_ports_come_before_wires_and_numbers_do_not_count(tmp_path):
    (tmp_path / "design.v").write_text(VERILOG)
    watches = [
        watch("port", "network.a"),
        watch("inside", "network.b", "o1"),
        watch("two of them", "network.b"),
        watch("no such port", "network.a", "o1"),
        watch("no such module", "network.c"),
    ]
    assert find(watches, [tmp_path / "design.v"]) == {
        "port": Signals("o__valid$22", "o__ready", "o__payload$18"),
        "inside": Signals("o1__valid", "o1__ready", "o1__payload"),
    }


def test_module_and_scope_are_named_from_the_instance():
    stream = watch("x", "network.conv1_dot")
    assert stream.module == "sqwire_top.network.conv1_dot"
    assert stream.scope == "dut.network.conv1_dot"
