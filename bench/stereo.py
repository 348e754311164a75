"""How good disparities are, on real pairs: census baselines, and networks beside them.

    python bench/stereo.py FOLDER [--scale cones=4 ...] [--rendered 12] [--model NAME=FILE.onnx ...]
                           [--smooth 3 2 1] [--json FILE] [--picture FILE]

FOLDER holds one folder a scene (left, right, disp_left, disp_right). So many scenes are rendered
beside them, always the same, with textures that are computed. Models run as integer graphs, files
of weights (FILE.pt) of the network at a half of the size in float with the medians of --smooth;
pairs that are smaller than a model's frame are filled up with zeros below and on the right. The
picture shows, a scene a row, the left view, the truth (black where it is not known), and what the
last model finds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sqwire.compiler import frontend
from sqwire.depth import coloured, fitted
from sqwire.train.disparity import Pair, load, middlebury
from sqwire.train.networks.stereo import stereo_half
from sqwire.train.scenes import Renderer

Bytes = NDArray[np.uint8]
Single = NDArray[np.float32]

REACH = 80
"""Disparities tried: those of the third-size scenes of 2005 go up to 77 pixels."""
RENDERED_SIZE, RENDERED_SEED, RENDERED_FIRST = (376, 464), 99, 50_000_000


@dataclass(frozen=True)
class Score:
    """Shares of pixels that are wrong by more than 1, 2 and 3 pixels, in percent, and the mean
    error in pixels, over so many pixels."""

    bad1: float
    bad2: float
    bad3: float
    epe: float
    pixels: int


def score(found: Single, truth: Single, where: NDArray[np.bool_]) -> Score:
    """What ``found`` is worth over the pixels ``where``."""
    error = np.abs(found - truth)[where].astype(np.float64)
    bad = [100 * float((error > limit).mean()) for limit in (1, 2, 3)]
    return Score(*bad, float(error.mean()), int(error.size))


def judge(found: Single, pair: Pair) -> dict[str, Score]:
    """Over all pixels with ground truth, and over those that both views see."""
    result = {"all": score(found, pair.disparity, pair.known)}
    if pair.visible is not None:
        result["noc"] = score(found, pair.disparity, pair.known & pair.visible)
    return result


def census(grey: Bytes, radius: int = 2) -> NDArray[np.uint32]:
    """One bit a neighbour: whether it is darker than the centre; edges repeat."""
    height, width = grey.shape
    padded = np.pad(grey, radius, mode="edge")
    code = np.zeros(grey.shape, dtype=np.uint32)
    side = 2 * radius + 1
    for row in range(side):
        for column in range(side):
            if (row, column) != (radius, radius):
                near = padded[row : row + height, column : column + width]
                code = (code << np.uint32(1)) | (near < grey)
    return code


def costs(left: Bytes, right: Bytes, reach: int = REACH) -> NDArray[np.uint8]:
    """Hamming distance of census codes 5x5 for each shift (reach, height, width); 25, one more
    than there are bits, where the shift leads out of the picture."""
    a, b = census(left), census(right)
    result = np.full((reach, *a.shape), 25, dtype=np.uint8)
    for d in range(min(reach, a.shape[1])):
        result[d, :, d:] = np.bitwise_count(a[:, d:] ^ b[:, : a.shape[1] - d])
    return result


def box(cost: NDArray[np.uint8], side: int = 9) -> NDArray[np.int32]:
    """Sums over windows of ``side`` x ``side``; edges repeat."""
    half = side // 2
    total = np.pad(cost, ((0, 0), (half, half), (half, half)), mode="edge").astype(np.int32)
    for axis in (1, 2):
        sums = np.cumsum(total, axis=axis)
        start = np.zeros_like(np.take(sums, [0], axis))
        sums = np.concatenate([start, sums], axis=axis)
        size = total.shape[axis] - side + 1
        total = np.take(sums, range(side, side + size), axis) - np.take(sums, range(size), axis)
    return total


def census_winner(pair: Pair) -> Single:
    """Census 5x5, the winner takes all."""
    return costs(pair.left, pair.right).argmin(0).astype(np.float32)


def census_box(pair: Pair) -> Single:
    """Census 5x5, a 9x9 box, the winner takes all."""
    return box(costs(pair.left, pair.right)).argmin(0).astype(np.float32)


BASELINES = {"census": census_winner, "census + box": census_box}


def network(file: Path) -> Callable[[Pair], Single]:
    """The disparities that a compiled network finds."""
    graph = frontend.import_qonnx(file)
    _, height, width = graph.input.shape

    def run(pair: Pair) -> Single:
        rows, columns = pair.left.shape
        x = fitted(pair.left, pair.right, (height, width))
        found = graph.output.dequantize(graph.run(graph.input.quantize(x)))
        return found[0, 0, :rows, :columns]

    return run


def float_network(file: Path, smooth: Sequence[int]) -> Callable[[Pair], Single]:
    """The disparities of ``stereo_half`` in float, from a file of weights."""
    state = torch.load(file, weights_only=True)

    def run(pair: Pair) -> Single:
        height, width = pair.left.shape
        whole = stereo_half((height, width), smooth=smooth)
        whole.load_state_dict(state)
        with torch.no_grad():
            found: Single = whole.eval()(torch.tensor(pair.stacked[None])).numpy()[0, 0]
        return found

    return run


def picture(pairs: Sequence[Pair], method: Callable[[Pair], Single]) -> Image.Image:
    """A scene a row: the left view, the truth, what a method finds, at half of the size."""
    height, width = (max(pair.left.shape[axis] for pair in pairs) // 2 for axis in (0, 1))
    sheet = Image.new("RGB", (3 * width, height * len(pairs)))
    for row, pair in enumerate(pairs):
        most = float(pair.disparity[pair.known].max())
        truth = coloured(np.where(pair.known, pair.disparity, 0), most)
        truth[~pair.known] = 0
        left = np.repeat(pair.left[..., None], 3, axis=2)
        for column, shown in enumerate((left, truth, coloured(method(pair), most))):
            small = Image.fromarray(shown).resize((shown.shape[1] // 2, shown.shape[0] // 2))
            sheet.paste(small, (column * width, row * height))
    return sheet


def table(rows: Mapping[str, Mapping[str, Mapping[str, Score]]]) -> str:
    """Markdown: a method and a scene a line."""
    lines = ["| method | scene | bad1 | bad2 | bad3 | EPE | bad2 noc | EPE noc |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for method, scenes in rows.items():
        for scene, found in scenes.items():
            a, n = found["all"], found.get("noc")
            seen = f"{n.bad2:.2f} | {n.epe:.2f}" if n else "- | -"
            lines.append(
                f"| {method} | {scene} | {a.bad1:.2f} | {a.bad2:.2f} | {a.bad3:.2f} | {a.epe:.2f} "
                f"| {seen} |"
            )
    return "\n".join(lines)


def real_pairs(folder: Path, scales: Mapping[str, float]) -> list[Pair]:
    """The scenes of a folder; disparities are times 3 unless ``scales`` says otherwise."""
    wanted = {files.name: files for files in middlebury(folder, scale=3)}
    return [
        load(type(files)(**{**vars(files), "scale": scales.get(name, files.scale)}))
        for name, files in wanted.items()
    ]


def rendered(count: int) -> list[Pair]:
    """So many scenes, the first of them always the same, all under one name."""
    renderer = Renderer(*RENDERED_SIZE, REACH, seed=RENDERED_SEED)
    name = f"{count} rendered"
    pairs = []
    for number in range(count):
        scene = renderer.render(RENDERED_FIRST + number)
        everywhere = np.ones(RENDERED_SIZE, dtype=bool)
        views = scene.left, scene.right, scene.disparity
        pairs.append(Pair(name, *views, everywhere, scene.visible))
    return pairs


def judged(method: Callable[[Pair], Single], pairs: Sequence[Pair]) -> dict[str, dict[str, Score]]:
    """Scores by name; over all pixels of pairs that have one name."""
    found: dict[str, list[dict[str, Score]]] = {}
    for pair in pairs:
        found.setdefault(pair.name, []).append(judge(method(pair), pair))
    return {name: {what: pooled([scores[what] for scores in several]) for what in several[0]}
            for name, several in found.items()}  # fmt: skip


def pooled(scores: Sequence[Score]) -> Score:
    """Of several pictures, over all of their pixels."""
    pixels = sum(s.pixels for s in scores)
    means = {
        name: sum(getattr(s, name) * s.pixels for s in scores) / pixels
        for name in ("bad1", "bad2", "bad3", "epe")
    }
    return Score(**means, pixels=pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", action="append", default=[], metavar="SCENE=FACTOR")
    parser.add_argument("--rendered", type=int, default=0)
    parser.add_argument("--smooth", type=int, nargs="*", default=[])
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    scales = {name: float(factor) for name, _, factor in (s.partition("=") for s in options.scale)}
    real = real_pairs(options.folder, scales)
    pairs = [*real, *rendered(options.rendered)]
    methods: dict[str, Callable[[Pair], Single]] = dict(BASELINES)
    for name, _, file in (m.partition("=") for m in options.model):
        in_float = file.endswith(".pt")
        methods[name] = (
            float_network(Path(file), options.smooth) if in_float else network(Path(file))
        )
    rows = {name: judged(method, pairs) for name, method in methods.items()}
    print(table(rows))
    if options.picture:
        picture(real, list(methods.values())[-1]).save(options.picture, quality=85)
    if options.json:
        plain: Any = {m: {s: {k: asdict(v) for k, v in f.items()} for s, f in scenes.items()}
                      for m, scenes in rows.items()}  # fmt: skip
        options.json.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
