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
from sqwire.hw.ports import as_tuple, names
from sqwire.hw.ranges import Range

from . import harness, runner, words
from .play import Play, Recording, Result, Stalls, Transfers
from .toolchain import SimulatorName
from .watch import Signals, Watch, find

__all__ = [
    "Bench",
    "Play",
    "Recording",
    "Result",
    "Stalls",
    "Transfers",
    "Watch",
    "bench_of",
    "simulate",
    "simulate_build",
]

Int = NDArray[np.int64]

_TOP = "sqwire_bench"

# How often a run says in its log how far it is, at least.
_TELL_SECONDS = 10.0
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
    "{0}_tvalid fell before {0}_tready came",
    "{0}_tdata changed before {0}_tready came",
    "{0}_tlast changed before {0}_tready came",
)


@dataclass(frozen=True)
class Bench:
    """A design in its harness, built for a simulator; runs any number of plays."""

    inputs: tuple[axis.Port, ...]
    outputs: tuple[axis.Port, ...]
    watches: tuple[Watch, ...]
    signals: Mapping[str, Signals]
    """Where the watched streams are; those that are nowhere cannot be seen."""
    simulation: runner.Simulation
    workdir: Path

    @classmethod
    def build(
        cls,
        verilog_sources: Sequence[Path],
        inputs: Sequence[axis.Port],
        outputs: Sequence[axis.Port],
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
        around = harness.Harness(tuple(inputs), tuple(outputs))
        bench = harness.write_verilog(around, workdir, _TOP)
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
        return cls(around.inputs, around.outputs, streams, signals, simulation, workdir)

    def run(self, plays: Sequence[Play], *, timeout_seconds: float = 600) -> list[Recording]:
        """Run ``plays`` one after the other in one process of the simulator.

        It takes as long as it takes, but is ended where it has nothing to say for
        ``timeout_seconds``: it tells more often than that how far it is, unless it stands still.

        Raises
        ------
        ValueError
            If a value does not fit into its field of the input.
        SimulationError
            If the simulator fails.
        """
        job = Path(tempfile.mkdtemp(prefix="job-", dir=self.workdir))
        shape = harness.Harness(self.inputs, self.outputs)
        for number, play in enumerate(plays):
            for records, given in zip(shape.ins, play.inputs, strict=True):
                tdata = words.to_tdata(records.port, given.data)
                raw = np.concatenate([tdata, given.last[:, None].astype(np.uint8)], axis=1)
                (job / f"{number}.{records.name}").write_bytes(raw.tobytes())
        description = {
            "ins": [_size(records) for records in shape.ins],
            "outs": [_size(records) for records in shape.outs],
            "tell_seconds": min(_TELL_SECONDS, timeout_seconds / 4),
            "passes": [
                {
                    "expected": play.expected,
                    "stalls": play.stalls,
                    "cut_after": play.cut_after,
                    "rest_cycles": play.rest_cycles,
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
        self,
        frames: Int | tuple[Int, ...],
        *stalls: Stalls,
        watch: Mapping[str, int] = MappingProxyType({}),
        latency_cycles: int = 0,
    ) -> list[Result]:
        """Whole frames ``(frames, beats, lanes)``, a tuple of them for several inputs, once for
        each of ``stalls``; for ``latency_cycles`` see :meth:`Play.frames`."""
        _check_frames(self.inputs, as_tuple(frames))
        plays = [
            Play.frames(
                frames, self.outputs, stalls=kind, watch=watch, latency_cycles=latency_cycles
            )
            for kind in stalls
        ]
        count = len(as_tuple(frames)[0])
        return [Result.of(r, self.outputs, count) for r in self.run(plays)]

    def _watched(self, transfers: Mapping[str, int]) -> dict[str, object]:
        """For the bench: where each watched stream is, and how much of it to record."""
        return {
            watch.name: [transfers[watch.name], watch.scope.split("."), *astuple(signals)]
            for watch in self.watches
            if watch.name in transfers and (signals := self.signals.get(watch.name))
        }

    def _recording(self, job: Path, number: int, play: Play) -> Recording:
        report = json.loads((job / f"{number}.json").read_text())
        shape, prefixes = (
            harness.Harness(self.inputs, self.outputs),
            names("m_axis", len(self.outputs)),
        )
        violations, outputs = [], []
        for records, name, expected, broken in zip(
            shape.outs, prefixes, play.expected, report["violations"], strict=True
        ):
            file = job / f"{number}.{records.name}"
            raw = np.fromfile(file, dtype=np.uint8).reshape(-1, records.bytes)
            tdata = records.port.bits // 8
            cycles = np.ascontiguousarray(raw[:, tdata + 1 :]).view("<u4").astype(np.int64)
            outputs.append(
                Transfers(
                    data=words.from_tdata(records.port, raw[:, :tdata]),
                    last=raw[:, tdata] == 1,
                    cycles=cycles.reshape(-1) - report["first_in"],
                )
            )
            violations += [
                rule.format(name) for bit, rule in enumerate(_RULES) if broken >> bit & 1
            ]
            if len(raw) < expected:
                violations.append(
                    f"nothing moved for {play.idle_cycles} cycles after {len(raw)} of "
                    f"{expected} output transfers" + (f" on {name}" if len(prefixes) > 1 else "")
                )
        if not report["all_taken"]:
            violations.append("not all input transfers were taken")
        return Recording(
            outputs=tuple(outputs),
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


def _size(records: harness.Records) -> dict[str, object]:
    return {"name": records.name, "bytes": records.bytes, "transfers": records.transfers}


def simulate(
    verilog_sources: Sequence[Path],
    inputs: Sequence[axis.Port],
    outputs: Sequence[axis.Port],
    frames: Int | tuple[Int, ...],
    workdir: Path,
    *,
    stalls: Stalls = "none",
    watches: Iterable[Watch] = (),
    simulator: SimulatorName = "verilator",
    cache: Path | None = None,
    latency_cycles: int = 0,
) -> Result:
    """Build a design in ``workdir`` and run ``frames`` (frames, beats, lanes) through it once.

    ``frames`` is a tuple of arrays where there are several inputs; for ``latency_cycles`` see
    :meth:`Play.frames`.
    For several runs of one design use :class:`Bench`: building takes longer than running.
    """
    _check_frames(tuple(inputs), as_tuple(frames))
    bench = Bench.build(
        verilog_sources,
        inputs,
        outputs,
        workdir,
        watches=watches,
        simulator=simulator,
        cache=cache,
    )
    most = sum(x.size for x in as_tuple(frames))
    everything = {watch.name: most for watch in bench.watches}
    return bench.simulate(frames, stalls, watch=everything, latency_cycles=latency_cycles)[0]


def bench_of(build: Build) -> Bench:
    """The bench of a build's Verilog, kept in the build folder until the design changes.

    The output of every layer can be watched, by the name of its node.
    """
    stages = {stage.name: stage for stage in build.plan.network.stages}
    last = {node: stages[name] for node, name in build.plan.ends.items()}
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


def ports(build: Build) -> tuple[tuple[axis.Port, ...], tuple[axis.Port, ...]]:
    """The inputs and the outputs of a build's Verilog, by its own ``plan.json``."""
    inputs, outputs = (
        tuple(
            axis.Port(Beat(Range(*port["range"]), port["channels"]), port["beats"])
            for port in build.planned[name]
        )
        for name in ("s_axis", "m_axis")
    )
    return inputs, outputs


def simulate_build(
    build: Build, *codes: Int, stalls: Stalls = "none", bench: Bench | None = None
) -> Result:
    """Run input codes (frames, height, width, channels), one array for each input, through a
    build's Verilog.

    ``bench`` is what :func:`bench_of` made of the build, if it has been called already.

    Raises
    ------
    ValueError
        If the codes are not the network's inputs.
    SimulationError
        If the simulator fails, or the circuit breaks a rule of its streams.
    """
    build.graph.check(*codes)
    bench = bench or bench_of(build)
    frames = tuple(port.beats(x) for port, x in zip(bench.inputs, codes, strict=True))
    late = build.plan.latency_cycles
    return bench.simulate(frames, stalls, latency_cycles=late)[0].check()


def _check_frames(ports: tuple[axis.Port, ...], frames: tuple[Int, ...]) -> None:
    if len(ports) != len(frames) or len({len(x) for x in frames}) != 1:
        raise ValueError(
            f"simulate: frames must be as many for each of {len(ports)} inputs, not "
            f"{', '.join(str(len(x)) for x in frames)}"
        )
    for port, x in zip(ports, frames, strict=True):
        shape = (port.frame, port.beat.lanes)
        if x.ndim != 3 or x.shape[1:] != shape or x.dtype.kind not in "iu":
            raise ValueError(
                f"simulate: frames must be integers of shape (frames, {shape[0]}, {shape[1]}), "
                f"not {x.dtype} {x.shape}"
            )
        low, high = port.beat.range.lo, port.beat.range.hi
        if x.size and not low <= x.min() <= x.max() <= high:
            raise ValueError(f"simulate: codes must be in {low}..{high}, not {x.min()}..{x.max()}")
