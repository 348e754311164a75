"""What runs inside the simulator: feeds a :class:`~sqwire.sim.harness.Harness`, records its output.

The job folder holds ``job.json`` (a list of passes, the ports and their sizes) and for each pass
``k`` and each input the records ``k.NAME``; written are those of each output and what else was
seen, ``k.json``. Each port is served by itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, ReadWrite, RisingEdge, Timer

from .runner import JOB_VARIABLE

_PERIOD_NS = 10
_NEVER = 0xFFFFFFFF
# How many cycles pass between two looks at the time.
_LOOK_CYCLES = 1000


@cocotb.test()
async def play_all(dut: Any) -> None:
    """All passes of the job, each after a reset."""
    folder = Path(os.environ[JOB_VARIABLE])
    job = json.loads((folder / "job.json").read_text())
    for port in job["ins"]:
        for pin in ("records", "count"):
            getattr(dut, f"{port['name']}_{pin}").value = 0
    for port in job["outs"]:
        getattr(dut, f"{port['name']}_limit").value = 0
    Clock(dut.clk, _PERIOD_NS, unit="ns").start()
    for number, play in enumerate(job["passes"]):
        one = _Pass(dut, job, play, folder, number)
        if play["cut_after"]:
            await one.cut()
        report = await one.run()
        (folder / f"{number}.json").write_text(json.dumps(report))


class _Pass:
    """One pass: a reset, all records in, everything out until nothing moves any more."""

    def __init__(
        self, dut: Any, job: dict[str, Any], play: dict[str, Any], folder: Path, number: int
    ) -> None:
        self._dut, self._play, self._tell_seconds = dut, play, job["tell_seconds"]
        self._seen: dict[str, dict[str, Any]] = {}
        self._ins = [_In(dut, port, folder, number) for port in job["ins"]]
        self._outs = [
            _Out(dut, port, expected, self._settle, folder, number)
            for port, expected in zip(job["outs"], play["expected"], strict=True)
        ]

    async def cut(self) -> None:
        """Feed a part of the inputs; the reset at the start of :meth:`run` cuts it off."""
        await self._reset()
        self._dut.idle_limit.value = self._play["idle_cycles"]
        for port in self._ins:
            port.offer(0, self._play["cut_after"])
        done = [port.done.value_change for port in self._ins]
        await First(*done, RisingEdge(self._dut.idle))

    async def run(self) -> dict[str, Any]:
        """Feed all of it; what was seen but the output records."""
        dut, play = self._dut, self._play
        await self._reset()
        tasks = [cocotb.start_soon(self._tell())]
        if play["rest_cycles"]:
            await ClockCycles(dut.clk, play["rest_cycles"])
        dut.idle_limit.value = play["idle_cycles"]
        tasks += [cocotb.start_soon(port.send()) for port in self._ins]
        tasks += [cocotb.start_soon(port.receive()) for port in self._outs]
        if play["watch"]:
            tasks.append(cocotb.start_soon(self._watch()))
        await RisingEdge(dut.idle)
        for task in tasks:
            task.cancel()
        for out in self._outs:
            out.finish()
        return {
            "all_taken": all(port.taken for port in self._ins),
            "violations": [int(port.violations.value) for port in self._outs],
            "errors": int(dut.errors.value),
            "first_in": int(dut.first_in.value),
            "seen": self._seen,
        }

    async def _tell(self) -> None:
        """Write to the log how far it is: who waits for the end must know that it goes on.

        Not where an output gives more than it should, which may have no end.
        """
        cycles, told = 0, time.monotonic()
        while min(left := [port.left for port in self._outs]) >= 0 and any(left):
            await Timer(_LOOK_CYCLES * _PERIOD_NS, unit="ns")
            cycles += _LOOK_CYCLES
            if time.monotonic() - told > self._tell_seconds:
                told = time.monotonic()
                self._dut._log.info("cycle %d, %d transfers to come", cycles, sum(left))

    def _settle(self) -> None:
        """Where all is here, a surplus has this long to show itself."""
        if all(port.left <= 0 for port in self._outs):
            self._dut.idle_limit.value = self._play["settle_cycles"]

    async def _reset(self) -> None:
        dut, stalls = self._dut, self._play["stalls"]
        dut.rst.value = 1
        for port in self._ins:
            port.reset()
        dut.idle_limit.value = _NEVER
        dut.stall_i.value = int(stalls in ("source", "both"))
        dut.stall_o.value = int(stalls in ("sink", "both"))
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0

    async def _watch(self) -> None:
        """Record the first transfers on internal streams, looked at in mid-cycle."""
        streams = []
        for name, (count, scopes, *signals) in self._play["watch"].items():
            scope = self._dut
            for instance in scopes:
                scope = scope[instance]
            # Simulators write a name that needs escaping as "\\name ", or do not.
            named = {child._name.strip("\\ "): child for child in scope}
            valid, ready, payload = (named[signal] for signal in signals)
            seen: list[str] = []
            self._seen[name] = {"bits": len(str(payload.value)), "words": seen}
            streams.append((seen, count, valid, ready, payload))
        clock_falls = FallingEdge(self._dut.clk)
        while streams:
            await clock_falls
            for seen, _, valid, ready, payload in streams:
                if int(valid.value) and int(ready.value):
                    seen.append(f"{int(payload.value):x}")
            streams = [s for s in streams if len(s[0]) < s[1]]


class _In:
    """One input of the design."""

    def __init__(self, dut: Any, port: dict[str, Any], folder: Path, number: int) -> None:
        name, self._size, self._most = port["name"], port["bytes"], port["transfers"]
        self._records, self._count, self._go, self.done = (
            getattr(dut, f"{name}_{pin}") for pin in ("records", "count", "go", "done")
        )
        self._data = (folder / f"{number}.{name}").read_bytes()
        self._level = 0

    @property
    def taken(self) -> bool:
        """Has the design taken all that was offered."""
        return int(self.done.value) == self._level

    def reset(self) -> None:
        """Offer nothing."""
        self._level = 0
        self._go.value = 0

    async def send(self) -> None:
        """Offer everything, a chunk at a time."""
        for at in range(0, len(self._data), self._size * self._most):
            self.offer(at, self._most)
            await self.done.value_change

    def offer(self, at: int, transfers: int) -> None:
        """Offer so many transfers from byte ``at``, at most a chunk."""
        chunk = self._data[at : at + self._size * min(transfers, self._most)]
        if chunk:
            self._records.value = int.from_bytes(chunk, "little")
            self._count.value = len(chunk) // self._size
            self._level ^= 1
            self._go.value = self._level


class _Out:
    """One output of the design, of which so many transfers are expected."""

    def __init__(
        self,
        dut: Any,
        port: dict[str, Any],
        expected: int,
        settle: Callable[[], None],
        folder: Path,
        number: int,
    ) -> None:
        name, self._size, self._most = port["name"], port["bytes"], port["transfers"]
        self._records, self._count, self._limit, self._done, self.violations = (
            getattr(dut, f"{name}_{pin}")
            for pin in ("records", "count", "limit", "done", "violations")
        )
        self.left = expected
        self._settle = settle
        self._file = folder / f"{number}.{name}"
        self._parts: list[bytes] = []

    async def receive(self) -> None:
        """Take everything, a chunk at a time."""
        while True:
            if self.left <= 0:
                self._settle()
            limit = min(self.left, self._most) if self.left > 0 else self._most
            self._limit.value = limit
            await self._done.value_change
            await ReadWrite()  # Icarus sets one register after the other: let all of them be set
            self._take(limit)

    def finish(self) -> None:
        """Take the part of a chunk that there is, and write all down."""
        partial = int(self._count.value)
        if partial:
            self._take(partial)
        self._file.write_bytes(b"".join(self._parts))

    def _take(self, count: int) -> None:
        """Keep the ``count`` uppermost records."""
        word = int(self._records.value) >> (8 * self._size * (self._most - count))
        self._parts.append(word.to_bytes(self._size * count, "little"))
        self.left -= count
