"""The serial shell around a small network, in Amaranth's simulator."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from sqwire.boards.shell import Shell
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.fork import Fork
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ranges import Range

X = np.array([[127, -128, 1, -1], [5, 6, -7, 8], [-128, -128, -128, -128], [3, 0, 0, 0]])


def run_around(top, spec, bench):
    """Run a host's test bench on a shell around a network."""
    m = Module()
    m.submodules.shell = dut = spec.create()
    m.submodules.network = network = top
    m.d.comb += dut.network_error.eq(network.error)
    for name, member in dut.at_network.items():
        mine, its = getattr(dut, name), getattr(network, name)
        m.d.comb += its.eq(mine) if member.flow == Out else mine.eq(its)
    sim = Simulator(m)
    sim.add_clock(1e-6)

    async def testbench(ctx):
        await bench(ctx, dut)

    sim.add_testbench(testbench)
    sim.run()


@pytest.fixture
def shell(network):
    """A function that runs a host's test bench on the shell around the network."""
    port, top, _ = network
    return lambda bench: run_around(top(), Shell((port,), (port,)), bench)


async def pulse(ctx, pin):
    ctx.set(pin, 1)
    await ctx.tick()
    ctx.set(pin, 0)


async def send(ctx, dut, word, bits, port="i"):
    for k in range(bits):
        ctx.set(getattr(dut, f"{port}_data"), word >> k & 1)
        await pulse(ctx, getattr(dut, f"{port}_shift"))
    await pulse(ctx, getattr(dut, f"{port}_strobe"))
    await ctx.tick().repeat(2)


async def receive(ctx, dut, bits, port="o"):
    for _ in range(100):
        if ctx.get(getattr(dut, f"{port}_valid")):
            break
        await ctx.tick()
    else:
        raise AssertionError("no output")
    word = 0
    for k in range(bits):
        word |= ctx.get(getattr(dut, f"{port}_data")) << k
        await pulse(ctx, getattr(dut, f"{port}_shift"))
        await ctx.tick()
    await pulse(ctx, getattr(dut, f"{port}_done"))
    await ctx.tick().repeat(2)
    return word


def test_what_is_shifted_in_comes_out_right(network, shell):
    port, _, compute = network
    bits = port.bits + 1

    async def bench(ctx, dut):
        for k, (x, y) in enumerate(zip(X, compute(X), strict=True)):
            last = k % 2
            await send(ctx, dut, port.pack(x) | last << port.bits, bits)
            word = await receive(ctx, dut, bits)
            assert port.unpack(word & (1 << port.bits) - 1) == list(y)
            assert word >> port.bits == last

    shell(bench)


def test_transfers_wait_while_the_output_is_not_taken(network, shell):
    port, _, compute = network
    bits = port.bits + 1

    async def bench(ctx, dut):
        # One waits in the output register, one at the network's output, one in the input register.
        for x in X[:3]:
            assert ctx.get(dut.i_ready)
            await send(ctx, dut, port.pack(x), bits)
        assert not ctx.get(dut.i_ready)
        await send(ctx, dut, (1 << bits) - 1, bits)  # ignored: no room
        for y in compute(X[:3]):
            assert port.unpack(await receive(ctx, dut, bits)) == list(y)
        assert not ctx.get(dut.o_valid)

    shell(bench)


def test_error_stays_until_reset(network, shell):
    port = network[0]

    async def bench(ctx, dut):
        assert not ctx.get(dut.error)
        await send(ctx, dut, 0, port.bits + 1)  # zeros: the small network's error
        await ctx.tick().repeat(20)
        assert ctx.get(dut.error)
        assert ctx.get(dut.o_valid)
        await pulse(ctx, dut.rst)
        assert ctx.get(dut.rst_q)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.rst_q)
        assert not ctx.get(dut.error)
        assert not ctx.get(dut.o_valid)
        assert ctx.get(dut.i_ready)

    shell(bench)


def test_each_of_several_ports_has_its_own_registers_and_none_waits_for_another():
    narrow, wide = Beat(Range.unsigned(3), 1), Beat(Range.signed(10), 2)
    ports = Port(narrow, 2), Port(wide, 3)
    # Outputs: the first input, the second, and the first again.
    net = Network(
        ports,
        (Stage("fork", Fork(narrow, beats=2), (Source(None, 0),)),),
        (Source("fork", 0), Source(None, 1), Source("fork", 1)),
    )
    small, large = [3, 7, 5, 1], [[-512, 511], [1, -2], [300, 7], [5, 6]]

    async def bench(ctx, dut):
        async def receive_codes(port, output):
            word = await receive(ctx, dut, port.bits + 1, f"o{output}")
            return port.unpack(word & (1 << port.bits) - 1), word >> port.bits

        for k, value in enumerate(large[:3]):  # the first input says nothing
            word = ports[1].pack(value) | (k == 2) << ports[1].bits
            await send(ctx, dut, word, ports[1].bits + 1, "i1")
            assert await receive_codes(ports[1], 1) == (value, k == 2)
        assert not ctx.get(dut.o0_valid) and not ctx.get(dut.o2_valid)
        for k, value in enumerate(small):
            word = ports[0].pack([value]) | k % 2 << ports[0].bits
            await send(ctx, dut, word, ports[0].bits + 1, "i0")
            # What waits at one output stops only what is behind the fork.
            assert ctx.get(dut.o0_valid) and ctx.get(dut.o2_valid)
            assert await receive_codes(ports[0], 2 * (k % 2)) == ([value], k % 2)
            assert ctx.get(dut.i0_ready) and ctx.get(dut.i1_ready)
            assert await receive_codes(ports[0], 2 - 2 * (k % 2)) == ([value], k % 2)
        assert not ctx.get(dut.error)
        word = ports[1].pack(large[3]) | 1 << ports[1].bits
        await send(ctx, dut, word, ports[1].bits + 1, "i1")  # too short a frame
        await ctx.tick().repeat(2)
        assert ctx.get(dut.error)

    run_around(net.top(), Shell(net.inputs, net.outputs), bench)
