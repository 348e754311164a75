"""What training reaches: accuracy, zeros and size of every method, over several seeds.

    python bench/train.py digits [--seeds N] [--epochs E]
    python bench/train.py cifar10 --data FOLDER [--seeds N] [--float-epochs F] [--epochs E]
    python bench/train.py time
    python bench/train.py table

Every run is written to ``bench/results/train.json`` when it is done, and is not repeated; within a
run a checkpoint in ``--work`` continues where it was stopped. ``table`` writes
``bench/results/train.md`` from what is there. Times are of one thread.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sqwire import train
from sqwire.compiler import frontend
from sqwire.train.data import carve
from sqwire.train.loop import fit

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "train.json"
TABLE = HERE / "results" / "train.md"
EXAMPLES = 256
HEAD = (
    "| | seeds | test accuracy | zeros | mean bits | compression, all counted | "
    "papers' way: sparsity | papers' way: widths | BOPs | CPU s | dates |"
)


@dataclass(frozen=True)
class Config:
    """One line of the table: a method, and what the network starts from."""

    name: str
    method: Any = None
    from_float: bool = True
    own: dict[str, Any] = field(default_factory=dict)
    permuted: str = ""
    """The line whose widths this one has, given to other layers by lot: a control."""


def configs(epochs: float, bits: int = 4) -> list[Config]:
    """All methods with times that fit ``epochs``."""
    prune = {"end": 0.5 * epochs, "quantize": 0.6 * epochs, "interval": epochs / 60}
    search = {"search": 0.6 * epochs}
    made = []
    for width in (4, 2):
        for sigma in (0.0, 0.5, 1.0, 2.0):
            method = train.SQuantizer(weight_bits=width, sigma=sigma, delay=epochs / 3)
            made.append(Config(f"SQuantizer W{width} sigma {sigma:g}", method, from_float=False))
    for kind in (train.Taylor, train.Magnitude, train.Random):
        for zeros in (0.9, 0.95, 0.98):
            made.append(Config(f"{kind.__name__} {zeros:.0%}", kind(zeros=zeros, **prune)))
    for alpha in (3e-3, 3e-2, 1e-1):
        method = train.BSQ(alpha=alpha, interval=epochs / 15, **search)
        made.append(Config(f"BSQ alpha {alpha:g}", method))
    for budget in (3, 4):
        made.append(Config(f"DFQ budget {budget}", train.DFQ(budget=budget, **search)))
        made.append(Config(f"Uniform W{budget}", train.Uniform(weight_bits=budget)))
        name = f"DFQ budget {budget}"
        made.append(Config(f"{name}, widths by lot", train.Uniform(), permuted=name))
    return made


def cifar_configs(epochs: float) -> list[Config]:
    """Fine-tuning of a float ResNet-20; the order is that in which time runs out."""
    prune = {"end": 0.5 * epochs, "quantize": 0.6 * epochs, "interval": epochs / 30}
    search = {"search": 0.6 * epochs}
    return [
        Config("SQuantizer W4A4 55%", train.SQuantizer(zeros=0.55)),
        Config("SQuantizer W4A4 80%", train.SQuantizer(zeros=0.8)),
        Config("Taylor W4A4 90%", train.Taylor(zeros=0.9, **prune)),
        Config("SQuantizer W2A4 50%", train.SQuantizer(weight_bits=2, zeros=0.5, per_channel=True)),
        Config("Uniform W4A4", train.Uniform()),
        Config("BSQ alpha 5e-3 A4", train.BSQ(alpha=5e-3, interval=epochs / 10, **search)),
        Config("DFQ budget 4 A4", train.DFQ(budget=4, **search)),
        Config("Taylor W4A4 95%", train.Taylor(zeros=0.95, **prune)),
        Config("Taylor W4A4 99%", train.Taylor(zeros=0.99, **prune)),
    ]


@dataclass
class Bench:
    """A data set, a network, two schedules, and where results go."""

    data: train.Data
    create: Callable[[], torch.nn.Module]
    float_schedule: train.Schedule
    schedule: train.Schedule
    validation: float
    work: Path
    compared: int
    weights: Path | None = None
    note: str = ""

    def parts(self, seed: int):
        images, validation = carve(self.data.train, self.validation, seed)
        return replace(self.data, train=images), validation if len(validation) else None

    def float_network(self, seed: int):
        """The float network of a seed: trained once, kept in ``work``."""
        torch.manual_seed(seed)
        network = self.create()
        if self.weights:
            network.load_state_dict(torch.load(self.weights, weights_only=True))
        data, validation = self.parts(seed)
        fit(
            network, data, self.float_schedule, validation=validation, seed=seed, stage="float",
            checkpoint=self.work / f"{self.data.name}-float-{seed}.pt", progress=show,
        )  # fmt: skip
        return network

    def one(self, config: Config | None, seed: int) -> dict[str, Any]:
        """One line: trained, frozen, compared with the compiler's graph."""
        start = time.process_time()
        if config is None:
            network = self.float_network(seed)
            return {
                "config": "float",
                "accuracy": train.accuracy(network, self.data, self.data.test),
                "schedule": asdict(self.float_schedule),
                "cpu_seconds": round(time.process_time() - start, 1),
            }
        data, validation = self.parts(seed)
        if config.from_float:
            network = self.float_network(seed)
        else:
            torch.manual_seed(seed)
            network = self.create()
        start = time.process_time()
        if config.permuted:
            config = replace(config, own=self.by_lot(config.permuted, seed))
        qat = self.prepared(network, config, data)
        stage = f"{self.data.name}-{config.name}-{seed}".replace(" ", "_").replace("%", "")
        fit(
            qat, data, self.schedule, validation=validation, seed=seed, stage=stage,
            checkpoint=self.work / f"{stage}.pt", progress=show,
        )  # fmt: skip
        seconds = time.process_time() - start
        frozen = qat.freeze(data=self.data.name, seed=seed)
        card = frozen.card
        y = frozen(self.data.real(self.data.test.x).numpy())
        weights = [layer for layer in card.layers if layer.weights]
        return {
            "config": config.name,
            "method": {"name": type(config.method).__name__, **asdict(config.method)},
            "accuracy": float((y.argmax(1) == self.data.test.label).mean()),
            "zeros": card.zeros,
            "mean_bits": sum(n.weights * n.weight_bits for n in weights) / card.weights,
            "bits": {layer.name: layer.weight_bits for layer in weights},
            "compression": card.compression,
            "papers_compression": card.papers_compression,
            "papers_width_compression": card.papers_width_compression,
            "bops_share": card.bops / card.float_bops,
            "frames_equal_to_the_graph": self.agree(frozen),
            "schedule": asdict(self.schedule),
            "from_float": config.from_float,
            "cpu_seconds": round(seconds, 1),
        }

    def by_lot(self, name: str, seed: int) -> dict[str, Any]:
        """The widths that another line found with this seed and schedule, on other layers."""
        wanted = (self.data.name, name, seed, json.dumps(asdict(self.schedule), sort_keys=True))
        (found,) = (run for run in load()["runs"] if key(run) == wanted)
        widths = np.random.default_rng(seed).permutation(list(found["bits"].values())).tolist()
        return {
            layer: {"weight_bits": width}
            for layer, width in zip(found["bits"], widths, strict=True)
        }

    def prepared(self, network, config: Config, data: train.Data):
        grid = (
            {"input_bits": 8, "input_scale": 1 / data.scale, "input_signed": True}
            if data.offset
            else {"input_bits": 5, "input_scale": 1.0, "input_signed": False}
        )
        return train.prepare(
            network, config.method, data.real(data.train.x[:EXAMPLES]), own=config.own,
            steps_per_epoch=len(data.train) // self.schedule.batch, **grid,
        )  # fmt: skip

    def agree(self, frozen) -> int:
        """Test images for which every integer of every layer is that of the compiler's graph."""
        file = self.work / "bench.onnx"
        frozen.export(file)
        graph = frontend.import_qonnx(file)
        x = self.data.real(self.data.test.x[: self.compared]).numpy()
        for k in range(0, len(x), 100):
            ours = frozen.trace(x[k : k + 100])
            theirs = graph.trace(graph.input.quantize(x[k : k + 100]))
            for name in ours.keys() & theirs.keys():
                if not np.array_equal(theirs[name].transpose(0, 3, 1, 2), ours[name]):
                    raise SystemExit(f"{name}: the graph gives other integers")
        return len(x)


