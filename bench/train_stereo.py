"""Train a stereo network on rendered scenes: float, then sparse and at 4 bits.

    python bench/train_stereo.py OUT [--photos FOLDER] [--network half] [--method Taylor]
                                 [--zeros 0.95] [--float-steps 20000] [--steps 20000]
                                 [--again 5000] [--weights float.pt] [--bfloat16] [--smooth 3 2 1]
                                 [--taught]

OUT gets float.pt, model.onnx for pictures of --size, card.json, and states from which the same
command goes on where it was stopped. FOLDER holds pictures (PNG, JPEG, PPM; at any depth) for
textures; pairs that networks are measured on do not belong there.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sqwire import train
from sqwire.train.method import Method
from sqwire.train.networks.stereo import Stereo, stereo_half, stereo_quarter, stereo_twin
from sqwire.train.scenes import Renderer
from sqwire.train.stepping import StepSchedule
from sqwire.train.stereo import fit_stereo, stacked
from sqwire.train.tasks import photos

NETWORKS: dict[str, Callable[..., Stereo]] = {
    "half": stereo_half, "quarter": stereo_quarter, "twin": stereo_twin
}  # fmt: skip
STEPS_PER_EPOCH = 100
# Scenes of the second stage are others than those of the first.
SECOND = 10_000_000


def method(name: str, zeros: float, steps: int) -> Method:
    """A method whose sparsity is reached after four tenths of the steps."""
    epochs = steps / STEPS_PER_EPOCH
    if name == "Taylor":
        end = 0.4 * epochs
        return train.Taylor(zeros=zeros, end=end, quantize=end, per_channel=True)
    if name == "SQuantizer":
        return train.SQuantizer(zeros=zeros, scope="global", per_channel=True)
    return train.Uniform()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--network", choices=NETWORKS, default="half")
    parser.add_argument("--method", choices=("Taylor", "SQuantizer", "Uniform"), default="Taylor")
    parser.add_argument("--zeros", type=float, default=0.95)
    parser.add_argument("--float-steps", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument(
        "--again", type=int, nargs="+", default=[],
        help="steps of further rounds, with the learning rate begun anew",
    )  # fmt: skip
    parser.add_argument("--taught", action="store_true", help="in further rounds, by the float one")
    parser.add_argument(
        "--smooth", type=int, nargs="*", default=[], help="dilations of medians of the disparities"
    )
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--crop", type=int, nargs=2, default=(96, 288))
    parser.add_argument("--size", type=int, nargs=2, default=(375, 450))
    parser.add_argument(
        "--weights", type=Path, help="state_dict that the float training starts from"
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="float training in that type, for CPUs that have it"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first scene")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    make = NETWORKS[options.network]
    network = make()
    if options.weights:
        network.load_state_dict(torch.load(options.weights, weights_only=True))
    reach = network.shifts * network.factor
    height, width = options.crop
    renderer = Renderer(
        height, width, reach, photos(options.photos) if options.photos else [], options.seed
    )

    def report(stage: str) -> Callable[[int, float], None]:
        start = time.monotonic()

        def tell(step: int, loss: float) -> None:
            if step % 50 == 0:
                seconds = time.monotonic() - start
                print(f"{stage} {step} loss {loss:.3f} {seconds:.0f} s", flush=True)

        return tell

    with train.reproducible():
        schedule = StepSchedule(options.float_steps, lr=options.lr)
        fit_stereo(
            network, renderer, schedule, factor=network.factor, first=options.first,
            bfloat16=options.bfloat16, progress=report("float"),
            checkpoint=options.out / "float.state",
        )  # fmt: skip
        torch.save(network.state_dict(), options.out / "float.pt")
        chosen = method(options.method, options.zeros, options.steps)
        teacher = copy.deepcopy(network) if options.taught else None
        grid: dict[str, Any] = {"input_bits": 8, "input_scale": 1.0, "input_signed": False}
        grid["steps_per_epoch"] = STEPS_PER_EPOCH
        if options.method != "Uniform":
            grid["own"] = {"a7": {"per_channel": False}}  # its outputs are compared
        example, _, _ = stacked([renderer.render(SECOND - k) for k in range(1, 5)])
        qat = train.prepare(network, chosen, example, **grid)
        for number, steps in enumerate([options.steps, *options.again]):
            again = f"_{number}" if number else ""
            fit_stereo(
                qat, renderer, StepSchedule(steps, lr=0.75 * options.lr, weight_decay=0),
                factor=network.factor, first=(1 + number) * SECOND,
                teacher=teacher if number else None, progress=report(f"{options.method}{again}"),
                checkpoint=options.out / f"compressed{again}.state",
            )  # fmt: skip
        # The same numbers in a network for whole pictures.
        whole = Renderer(*options.size, reach, seed=options.seed)
        example, _, _ = stacked([whole.render(0)])
        large = make(tuple(options.size), smooth=options.smooth)
        final = train.prepare(large, chosen, example, **grid)
        final.load_state_dict(qat.state_dict())
        frozen = final.freeze(data="rendered scenes", seed=options.seed, epochs=qat.epoch)
    frozen.export(options.out / "model.onnx")
    frozen.card.save(options.out / "card.json")
    print(frozen.card)


if __name__ == "__main__":
    main()
