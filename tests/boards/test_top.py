"""The reset of a board: behind the PLL's lock, and when somebody presses the button."""

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from sqwire.boards.top import Wake


def test_the_reset_ends_when_all_has_been_well_for_a_while_and_the_button_restarts_it():
    m = Module()
    m.domains.raw = ClockDomain(reset_less=True)
    m.submodules.wake = wake = Wake()
    sim = Simulator(m)
    sim.add_clock(1e-6, domain="raw")

    async def bench(ctx):
        async def cycles_to_the_end():
            ctx.set(wake.well, 1)
            cycles = 0
            while ctx.get(wake.rst):
                await ctx.tick("raw")
                cycles += 1
            return cycles

        for _ in range(2000):  # no lock yet
            await ctx.tick("raw")
            assert ctx.get(wake.rst)
        assert 1023 <= await cycles_to_the_end() <= 1030
        for _ in range(50):
            await ctx.tick("raw")
            assert not ctx.get(wake.rst)
        ctx.set(wake.well, 0)
        await ctx.tick("raw").repeat(5)
        assert ctx.get(wake.rst)
        assert 1023 <= await cycles_to_the_end() <= 1030

    sim.add_testbench(bench)
    sim.run()