def show(event):
    if event.seconds > 20 or event.done == event.total:
        score = "" if event.accuracy is None else f", validation {event.accuracy:.2%}"
        print(
            f"  {event.stage} {event.done}/{event.total}, loss {event.loss:.3f}{score}", flush=True
        )


def load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": []}


def save(document: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    new = RESULTS.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.replace(RESULTS)


def key(run: dict[str, Any]) -> tuple[str, str, int, str]:
    return run["data"], run["config"], run["seed"], json.dumps(run["schedule"], sort_keys=True)


def go(bench: Bench, lines: list[Config], seeds: int) -> None:
    """Every line for every seed that is not there yet, seed by seed."""
    bench.work.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for config in [None, *lines]:
            name = "float" if config is None else config.name
            schedule = bench.float_schedule if config is None else bench.schedule
            told = {"data": bench.data.name, "config": name, "seed": seed}
            document = load()
            if key({**told, "schedule": asdict(schedule)}) in map(key, document["runs"]):
                continue
            with train.reproducible():
                run = {**told, **bench.one(config, seed)}
            run["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
            run["hardware"] = f"{platform.machine()} CPU, 1 thread of {os.cpu_count()} cores"
            run["torch"] = torch.__version__
            run["note"] = bench.note
            document = load()
            document["runs"].append(run)
            save(document)
            print(f"{bench.data.name} {name} seed {seed}: {run['accuracy']:.2%}", flush=True)


def measure_time() -> None:
    """Seconds a step and peak memory, float against each method: ResNet-20, batch 128."""
    torch.set_num_threads(1)
    x = torch.randint(-128, 128, (128, 3, 32, 32)).float() / 64
    x = x.contiguous(memory_format=torch.channels_last)
    label = torch.randint(0, 10, (128,))
    methods = [
        None, train.SQuantizer(), train.Taylor(end=1e6, quantize=1e6),
        train.BSQ(search=1e6, interval=1e6), train.DFQ(search=1e6), train.Uniform(),
    ]  # fmt: skip
    rows = []
    for method in methods:
        child = os.fork()  # peak memory is that of a process
        if child:
            os.waitpid(child, 0)
            continue
        model = train.networks.resnet20()
        grid = {"input_bits": 8, "input_scale": 1 / 64, "input_signed": True}
        net = model if method is None else train.prepare(model, method, x[:16], **grid)
        net.to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        times = []
        for _ in range(8):
            start = time.process_time()
            loss = torch.nn.functional.cross_entropy(net(x), label)
            loss = loss if method is None else net.loss(loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if method is not None:
                net.step()
            times.append(time.process_time() - start)
        document = load()
        rows = [r for r in document.get("time", []) if r["config"] != type(method).__name__]
        rows.append({
            "config": type(method).__name__,
            "cpu_seconds_a_step": float(np.median(times[2:])),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        })  # fmt: skip
        document["time"] = rows
        save(document)
        os._exit(0)


def table() -> str:
    """Everything as markdown: means and deviations over the seeds that are there."""
    document, lines = load(), ["# What training reaches", ""]
    lines += ["Written by `python bench/train.py table` from `train.json`, which has each run.", ""]
    groups: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for run in document["runs"]:
        schedule = run["schedule"]
        epochs = f"{schedule['epochs']} epochs, batch {schedule['batch']}, lr {schedule['lr']:g}"
        groups.setdefault((run["data"], epochs), {}).setdefault(run["config"], []).append(run)
    for (data, epochs), rows in groups.items():
        some = next(iter(rows.values()))[0]
        facts = "; ".join(filter(None, (some["hardware"], f"torch {some['torch']}", some["note"])))
        lines += [f"## {data}: {epochs}", "", f"{facts}.", ""]
        lines += [HEAD, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
        for name, runs in rows.items():
            lines.append(row(name, runs))
        lines.append("")
    if document.get("time"):
        base = next(r for r in document["time"] if r["config"] == "NoneType")
        lines += ["## A training step, ResNet-20, batch 128, one thread", ""]
        lines += ["| | CPU s a step | of float | peak MiB | date |", "|---|--:|--:|--:|---|"]
        for r in document["time"]:
            name = "float" if r["config"] == "NoneType" else r["config"]
            share = r["cpu_seconds_a_step"] / base["cpu_seconds_a_step"]
            lines.append(
                f"| {name} | {r['cpu_seconds_a_step']:.2f} | {share:.2f} | {r['peak_mib']} | "
                f"{r['date']} |"
            )
        lines.append("")
    return "\n".join(lines)


def row(name: str, runs: list[dict[str, Any]]) -> str:
    score = [run["accuracy"] for run in runs]
    cells = [name, str(len(runs)), f"{np.mean(score):.2%}"]
    if len(runs) > 1:
        cells[-1] += f" ± {np.std(score, ddof=1) * 100:.2f}"
    formats = {
        "zeros": "{:.1%}", "mean_bits": "{:.2f}", "compression": "{:.1f}",
        "papers_compression": "{:.1f}", "papers_width_compression": "{:.1f}",
        "bops_share": "{:.3%}", "cpu_seconds": "{:.0f}",
    }  # fmt: skip
    for field_, form in formats.items():
        known = field_ in runs[0]
        cells.append(form.format(np.mean([run[field_] for run in runs])) if known else "")
    dates = sorted({run["date"] for run in runs})
    cells.append(dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}")
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["digits", "cifar10", "time", "table"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--float-epochs", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--images", type=int, help="train on the first so many only")
    parser.add_argument(
        "--weights", type=Path, help="state_dict that the float network starts from"
    )
    parser.add_argument("--note", default="", help="a word for the table")
    parser.add_argument("--work", type=Path, default=Path("build/bench-train"))
    given = parser.parse_args()
    if given.what == "digits":
        epochs = given.epochs or 60
        schedule = train.Schedule(epochs=epochs)
        bench = Bench(train.digits(), train.networks.demo, schedule, schedule, 0.1, given.work, 540)
        go(bench, configs(epochs), given.seeds)
    elif given.what == "cifar10":
        epochs, first = given.epochs or 30, given.float_epochs or 100
        data = train.cifar10(given.data)
        plain = train.Schedule(epochs=first, batch=128, lr=0.2, warmup=0.5, max_grad_norm=5.0)
        schedule = replace(plain, epochs=epochs, lr=0.05, warmup=0.05 * epochs, weight_decay=1e-4)
        if given.images:
            few = train.Split(data.train.x[: given.images], data.train.label[: given.images])
            data = replace(data, train=few)
        bench = Bench(
            data, train.networks.resnet20, plain, schedule, 0.04, given.work, 500,
            given.weights, given.note,
        )  # fmt: skip
        go(bench, cifar_configs(epochs), given.seeds)
    elif given.what == "time":
        measure_time()
    TABLE.write_text(table())


if __name__ == "__main__":
    main()
