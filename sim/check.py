"""Hold a streaming component to its exact answer and to the stream contract, under stalls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator
from numpy.typing import ArrayLike

from sqwire.hw.network import Network
from sqwire.hw.ports import as_tuple

from .drive import Run, Timing, ports

__all__ = ["PATTERNS", "Timing", "check_operator", "check_stream"]

PATTERNS = ("none", "source", "sink", "both")
"""Which ends stall, in the order in which :func:`check_stream` tries them."""


def check_stream(
    component: Any,
    inputs: Sequence[ArrayLike],
    expected: Sequence[ArrayLike],
    *,
    seed: int = 0,
    timeout_cycles: int = 1000,
) -> Timing:
    """Simulate ``component`` under four stall patterns and compare every integer.

    Patterns, each after a reset: no stalls; stalls of the sources; of the sinks; of both. Before
    the last one a part of the input is fed and a reset cuts it off in the middle. In the last
    one a sink also waits for ``valid`` before it raises ``ready``.

    Parameters
    ----------
    component
        A component with stream ports ``i`` (or ``i0``, ``i1``, …) and ``o`` (or ``o0``, …) in the
        clock domain ``sync``.
    inputs, expected
        One integer array ``(beats, lanes)`` for each port, in the order of the ports. An array
        without rows (or None for an input) is a port on which nothing happens.
    seed
        Of the stalls.
    timeout_cycles
        Cycles without any transfer after which a run counts as a deadlock.

    Returns
    -------
    Timing
        Of the run without stalls.

    Raises
    ------
    AssertionError
        If an integer differs, a beat is missing or surplus, an input beat is never taken, or the
        contract is broken: ``valid`` falls or the payload changes before ``ready`` came, or
        either depends on ``ready`` within the cycle. The message names pattern, port, beat, lane
        and both values.
    ValueError
        If the arrays do not fit the ports.
    """
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.dut = component
    simulator = Simulator(m)
    simulator.add_clock(1e-6)

    sources = ports(component, "i", inputs)
    sinks = ports(component, "o", expected)
    runs: list[Timing] = []

    async def testbench(ctx: Any) -> None:
        async def reset() -> None:
            ctx.set(domain.rst, 1)
            await ctx.tick()
            ctx.set(domain.rst, 0)

        for number, pattern in enumerate(PATTERNS):
            rng = np.random.default_rng([seed, number])
            name = pattern
            if number:
                await reset()
            if pattern == "both":
                beats = sum(len(source.words) for source in sources)
                run = Run(f"{name}, cut short", pattern, sources, sinks, rng, timeout_cycles)
                await run.play(ctx, stop_after=int(rng.integers(1, max(beats, 2))))
                await reset()
                name = f"{name}, after a reset in mid-frame"
            runs.append(await Run(name, pattern, sources, sinks, rng, timeout_cycles).play(ctx))

    simulator.add_testbench(testbench)
    simulator.run()
    return runs[0]


def check_operator(spec: Any, *x: ArrayLike, seed: int = 0, timeout_cycles: int = 1000) -> Timing:
    """:func:`check_stream` of ``spec.create()`` against ``spec.compute(*x)``.

    ``x`` holds one array ``(frames, beats_in, lanes)`` for each input. In addition to the beats,
    no output may come before as many input beats as ``spec.needs()`` says. ``spec`` may also be
    a whole :class:`sqwire.hw.network.Network`.
    """
    frames = [np.asarray(a, dtype=np.int64) for a in x]
    wanted = [np.asarray(y) for y in as_tuple(spec.compute(*frames))]
    timing = check_stream(
        spec.create(),
        [a.reshape(-1, a.shape[-1]) for a in frames],
        [y.reshape(-1, y.shape[-1]) for y in wanted],
        seed=seed,
        timeout_cycles=timeout_cycles,
    )
    for port, cycles in enumerate(timing.out_cycles):
        for number, taken in enumerate(timing.in_cycles):
            needs = _needs(spec, port, number)
            # A fork may give one output its copy of a beat that still stands at the input.
            came = np.searchsorted(taken, cycles, side="right") + (len(wanted) > 1)
            for beat, count in enumerate(came):
                frame, at = divmod(beat, wanted[port].shape[1])
                need = frame * frames[number].shape[1] + int(needs[at]) if needs[at] else 0
                if count < need:
                    raise AssertionError(
                        f"output {port}, frame {frame}, beat {at}: needs() says that {need} input "
                        f"beats on port {number} must have come, but it came after {count}"
                    )
    return timing


def _needs(spec: Any, port: int, number: int) -> Any:
    """How many beats of input ``number`` each beat of output ``port`` waits for."""
    if isinstance(spec, Network):
        return spec.needs(port, number)
    if hasattr(spec, "turns"):
        return np.searchsorted(spec.turns(number), spec.needs())
    return spec.needs()
