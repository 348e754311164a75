"""What training reaches: accuracy, zeros and size of every method, over several seeds.

    python bench/train.py digits [--seeds N] [--epochs E]
    python bench/train.py cifar10 --data FOLDER [--seeds N] [--float-epochs F] [--epochs E]
    python bench/train.py time
    python bench/train.py table

Every run is written to ``bench/results/train.json`` when it is done, and is not repeated; within a
run a checkpoint in ``--work`` continues where it was stopped. Then each network is compared with
the compiler's graph on the whole test set, every integer, and planned as a circuit. With
``--only train`` or ``--only circuit`` just one of both is done; ``--again`` plans all circuits
anew, by the compiler as it is now. ``--float-epochs 0 --weights bench/results/resnet20.pt`` begins
with the float ResNet-20 of the table's last part. ``table`` writes ``bench/results/train.md`` from
what is there. Times are of one thread.
"""

import argparse
import datetime
import fcntl
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from train_lines import FLOAT, Config, cifar_lines, digit_lines
from train_table import table
from train_time import steps
from train_worth import agreement, hardware

from sqwire import train
from sqwire.boards.catalog import find_board
from sqwire.compiler.cost import Cost
from sqwire.train.data import carve
from sqwire.train.loop import fit

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "train.json"
TABLE = HERE / "results" / "train.md"
EXAMPLES = 256
ROOM = Cost(luts=4000, ffs=8000, dsps=28, brams=56)


@dataclass
class Bench:
    """A data set, a network, two schedules, where results go, and what circuits are for.

    Without ``float_schedule`` the float network is what is in ``weights``.
    A circuit takes a frame in ``interval`` cycles, or is as fast as ``room`` lets it be. With
    ``images`` the lines behind the float network train on so many only, and ``compared`` is how
    many test images are compared with the graph, instead of all.
    """

    data: train.Data
    create: Callable[[], torch.nn.Module]
    float_schedule: train.Schedule | None
    schedule: train.Schedule
    validation: float
    work: Path
    stage: str
    interval: int
    room: Cost
    weights: Path | None = None
    note: str = ""
    float_note: str = ""
    images: int | None = None
    compared: int | None = None

    def parts(self, config: Config, seed: int) -> tuple[train.Data, train.Split | None]:
        """Data with the training images of a line, and the validation images."""
        split, validation = carve(self.data.train, self.validation, seed)
        if self.images and config is not FLOAT:
            split = train.Split(split.x[: self.images], split.label[: self.images])
        return replace(self.data, train=split), validation if len(validation) else None

    def file(self, name: str, seed: int, kind: str) -> Path:
        """Where something of a line lies in ``work``."""
        known = f"{self.data.name}-{name}-{seed}".replace(" ", "_").replace("%", "")
        return self.work / f"{known}.{kind}"

    def plan(self, config: Config) -> train.Schedule | None:
        return self.float_schedule if config is FLOAT else self.schedule

    def told(self, config: Config, seed: int) -> dict[str, Any]:
        """What tells a run from others."""
        plan = self.plan(config)
        return {
            "data": self.data.name, "stage": self.stage, "config": config.name, "seed": seed,
            "schedule": asdict(plan) if plan else {},
        }  # fmt: skip

    def float_network(self, seed: int) -> torch.nn.Module:
        """The float network of a seed: trained once, kept in ``work``."""
        torch.manual_seed(seed)
        network = self.create()
        if self.weights:
            network.load_state_dict(torch.load(self.weights, weights_only=True))
        self.fit(network, FLOAT, seed)
        return network

    def fit(self, network: torch.nn.Module, config: Config, seed: int) -> None:
        plan = self.plan(config)
        if plan is None:
            return
        data, validation = self.parts(config, seed)
        fit(
            network, data, plan, validation=validation, seed=seed, stage=config.name,
            checkpoint=self.file(config.name, seed, "pt"), progress=show,
        )  # fmt: skip

    def trained(self, config: Config, seed: int) -> tuple[torch.nn.Module, float | None]:
        """The network of a line, and the CPU seconds it took from the float network on; None where
        a checkpoint was there, since nobody counted those before it."""
        whole = not self.file(config.name, seed, "pt").exists()
        torch.manual_seed(seed)
        start = time.process_time()
        network = self.float_network(seed) if config.from_float else self.create()
        if config is not FLOAT:
            start = time.process_time()
            if config.method is not None:
                network = self.prepared(network, config, seed)
            self.fit(network, config, seed)
        return network, time.process_time() - start if whole else None

    def one(self, config: Config, seed: int) -> dict[str, Any]:
        """One line: trained, and frozen where it has a method."""
        network, seconds = self.trained(config, seed)
        run: dict[str, Any] = {"from_float": config.from_float}
        if self.plan(config) and seconds is not None:
            run["cpu_seconds"] = round(seconds, 1)
        if config.method is None:
            return run | {"accuracy": train.accuracy(network, self.data, self.data.test)}
        frozen = self.frozen(network, config, seed)
        card = frozen.card
        y = frozen(self.data.real(self.data.test.x).numpy())
        weights = [layer for layer in card.layers if layer.weights]
        return run | {
            "method": {"name": type(config.method).__name__, **asdict(config.method)},
            "accuracy": float((y.argmax(1) == self.data.test.label).mean()),
            "zeros": card.zeros,
            "mean_bits": sum(n.weights * n.weight_bits for n in weights) / card.weights,
            "bits": {layer.name: layer.weight_bits for layer in weights},
            "compression": card.compression,
            "papers_compression": card.papers_compression,
            "papers_width_compression": card.papers_width_compression,
            "bops_share": card.bops / card.float_bops,
        }

    def frozen(self, network: Any, config: Config, seed: int) -> train.Frozen:
        """The integers of a trained network, and their file."""
        frozen = network.freeze(data=self.data.name, seed=seed)
        frozen.export(self.file(config.name, seed, "onnx"))
        return frozen

    def circuit(self, config: Config, seed: int, run: dict[str, Any]) -> dict[str, Any]:
        """What a run is as a circuit; the network comes from its checkpoint. What was compared
        with the graph before is not compared again."""
        network, _ = self.trained(config, seed)
        frozen = self.frozen(network, config, seed)
        x = self.data.real(self.data.test.x).numpy()
        y = frozen(x)
        score = float((y.argmax(1) == self.data.test.label).mean())
        if score != run["accuracy"]:
            raise SystemExit(
                f"{config.name}, seed {seed}: the network in {self.work} must be that of the "
                f"table ({run['accuracy']:.2%}), not another one ({score:.2%})"
            )
        file = self.file(config.name, seed, "onnx")
        return {
            "agreement": run.get("agreement") or agreement(frozen, file, x[: self.compared], y),
            "hardware": hardware(
                file, self.interval, self.room if config.room and not seed else None
            ),
        }

    def by_lot(self, name: str, seed: int) -> dict[str, Any]:
        """The widths that another line found with this seed and schedule, on other layers."""
        wanted = key(self.told(Config(name), seed))
        (found,) = (run for run in load()["runs"] if key(run) == wanted)
        widths = np.random.default_rng(seed).permutation(list(found["bits"].values())).tolist()
        return {
            layer: {"weight_bits": width}
            for layer, width in zip(found["bits"], widths, strict=True)
        }

    def prepared(self, network: torch.nn.Module, config: Config, seed: int) -> train.QAT:
        data, _ = self.parts(config, seed)
        grid = (
            {"input_bits": 8, "input_scale": 1 / data.scale, "input_signed": True}
            if data.offset
            else {"input_bits": 5, "input_scale": 1.0, "input_signed": False}
        )
        return train.prepare(
            network, config.method, data.real(data.train.x[:EXAMPLES]),
            own=self.by_lot(config.permuted, seed) if config.permuted else config.own,
            steps_per_epoch=len(data.train) // self.schedule.batch, **grid,
        )  # fmt: skip


