"""Hold a build to its integer graph, and the graph to reference vectors: every integer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.build import Build
from sqwire.compiler.graph import Graph
from sqwire.compiler.host import Input
from sqwire.compiler.plan import Plan
from sqwire.hw.axis import Port
from sqwire.hw.ports import as_tuple, one_or_all

from .check import check_operator
from .compare import first_difference
from .netlist import netlist_bench
from .network import Bench, bench_of
from .play import Play, Recording, Result
from .report import Finding, Level, Report
from .vectors import Rounding, compare, load_vectors

__all__ = ["Report", "stand_in_frames", "verify"]

Int = NDArray[np.int64]

# So many frames stand in where there are no vectors, or as many as take so many cycles.
_STAND_INS, _STAND_IN_CYCLES = 64, 4_000_000
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
        A ``.npz`` with ``x`` and ``y`` as the ONNX graph takes and gives them (``x0``, ``x1``,
        ... and ``y0``, ``y1``, ... where there are several); the graph is compared with these
        first, see :func:`sqwire.sim.vectors.compare`. Without it :func:`stand_in_frames` are the
        input.
    frames
        At most so many through the circuit; all where None, but two at the level ``component``.
        The graph is compared with all vectors. Of frames that stand in, None is 64, or as
        many as take 4 million cycles, but two at least.

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
        few = max(2, min(_STAND_INS, _STAND_IN_CYCLES // build.plan.cycles_per_frame))
        count = frames or (_COMPONENT_FRAMES if level == "component" else few)
        codes = as_tuple(stand_in_frames(graph, count))
    else:
        reference = load_vectors(vectors, graph)
        codes = tuple(i.quantize(x) for i, x in zip(graph.inputs, reference.x, strict=True))
        progress(f"compare the graph with {len(codes[0])} vectors")
        answer = as_tuple(graph.run(*codes))
        compared = compare(graph, build.path / "model.onnx", reference, answer, progress)
        roundings = compared.roundings
        findings.append(_finding(f"integer graph = vectors, {compared.values} values",
                                 compared.difference or None))  # fmt: skip
        codes = tuple(x[:frames] for x in codes)
    if level == "component":
        codes = tuple(x[: frames or _COMPONENT_FRAMES] for x in codes)
        findings += _components(build, codes, progress)
        return Report(level, len(codes[0]), tuple(findings), roundings)

    progress(f"build the simulation of the {level}")
    beats, count = max(int(port.frame) for port in build.inputs), len(codes[0])
    bench = bench_of(build) if level == "network" else netlist_bench(build)
    progress(f"simulate {count} frames without stalls, {count} with")
    some = tuple(x[: max(1, _WATCHED_BEATS // beats)] for x in codes)
    watch = _watch(build.plan, len(some[0]), _WATCHED_BEATS) if level == "network" else {}
    beats_in, late = _beats(bench.inputs, codes), build.plan.latency_cycles
    one = tuple(x[:1] for x in beats_in)
    plays = [
        Play.frames(beats_in, bench.outputs, watch=watch, latency_cycles=late),
        Play.frames(beats_in, bench.outputs, stalls="both", latency_cycles=late),
        replace(
            Play.frames(one, bench.outputs, latency_cycles=late),
            rest_cycles=build.plan.settle_cycles,
        ),
    ]
    recordings = bench.run(plays)
    free, stalled, single = (
        Result.of(recording, bench.outputs, own)
        for recording, own in zip(recordings, (count, count, 1), strict=True)
    )
    want = as_tuple(graph.run(*codes))
    layers = _layers(graph, some, recordings[0], watch)
    wrong = min(_wrong_frame(y, right) for y, right in zip(free.ys, want, strict=True))
    if level == "network" and wrong < count and all(f.passed for f in layers):
        layers += _trace(bench, build, tuple(x[wrong : wrong + 1] for x in codes))
    findings += layers
    subject = "Verilog" if level == "network" else "netlist"
    for result, how in ((free, "without stalls"), (stalled, "with stalls")):
        findings += _outputs(f"{subject} = graph, {how}", graph, result, want)
    first = tuple(y[:1] for y in want)
    findings += _outputs(f"{subject} = graph, a frame alone", graph, single, first)
    report = Report(
        level,
        count,
        tuple(findings),
        roundings,
        cycles_per_frame=(free.cycles - single.cycles) / (count - 1) if count > 1 else None,
        latency_cycles=single.cycles,
        planned_cycles_per_frame=build.plan.cycles_per_frame,
        planned_latency_cycles=build.plan.latency_cycles,
        inputs=len(codes),
    )
    cycles = Finding(f"cycles of the {subject} = plan", report.as_planned, report.cycles)
    return replace(report, findings=(*findings, cycles))


def stand_in_frames(graph: Graph, count: int = _STAND_INS) -> Int | tuple[Int, ...]:
    """Input codes (count, height, width, channels): extremes first, then random, always the same.

    All lowest, all highest, a chequered pattern of both and its inverse, random choices of
    both, and random codes, which are half of all at least. Where there are several inputs, a
    tuple of such arrays; before the random ones every other input is then lowest while the
    others are highest, and the reverse.
    """
    single = len(graph.inputs) == 1
    return one_or_all([_stand_ins(x, k, count, single) for k, x in enumerate(graph.inputs)])


def _stand_ins(source: Input, number: int, count: int, single: bool) -> Int:
    tensor, (low, high) = source.tensor, (source.range.lo, source.range.hi)
    rng = np.random.default_rng(number)
    frames = rng.integers(low, high + 1, (count, *tensor.shape))
    lowest, highest = np.zeros(tensor.shape, np.int64), np.ones(tensor.shape, np.int64)
    chequered = np.indices(tensor.shape).sum(axis=0) % 2
    extremes = [
        lowest,
        highest,
        chequered,
        1 - chequered,
        *(() if single else (lowest, highest) if number % 2 else (highest, lowest)),
        *rng.integers(0, 2, (max(count // 4, 1), *tensor.shape)),
    ]
    for frame, pattern in zip(frames, extremes[: count // 2], strict=False):
        frame[:] = low + pattern * (high - low)
    return frames


def _beats(ports: Sequence[Port], codes: Iterable[Int]) -> tuple[Int, ...]:
    """Codes (frames, height, width, channels) of each input as beats."""
    return tuple(port.beats(x) for port, x in zip(ports, codes, strict=True))


def _components(
    build: Build, codes: tuple[Int, ...], progress: Callable[[str], None]
) -> Iterator[Finding]:
    """Each operator alone, on what reaches it."""
    network = build.plan.network
    values = network.trace(*_beats(network.inputs, codes))
    for stage in network.stages:
        progress(f"check {stage.name}")
        what = f"{stage.name} ({type(stage.spec).__name__}) = its compute"
        try:
            check_operator(stage.spec, *(values[source] for source in stage.sources))
        except AssertionError as error:
            yield Finding(what, False, f'stage "{stage.name}": {error}')
        else:
            yield Finding(what, True)


def _watch(plan: Plan, frames: int, most: int) -> dict[str, int]:
    """How many beats to watch of each layer: those of ``frames``, but ``most`` at most."""
    return {x.name: min(frames * x.beats_out, most) for x in plan.layers if x.stages}


def _layers(
    graph: Graph, codes: tuple[Int, ...], recording: Recording, watch: Mapping[str, int]
) -> list[Finding]:
    """Each layer's output, in the order of the graph, as far as it was watched."""
    findings = []
    values = graph.trace(*codes) if watch else {}
    for name, count in watch.items():
        want, what = values[name], f'layer "{name}", first {count} beats'
        if name in recording.seen:
            seen = recording.seen[name]
            difference = first_difference(name, seen, want)
            if difference and difference.got is None and len(seen) >= count:
                difference = None  # the rest was not watched
            findings.append(_finding(what, difference))
        else:
            findings.append(Finding(what, True, "not seen, its stream is not in the Verilog"))
    return findings


