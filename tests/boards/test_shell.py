"""The serial shell around a small network, in Amaranth's simulator."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from sqwire.boards.shell import Shell

X = np.array([[127, -128, 1, -1], [5, 6, -7, 8], [-128, -128, -128, -128], [3, 0, 0, 0]])


@pytest.fixture
def shell(network):
    """A function that runs a host's test bench on the shell around the network."""
    port, top, _ = network
    spec = Shell(port, port)
    m = Module()
    m.submodules.shell = dut = spec.create()
    m.submodules.network = network = top()
    m.d.comb += [
        network.s_axis_tdata.eq(dut.s_axis_tdata),
        network.s_axis_tvalid.eq(dut.s_axis_tvalid),
        network.s_axis_tlast.eq(dut.s_axis_tlast),
        dut.s_axis_tready.eq(network.s_axis_tready),
        dut.m_axis_tdata.eq(network.m_axis_tdata),
        dut.m_axis_tvalid.eq(network.m_axis_tvalid),
        dut.m_axis_tlast.eq(network.m_axis_tlast),
        network.m_axis_tready.eq(dut.m_axis_tready),
        dut.network_error.eq(network.error),
    ]

    def run(bench):
        sim = Simulator(m)
        sim.add_clock(1e-6)

        async def testbench(ctx):
            await bench(ctx, dut)

        sim.add_testbench(testbench)
        sim.run()

    return run


async def pulse(ctx, pin):
    ctx.set(pin, 1)
    await ctx.tick()
    ctx.set(pin, 0)


async def send(ctx, dut, word, bits):
    for k in range(bits):
        ctx.set(dut.i_data, word >> k & 1)
        await pulse(ctx, dut.i_shift)
    await pulse(ctx, dut.i_strobe)
    await ctx.tick().repeat(2)


async def receive(ctx, dut, bits):
    for _ in range(100):
        if ctx.get(dut.o_valid):
            break
        await ctx.tick()
    else:
        raise AssertionError("no output")
    word = 0
    for k in range(bits):
        word |= ctx.get(dut.o_data) << k
        await pulse(ctx, dut.o_shift)
        await ctx.tick()
    await pulse(ctx, dut.o_done)
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
