"""Hold a build to its integer graph, and the graph to reference vectors: every integer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.build import Build
from sqwire.compiler.graph import Graph

from .check import check_operator
from .compare import first_difference
from .netlist import ecp5_bench
from .network import Bench, bench_of
from .play import Play, Recording, Result
from .report import Finding, Level, Report
from .vectors import Rounding, compare, load_vectors

__all__ = ["Report", "stand_in_frames", "verify"]

Int = NDArray[np.int64]

_STAND_INS = 64
# Watching a layer costs some microseconds a cycle: so many of its beats are watched, if not more
# of the input in whole frames.
_WATCHED_BEATS = 1024
_COMPONENT_FRAMES = 2
_ALL = 1 << 40


def verify(
    build: Build,
    *,
    vectors: Path | None = None,
    level: Level = "network",
    frames: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Compare the circuit of a build with its integer graph.

    ``component``: each operator of the plan alone, under all stall patterns, on the data that
    reaches it. ``network``: the Verilog, without and with stalls, each layer for the first
    frames. ``netlist``: what Yosys made of it, without and with stalls.

    Parameters
    ----------
    vectors
        A ``.npz`` with ``x`` and ``y`` as the ONNX graph takes and gives them; the graph is
        compared with these first, see :func:`sqwire.sim.vectors.compare`. Without it
        :func:`stand_in_frames` are the input.
    frames
        At most so many through the circuit; all where None, but two at the level ``component``.
        The graph is compared with all vectors.

    Raises
    ------
    ValueError
        If the vectors do not fit the network, or the build has no netlist yet.
    SimulationError
        If the simulator cannot be built or run.
    """
    graph = build.graph
    findings: list[Finding] = []
    roundings: tuple[Rounding, ...] = ()
    if vectors is None:
        codes = stand_in_frames(graph)[:frames]
    else:
        reference = load_vectors(vectors)
        codes = graph.input.quantize(reference.x)
        progress(f"compare the graph with {len(codes)} vectors")
        compared = compare(graph, build.path / "model.onnx", reference, graph.run(codes), progress)
        roundings = compared.roundings
        findings.append(_finding(f"integer graph = vectors, {compared.values} values",
                                 compared.difference or None))  # fmt: skip
        codes = codes[:frames]
    if level == "component":
        codes = codes[: frames or _COMPONENT_FRAMES]
        findings += _components(build, codes, progress)
        return Report(level, len(codes), tuple(findings), roundings)

    progress(f"build the simulation of the {level}")
    beats = int(build.input.frame)
    bench = bench_of(build) if level == "network" else ecp5_bench(build)
    progress(f"simulate {len(codes)} frames without stalls, {len(codes)} with")
    some = codes[: max(1, _WATCHED_BEATS // beats)]
    watch = _watch(graph, len(some), _WATCHED_BEATS) if level == "network" else {}
    x = codes.reshape(len(codes), beats, -1)
    plays = [
        Play.frames(x, bench.output, watch=watch),
        Play.frames(x, bench.output, stalls="both"),
        Play.frames(x[:1], bench.output),
    ]
    recordings = bench.run(plays)
    free, stalled, single = (
        Result.of(recording, bench.output, count)
        for recording, count in zip(recordings, (len(x), len(x), 1), strict=True)
    )
    want = graph.run(codes)
    layers = _layers(graph, some, recordings[0], watch)
    wrong = _wrong_frame(free, want)
    if level == "network" and wrong is not None and all(f.passed for f in layers):
        layers += _trace(bench, graph, codes[wrong : wrong + 1])
    findings += layers
    subject = "Verilog" if level == "network" else "netlist"
    for result, how in ((free, "without stalls"), (stalled, "with stalls")):
        findings += _outputs(f"{subject} = graph, {how}", graph, result, want)
    report = Report(
        level,
        len(codes),
        tuple(findings),
        roundings,
        cycles_per_frame=free.cycles_per_frame,
        latency_cycles=single.latency_cycles,
        planned_cycles_per_frame=build.plan.cycles_per_frame,
        planned_latency_cycles=build.plan.latency_cycles,
    )
    cycles = Finding(f"cycles of the {subject} = plan", report.as_planned, report.cycles)
    return replace(report, findings=(*findings, cycles))


def stand_in_frames(graph: Graph, count: int = _STAND_INS) -> Int:
    """Input codes (count, height, width, channels): extremes first, then random, always the same.

    All lowest, all highest, a chequered pattern of both and its inverse, random choices of
    both, and random codes.
    """
    tensor, (low, high) = graph.input.tensor, (graph.input.range.lo, graph.input.range.hi)
    rng = np.random.default_rng(0)
    frames = rng.integers(low, high + 1, (count, *tensor.shape))
    chequered = np.indices(tensor.shape).sum(axis=0) % 2
    extremes = [
        np.zeros(tensor.shape, np.int64),
        np.ones(tensor.shape, np.int64),
        chequered,
        1 - chequered,
        *rng.integers(0, 2, (max(count // 4, 1), *tensor.shape)),
    ]
    for frame, pattern in zip(frames, extremes, strict=False):
        frame[:] = low + pattern * (high - low)
    return frames


def _components(build: Build, codes: Int, progress: Callable[[str], None]) -> Iterator[Finding]:
    """Each operator alone, on what reaches it."""
    network = build.plan.network
    values = network.trace(codes.reshape(len(codes), network.beats_in, -1))
    for stage in network.stages:
        progress(f"check {stage.name}")
        what = f"{stage.name} ({type(stage.spec).__name__}) = its compute"
        try:
            check_operator(stage.spec, *(values[source] for source in stage.sources))
        except AssertionError as error:
            yield Finding(what, False, f'stage "{stage.name}": {error}')
        else:
            yield Finding(what, True)


def _watch(graph: Graph, frames: int, most: int) -> dict[str, int]:
    """How many beats to watch of each layer: those of ``frames``, but ``most`` at most."""
    counts = {node.name: frames * graph.tensors[node.name].positions for node in graph.nodes}
    return {name: min(count, most) for name, count in counts.items()}


def _layers(
    graph: Graph, codes: Int, recording: Recording, watch: Mapping[str, int]
) -> list[Finding]:
    """Each layer's output, in the order of the graph, as far as it was watched."""
    findings = []
    for name, want in graph.trace(codes).items() if watch else ():
        what = f'layer "{name}", first {watch[name]} positions'
        if name in recording.seen:
            seen = recording.seen[name]
            difference = first_difference(name, seen, want)
            if difference and difference.got is None and len(seen) >= watch[name]:
                difference = None  # the rest was not watched
            findings.append(_finding(what, difference))
        else:
            findings.append(Finding(what, True, "not seen, its stream is not in the Verilog"))
    return findings


def _outputs(what: str, graph: Graph, result: Result, want: Int) -> Iterator[Finding]:
    """The network's output and the rules of its streams."""
    for violation in result.violations:
        yield Finding(what, False, violation)
    if result.errors:
        yield Finding(what, False, f"error was high for {result.errors} cycles")
    yield _finding(what, first_difference(graph.nodes[-1].name, result.y, want))


def _wrong_frame(result: Result, want: Int) -> int | None:
    """The first frame that differs or is missing."""
    flat = want.reshape(len(want), *result.y.shape[1:])[: len(result.y)]
    wrong = np.flatnonzero((result.y != flat).any(axis=(1, 2)))
    if wrong.size:
        return int(wrong[0])
    return len(result.y) if len(result.y) < len(want) else None


def _trace(bench: Bench, graph: Graph, codes: Int) -> list[Finding]:
    """The layers of one frame, played alone: its output was wrong, so where does that begin."""
    x, watch = codes.reshape(1, bench.input.frame, -1), _watch(graph, 1, _ALL)
    (recording,) = bench.run([Play.frames(x, bench.output, watch=watch)])
    return [f for f in _layers(graph, codes, recording, watch) if not f.passed]


def _finding(what: str, difference: object) -> Finding:
    return Finding(what, difference is None, "" if difference is None else str(difference))