def _outputs(what: str, graph: Graph, result: Result, want: tuple[Int, ...]) -> Iterator[Finding]:
    """The network's outputs and the rules of their streams."""
    for violation in result.violations:
        yield Finding(what, False, violation)
    if result.errors:
        yield Finding(what, False, f"error was high for {result.errors} cycles")
    for output, y, right in zip(graph.outputs, result.ys, want, strict=True):
        which = f', output "{output.name}"' if len(want) > 1 else ""
        yield _finding(what + which, first_difference(output.node, y, right))


def _wrong_frame(y: Int, want: Int) -> int:
    """The first frame that differs or is missing; their number if there is none."""
    flat = want.reshape(len(want), *y.shape[1:])[: len(y)]
    wrong = np.flatnonzero((y != flat).any(axis=(1, 2)))
    return int(wrong[0]) if wrong.size else len(y)


def _trace(bench: Bench, build: Build, codes: tuple[Int, ...]) -> list[Finding]:
    """The layers of one frame, played alone: its output was wrong, so where does that begin."""
    watch = _watch(build.plan, 1, _ALL)
    x = _beats(bench.inputs, codes)
    late = build.plan.latency_cycles
    (recording,) = bench.run([Play.frames(x, bench.outputs, watch=watch, latency_cycles=late)])
    return [f for f in _layers(build.graph, codes, recording, watch) if not f.passed]


def _finding(what: str, difference: object) -> Finding:
    return Finding(what, difference is None, "" if difference is None else str(difference))
