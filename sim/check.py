"""Hold a streaming component to its exact answer and to the stream contract, under stalls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import ClockDomain, Module, Shape, Value
from amaranth.lib import data
from amaranth.sim import Simulator
from numpy.typing import ArrayLike

from . import words

__all__ = ["PATTERNS", "Timing", "check_operator", "check_stream"]

PATTERNS = ("none", "source", "sink", "both")
"""Which ends stall, in the order in which :func:`check_stream` tries them."""


@dataclass(frozen=True)
class Timing:
    """Cycles measured without stalls; cycle 0 is the one of the first input transfer."""

    in_cycles: tuple[tuple[int, ...], ...]
    """For each input port, the cycle in which each beat was transferred."""
    out_cycles: tuple[tuple[int, ...], ...]
    """For each output port, the cycle in which each beat was transferred."""

    @property
    def first_out_cycle(self) -> int:
        """Cycle of the first output transfer on any port."""
        return min(cycles[0] for cycles in self.out_cycles if cycles)

    @property
    def last_out_cycle(self) -> int:
        """Cycle of the last output transfer on any port."""
        return max(cycles[-1] for cycles in self.out_cycles if cycles)

    @property
    def cycles(self) -> int:
        """From the first to the last transfer on any port, both counted."""
        return 1 + max(cycles[-1] for cycles in self.in_cycles + self.out_cycles if cycles)


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

    sources = _ports(component, "i", inputs)
    sinks = _ports(component, "o", expected)
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
                run = _Run(f"{name}, cut short", pattern, sources, sinks, rng, timeout_cycles)
                await run.play(ctx, stop_after=int(rng.integers(1, max(beats, 2))))
                await reset()
                name = f"{name}, after a reset in mid-frame"
            runs.append(await _Run(name, pattern, sources, sinks, rng, timeout_cycles).play(ctx))

    simulator.add_testbench(testbench)
    simulator.run()
    return runs[0]


def check_operator(spec: Any, *x: ArrayLike, seed: int = 0, timeout_cycles: int = 1000) -> Timing:
    """:func:`check_stream` of ``spec.create()`` against ``spec.compute(*x)``.

    ``x`` holds one array ``(frames, beats_in, lanes)`` for each input. In addition to the beats,
    no output may come before as many input beats as ``spec.needs()`` says.
    """
    frames = [np.asarray(a, dtype=np.int64) for a in x]
    answer = spec.compute(*frames)
    wanted = answer if isinstance(answer, tuple) else (answer,)
    timing = check_stream(
        spec.create(),
        [a.reshape(-1, a.shape[-1]) for a in frames],
        [np.asarray(y).reshape(-1, np.asarray(y).shape[-1]) for y in wanted],
        seed=seed,
        timeout_cycles=timeout_cycles,
    )
    needs = np.asarray(spec.needs())
    for port, cycles in enumerate(timing.out_cycles):
        came = np.min([np.searchsorted(c, cycles, side="right") for c in timing.in_cycles], axis=0)
        for beat, count in enumerate(came):
            frame, at = divmod(beat, spec.beats_out)
            need = frame * spec.beats_in + int(needs[at])
            if count < need:
                raise AssertionError(
                    f"output {port}, frame {frame}, beat {at}: needs() says that {need} input "
                    f"beats must have come, but it came after {count}"
                )
    return timing


@dataclass(frozen=True)
class _Port:
    """The signals of one stream and the words that pass it."""

    name: str
    valid: Value
    ready: Value
    payload: Value
    lanes: int
    lane_bits: int
    signed: bool
    words: list[int]

    def values(self, word: int) -> list[int]:
        return words.fields(word, self.lanes, self.lane_bits, signed=self.signed)


def _ports(component: Any, direction: str, arrays: Sequence[ArrayLike | None]) -> list[_Port]:
    names = [direction] if len(arrays) == 1 else [f"{direction}{k}" for k in range(len(arrays))]
    present = sorted(
        name for name in component.signature.members
        if name.rstrip("0123456789") == direction
    )
    if present != sorted(names):
        raise ValueError(f"check_stream: arrays are for ports {names}, component has {present}")
    return [_port(name, getattr(component, name), a) for name, a in zip(names, arrays, strict=True)]


def _port(name: str, stream: Any, array: ArrayLike | None) -> _Port:
    layout = stream.payload.shape()
    if isinstance(layout, data.ArrayLayout):
        lanes, element = layout.length, Shape.cast(layout.elem_shape)
    else:
        lanes, element = 1, Shape.cast(layout)
    values = np.asarray([] if array is None else array)
    if values.size == 0:
        values = values.reshape(0, lanes).astype(np.int64)
    if values.ndim != 2 or values.shape[1] != lanes or values.dtype.kind not in "iu":
        raise ValueError(
            f"check_stream: the array of port {name} must hold integers of shape (beats, {lanes}), "
            f"not {values.dtype} {values.shape}"
        )
    low = -(1 << (element.width - 1)) if element.signed else 0
    high = (1 << (element.width - element.signed)) - 1
    if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
        raise ValueError(
            f"check_stream: values of port {name} must be in {low}..{high}, "
            f"not {values.min()}..{values.max()}"
        )
    return _Port(
        name=name,
        valid=stream.valid,
        ready=stream.ready,
        payload=Value.cast(stream.payload).as_unsigned(),
        lanes=lanes,
        lane_bits=element.width,
        signed=element.signed,
        words=words.pack(values.astype(np.int64), element.width),
    )


class _Stalls:
    """Does a port pause in this cycle: blocks that always, often, seldom and never do.

    A block of pauses fills the pipeline up to its mouth, single ones move its bubbles about.
    """

    def __init__(self, rng: np.random.Generator | None) -> None:
        self._rng = rng
        self._bits: list[bool] = []

    def __call__(self) -> bool:
        if self._rng is None:
            return False
        if not self._bits:
            length = int(self._rng.integers(1, 24))
            chance = self._rng.choice([0.0, 0.2, 0.5, 0.8, 1.0])
            self._bits = [bool(b) for b in self._rng.random(length) < chance]
        return self._bits.pop()


class _Run:
    """One pass of all words under one pattern."""

    def __init__(
        self,
        name: str,
        pattern: str,
        sources: list[_Port],
        sinks: list[_Port],
        rng: np.random.Generator,
        timeout_cycles: int,
    ) -> None:
        self._name, self._timeout = name, timeout_cycles
        self._sources, self._sinks = sources, sinks
        self._patient = pattern == "both"
        self._source_stalls = [
            _Stalls(rng if pattern in ("source", "both") else None) for _ in sources
        ]
        self._sink_stalls = [_Stalls(rng if pattern in ("sink", "both") else None) for _ in sinks]
        self._in_cycles: list[list[int]] = [[] for _ in sources]
        self._out_cycles: list[list[int]] = [[] for _ in sinks]

    async def play(self, ctx: Any, stop_after: int | None = None) -> Timing:
        """Run to the end and a while longer, or until ``stop_after`` input beats have gone in."""
        offered = [False] * len(self._sources)  # valid is high and the beat not yet taken
        # What an output showed in the last cycle without being taken, and so must still show.
        held: list[int | None] = [None] * len(self._sinks)
        cycle = idle = longest = 0
        # After the last beat, wait for a surplus one longer than for any before.
        while idle < (self._timeout if self._unfinished() else longest + 40):
            if stop_after is not None and sum(map(len, self._in_cycles)) >= stop_after:
                break
            self._offer(ctx, offered)
            shown = self._accept(ctx, held)
            moved = False
            for number, port in enumerate(self._sources):
                if offered[number] and ctx.get(port.ready):
                    self._in_cycles[number].append(cycle)
                    offered[number] = False
                    moved = True
            for number, port in enumerate(self._sinks):
                word = held[number] = shown[number]
                if word is not None and ctx.get(port.ready):
                    self._compare(number, word)
                    self._out_cycles[number].append(cycle)
                    held[number] = None
                    moved = True
            if moved:
                longest, idle = max(longest, idle), 0
            else:
                idle += 1
            cycle += 1
            await ctx.tick()
        for port in self._sources:
            ctx.set(port.valid, 0)
        if stop_after is None and self._unfinished():
            self._fail(f"deadlock, nothing moved for {self._timeout} cycles: {self._progress()}")
        first = min((cycles[0] for cycles in self._in_cycles if cycles), default=0)
        return Timing(
            tuple(tuple(c - first for c in cycles) for cycles in self._in_cycles),
            tuple(tuple(c - first for c in cycles) for cycles in self._out_cycles),
        )

    def _offer(self, ctx: Any, offered: list[bool]) -> None:
        """Raise ``valid`` of each source that has a beat and does not pause."""
        for number, port in enumerate(self._sources):
            if offered[number]:
                continue
            sent = len(self._in_cycles[number])
            if sent < len(port.words) and not self._source_stalls[number]():
                ctx.set(port.valid, 1)
                ctx.set(port.payload, port.words[sent])
                offered[number] = True
            else:
                # A payload without valid means nothing: show one that would do harm.
                ctx.set(port.valid, 0)
                ctx.set(port.payload, ~port.words[sent - 1] if sent else -1)

    def _accept(self, ctx: Any, held: list[int | None]) -> list[int | None]:
        """Set ``ready`` of each sink; the words that the outputs show, None where not valid."""
        shown = [ctx.get(p.payload) if ctx.get(p.valid) else None for p in self._sinks]
        for number, (before, now) in enumerate(zip(held, shown, strict=True)):
            if before is not None and now is None:
                self._fail("valid fell before ready came", number)
            if before is not None and now != before:
                self._fail(
                    f"the payload changed before ready came, from {self._show(number, before)} "
                    f"to {self._show(number, now)}",
                    number,
                )
        for number, port in enumerate(self._sinks):
            ready = not self._sink_stalls[number]()
            if self._patient and shown[number] is None:
                ready = False
            ctx.set(port.ready, ready)
        for number, port in enumerate(self._sinks):
            if ctx.get(port.valid) != (shown[number] is not None):
                self._fail("valid depends on a ready within the cycle", number)
            if shown[number] is not None and ctx.get(port.payload) != shown[number]:
                self._fail("the payload depends on a ready within the cycle", number)
        return shown

    def _compare(self, number: int, word: int) -> None:
        port, beat = self._sinks[number], len(self._out_cycles[number])
        if beat >= len(port.words):
            self._fail(f"surplus beat {self._show(number, word)}", number)
        want = port.words[beat]
        if word == want:
            return
        pairs = zip(port.values(word), port.values(want), strict=True)
        lane, got, wanted = next((i, g, w) for i, (g, w) in enumerate(pairs) if g != w)
        self._fail(f"lane {lane} is {got}, must be {wanted}", number)

    def _unfinished(self) -> bool:
        return any(
            len(cycles) < len(port.words)
            for ports, counts in ((self._sources, self._in_cycles), (self._sinks, self._out_cycles))
            for port, cycles in zip(ports, counts, strict=True)
        )

    def _progress(self) -> str:
        parts = [
            f"port {port.name} {verb} {len(cycles)} of {len(port.words)} beats"
            for verb, ports, counts in (
                ("took", self._sources, self._in_cycles),
                ("gave", self._sinks, self._out_cycles),
            )
            for port, cycles in zip(ports, counts, strict=True)
        ]
        return ", ".join(parts)

    def _show(self, number: int, word: int | None) -> str:
        return "nothing" if word is None else str(self._sinks[number].values(word))

    def _fail(self, what: str, number: int | None = None) -> None:
        where = f"stalls {self._name}"
        if number is not None:
            where += f", port {self._sinks[number].name}, beat {len(self._out_cycles[number])}"
        raise AssertionError(f"{where}: {what}")
