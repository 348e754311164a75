"""The circuit that stands around a compiled design in simulation, so that Python rarely acts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.compiler.emit import TOP, rtlil_to_verilog
from sqwire.hw import axis

__all__ = ["CYCLE_BITS", "DUT", "Harness", "write_verilog"]

DUT = "dut"
"""Name of the instance of the design in the harness."""

CYCLE_BITS = 32
"""Width of all cycle counts."""

# A chunk goes through a wide shifter (in) or moves with every transfer (out): longer ones make
# Python act less often but each cycle more expensive.
_IN_CHUNK_BYTES = 512
_OUT_CHUNK_BYTES = 256
_MOST_TRANSFERS = 256


@dataclass(frozen=True)
class Harness:
    """How a design with these two ports is fed and observed in chunks of many transfers.

    A chunk is one wide value on the pins of the harness: up to ``in_transfers``
    (``out_transfers``) records of ``in_bytes`` (``out_bytes``) bytes each. An input record is
    ``tdata`` and a byte that is 1 where ``tlast`` is high; an output record also has, behind
    these, the cycle in which the transfer happened.
    """

    input: axis.Port
    output: axis.Port

    @property
    def in_bytes(self) -> int:
        """Bytes of an input record."""
        return int(self.input.bits) // 8 + 1

    @property
    def out_bytes(self) -> int:
        """Bytes of an output record."""
        return int(self.output.bits) // 8 + 1 + CYCLE_BITS // 8

    @property
    def in_transfers(self) -> int:
        """Input records in a chunk, at most."""
        return min(max(_IN_CHUNK_BYTES // self.in_bytes, 1), _MOST_TRANSFERS)

    @property
    def out_transfers(self) -> int:
        """Output records in a chunk, at most."""
        return min(max(_OUT_CHUNK_BYTES // self.out_bytes, 1), _MOST_TRANSFERS)

    def create(self) -> wiring.Component:
        """The circuit, see :class:`_Component`."""
        return _Component(self)


def write_verilog(harness: Harness, folder: Path, name: str) -> Path:
    """Write the Verilog of a harness, module ``name``, into ``folder``."""
    text = str(rtlil.convert(harness.create(), name=name, emit_src=False))
    return rtlil_to_verilog(text, folder, name=name)


class _Component(wiring.Component):  # type: ignore[misc]
    """Hardware of a :class:`Harness`.

    Members
    -------
    in_records, in_count, in_go, in_done
        To offer a chunk, set the first two and invert ``in_go``; when the design has taken
        the last of ``in_count`` transfers, ``in_done`` follows. The next chunk may be offered in
        the same cycle, so the design sees no gap.
    out_limit, out_records, out_count, out_done
        ``out_done`` inverts after ``out_limit`` transfers out of the design, which then are the
        uppermost records of ``out_records``, and a new chunk begins; ``out_count`` of it have come.
    stall_i, stall_o : ``In(1)``
        Insert pauses at the input (at the output): fixed pseudo-random sequences in which
        stretches of cycles never, seldom, often and always pause; 16 cycles each at the input, at
        the output so many more as it has fewer transfers (at most 1024 cycles).
    idle_limit, idle
        ``idle`` rises when for ``idle_limit`` cycles the design has neither taken nor offered
        a transfer, cycles of inserted pauses not counted.
    violations : ``Out(3)``
        Sticky: while ``m_axis_tvalid`` waited for ``tready`` it fell (bit 0), ``tdata``
        changed (1), ``tlast`` changed (2).
    errors : ``Out(32)``
        Cycles in which ``error`` of the design was high.
    first_in : ``Out(32)``
        Cycle of the first transfer into the design.
    """

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        super().__init__(
            {
                "in_records": In(harness.in_transfers * harness.in_bytes * 8),
                "in_count": In(range(harness.in_transfers + 1)),
                "in_go": In(1),
                "in_done": Out(1),
                "out_limit": In(range(harness.out_transfers + 1)),
                "out_records": Out(harness.out_transfers * harness.out_bytes * 8),
                "out_count": Out(range(harness.out_transfers + 1)),
                "out_done": Out(1),
                "stall_i": In(1),
                "stall_o": In(1),
                "idle_limit": In(CYCLE_BITS),
                "idle": Out(1),
                "violations": Out(3),
                "errors": Out(CYCLE_BITS),
                "first_in": Out(CYCLE_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        h = self.harness
        s_data, s_valid, s_ready, s_last = _axis("s_axis", h.input.bits)
        m_data, m_valid, m_ready, m_last = _axis("m_axis", h.output.bits)
        error = Signal()
        m.submodules[DUT] = Instance(
            TOP,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_s_axis_tdata=s_data,
            i_s_axis_tvalid=s_valid,
            o_s_axis_tready=s_ready,
            i_s_axis_tlast=s_last,
            o_m_axis_tdata=m_data,
            o_m_axis_tvalid=m_valid,
            i_m_axis_tready=m_ready,
            o_m_axis_tlast=m_last,
            o_error=error,
        )
        cycle = Signal(CYCLE_BITS)
        m.d.sync += [cycle.eq(cycle + 1), self.errors.eq(self.errors + error)]
        taken, given = Signal(), Signal()
        m.d.comb += [taken.eq(s_valid & s_ready), given.eq(m_valid & m_ready)]

        # Source: once offered, a transfer stays until it is taken.
        index = Signal(range(h.in_transfers))
        offered = Signal()
        pause_i = _pauses(m, "i", 0x2545F491, 4)
        m.d.comb += [
            s_valid.eq((self.in_go != self.in_done) & (offered | ~(self.stall_i & pause_i))),
            Cat(s_data, s_last).eq(self.in_records.word_select(index, h.in_bytes * 8)),
        ]
        m.d.sync += offered.eq(s_valid & ~s_ready)
        with m.If(taken):
            last = index + 1 == self.in_count
            m.d.sync += [
                index.eq(Mux(last, 0, index + 1)),
                self.in_done.eq(self.in_done ^ last),
            ]
        started = Signal()
        with m.If(taken & ~started):
            m.d.sync += [started.eq(1), self.first_in.eq(cycle)]

        # Sink: records enter at the top.
        fewer = int(h.input.frame) // int(h.output.frame)
        pause_o = _pauses(m, "o", 0x9E3779B9, min(4 + fewer.bit_length(), 10))
        m.d.comb += m_ready.eq(~(self.stall_o & pause_o))
        with m.If(given):
            full = self.out_count + 1 == self.out_limit
            m.d.sync += [
                self.out_records.eq(
                    Cat(self.out_records[h.out_bytes * 8 :], m_data, m_last, Const(0, 7), cycle)
                ),
                self.out_count.eq(Mux(full, 0, self.out_count + 1)),
                self.out_done.eq(self.out_done ^ full),
            ]

        # The stream contract at the output.
        waiting, held_data, held_last = Signal(), Signal.like(m_data), Signal()
        m.d.sync += [
            waiting.eq(m_valid & ~m_ready),
            held_data.eq(m_data),
            held_last.eq(m_last),
        ]
        with m.If(waiting):
            m.d.sync += self.violations.eq(
                self.violations
                | Cat(
                    ~m_valid,
                    m_valid & (m_data != held_data),
                    m_valid & (m_last != held_last),
                )
            )

        quiet = Signal(CYCLE_BITS)
        # Pauses that are made here do not count: the design cannot help them.
        pausing = (m_valid & ~m_ready) | ((self.in_go != self.in_done) & ~s_valid)
        with m.If(taken | given | pausing):
            m.d.sync += quiet.eq(0)
        with m.Else():
            m.d.sync += quiet.eq(quiet + 1)
        m.d.comb += self.idle.eq(quiet >= self.idle_limit)
        return m


def _axis(name: str, bits: int) -> tuple[Signal, Signal, Signal, Signal]:
    return (
        Signal(bits, name=f"{name}_tdata"),
        Signal(name=f"{name}_tvalid"),
        Signal(name=f"{name}_tready"),
        Signal(name=f"{name}_tlast"),
    )


def _pauses(m: Module, name: str, seed: int, stretch_bits: int) -> Signal:
    """A pseudo-random bit that says whether to pause in this cycle.

    The probability is 0, 1/4, 3/4 or 1, chosen anew after ``2**stretch_bits`` cycles.
    """
    # xorshift32 (Marsaglia 2003, "Xorshift RNGs"): period 2**32 - 1.
    state = Signal(32, init=seed, name=f"random_{name}")
    a, b, c = (Signal(32, name=f"random_{name}_{step}") for step in range(3))
    m.d.comb += [a.eq(state ^ (state << 13)), b.eq(a ^ (a >> 17)), c.eq(b ^ (b << 5))]
    count = Signal(stretch_bits, name=f"stretch_{name}")
    kind = Signal(2, name=f"kind_{name}")
    m.d.sync += [state.eq(c), count.eq(count + 1)]
    with m.If(count.all()):
        m.d.sync += kind.eq(state[8:10])
    pause = Signal(name=f"pause_{name}")
    with m.Switch(kind):
        with m.Case(0):
            m.d.comb += pause.eq(0)
        with m.Case(1):
            m.d.comb += pause.eq(state[:2] == 0)
        with m.Case(2):
            m.d.comb += pause.eq(state[:2] != 0)
        with m.Default():
            m.d.comb += pause.eq(Const(1))
    return pause
