"""Train the detector of blood cells: float, then sparse and at 4 bits.

    python bench/train_detect.py OUT FOLDER [--zeros 0.9] [--float-steps 20000] [--steps 20000]

FOLDER has the layout of Pascal VOC; its "train" and "val" lists are learnt from. OUT gets
float.pt, model.onnx for 320x240, card.json, and states from which the same command goes on.
``bench/detect.py`` measures on the "test" list.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sqwire import train
from sqwire.train.detection import fit_detector, shrunk
from sqwire.train.networks.cells import cells
from sqwire.train.stepping import StepSchedule
from sqwire.train.voc import Annotation, load_sample, voc

STEPS_PER_EPOCH = 100


def pictures(folder: Path, shrink: int) -> list[tuple[NDArray[np.uint8], Annotation]]:
    """Those of the train and the val list."""
    samples = [s for split in ("train", "val") for s in voc(folder, split)]
    return [shrunk(*load_sample(sample), shrink) for sample in samples]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--zeros", type=float, default=0.9)
    parser.add_argument("--float-steps", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--shrink", type=int, default=2)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    samples = pictures(options.folder, options.shrink)

    def report(stage: str) -> Callable[[int, float], None]:
        start = time.monotonic()

        def tell(step: int, loss: float) -> None:
            if step % 50 == 0:
                print(
                    f"{stage} {step} loss {loss:.3f} {time.monotonic() - start:.0f} s", flush=True
                )

        return tell

    with train.reproducible():
        network = cells(width=options.width)
        schedule = StepSchedule(options.float_steps, options.batch, options.lr)
        fit_detector(
            network, samples, schedule, seed=options.seed, progress=report("float"),
            checkpoint=options.out / "float.state",
        )  # fmt: skip
        torch.save(network.state_dict(), options.out / "float.pt")
        end = 0.4 * options.steps / STEPS_PER_EPOCH
        method = train.Taylor(zeros=options.zeros, end=end, quantize=end)
        example = np.stack([picture for picture, _ in samples[:4]]).transpose(0, 3, 1, 2)
        qat = train.prepare(
            network, method, torch.tensor(example).float(),
            input_bits=8, input_scale=1.0, input_signed=False, steps_per_epoch=STEPS_PER_EPOCH,
        )  # fmt: skip
        schedule = StepSchedule(options.steps, options.batch, 0.75 * options.lr, weight_decay=0)
        fit_detector(
            qat, samples, schedule, seed=options.seed + 1, progress=report("compressed"),
            checkpoint=options.out / "compressed.state",
        )  # fmt: skip
        frozen = qat.freeze(data="BCCD", seed=options.seed)
    frozen.export(options.out / "model.onnx")
    frozen.card.save(options.out / "card.json")
    print(frozen.card)


if __name__ == "__main__":
    main()
