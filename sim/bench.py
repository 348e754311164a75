"""What runs inside the simulator: feeds a :class:`~sqwire.sim.harness.Harness`, records its output.

The job folder holds ``job.json`` (a list of passes and sizes) and for each pass ``k`` the input
records ``k.in``; written are the output records ``k.out`` and what else was seen, ``k.json``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, ReadWrite, RisingEdge

from .runner import JOB_VARIABLE

_PERIOD_NS = 10
_NEVER = 0xFFFFFFFF


@cocotb.test()
async def play_all(dut: Any) -> None:
    """All passes of the job, each after a reset."""
    folder = Path(os.environ[JOB_VARIABLE])
    job = json.loads((folder / "job.json").read_text())
    for name in ("in_records", "in_count", "out_limit"):
        getattr(dut, name).value = 0
    Clock(dut.clk, _PERIOD_NS, unit="ns").start()
    for number, play in enumerate(job["passes"]):
        data = (folder / f"{number}.in").read_bytes()
        one = _Pass(dut, job, play)
        if play["cut_after"]:
            await one.cut(data)
        report = await one.run(data)
        (folder / f"{number}.out").write_bytes(b"".join(one.records))
        (folder / f"{number}.json").write_text(json.dumps(report))


class _Pass:
    """One pass: a reset, all records in, everything out until nothing moves any more."""

    def __init__(self, dut: Any, job: dict[str, Any], play: dict[str, Any]) -> None:
        self._dut, self._job, self._play = dut, job, play
        self.records: list[bytes] = []
        self._seen: dict[str, dict[str, Any]] = {}
        self._received = 0
        self._go = 0

    async def cut(self, data: bytes) -> None:
        """Feed a part of the input; the reset at the start of :meth:`run` cuts it off."""
        await self._reset()
        self._dut.idle_limit.value = self._play["idle_cycles"]
        count = min(self._play["cut_after"], self._job["in_transfers"])
        self._offer(data[: count * self._job["in_bytes"]])
        await First(self._dut.in_done.value_change, RisingEdge(self._dut.idle))

    async def run(self, data: bytes) -> dict[str, Any]:
        """Feed all of it; what was seen but the output records."""
        dut, play = self._dut, self._play
        await self._reset()
        dut.idle_limit.value = play["idle_cycles"]
        tasks = [cocotb.start_soon(self._send(data)), cocotb.start_soon(self._receive())]
        if play["watch"]:
            tasks.append(cocotb.start_soon(self._watch()))
        await RisingEdge(dut.idle)
        for task in tasks:
            task.cancel()
        partial = int(dut.out_count.value)
        if partial:
            self._take(partial)
        return {
            "all_taken": int(dut.in_done.value) == self._go,
            "violations": int(dut.violations.value),
            "errors": int(dut.errors.value),
            "first_in": int(dut.first_in.value),
            "seen": self._seen,
        }

    async def _reset(self) -> None:
        dut, stalls = self._dut, self._play["stalls"]
        self._go = 0
        dut.rst.value = 1
        dut.in_go.value = 0
        dut.idle_limit.value = _NEVER
        dut.stall_i.value = int(stalls in ("source", "both"))
        dut.stall_o.value = int(stalls in ("sink", "both"))
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0

    async def _send(self, data: bytes) -> None:
        size = self._job["in_bytes"] * self._job["in_transfers"]
        for at in range(0, len(data), size):
            self._offer(data[at : at + size])
            await self._dut.in_done.value_change

    def _offer(self, chunk: bytes) -> None:
        self._dut.in_records.value = int.from_bytes(chunk, "little")
        self._dut.in_count.value = len(chunk) // self._job["in_bytes"]
        self._go ^= 1
        self._dut.in_go.value = self._go

    async def _receive(self) -> None:
        dut, most = self._dut, self._job["out_transfers"]
        while True:
            left = self._play["expected"] - self._received
            if left <= 0:
                # All is here; a surplus has this long to show itself.
                dut.idle_limit.value = self._play["settle_cycles"]
            limit = min(left, most) if left > 0 else most
            dut.out_limit.value = limit
            await dut.out_done.value_change
            await ReadWrite()  # Icarus sets one register after the other: let all of them be set
            self._take(limit)

    def _take(self, count: int) -> None:
        """Keep the ``count`` uppermost records."""
        size, most = self._job["out_bytes"], self._job["out_transfers"]
        word = int(self._dut.out_records.value) >> (8 * size * (most - count))
        self.records.append(word.to_bytes(size * count, "little"))
        self._received += count

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
