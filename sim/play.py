"""What a bench plays to a design and what it gets back: transfers, frames, cycles, broken rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sqwire.hw import axis

from .toolchain import SimulationError

__all__ = ["Play", "Recording", "Result", "Stalls"]

Int = NDArray[np.int64]
Stalls = Literal["none", "source", "sink", "both"]


@dataclass(frozen=True)
class Play:
    """One pass over the design, from reset to rest: explicit AXI4-Stream transfers.

    ``data`` holds one row of lanes a transfer, ``last`` their ``tlast``; ``expected`` is the
    number of output transfers after which all is there, apart from surplus ones.
    ``cut_after`` transfers of it are fed before, and cut off by a reset.
    """

    data: Int
    last: NDArray[np.bool_]
    expected: int
    stalls: Stalls = "none"
    cut_after: int = 0
    watch: Mapping[str, int] = field(default_factory=dict)
    """How many of the first transfers of a stream to record, by the name of its watch."""
    idle_cycles: int = 20_000
    """Cycles without a transfer after which nothing more is waited for."""
    settle_cycles: int = 256
    """The same after the last expected transfer."""

    @classmethod
    def frames(
        cls,
        frames: Int,
        output: axis.Port,
        *,
        stalls: Stalls = "none",
        watch: Mapping[str, int] = MappingProxyType({}),
    ) -> Play:
        """Whole frames ``(frames, beats, lanes)``, ``tlast`` on the last beat of each."""
        count, beats, lanes = frames.shape
        last = np.zeros((count, beats), dtype=np.bool_)
        last[:, -1] = True
        return cls(
            data=frames.reshape(-1, lanes),
            last=last.reshape(-1),
            expected=count * int(output.frame),
            stalls=stalls,
            watch=watch,
        )


@dataclass(frozen=True)
class Recording:
    """What came out in one :class:`Play`: output transfers, and what was seen beside them."""

    data: Int
    """One row of lanes for each transfer."""
    last: NDArray[np.bool_]
    cycles: Int
    """Cycle of each transfer; cycle 0 is the one of the first transfer into the design."""
    errors: int
    """Cycles in which ``error`` was high."""
    violations: tuple[str, ...]
    """Rules of the stream contract that were broken."""
    seen: Mapping[str, Int] = field(default_factory=dict)
    """For each watched stream, its first transfers."""


@dataclass(frozen=True)
class Result:
    """Frames out of the design, for frames that went in."""

    y: Int
    """``(frames, beats, lanes)``: the whole frames that came out, all of them if nothing broke."""
    cycles: int
    """From the first transfer in to the last one out, both counted."""
    latency_cycles: int
    """The same for the first frame alone."""
    cycles_per_frame: float | None
    """Mean distance between the last transfers of successive frames; None for fewer than two."""
    errors: int
    """Cycles in which ``error`` was high."""
    violations: tuple[str, ...]
    """Broken rules: missing or surplus transfers, ``tlast`` out of place, the stream contract."""
    seen: Mapping[str, Int]
    """For each watched stream, its first transfers ``(transfers, lanes)``."""

    def check(self) -> Result:
        """This result, if no rule was broken.

        Raises
        ------
        SimulationError
            That names the first violation.
        """
        if self.violations:
            more = f" (and {len(self.violations) - 1} more)" if len(self.violations) > 1 else ""
            raise SimulationError(f"Simulated design: {self.violations[0]}{more}")
        return self

    @classmethod
    def of(cls, recording: Recording, output: axis.Port, frames: int) -> Result:
        """The frames in a recording."""
        violations = list(recording.violations)
        beats, came = int(output.frame), len(recording.data)
        if came > frames * beats:
            violations.append(f"{came - frames * beats} transfers more than {frames} frames have")
        whole = min(came // beats, frames)
        want = np.arange(came) % beats == beats - 1
        wrong = np.flatnonzero(recording.last != want)
        if wrong.size:
            frame, at = divmod(int(wrong[0]), beats)
            level = "high" if recording.last[wrong[0]] else "low"
            violations.append(f"m_axis_tlast is {level} on transfer {at} of frame {frame}")
        ends = recording.cycles[: whole * beats].reshape(-1, beats)[:, -1]
        return cls(
            y=recording.data[: whole * beats].reshape(whole, beats, output.beat.lanes),
            cycles=int(recording.cycles[-1]) + 1 if came else 0,
            latency_cycles=int(ends[0]) + 1 if whole else 0,
            cycles_per_frame=float(np.diff(ends).mean()) if whole > 1 else None,
            errors=recording.errors,
            violations=tuple(violations),
            seen=recording.seen,
        )
