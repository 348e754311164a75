"""How long after a fault on the line the link gives its next good answer: for ``bench/link.py``."""

from __future__ import annotations

import random
from statistics import median

import numpy as np
from amaranth.hdl import Module, ResetInserter
from amaranth.sim import Simulator

from sqwire.boards.link.codec import Decoder, Kind, Message, encode
from sqwire.boards.link.link import Link
from sqwire.boards.link.payloads import Format, Identity

FRAME = Format(2, 3, 2, 3, True)
CLOCK_HZ, BAUD = 18_000_000, 3_000_000
BYTE_CYCLES = CLOCK_HZ * 10 // BAUD
TIMEOUT_BITS = (CLOCK_HZ // 100).bit_length()
"""As on the iCEBreaker: a message is given up after ``2**TIMEOUT_BITS`` cycles."""
_SHORT_BITS = 12  # where it is waited for: what comes on top does not depend on it


def _faults(line, at, rng):
    """By kind, what may stand where ``line`` should: struck at its byte ``at``."""
    byte = line[at]
    yield "flipped", line[:at] + bytes([byte ^ 1 << rng.randrange(8)]) + line[at + 1 :]
    yield "dropped", line[:at] + line[at + 1 :]
    yield "inserted", line[:at] + rng.randbytes(1) + line[at:]
    yield "duplicated", line[: at + 1] + line[at:]
    yield "cut", line[:at]
    yield "another host's bytes", line[:at] + rng.randbytes(rng.randrange(1, 30)) + line[at:]
    yield "reset inside", line[:at] + encode(Message(Kind.RESET, 1)) + line[at:]


class _Host:
    """Bytes to a core and from it, each as long as the line takes for it."""

    def __init__(self, echo, timeout_bits):
        self.link = Link(Identity(4, CLOCK_HZ, BAUD, bytes(8), (FRAME,), (FRAME,)), timeout_bits)
        self.echo, self.decoder = echo, Decoder()

    def run(self, script):
        """Run ``script(host)`` in Amaranth's simulator."""
        m = Module()
        m.submodules.core = self.core = core = self.link.core()
        m.submodules.network = network = ResetInserter(core.network_rst)(self.echo(FRAME))
        for name in ("tdata", "tvalid", "tlast"):
            m.d.comb += getattr(network, f"s_axis_{name}").eq(getattr(core, f"s_axis_{name}"))
        for name in ("tdata", "tvalid"):
            m.d.comb += getattr(core, f"m_axis_{name}").eq(getattr(network, f"m_axis_{name}"))
        m.d.comb += [
            core.s_axis_tready.eq(network.s_axis_tready),
            network.m_axis_tready.eq(core.m_axis_tready),
            core.network_error.eq(network.error),
        ]
        sim = Simulator(m)
        sim.add_clock(1 / CLOCK_HZ)

        async def bench(ctx):
            self.ctx = ctx
            await script(self)

        sim.add_testbench(bench)
        sim.run()

    async def byte(self, data=None):
        """The time of a byte, with one for the core or none; the messages that end in it."""
        ctx, core = self.ctx, self.core
        ctx.set(core.valid, data is not None)
        ctx.set(core.data, data or 0)
        ctx.set(core.o.ready, 1)
        got = bytes([ctx.get(core.o.payload)]) if ctx.get(core.o.valid) else b""
        await ctx.tick()
        ctx.set(core.valid, 0)
        ctx.set(core.o.ready, 0)
        await ctx.tick().repeat(BYTE_CYCLES - 1)
        return self.decoder.feed(got)

    async def until(self, line, wanted):
        """Send ``line``; cycles from its end to a message for which ``wanted`` holds."""
        found, bytes_after = [], 0
        for data in line:
            found = await self.byte(data)
        while not any(wanted(message) for message in found):
            found = await self.byte()
            bytes_after += 1
        return bytes_after * BYTE_CYCLES

    async def quiet(self):
        """Let replies to what was struck leave."""
        for _ in range(60):
            await self.byte()


def recovery(echo):
    """The next good answer behind a fault of each kind, at each byte of a message.

    ``echo`` makes the network. The message behind the fault follows at once; cycles are from its
    last byte to the last byte of its answer, on the line. Of what is cut and not followed by
    anything, the complaint is waited for.
    """
    rng, codes = random.Random(0), np.random.default_rng(0)
    frames = codes.integers(-4, 4, (2, 2, 3, 2))
    bad, good = (
        encode(Message(Kind.INFER, n + 8, FRAME.pack(frame, packed=False)))
        for n, frame in enumerate(frames)
    )
    kinds, alone, told = {}, [], []

    def answer(message):
        return message.kind == Kind.RESULT and message.sequence == 9

    async def followed(host):
        alone.append(await host.until(good, answer))
        for at in range(len(bad)):
            for kind, line in _faults(bad, at, rng):
                kinds.setdefault(kind, []).append(await host.until(line + good, answer))
                await host.quiet()

    async def not_followed(host):
        for cut in range(2, len(bad) - 1):
            told.append(await host.until(bad[:cut], lambda message: message.kind == Kind.ERROR))

    _Host(echo, TIMEOUT_BITS).run(followed)
    _Host(echo, _SHORT_BITS).run(not_followed)
    timeout = 1 << TIMEOUT_BITS
    return {
        "cycles_a_byte": BYTE_CYCLES,
        "timeout_cycles": timeout,
        "without_a_fault_cycles": alone[0],
        "next_answer": {
            kind: {
                "faults": len(cycles),
                "median_cycles": int(median(cycles)),
                "worst_cycles": max(cycles),
                "worst_timeouts": round(max(cycles) / timeout, 4),
            }
            for kind, cycles in kinds.items()
        },
        "cut_and_silent": {
            "faults": len(told),
            "worst_cycles_beyond_the_timeout": max(told) - (1 << _SHORT_BITS),
        },
    }
