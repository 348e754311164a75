"""``python bench/networks.py --work DIR``: large networks of random weights, plan to netlist.

The structures are those of ResNet-18, MobileNet-v2, YOLOv3-tiny, a detector with two heads and the
stereo networks for pairs of 450x375 and 1242x375, all in :mod:`sqwire.train.networks`; their
weights are **drawn by lot**, most of them zero, as are the images: cycles and area depend on how
many weights there are and where, not on what they were trained for. Stages, each of which is kept
in ``DIR`` and in the table, so that an interrupted run goes on:

export (float network, pruned, quantized, QONNX), compile (integer graph, plan, Verilog), frame (one
whole frame through the Verilog in Verilator, every integer compared with the graph), synth (Yosys
for the board) and, with ``--route``, nextpnr, of the network between shift registers, without the
link. ``--interval`` plans for so many cycles a frame without asking whether it fits the board; else
the plan must fit, at ``--fps`` or as fast as it can, and where it does not the table has why.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import sqwire
from sqwire import train
from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.boards.flow import run_flow
from sqwire.boards.report import SynthResult
from sqwire.boards.tools import YOSYS, Workshop
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import cost
from sqwire.compiler.emit import TOP
from sqwire.compiler.errors import CompileError
from sqwire.hw.ports import as_tuple
from sqwire.sim.network import bench_of, simulate_build
from sqwire.train import networks
from sqwire.train.networks.stereo import stereo_half, stereo_quarter

RESULTS = Path(__file__).parent / "results" / "networks.json"
BOARD = "ulx3s_85f"


@dataclass(frozen=True)
class Case:
    """A network, its images (channels, height, width), and the share of zeros of a layer by name
    and module."""

    make: Callable[[], nn.Module]
    images: tuple[int, int, int]
    zeros: Callable[[str, nn.Module], float]


def _mobilenet_zeros(name: str, layer: nn.Module) -> float:
    return 0.95 if getattr(layer, "kernel_size", None) == (1, 1) else 0.0


def _resnet_zeros(name: str, _: nn.Module) -> float:
    return 0.8 if name == "conv1" else 0.99


def _stereo_zeros(share: float) -> Callable[[str, nn.Module], float]:
    # Nine weights a filter are all that the first layer has.
    return lambda name, _: 0.5 if name == "tower.0.0" else share


CASES = {
    "resnet18": Case(networks.resnet18, (3, 224, 224), _resnet_zeros),
    "mobilenet_v2": Case(networks.mobilenet_v2, (3, 224, 224), _mobilenet_zeros),
    "yolov3_tiny": Case(networks.yolov3_tiny, (3, 416, 416), lambda *_: 0.98),
    "objects": Case(networks.objects, (3, 416, 416), lambda *_: 0.95),
    "stereo_half": Case(
        lambda: stereo_half((376, 464), smooth=(3, 2, 1)),
        (2, 376, 464),
        _stereo_zeros(0.926),  # what was left where Taylor scores ended at 95 %
    ),
    "stereo_quarter": Case(
        lambda: stereo_quarter((375, 1242), smooth=(3, 2, 1)),
        (2, 375, 1242),
        _stereo_zeros(0.95),
    ),
    "resnet18_small": Case(networks.resnet18, (3, 32, 32), _resnet_zeros),
}


def prune_at_random(model: nn.Module, zeros: Callable[[str, nn.Module], float]) -> None:
    """Give every layer weights of 4 bits drawn by lot, and zeros in their place; seed 0."""
    lot = torch.Generator().manual_seed(0)
    for name, layer in model.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        shape = layer.weight.shape
        codes = torch.randn(shape, generator=lot).mul(2.5).round().clamp(-7, 7)
        codes[codes == 0] = 1
        codes *= torch.rand(shape, generator=lot) >= zeros(name, layer)
        codes.view(-1)[0] = 7  # the scale of a layer is that of its largest weight
        fan = (codes != 0).flatten(1).sum(1).float().mean().clamp(min=1)
        layer.weight.data = codes / (3 * fan.sqrt())


def export(case: Case, file: Path) -> None:
    """The network as QONNX; batch norms see four images of noise."""
    model = case.make()
    prune_at_random(model, case.zeros)
    lot = torch.Generator().manual_seed(1)
    images = (torch.rand((4, *case.images), generator=lot) * 255).round() / 255
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(images)
    model.eval()
    qat = train.prepare(model, train.Uniform(weight_bits=4, act_bits=4), images)
    qat.eval()
    qat.freeze().export(file)


def compiled(
    model: Path, out: Path, interval: int | None, fps: float | None, clock_mhz: float
) -> dict[str, Any]:
    """Plan and Verilog, and what they took."""
    start = time.monotonic(), time.process_time()
    if interval is None:
        rate: dict[str, Any] = {"fit": True} if fps is None else {"fps": fps}
        build = sqwire.compile(model, out, board=BOARD, clock_hz=clock_mhz * 1e6, **rate)
    else:
        build = compile_model(model, out, Target(interval))
    plan = build.plan
    total = cost(stage.spec for stage in plan.network.stages)
    return {
        "compile_s": round(time.monotonic() - start[0], 1),
        "compile_cpu_s": round(time.process_time() - start[1], 1),
        "compile_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "weights": sum(layer.weights for layer in plan.layers),
        "nonzeros": sum(layer.nonzeros for layer in plan.layers),
        "folded_layers": len(plan.folds),
        "lanes": sum(layer.lanes for layer in plan.layers),
        "cycles_per_frame": plan.cycles_per_frame,
        "latency_cycles": plan.latency_cycles,
        "program_kbit": round(sum(layer.program_bits for layer in plan.layers) / 1000),
        "planned_luts": round(total.luts),
        "planned_ffs": round(total.ffs),
        "planned_dsps": total.dsps,
        "planned_brams": total.brams,
    }


def noise(build: Build, frames: int = 2) -> Any:
    """Frames of random codes."""
    tensor = build.graph.input.tensor
    low, high = tensor.range.lo, tensor.range.hi
    return np.random.default_rng(0).integers(low, high + 1, (frames, *tensor.shape))


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def frame(build: Build, codes: Any) -> dict[str, Any]:
    """Whole frames through the Verilog: every integer as in the graph.

    ``simulate_build_s`` is what Verilator and the C++ compiler took, 0 where the same build lay
    there already (rows without it have it in ``simulate_s``). ``simulated_cycles_per_frame`` is by
    how many cycles each further frame made the run longer, where the first has the latency of the
    plan; that of the first when others follow may be longer. ``simulate_s``, ``simulate_cpu_s`` and
    ``simulated_cycles_per_s`` (by the clock on the wall) are of the simulation, with the start of
    the simulator, which is about a second.
    """
    wanted = as_tuple(build.graph.run(codes))
    bench = bench_of(build)
    start = time.monotonic(), _children_cpu_s()
    result = simulate_build(build, codes, bench=bench).check()
    seconds, cpu_s = time.monotonic() - start[0], _children_cpu_s() - start[1]
    for got, want in zip(result.ys, wanted, strict=True):
        if not np.array_equal(got.reshape(want.shape), want):
            raise SystemExit(f"{build.path.name}: the Verilog differs from the graph")
    further = result.cycles - build.plan.latency_cycles
    return {
        "frames_equal": len(codes),
        "values_compared": sum(int(want.size) for want in wanted),
        "simulated_cycles_per_frame": further / (len(codes) - 1) if len(codes) > 1 else None,
        "simulated_latency_cycles": result.latency_cycles,
        "simulate_build_s": round(bench.simulation.build_seconds, 1),
        "simulate_s": round(seconds, 1),
        "simulate_cpu_s": round(cpu_s, 1),
        "simulated_cycles_per_s": round(result.cycles / seconds),
    }


def synthesised(build: Build, work: Path) -> dict[str, Any]:
    """The netlist of the network alone."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "design.il").write_bytes((build.path / "design.il").read_bytes())
    start = time.monotonic()
    cells = yosys.netlist(Workshop(work, work, lambda _: None), TOP, find_board(BOARD))
    return {
        "yosys_s": round(time.monotonic() - start),
        "lut4": cells.lut4,
        "ccu2c": cells.ccu2c,
        "lutram": cells.lutram,
        "sites": cells.area + 6 * cells.lutram,
        "ff": cells.ff,
        "dsp": cells.dsp,
        "bram": cells.bram,
    }


