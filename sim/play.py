"""What a bench plays to a design and what it gets back: transfers, frames, cycles, broken rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sqwire.hw import axis
from sqwire.hw.ports import as_tuple, names, one_or_all

from .toolchain import SimulationError

__all__ = ["Play", "Recording", "Result", "Stalls", "Transfers"]

Int = NDArray[np.int64]
Stalls = Literal["none", "source", "sink", "both"]


@dataclass(frozen=True)
class Transfers:
    """Transfers on one AXI4-Stream port, one behind the other."""

    data: Int
    """One row of lanes for each transfer."""
    last: NDArray[np.bool_]
    """Its ``tlast``."""
    cycles: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where they came out of the design, the cycle of each; cycle 0 is the one of the first
    transfer into the design."""

    @classmethod
    def frames(cls, frames: Int) -> Transfers:
        """Whole frames ``(frames, beats, lanes)``, ``tlast`` on the last beat of each."""
        count, beats, lanes = frames.shape
        last = np.zeros((count, beats), dtype=np.bool_)
        last[:, -1] = True
        return cls(frames.reshape(-1, lanes), last.reshape(-1))


@dataclass(frozen=True)
class Play:
    """One pass over the design, from reset to rest: explicit AXI4-Stream transfers.

    ``inputs`` are the transfers of each input, ``expected`` for each output the
    number of transfers after which all is there, apart from surplus ones.
    ``cut_after`` transfers of each input are fed before, and cut off by a reset.
    """

    inputs: tuple[Transfers, ...]
    expected: tuple[int, ...]
    stalls: Stalls = "none"
    cut_after: int = 0
    watch: Mapping[str, int] = field(default_factory=dict)
    """How many of the first transfers of a stream to record, by the name of its watch."""
    rest_cycles: int = 0
    """Cycles from the end of the reset to the first transfer, at least."""
    idle_cycles: int = 20_000
    """Cycles without a transfer after which nothing more is waited for."""
    settle_cycles: int = 256
    """The same after the last expected transfer."""

    @classmethod
    def frames(
        cls,
        frames: Int | tuple[Int, ...],
        outputs: tuple[axis.Port, ...],
        *,
        stalls: Stalls = "none",
        watch: Mapping[str, int] = MappingProxyType({}),
        latency_cycles: int = 0,
    ) -> Play:
        """Whole frames ``(frames, beats, lanes)``; a tuple of them for several inputs.

        A design that takes ``latency_cycles`` may be silent as long, several times over.
        """
        inputs = as_tuple(frames)
        return cls(
            inputs=tuple(Transfers.frames(x) for x in inputs),
            expected=tuple(len(inputs[0]) * int(port.frame) for port in outputs),
            stalls=stalls,
            watch=watch,
            idle_cycles=max(cls.idle_cycles, 4 * latency_cycles),
        )


@dataclass(frozen=True)
class Recording:
    """What came out in one :class:`Play`: output transfers, and what was seen beside them."""

    outputs: tuple[Transfers, ...]
    errors: int
    """Cycles in which ``error`` was high."""
    violations: tuple[str, ...]
    """Rules of the stream contract that were broken."""
    seen: Mapping[str, Int] = field(default_factory=dict)
    """For each watched stream, its first transfers."""


@dataclass(frozen=True)
class Result:
    """Frames out of the design, for frames that went in."""

    ys: tuple[Int, ...]
    """For each output ``(frames, beats, lanes)``: the whole frames that came out, all of them if
    nothing broke."""
    cycles: int
    """From the first transfer in to the last one out, both counted."""
    latency_cycles: int
    """The same for the first frame alone. Where another one follows, its last transfers may wait
    for that one's first."""
    errors: int
    """Cycles in which ``error`` was high."""
    violations: tuple[str, ...]
    """Broken rules: missing or surplus transfers, ``tlast`` out of place, the stream contract."""
    seen: Mapping[str, Int]
    """For each watched stream, its first transfers ``(transfers, lanes)``."""

    @property
    def y(self) -> Int | tuple[Int, ...]:
        """The frames of the output; a tuple where there are several outputs."""
        return one_or_all(self.ys)

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
    def of(cls, recording: Recording, outputs: tuple[axis.Port, ...], frames: int) -> Result:
        """The frames in a recording. A frame is out when it is out of every output."""
        violations = list(recording.violations)
        ys, ends = [], []
        prefixes = names("m_axis", len(outputs))
        for name, port, got in zip(prefixes, outputs, recording.outputs, strict=True):
            beats, came = int(port.frame), len(got.data)
            if came > frames * beats:
                violations.append(
                    f"{came - frames * beats} transfers more on {name} than {frames} frames have"
                )
            whole = min(came // beats, frames)
            want = np.arange(came) % beats == beats - 1
            wrong = np.flatnonzero(got.last != want)
            if wrong.size:
                frame, at = divmod(int(wrong[0]), beats)
                level = "high" if got.last[wrong[0]] else "low"
                violations.append(f"{name}_tlast is {level} on transfer {at} of frame {frame}")
            ends.append(got.cycles[: whole * beats].reshape(-1, beats)[:, -1])
            ys.append(got.data[: whole * beats].reshape(whole, beats, port.beat.lanes))
        whole_frames = min(map(len, ends))
        lasts = [int(got.cycles[-1]) for got in recording.outputs if len(got.cycles)]
        return cls(
            ys=tuple(ys),
            cycles=max(lasts) + 1 if lasts else 0,
            latency_cycles=max(int(own[0]) for own in ends) + 1 if whole_frames else 0,
            errors=recording.errors,
            violations=tuple(violations),
            seen=recording.seen,
        )
