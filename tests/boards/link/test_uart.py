"""Bytes on a serial line in Amaranth's simulator, at rates that do and do not divide the clock."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from sqwire.boards.link.uart import Uart


def loop(uart, data, *, rate=1.0):
    """What a receiver hears whose host sends ``data`` at ``rate`` times the real rate."""
    dut = uart.receiver()
    sim = Simulator(dut)
    sim.add_clock(1 / uart.clock_hz)
    heard = []
    bits = [0, 1, 1]  # a pulse of half a bit, before: no start bit
    for byte in data:
        bits += [0, *(byte >> k & 1 for k in range(8)), 1]

    async def bench(ctx):
        at, cycle = 0.0, uart.clock_hz / (uart.baud * rate)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(20)
        now = 0
        for k, bit in enumerate(bits):
            at += cycle * (0.3 if k == 0 else 1)
            ctx.set(dut.rx, bit)
            while now < at:
                await ctx.tick()
                now += 1
                if ctx.get(dut.valid):
                    heard.append(ctx.get(dut.data))
        for _ in range(int(3 * cycle)):
            await ctx.tick()
            if ctx.get(dut.valid):
                heard.append(ctx.get(dut.data))

    sim.add_testbench(bench)
    sim.run()
    return bytes(heard)


def send(uart, data):
    """The line, cycle by cycle, while a transmitter sends ``data`` without a pause."""
    dut = uart.transmitter()
    sim = Simulator(dut)
    sim.add_clock(1 / uart.clock_hz)
    line = []

    async def bench(ctx):
        waiting = list(data)
        for _ in range(int((len(data) + 2) * 10 * uart.clock_hz / uart.baud)):
            ctx.set(dut.i.valid, bool(waiting))
            ctx.set(dut.i.payload, waiting[0] if waiting else 0)
            if waiting and ctx.get(dut.i.ready):
                waiting.pop(0)
            await ctx.tick()
            line.append(ctx.get(dut.tx))

    sim.add_testbench(bench)
    sim.run()
    return line


RATES = [
    (50_000_000, 3_000_000),
    (18_000_000, 3_000_000),
    (25_000_000, 115_200),
    (12_000_000, 921_600),
]


@pytest.mark.parametrize(("clock_hz", "baud"), RATES)
@pytest.mark.parametrize("rate", [0.98, 1.0, 1.02])
def test_bytes_are_heard_also_from_a_host_that_is_off_by_two_percent(clock_hz, baud, rate):
    data = b"\x00\xff\x55\xaa" + random.Random(1).randbytes(12)
    assert loop(Uart(clock_hz, baud), data, rate=rate) == data


@pytest.mark.parametrize(("clock_hz", "baud"), RATES)
def test_bytes_are_sent_without_a_gap_and_each_edge_in_its_cycle(clock_hz, baud):
    data = b"\x00\xff\x55\xaa" + random.Random(1).randbytes(12)
    line = send(Uart(clock_hz, baud), data)
    start = line.index(0)
    cycle = clock_hz / baud
    bits = [b for byte in data for b in (0, *(byte >> k & 1 for k in range(8)), 1)]
    for k, bit in enumerate(bits):
        for share in (0.2, 0.5, 0.8):
            assert line[start + int((k + share) * cycle)] == bit, (k, share)
    assert all(line[start + int(len(bits) * cycle) + 1 :])


def test_a_missing_stop_bit_is_reported_once_and_a_break_is_waited_for():
    uart = Uart(1_000_000, 100_000)
    dut = uart.receiver()
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def bench(ctx):
        bad = valid = 0
        for cycle in range(1000):
            ctx.set(dut.rx, not 20 <= cycle < 600)
            await ctx.tick()
            bad += ctx.get(dut.bad)
            valid += ctx.get(dut.valid)
        assert (bad, valid) == (1, 0)

    sim.add_testbench(bench)
    sim.run()


def test_what_is_sent_is_heard():
    uart = Uart(6_000_000, 1_000_000)  # the fewest cycles a bit
    m = Module()
    m.submodules.tx, m.submodules.rx = tx, rx = uart.transmitter(), uart.receiver()
    m.d.comb += rx.rx.eq(tx.tx)
    data = random.Random(2).randbytes(60)
    sim = Simulator(m)
    sim.add_clock(1e-6)
    heard = []

    async def bench(ctx):
        waiting = list(data)
        for _ in range(61 * 60 + 100):
            ctx.set(tx.i.valid, bool(waiting))
            ctx.set(tx.i.payload, waiting[0] if waiting else 0)
            if waiting and ctx.get(tx.i.ready):
                waiting.pop(0)
            await ctx.tick()
            if ctx.get(rx.valid):
                heard.append(ctx.get(rx.data))

    sim.add_testbench(bench)
    sim.run()
    assert bytes(heard) == data


@pytest.mark.parametrize(
    ("clock_hz", "baud"), [*RATES, (100_000_000, 9600), (12_000_000, 2_000_000)]
)
def test_usual_rates_are_met_to_within_a_percent(clock_hz, baud):
    assert Uart(clock_hz, baud).real_baud == pytest.approx(baud, rel=0.01)


@pytest.mark.parametrize(
    ("clock_hz", "baud", "message"),
    [
        (12_000_000, 3_000_000, r"baud must be from 1 to a sixth of the clock .*; try 2000000 or"),
        (12_000_000, 0, "baud must be from 1"),
        (100_000_000, 300, r"baud must be met to within 1.5%; 300 becomes 286 at 100000000 Hz"),
    ],
)
def test_rates_that_cannot_be_met_are_refused(clock_hz, baud, message):
    with pytest.raises(ValueError, match=f"^UART: {message}"):
        Uart(clock_hz, baud)
