"""Drives the ports of a component in Amaranth's simulator and watches the stream contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Shape, Value
from amaranth.lib import data
from numpy.typing import ArrayLike

from . import words

__all__ = ["Port", "Run", "Timing", "ports"]


# The share of whole stalls that are long ones.
_LONG = 0.25


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


@dataclass(frozen=True)
class Port:
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


def ports(component: Any, direction: str, arrays: Sequence[ArrayLike | None]) -> list[Port]:
    """The ports of ``component`` called ``direction``, or that with a number, one for each array.

    Raises
    ------
    ValueError
        If the component has other ones, or an array does not fit its port.
    """
    names = [direction] if len(arrays) == 1 else [f"{direction}{k}" for k in range(len(arrays))]
    present = sorted(
        name for name in component.signature.members if name.rstrip("0123456789") == direction
    )
    if present != sorted(names):
        raise ValueError(f"check_stream: arrays are for ports {names}, component has {present}")
    return [_port(name, getattr(component, name), a) for name, a in zip(names, arrays, strict=True)]


def _port(name: str, stream: Any, array: ArrayLike | None) -> Port:
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
    return Port(
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
            if chance == 1.0 and self._rng.random() < _LONG:
                length *= 8  # long enough for the other end to run into what is still needed
            self._bits = [bool(b) for b in self._rng.random(length) < chance]
        return self._bits.pop()


class Run:
    """One pass of all words under one pattern."""

    def __init__(
        self,
        name: str,
        pattern: str,
        sources: list[Port],
        sinks: list[Port],
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
