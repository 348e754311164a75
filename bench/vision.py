"""``python bench/vision.py NAME MODEL.onnx PICTURE ...``: a trained network onto the chip.

The network is planned for ``--fps`` at ``--clock`` (as fast as it fits if no rate is given) on the
ULX3S 85F, or, with ``--interval``, for so many cycles a frame whether it fits or not. A real
picture, or a pair of left and right, goes through its Verilog in Verilator, every integer compared
with the graph; then it is synthesised, placed and routed between shift registers, without the link,
and the clock that it reaches counts. Stages that are in ``--work`` already, or in the table, are
not done again. ``--scores FILE`` is what ``bench/stereo.py --json`` or ``bench/detect.py --json``
has measured, and ``--method`` the name of the network there.

Results are in ``bench/results/vision.json``, and as a table in ``bench/vision.md``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from networks import BOARD, compiled, frame, keep, routed
from PIL import Image

from sqwire.boards.catalog import find_board
from sqwire.boards.fit import room_for
from sqwire.compiler.build import Build
from sqwire.depth import fitted
from sqwire.train.pictures import read_grey, read_rgb

HERE = Path(__file__).parent
RESULTS, TABLE = HERE / "results" / "vision.json", HERE / "vision.md"
HEAD = """# Seeing, on an ECP5-85F

Written by `bench/vision.py`. Trained networks, all weights and buffers on the chip (ULX3S 85F). The Verilog is compared with
the integer graph on whole real frames, every integer. LUT sites, DSPs and block RAMs are those that nextpnr places, or where
it was not run those of the plan (which on its own uses at most {luts:,.0f} LUT sites, {ffs:,.0f} flip-flops and
{brams} block RAMs; what has more was planned without asking whether it fits); the clock is that of the routed network
between shift registers, without the link, whose serial line is far slower. Accuracy is that of the integer graph.

| network | frame | accuracy | zeros | weights, kbit | memories, kbit | Verilog, whole frames | cycles a frame | LUT sites | flip-flops | DSP | block RAM | clock, MHz | frames/s | date |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def accuracy(file: Path, method: str) -> str:
    """What a measurement says, in a few words."""
    found = json.loads(file.read_text())[method]
    if "mAP50" in found:
        return f"mAP50 {found['mAP50']:.3f}"
    real = {name: s for name, s in found.items() if not name.endswith(" rendered")}
    scenes = [scene["all"]["bad2"] for scene in real.values()]
    return f"bad2 {np.mean(scenes):.1f} % over {len(scenes)} real pairs"


def codes_of(build: Build, pictures: list[Path]) -> Any:
    """A frame of codes from one picture in colour or two in grey."""
    channels, height, width = build.graph.input.shape
    if len(pictures) == 2:
        left, right = (read_grey(file) for file in pictures)
        return build.graph.input.quantize(fitted(left, right, (height, width)))
    picture = Image.fromarray(read_rgb(pictures[0]))
    small = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
    return build.graph.input.quantize(small.transpose(2, 0, 1)[None].astype(np.float32))


def facts(build: Build) -> dict[str, Any]:
    """Sizes of a network: its frame, its zeros, and the bits of weights and of all memories."""
    layers = build.plan.layers
    weights = sum(layer.weights for layer in layers)
    nonzeros = sum(layer.nonzeros for layer in layers)
    return {
        "frame": "x".join(str(n) for n in build.graph.input.shape),
        "zeros_percent": round(100 * (1 - nonzeros / weights), 1),
        "weight_kbit": round(sum(layer.program_bits for layer in layers) / 1000),
        "memory_kbit": round(sum(layer.memory_bits for layer in layers) / 1000),
    }


def line(name: str, row: dict[str, Any]) -> str:
    """A line of the table."""
    usage = row.get("usage", {})
    luts = usage.get("TRELLIS_COMB", row["planned_luts"])
    ffs = usage.get("TRELLIS_FF", row["planned_ffs"])
    dsps, brams = (
        usage.get(cell, row[f"planned_{what}"])
        for cell, what in (("MULT18X18D", "dsps"), ("DP16KD", "brams"))
    )
    cells = (
        name, row["frame"], row.get("accuracy", "not measured"), f"{row['zeros_percent']} %",
        row["weight_kbit"], row["memory_kbit"], f"{row.get('frames_equal', 0)} equal",
        f"{row['cycles_per_frame']:,}", f"{luts:,}", f"{ffs:,}", dsps, brams,
        row.get("fmax_mhz", "not routed"), row.get("frames_per_s", "-"), row["date"],
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def kept(name: str, found: dict[str, Any], *, anew: bool = False) -> dict[str, Any]:
    """Add to the row of a network, or begin it anew, also in the table; the row."""
    rows = keep(name, found, anew=anew, results=RESULTS)
    head = HEAD.format(**asdict(room_for(find_board(BOARD))))
    TABLE.write_text(head + "".join(line(*item) for item in rows.items()))
    return rows[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("build/vision"))
    parser.add_argument("--fps", type=float)
    parser.add_argument("--interval", type=int, help="cycles a frame, whether it fits or not")
    parser.add_argument("--clock", type=float, default=80.0, help="MHz that the plan counts on")
    parser.add_argument("--route-clock", type=float, default=70.0, help="MHz asked of nextpnr")
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--method", default="")
    parser.add_argument("--until", choices=("compile", "frame", "route"), default="route")
    given = parser.parse_args()
    work = given.work / given.name.replace(" ", "_")
    row: dict[str, Any] = {}
    if not (work / "build.json").is_file():
        row = compiled(given.model, work, given.interval, given.fps, given.clock)
    build = Build.load(work)
    row = kept(given.name, row | facts(build), anew=bool(row))
    if given.scores:
        row = kept(given.name, {"accuracy": accuracy(given.scores, given.method)})
    if given.until != "compile" and "frames_equal" not in row:
        row = kept(given.name, frame(build, codes_of(build, given.picture)))
    if given.until == "route" and "fmax_mhz" not in row:
        kept(given.name, routed(build, work.with_name(f"{work.name}.route"), given.route_clock))


if __name__ == "__main__":
    main()
