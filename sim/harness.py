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
from sqwire.hw.ports import names

__all__ = ["CYCLE_BITS", "DUT", "Harness", "Records", "write_verilog"]

DUT = "dut"
"""Name of the instance of the design in the harness."""

CYCLE_BITS = 32
"""Width of all cycle counts."""

# A chunk goes through a wide shifter (in) or moves with every transfer (out): longer ones make
# Python act less often but each cycle more expensive.
_IN_CHUNK_BYTES = 512
_OUT_CHUNK_BYTES = 256
_MOST_TRANSFERS = 256

_SEED_IN, _SEED_OUT = 0x2545F491, 0x9E3779B9


@dataclass(frozen=True)
class Records:
    """Transfers of one port as records: bytes of one, and how many make a chunk at most.

    ``name`` is what the pins of the harness begin with.
    """

    name: str
    port: axis.Port
    bytes: int
    transfers: int

    @property
    def bits(self) -> int:
        """Bits of a record."""
        return 8 * self.bytes

    @property
    def count(self) -> range:
        """How many records of a chunk there can be."""
        return range(self.transfers + 1)


@dataclass(frozen=True)
class Harness:
    """How a design with these ports is fed and observed in chunks of many transfers.

    A chunk is one wide value on the pins of the harness: many records of one port.
    An input record is ``tdata`` and a byte that is 1 where ``tlast`` is high; an output record
    also has, behind these, the cycle in which the transfer happened.
    """

    inputs: tuple[axis.Port, ...]
    outputs: tuple[axis.Port, ...]

    @property
    def ins(self) -> tuple[Records, ...]:
        """The records of each input."""
        return _records("in", self.inputs, 1, _IN_CHUNK_BYTES)

    @property
    def outs(self) -> tuple[Records, ...]:
        """The records of each output."""
        return _records("out", self.outputs, 1 + CYCLE_BITS // 8, _OUT_CHUNK_BYTES)

    def create(self) -> wiring.Component:
        """The circuit, see :class:`_Component`."""
        return _Component(self)


def _records(
    name: str, ports: tuple[axis.Port, ...], more_bytes: int, chunk_bytes: int
) -> tuple[Records, ...]:
    sizes = [int(port.bits) // 8 + more_bytes for port in ports]
    return tuple(
        Records(own, port, size, min(max(chunk_bytes // size, 1), _MOST_TRANSFERS))
        for own, port, size in zip(names(name, len(ports)), ports, sizes, strict=True)
    )


def write_verilog(harness: Harness, folder: Path, name: str) -> Path:
    """Write the Verilog of a harness, module ``name``, into ``folder``."""
    text = str(rtlil.convert(harness.create(), name=name, emit_src=False))
    return rtlil_to_verilog(text, folder, name=name)


class _Component(wiring.Component):  # type: ignore[misc]
    """Hardware of a :class:`Harness`.

    Where there are several inputs their pins begin with ``in0``, ``in1``, ... instead of ``in``,
    and those of several outputs with ``out0``, ``out1``, ...; each port goes its own pace.

    Members
    -------
    in_records, in_count, in_go, in_done
        To offer a chunk, set the first two and invert ``in_go``; when the design has taken
        the last of ``in_count`` transfers, ``in_done`` follows. The next chunk may be offered in
        the same cycle, so the design sees no gap.
    out_limit, out_records, out_count, out_done
        ``out_done`` inverts after ``out_limit`` transfers out of the design, which then are the
        uppermost records of ``out_records``, and a new chunk begins; ``out_count`` of it have come.
    out_violations : ``Out(3)``
        Sticky: while ``m_axis_tvalid`` waited for ``tready`` it fell (bit 0), ``tdata``
        changed (1), ``tlast`` changed (2).
    stall_i, stall_o : ``In(1)``
        Insert pauses at the inputs (at the outputs): fixed pseudo-random sequences, one for each
        port, in which stretches of cycles never, seldom, often and always pause; 16 cycles each at
        an input, at an output so many more as it has fewer transfers (at most 1024 cycles).
    idle_limit, idle
        ``idle`` rises when for ``idle_limit`` cycles the design has neither taken nor offered
        a transfer, cycles of inserted pauses not counted.
    errors : ``Out(32)``
        Cycles in which ``error`` of the design was high.
    first_in : ``Out(32)``
        Cycle of the first transfer into the design.
    """

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        members: dict[str, Any] = {}
        for records in harness.ins:
            members |= {
                f"{records.name}_records": In(records.transfers * records.bits),
                f"{records.name}_count": In(records.count),
                f"{records.name}_go": In(1),
                f"{records.name}_done": Out(1),
            }
        for records in harness.outs:
            members |= {
                f"{records.name}_limit": In(records.count),
                f"{records.name}_records": Out(records.transfers * records.bits),
                f"{records.name}_count": Out(records.count),
                f"{records.name}_done": Out(1),
                f"{records.name}_violations": Out(3),
            }
        super().__init__(
            members
            | {
                "stall_i": In(1),
                "stall_o": In(1),
                "idle_limit": In(CYCLE_BITS),
                "idle": Out(1),
                "errors": Out(CYCLE_BITS),
                "first_in": Out(CYCLE_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        ins, outs = self.harness.ins, self.harness.outs
        sources = [_Axis(n, r.port) for n, r in zip(names("s_axis", len(ins)), ins, strict=True)]
        sinks = [_Axis(n, r.port) for n, r in zip(names("m_axis", len(outs)), outs, strict=True)]
        error = Signal()
        pins = {"i_clk": ClockSignal(), "i_rst": ResetSignal(), "o_error": error}
        for source in sources:
            pins |= source.pins("i", "o")
        for sink in sinks:
            pins |= sink.pins("o", "i")
        m.submodules[DUT] = Instance(TOP, **pins)

        cycle = Signal(CYCLE_BITS)
        m.d.sync += [cycle.eq(cycle + 1), self.errors.eq(self.errors + error)]
        pausing = []
        for number, (records, source) in enumerate(zip(ins, sources, strict=True)):
            pausing.append(self._feed(m, number, records, source))
        for number, (records, sink) in enumerate(zip(outs, sinks, strict=True)):
            pausing.append(self._collect(m, number, records, sink, cycle))

        started, taken = Signal(), Signal()
        m.d.comb += taken.eq(Cat(source.moves for source in sources).any())
        with m.If(taken & ~started):
            m.d.sync += [started.eq(1), self.first_in.eq(cycle)]

        quiet = Signal(CYCLE_BITS)
        # Pauses that are made here do not count: the design cannot help them.
        with m.If(taken | Cat(sink.moves for sink in sinks).any() | Cat(pausing).any()):
            m.d.sync += quiet.eq(0)
        with m.Else():
            m.d.sync += quiet.eq(quiet + 1)
        m.d.comb += self.idle.eq(quiet >= self.idle_limit)
        return m

    def _feed(self, m: Module, number: int, records: Records, stream: _Axis) -> Any:
        """Play the chunks of an input; whether it pauses in this cycle."""
        own = _Pins(self, records.name)
        index, offered = Signal(range(records.transfers)), Signal()
        pause = _pauses(m, f"i{number}", _SEED_IN, number, 4)
        offering = own.go != own.done
        # Once offered, a transfer stays until it is taken.
        m.d.comb += [
            stream.valid.eq(offering & (offered | ~(self.stall_i & pause))),
            Cat(stream.data, stream.last).eq(own.records.word_select(index, records.bits)),
        ]
        m.d.sync += offered.eq(stream.valid & ~stream.ready)
        with m.If(stream.moves):
            last = index + 1 == own.count
            m.d.sync += [index.eq(Mux(last, 0, index + 1)), own.done.eq(own.done ^ last)]
        return offering & ~stream.valid

    def _collect(self, m: Module, number: int, records: Records, stream: _Axis, cycle: Any) -> Any:
        """Collect the transfers of an output and watch its rules; whether it pauses."""
        own = _Pins(self, records.name)
        frames = [int(port.frame) for port in self.harness.inputs]
        fewer = max(frames) // int(records.port.frame)
        pause = _pauses(m, f"o{number}", _SEED_OUT, number, min(4 + fewer.bit_length(), 10))
        m.d.comb += stream.ready.eq(~(self.stall_o & pause))
        with m.If(stream.moves):
            full = own.count + 1 == own.limit
            # Records enter at the top.
            older = own.records[records.bits :]
            m.d.sync += [
                own.records.eq(Cat(older, stream.data, stream.last, Const(0, 7), cycle)),
                own.count.eq(Mux(full, 0, own.count + 1)),
                own.done.eq(own.done ^ full),
            ]
        waiting, held_data, held_last = Signal(), Signal.like(stream.data), Signal()
        m.d.sync += [
            waiting.eq(stream.valid & ~stream.ready),
            held_data.eq(stream.data),
            held_last.eq(stream.last),
        ]
        broken = Cat(
            ~stream.valid,
            stream.valid & (stream.data != held_data),
            stream.valid & (stream.last != held_last),
        )
        with m.If(waiting):
            m.d.sync += own.violations.eq(own.violations | broken)
        return stream.valid & ~stream.ready


class _Pins:
    """The pins of a harness that belong to one port."""

    def __init__(self, component: _Component, prefix: str) -> None:
        self._component, self._prefix = component, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, f"{self._prefix}_{name}")


class _Axis:
    """The signals of one AXI4-Stream port of the design."""

    def __init__(self, name: str, port: axis.Port) -> None:
        self.name = name
        self.data = Signal(port.bits, name=f"{name}_tdata")
        self.valid = Signal(name=f"{name}_tvalid")
        self.ready = Signal(name=f"{name}_tready")
        self.last = Signal(name=f"{name}_tlast")
        self.moves = self.valid & self.ready

    def pins(self, forth: str, back: str) -> dict[str, Any]:
        """For an instance: data goes the one way and ready the other one."""
        return {
            f"{forth}_{self.name}_tdata": self.data,
            f"{forth}_{self.name}_tvalid": self.valid,
            f"{forth}_{self.name}_tlast": self.last,
            f"{back}_{self.name}_tready": self.ready,
        }


def _pauses(m: Module, name: str, seed: int, number: int, stretch_bits: int) -> Signal:
    """A pseudo-random bit that says whether to pause in this cycle, another one for each port.

    The probability is 0, 1/4, 3/4 or 1, chosen anew after ``2**stretch_bits`` cycles.
    """
    # xorshift32 (Marsaglia 2003, "Xorshift RNGs"): period 2**32 - 1.
    seed = seed * (2 * number + 1) & 0xFFFFFFFF  # not 0, since the seeds are odd
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