def routed(build: Build, work: Path, clock_mhz: float) -> dict[str, Any]:
    """The network placed and routed between shift registers, at the clock that it then reaches."""
    if not (work / "synth.json").is_file():
        work.mkdir(parents=True, exist_ok=True)
        run_flow(
            build.path / "design.il", TOP, build.inputs, build.outputs, find_board(BOARD),
            work, clock_hz=clock_mhz * 1e6, bare=True, require_clock=False,
            cycles_per_frame=build.plan.cycles_per_frame,
            progress=lambda stage: print(f"{build.path.name}: {stage}", flush=True),
        )  # fmt: skip
    result = SynthResult.load(work / "synth.json")
    return {
        "route_clock_mhz": result.clock_hz / 1e6,
        "fmax_mhz": round(result.fmax_hz / 1e6, 1),
        "frames_per_s": round(result.fmax_hz / build.plan.cycles_per_frame, 1),
        "usage": {name: usage.used for name, usage in sorted(result.usage.items()) if usage.used},
        "tools": dict(result.tools),
    }


def keep(
    name: str, found: dict[str, Any], *, anew: bool = False, results: Path = RESULTS
) -> dict[str, dict[str, Any]]:
    """Add to the row of a network, or begin it anew, in the file that is committed; its rows."""
    rows: dict[str, dict[str, Any]] = {}
    if results.is_file():
        rows = json.loads(results.read_text())["rows"]
    rows[name] = ({} if anew else rows.get(name, {})) | found | {"date": date.today().isoformat()}
    versions = {"sqwire": sqwire.__version__, "yosys": YOSYS.version, "board": BOARD}
    results.write_text(json.dumps(versions | {"rows": rows}, indent=1) + "\n")
    print(name, found, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/networks"))
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--interval", type=int, help="cycles a frame, whether it fits or not")
    parser.add_argument("--fps", type=float, help="the rate to plan for, the best if not given")
    parser.add_argument("--suffix", default="", help="of the row, for another rate, say")
    parser.add_argument("--until", choices=("compile", "frame", "synth"), default="synth")
    parser.add_argument("--route", action="store_true")
    parser.add_argument("--clock", type=float, default=80.0, help="MHz that the plan counts on")
    parser.add_argument("--route-clock", type=float, default=60.0, help="MHz asked of nextpnr")
    given = parser.parse_args()
    for network in given.only:
        name = network + given.suffix
        model, out = given.work / f"{network}.onnx", given.work / name
        given.work.mkdir(parents=True, exist_ok=True)
        if not model.is_file():
            export(CASES[network], model)
        if not (out / "build.json").is_file():
            try:
                made = compiled(model, out, given.interval, given.fps, given.clock)
                keep(name, made, anew=True)
            except CompileError as error:
                keep(name, {"refused": str(error)})
                continue
        row = json.loads(RESULTS.read_text())["rows"][name]
        build = Build.load(out)
        if given.until != "compile" and "frames_equal" not in row:
            keep(name, frame(build, noise(build)))
        if given.until == "synth" and "lut4" not in row:
            keep(name, synthesised(build, given.work / f"{name}.synth"))
        if given.route and "fmax_mhz" not in row:
            keep(name, routed(build, given.work / f"{name}.route", given.route_clock))


if __name__ == "__main__":
    main()
