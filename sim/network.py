"""The bench for a whole design: frames in, frames out, cycles and broken rules beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sqwire.hw import axis
from sqwire.hw.beat import Beat

from . import harness, runner, words

__all__ = ["Bench", "Play", "Recording", "Result", "Stalls", "Watch", "simulate"]

Int = NDArray[np.int64]
Stalls = Literal["none", "source", "sink", "both"]

_TOP = "sqwire_bench"

# Style warnings that Verilog written by Yosys gives rise to; none is about what it computes.
_ALLOWED_WARNINGS = (
    "CASEINCOMPLETE",
    "CMPCONST",
    "UNOPTFLAT",
    "UNSIGNED",
    "WIDTHEXPAND",
    "WIDTHTRUNC",
)

_RULES = (
    "m_axis_tvalid fell before m_axis_tready came",
    "m_axis_tdata changed before m_axis_tready came",
    "m_axis_tlast changed before m_axis_tready came",
)


@dataclass(frozen=True)
class Watch:
    """A stream inside the design of which the first ``transfers`` are recorded.

    ``instance`` is the path of instances from the design's top, with dots, and ``port`` the
    stream's name in it.
    """

    name: str
    instance: str
    beat: Beat
    transfers: int
    port: str = "o"
    top: str = "sqwire_top"

    @property
    def module(self) -> str:
        """Name of the module in Verilog that Amaranth wrote."""
        return f"{self.top}.{self.instance}"

    @property
    def path(self) -> str:
        """Path of the stream from the top of the simulation."""
        return f"{harness.DUT}.{self.instance}.{self.port}"


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
    watch: bool = False
    """Record the streams that the bench was built to watch."""
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
        watch: bool = False,
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
    cycles_per_frame: float
    """Mean distance between the last transfers of successive frames; NaN for fewer than two."""
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
            raise runner.SimulationError(f"Simulated design: {self.violations[0]}{more}")
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
            y=recording.data[: whole * beats].reshape(whole, beats, -1),
            cycles=int(recording.cycles[-1]) + 1 if came else 0,
            latency_cycles=int(ends[0]) + 1 if whole else 0,
            cycles_per_frame=float(np.diff(ends).mean()) if whole > 1 else float("nan"),
            errors=recording.errors,
            violations=tuple(violations),
            seen=recording.seen,
        )


@dataclass(frozen=True)
class Bench:
    """A design in its harness, built for a simulator; runs any number of plays."""

    input: axis.Port
    output: axis.Port
    watches: tuple[Watch, ...]
    simulation: runner.Simulation
    workdir: Path

    @classmethod
    def build(
        cls,
        verilog_sources: Sequence[Path],
        input: axis.Port,
        output: axis.Port,
        workdir: Path,
        *,
        watches: Iterable[Watch] = (),
        simulator: runner.SimulatorName = "verilator",
        allow_warnings: Sequence[str] = (),
        cache: Path | None = None,
    ) -> Bench:
        """Build a design whose top module is ``sqwire_top`` under ``workdir``.

        See :func:`sqwire.sim.runner.build` for the last three parameters.
        """
        workdir.mkdir(parents=True, exist_ok=True)
        bench = harness.write_verilog(harness.Harness(input, output), workdir, _TOP)
        watches = tuple(watches)
        visible: dict[str, list[str]] = {}
        for watch in watches:
            names = [f"{watch.port}__{what}" for what in ("valid", "ready", "payload")]
            visible.setdefault(watch.module, []).extend(names)
        simulation = runner.build(
            [bench, *verilog_sources],
            _TOP,
            workdir / simulator,
            simulator=simulator,
            visible=visible,
            allow_warnings=[*_ALLOWED_WARNINGS, *allow_warnings],
            cache=cache,
        )
        return cls(input, output, watches, simulation, workdir)

    def run(self, plays: Sequence[Play], *, timeout_seconds: float = 600) -> list[Recording]:
        """Run ``plays`` one after the other in one process of the simulator.

        Raises
        ------
        ValueError
            If a value does not fit into its field of the input.
        SimulationError
            If the simulator fails.
        """
        job = self.workdir / "job"
        shutil.rmtree(job, ignore_errors=True)
        job.mkdir()
        shape = harness.Harness(self.input, self.output)
        for number, play in enumerate(plays):
            records = np.concatenate(
                [_to_fields(self.input, play.data), play.last[:, None].astype(np.uint8)], axis=1
            )
            (job / f"{number}.in").write_bytes(records.tobytes())
        description = {
            "in_bytes": shape.in_bytes,
            "in_transfers": shape.in_transfers,
            "out_bytes": shape.out_bytes,
            "out_transfers": shape.out_transfers,
            "passes": [
                {
                    "expected": play.expected,
                    "stalls": play.stalls,
                    "cut_after": play.cut_after,
                    "idle_cycles": play.idle_cycles,
                    "settle_cycles": play.settle_cycles,
                    "watch": {w.path: w.transfers for w in self.watches if play.watch},
                }
                for play in plays
            ],
        }
        (job / "job.json").write_text(json.dumps(description))
        self.simulation.run("sqwire.sim.bench", job, timeout_seconds=timeout_seconds)
        return [self._recording(job, number, play) for number, play in enumerate(plays)]

    def simulate(self, frames: Int, *stalls: Stalls, watch: bool = False) -> list[Result]:
        """Whole frames ``(frames, beats, lanes)``, once for each of ``stalls``."""
        _check_frames(self.input, frames)
        plays = [
            Play.frames(frames, self.output, stalls=kind, watch=watch) for kind in stalls
        ]
        return [Result.of(r, self.output, len(frames)) for r in self.run(plays)]

    def _recording(self, job: Path, number: int, play: Play) -> Recording:
        report = json.loads((job / f"{number}.json").read_text())
        size = harness.Harness(self.input, self.output).out_bytes
        raw = np.fromfile(job / f"{number}.out", dtype=np.uint8).reshape(-1, size)
        tdata = self.output.bits // 8
        cycles = np.ascontiguousarray(raw[:, tdata + 1 :]).view("<u4").astype(np.int64).reshape(-1)
        violations = [rule for bit, rule in enumerate(_RULES) if report["violations"] >> bit & 1]
        if len(raw) < play.expected:
            violations.append(
                f"nothing moved for {play.idle_cycles} cycles after {len(raw)} of "
                f"{play.expected} output transfers"
            )
        if not report["all_taken"]:
            violations.append("not all input transfers were taken")
        return Recording(
            data=_from_fields(self.output, raw[:, :tdata]),
            last=raw[:, tdata] == 1,
            cycles=cycles - report["first_in"],
            errors=report["errors"],
            violations=tuple(violations),
            seen={
                watch.name: words.unpack(
                    [int(word, 16) for word in report["seen"][watch.path]],
                    watch.beat.lanes,
                    watch.beat.range.bits,
                    signed=watch.beat.range.lo < 0,
                )
                for watch in self.watches
                if watch.path in report["seen"]
            },
        )


def simulate(
    verilog_sources: Sequence[Path],
    input: axis.Port,
    output: axis.Port,
    frames: Int,
    workdir: Path,
    *,
    stalls: Stalls = "none",
    watches: Iterable[Watch] = (),
    simulator: runner.SimulatorName = "verilator",
    allow_warnings: Sequence[str] = (),
    cache: Path | None = None,
) -> Result:
    """Build a design in ``workdir`` and run ``frames`` (frames, beats, lanes) through it once.

    For several runs of one design use :class:`Bench`: building takes longer than running.
    """
    _check_frames(input, frames)
    bench = Bench.build(
        verilog_sources,
        input,
        output,
        workdir,
        watches=watches,
        simulator=simulator,
        allow_warnings=allow_warnings,
        cache=cache,
    )
    return bench.simulate(frames, stalls, watch=bool(bench.watches))[0]


def _check_frames(port: axis.Port, frames: Int) -> None:
    shape = (port.frame, port.beat.lanes)
    if frames.ndim != 3 or frames.shape[1:] != shape or frames.dtype.kind not in "iu":
        raise ValueError(
            f"simulate: frames must be integers of shape (frames, {shape[0]}, {shape[1]}), "
            f"not {frames.dtype} {frames.shape}"
        )
    low, high = port.beat.range.lo, port.beat.range.hi
    if frames.size and not low <= frames.min() <= frames.max() <= high:
        raise ValueError(
            f"simulate: codes must be in {low}..{high}, not {frames.min()}..{frames.max()}"
        )


def _to_fields(port: axis.Port, values: Int) -> NDArray[np.uint8]:
    """``tdata`` of each row of ``values``, as bytes."""
    size = port.lane_bytes
    low, high = (-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1)
    if port.beat.range.lo >= 0:
        low, high = 0, (1 << (8 * size)) - 1
    if values.size and not low <= values.min() <= values.max() <= high:
        raise ValueError(
            f"s_axis: values must fit in {size} bytes ({low}..{high}), "
            f"not {values.min()}..{values.max()}"
        )
    raw = np.ascontiguousarray(values, dtype="<i8").view(np.uint8).reshape(*values.shape, 8)
    return np.ascontiguousarray(raw[:, :, :size]).reshape(len(values), -1)


def _from_fields(port: axis.Port, raw: NDArray[np.uint8]) -> Int:
    """The integers in rows of ``tdata`` bytes; fields are extended as the port says."""
    lanes, size = port.beat.lanes, port.lane_bytes
    fields = np.zeros((len(raw), lanes, 8), dtype=np.uint8)
    fields[:, :, :size] = raw.reshape(len(raw), lanes, size)
    if port.beat.range.lo < 0:
        fields[:, :, size:] = np.where(fields[:, :, size - 1 : size] >> 7, 0xFF, 0)
    return fields.view("<i8").reshape(len(raw), lanes).astype(np.int64)
