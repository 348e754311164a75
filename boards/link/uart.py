"""Bytes on a serial line: 8 data bits, no parity, one stop bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Uart"]

_PHASE_BITS = 20
_LEAST_CYCLES = 6
"""Clock cycles a bit, at least: the sampling point may then be off by a quarter of a bit."""
_TOLERANCE = 0.015


@dataclass(frozen=True)
class Uart:
    """A line of ``baud`` bits a second in a clock of ``clock_hz``.

    Bits are counted by a phase that gains :attr:`step` of ``2**20`` a cycle: no edge is off by a
    cycle or more, and the mean length of a bit is that of :attr:`real_baud`.

    Raises
    ------
    ValueError
        If a bit has fewer than 6 cycles, or the rate would be off by more than 1.5 %.
    """

    clock_hz: int
    baud: int

    def __post_init__(self) -> None:
        if self.baud < 1 or self.clock_hz < _LEAST_CYCLES * self.baud:
            raise ValueError(
                f"UART: baud must be from 1 to a sixth of the clock ({self.clock_hz} Hz), not "
                f"{self.baud}; try {self.clock_hz // _LEAST_CYCLES} or a faster clock"
            )
        if abs(self.real_baud - self.baud) > _TOLERANCE * self.baud:
            raise ValueError(
                f"UART: baud must be met to within {_TOLERANCE:.1%}; {self.baud} becomes "
                f"{self.real_baud:.0f} at {self.clock_hz} Hz; try a higher rate or a slower clock"
            )

    @property
    def step(self) -> int:
        """What the phase gains in a cycle."""
        return round((self.baud << _PHASE_BITS) / self.clock_hz)

    @property
    def real_baud(self) -> float:
        """The rate that comes of it."""
        return self.step * self.clock_hz / (1 << _PHASE_BITS)

    def receiver(self) -> Receiver:
        """The hardware that listens."""
        return Receiver(self)

    def transmitter(self) -> Transmitter:
        """The hardware that speaks."""
        return Transmitter(self)


class Receiver(wiring.Component):  # type: ignore[misc]
    """Listens to a line; samples each bit in its middle.

    Timing: ``valid`` comes in the middle of the stop bit, two cycles later for synchronisation.

    Members
    -------
    rx : ``In(1)``
        The line, asynchronous.
    valid : ``Out(1)``
        High for one cycle for each byte; it cannot wait.
    data : ``Out(8)``
        The byte.
    bad : ``Out(1)``
        High for one cycle where a stop bit is missing, also at the begin of a break.
    """

    def __init__(self, uart: Uart) -> None:
        self.uart = uart
        super().__init__({"rx": In(1, init=1), "valid": Out(1), "data": Out(8), "bad": Out(1)})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        line = Signal(3, init=0b111)
        m.d.sync += line.eq(Cat(line[1:], self.rx))
        bit = line[0]
        # A counter that is only ever set to 0 keeps its carry chain on all devices, so a bit is
        # not sampled where the phase overflows but where it passes the middle, less the two
        # cycles in which the start is noticed.
        phase = Signal(_PHASE_BITS)
        middle = (1 << _PHASE_BITS - 1) - 2 * self.uart.step >> _PHASE_BITS - 6
        past_middle, was_past, sample = Signal(), Signal(), Signal()
        left = Signal(range(11))  # bits to come, with start and stop; 0 while the line is idle
        broken = Signal()  # waiting for the end of a break
        shift = Signal(8, reset_less=True)
        m.d.comb += [
            self.data.eq(shift),
            past_middle.eq(phase[-6:] >= middle),
            sample.eq(past_middle & ~was_past),
        ]
        m.d.sync += [
            phase.eq(phase + self.uart.step),
            was_past.eq(past_middle),
            self.valid.eq(0),
            self.bad.eq(0),
        ]
        with m.If(left == 0):
            m.d.sync += [phase.eq(0), was_past.eq(0), broken.eq(broken & ~bit)]
            with m.If(~bit & ~broken):
                m.d.sync += left.eq(10)
        with m.Elif(sample):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 10):  # start bit: a shorter pulse is none
                with m.If(bit):
                    m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += [self.valid.eq(bit), self.bad.eq(~bit), broken.eq(~bit)]
            with m.Else():
                m.d.sync += shift.eq(Cat(shift[1:], bit))
        return m


class Transmitter(wiring.Component):  # type: ignore[misc]
    """Sends bytes, without a gap as long as there are some.

    Timing: a byte is taken at most a cycle before its start bit begins, ten bits before the next.

    Members
    -------
    i : ``In(stream)``
        Bytes.
    tx : ``Out(1)``
        The line.
    """

    def __init__(self, uart: Uart) -> None:
        self.uart = uart
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        phase, tick = Signal(_PHASE_BITS + 1), Signal()
        left = Signal(range(11))
        shift = Signal(9, init=0x1FF)
        m.d.comb += [
            tick.eq(phase[-1]),
            self.i.ready.eq((left == 0) | ((left == 1) & tick)),
        ]
        m.d.sync += phase.eq(phase[:-1] + self.uart.step)
        with m.If(left == 0):
            m.d.sync += phase.eq(0)
        with m.If(self.i.ready):
            with m.If(self.i.valid):
                m.d.sync += [
                    self.tx.eq(0),
                    shift.eq(Cat(self.i.payload, Const(1, 1))),
                    left.eq(10),
                ]
            with m.Else():
                m.d.sync += [self.tx.eq(1), left.eq(0)]
        with m.Elif(tick):
            m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], Const(1, 1)))]
            m.d.sync += left.eq(left - 1)
        return m