def show(event):
    if event.seconds > 20 or event.done == event.total:
        score = "" if event.accuracy is None else f", validation {event.accuracy:.2%}"
        print(
            f"  {event.stage} {event.done}/{event.total}, loss {event.loss:.3f}{score}", flush=True
        )


def load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": []}


def change(what: Callable[[dict[str, Any]], None]) -> None:
    """Change the document of results; other processes wait."""
    lock = os.open(RESULTS.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = load()
        what(document)
        for file, text in (
            (RESULTS, json.dumps(document, indent=1) + "\n"),
            (TABLE, table(document)),
        ):
            new = file.with_suffix(".new")
            new.write_text(text)
            new.replace(file)
    finally:
        os.close(lock)


def key(run: dict[str, Any]) -> tuple[str, str, str, int, str]:
    schedule = run["schedule"]
    if schedule:
        schedule = {**asdict(train.Schedule()), **schedule}  # fields that came later
    known = json.dumps(schedule, sort_keys=True)
    return run["data"], run["stage"], run["config"], run["seed"], known


def learn(bench: Bench, lines: list[Config], seeds: int) -> None:
    """Every line for every seed that is not there yet, seed by seed."""
    bench.work.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for config in (FLOAT, *lines):
            told = bench.told(config, seed)
            if key(told) in map(key, load()["runs"]):
                continue
            with train.reproducible():
                run = {**told, **bench.one(config, seed)}
            run["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
            run["machine"] = f"{platform.machine()} CPU, 1 thread of {os.cpu_count()} cores"
            run["torch"] = torch.__version__
            run["note"] = bench.float_note if config is FLOAT else bench.note
            change(lambda document, run=run: document["runs"].append(run))
            print(f"{bench.data.name} {config.name} seed {seed}: {run['accuracy']:.2%}", flush=True)


def build(bench: Bench, lines: list[Config], seeds: int, again: bool) -> None:
    """The circuit of every run that is there and has none yet, or with ``again`` of all."""
    for seed in range(seeds):
        for config in lines:
            told = key(bench.told(config, seed))
            found = [run for run in load()["runs"] if key(run) == told]
            if not found or config.method is None or ("hardware" in found[0] and not again):
                continue
            with train.reproducible():
                made = bench.circuit(config, seed, found[0])

            def add(document, told=told, made=made):
                next(run for run in document["runs"] if key(run) == told).update(made)

            change(add)
            said = made["agreement"]
            print(f"{bench.data.name} {config.name} seed {seed}: {said}", flush=True)


def measure_time() -> None:
    """What a training step takes, by method."""
    for row in steps():

        def add(document, row=row):
            rows = [r for r in document.get("time", []) if r["config"] != row["config"]]
            document["time"] = [*rows, row]

        change(add)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["digits", "cifar10", "time", "table"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--float-epochs", type=int, default=100, help="0: the float network is that of --weights"
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--float-lr", type=float, default=0.2)
    parser.add_argument("--batch", type=int, default=128, help="of fine-tuning on CIFAR-10")
    parser.add_argument("--images", type=int, help="fine-tune on the first so many only")
    parser.add_argument("--compared", type=int, help="test images compared with the graph only")
    parser.add_argument(
        "--crops", type=int, nargs="*", default=(), help="sides of the float network's images"
    )
    parser.add_argument("--bfloat16", action="store_true", help="for the float network")
    parser.add_argument("--alpha", type=float, default=5e-3, help="of BSQ on CIFAR-10")
    parser.add_argument(
        "--weights", type=Path, help="state_dict that the float network starts from"
    )
    parser.add_argument("--note", default="", help="a word for the table")
    parser.add_argument("--float-note", default="", help="another on the float network")
    parser.add_argument(
        "--again", action="store_true", help="plan circuits that are there once more"
    )
    parser.add_argument("--only", choices=["train", "circuit"])
    parser.add_argument("--lines", nargs="+", help="those whose names begin like one of these")
    parser.add_argument("--work", type=Path, default=Path("build/bench-train"))
    given = parser.parse_args()
    if given.what == "time":
        measure_time()
    elif given.what == "table":
        change(lambda document: None)
    else:
        bench, lines = digits(given) if given.what == "digits" else cifar10(given)
        if given.lines:
            lines = [line for line in lines if line.name.startswith(tuple(given.lines))]
        if given.only != "circuit":
            learn(bench, lines, given.seeds)
        if given.only != "train":
            build(bench, lines, given.seeds, given.again)


def digits(given: argparse.Namespace) -> tuple[Bench, list[Config]]:
    schedule = train.Schedule(epochs=given.epochs or 60)
    bench = Bench(
        train.digits(), train.networks.demo, schedule, schedule, 0.1, given.work,
        f"{schedule.epochs} epochs", interval=2000, room=ROOM,
    )  # fmt: skip
    return bench, digit_lines(schedule.epochs)


def cifar10(given: argparse.Namespace) -> tuple[Bench, list[Config]]:
    epochs, first = given.epochs or 30, given.float_epochs
    data = train.cifar10(given.data)
    schedule = train.Schedule(
        epochs=epochs, batch=given.batch, lr=0.05, warmup=0.05 * epochs, max_grad_norm=5.0,
        weight_decay=1e-4,
    )  # fmt: skip
    plain = None if not first else replace(
        schedule, epochs=first, batch=128, lr=given.float_lr, warmup=0.05 * first,
        weight_decay=5e-4,
        crops=tuple(given.crops), bfloat16=given.bfloat16,
    )  # fmt: skip
    before = f"{first} epochs in plain float, then " if first else ""
    have = find_board("ulx3s_85f").resources
    room = Cost(0.8 * have.lut4, 0.8 * have.ff, have.dsp, int(0.95 * have.bram))
    bench = Bench(
        data, train.networks.resnet20, plain, schedule, 0.04, given.work,
        f"ResNet-20, {before}{epochs} epoch{'s' * (epochs > 1)} of fine-tuning",
        interval=200_000, room=room, weights=given.weights, note=given.note,
        float_note=given.float_note, images=given.images, compared=given.compared,
    )  # fmt: skip
    return bench, cifar_lines(epochs, given.alpha)


if __name__ == "__main__":
    main()
