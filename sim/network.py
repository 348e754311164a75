"""The bench for a whole design: frames in, frames out, cycles and broken rules beside them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.build import Build
from sqwire.hw import axis
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

from . import harness, runner, words
from .play import Play, Recording, Result, Stalls
from .toolchain import SimulatorName
from .watch import Signals, Watch, find

__all__ = [
    "Bench",
    "Play",
    "Recording",
    "Result",
    "Stalls",
    "Watch",
    "bench_of",
    "simulate",
    "simulate_build",
]

Int = NDArray[np.int64]

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
class Bench:
    """A design in its harness, built for a simulator; runs any number of plays."""

    input: axis.Port
    output: axis.Port
    watches: tuple[Watch, ...]
    signals: Mapping[str, Signals]
    """Where the watched streams are; those that are nowhere cannot be seen."""
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
        simulator: SimulatorName = "verilator",
        allow_warnings: Sequence[str] = (),
        includes: Sequence[Path] = (),
        defines: Sequence[str] = (),
        optimize: bool = True,
        cache: Path | None = None,
    ) -> Bench:
        """Build a design whose top module is ``sqwire_top`` under ``workdir``.

        See :func:`sqwire.sim.runner.build` for the parameters behind ``watches``.
        """
        workdir = workdir.resolve()
        workdir.mkdir(parents=True, exist_ok=True)
        bench = harness.write_verilog(harness.Harness(input, output), workdir, _TOP)
        streams = tuple(watches)
        signals = find(streams, verilog_sources)
        visible: dict[str, list[str]] = {}
        for watch in streams:
            if watch.name in signals:
                visible.setdefault(watch.module, []).extend(astuple(signals[watch.name]))
        simulation = runner.build(
            [bench, *verilog_sources],
            _TOP,
            workdir / simulator,
            simulator=simulator,
            visible=visible,
            allow_warnings=[*_ALLOWED_WARNINGS, *allow_warnings],
            includes=includes,
            defines=defines,
            optimize=optimize,
            cache=cache,
        )
        return cls(input, output, streams, signals, simulation, workdir)

    def run(self, plays: Sequence[Play], *, timeout_seconds: float = 600) -> list[Recording]:
        """Run ``plays`` one after the other in one process of the simulator.

        Raises
        ------
        ValueError
            If a value does not fit into its field of the input.
        SimulationError
            If the simulator fails.
        """
        job = Path(tempfile.mkdtemp(prefix="job-", dir=self.workdir))
        shape = harness.Harness(self.input, self.output)
        for number, play in enumerate(plays):
            records = np.concatenate(
                [words.to_tdata(self.input, play.data), play.last[:, None].astype(np.uint8)], axis=1
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
                    "watch": self._watched(play.watch),
                }
                for play in plays
            ],
        }
        (job / "job.json").write_text(json.dumps(description))
        self.simulation.run("sqwire.sim.bench", job, timeout_seconds=timeout_seconds)
        recordings = [self._recording(job, number, play) for number, play in enumerate(plays)]
        shutil.rmtree(job)  # after an error it stays, for its log
        return recordings

    def simulate(
        self, frames: Int, *stalls: Stalls, watch: Mapping[str, int] = MappingProxyType({})
    ) -> list[Result]:
        """Whole frames ``(frames, beats, lanes)``, once for each of ``stalls``."""
        _check_frames(self.input, frames)
        plays = [Play.frames(frames, self.output, stalls=kind, watch=watch) for kind in stalls]
        return [Result.of(r, self.output, len(frames)) for r in self.run(plays)]

    def _watched(self, transfers: Mapping[str, int]) -> dict[str, object]:
        """For the bench: where each watched stream is, and how much of it to record."""
        return {
            watch.name: [transfers[watch.name], watch.scope.split("."), *astuple(signals)]
            for watch in self.watches
            if watch.name in transfers and (signals := self.signals.get(watch.name))
        }

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
            data=words.from_tdata(self.output, raw[:, :tdata]),
            last=raw[:, tdata] == 1,
            cycles=cycles - report["first_in"],
            errors=report["errors"],
            violations=tuple(violations),
            seen={
                watch.name: words.unpack(
                    [int(word, 16) for word in report["seen"][watch.name]["words"]],
                    watch.beat.lanes,
                    report["seen"][watch.name]["bits"] // watch.beat.lanes,
                    signed=watch.beat.range.lo < 0,
                )
                for watch in self.watches
                if watch.name in report["seen"]
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
    simulator: SimulatorName = "verilator",
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
        cache=cache,
    )
    everything = {watch.name: frames.size for watch in bench.watches}
    return bench.simulate(frames, stalls, watch=everything)[0]


def bench_of(build: Build) -> Bench:
    """The bench of a build's Verilog, kept in the build folder until the design changes.

    The output of every layer can be watched, by the name of its node.
    """
    stages = {stage.name: stage for stage in build.plan.network.stages}
    last = {node: stages[name] for node, name in build.plan.outputs.items()}
    watches = [
        Watch(node, f"network.{stage.instance}", stage.spec.outputs[0])
        for node, stage in last.items()
    ]
    folder = build.path / "simulation"
    return Bench.build(
        [build.design],
        *ports(build),
        folder / "network",
        watches=watches,
        cache=folder / "library",
    )


def ports(build: Build) -> tuple[axis.Port, axis.Port]:
    """The ports of a build's Verilog, by its own ``plan.json``."""
    plan = json.loads((build.path / "plan.json").read_text())
    made = [
        axis.Port(Beat(Range(*port["range"]), port["channels"]), port["beats"])
        for port in (plan["s_axis"], plan["m_axis"])
    ]
    return made[0], made[1]


def simulate_build(build: Build, codes: Int, *, stalls: Stalls = "none") -> Result:
    """Run input codes (frames, height, width, channels) through a build's Verilog.

    Raises
    ------
    ValueError
        If the codes are not the network's input.
    SimulationError
        If the simulator fails, or the circuit breaks a rule of its streams.
    """
    build.graph.input.check(codes)
    bench = bench_of(build)
    frames = codes.reshape(len(codes), bench.input.frame, bench.input.beat.lanes)
    return bench.simulate(frames, stalls)[0].check()


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
