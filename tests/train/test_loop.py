"""The training loop: reproducibility, interruption, accumulation, several processes, refusals."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sqwire import train

METHOD = train.SQuantizer(sigma=1.0, delay=1)
SCHEDULE = train.Schedule(epochs=3)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def few():
    """256 training images and 64 to test."""
    data = train.digits()
    return replace(
        data,
        train=train.Split(data.train.x[:256], data.train.label[:256]),
        test=train.Split(data.test.x[:64], data.test.label[:64]),
    )


def fitted(few, schedule=SCHEDULE, method=METHOD, seed=0, **options):
    with train.reproducible(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = train.networks.demo((4, 4))
        if method is not None:
            x = torch.tensor(few.train.x[:32])
            network = train.prepare(network, method, x, steps_per_epoch=4)
        train.fit(network, few, schedule, seed=seed, **options)
    return network


def equal(a, b):
    pairs = zip(a.state_dict().items(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for (_, x), y in pairs)


def test_same_seed_gives_the_same_network_whatever_the_threads(few):
    torch.set_num_threads(2)
    first = fitted(few)
    assert torch.get_num_threads() == 2
    assert torch.utils.deterministic.fill_uninitialized_memory  # as it was before
    torch.set_num_threads(1)
    assert equal(first, fitted(few))
    assert not equal(first, fitted(few, seed=1))


@pytest.mark.parametrize("method", [METHOD, None, train.BSQ(alpha=0.3, search=2, interval=1)])
def test_interrupted_training_continues_to_the_same_bits(few, method, tmp_path, monkeypatch):
    monkeypatch.setattr("sqwire.train.loop._CHECKPOINT_SECONDS", -1.0)
    seen = []

    def interrupt(event):
        seen.append(event.done)
        if event.done == 2 and seen.count(2) == 1:
            raise KeyboardInterrupt

    options = {"method": method, "validation": few.test}
    whole = fitted(few, **options)
    options |= {"progress": interrupt, "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(KeyboardInterrupt):
        fitted(few, **options)
    assert equal(whole, fitted(few, **options))
    assert seen == [1, 2, 3]
    assert equal(whole, fitted(few, **options))


def test_best_epoch_by_validation_is_what_is_left(few):
    """Among the last epochs, and never one in which sparsity is not final."""
    scores = {}
    schedule = replace(SCHEDULE, epochs=6, candidates=1.0)
    network = fitted(
        few, schedule, method=train.SQuantizer(delay=3), validation=few.test,
        progress=lambda e: scores.update({e.done: e.accuracy}),
    )  # fmt: skip
    best = max(scores[k] for k in (3, 4, 5, 6))
    assert train.accuracy(network, few, few.test) == pytest.approx(best)
    assert network.settled


def test_damaged_checkpoint_and_that_of_another_training_are_refused_and_kept(few, tmp_path):
    file = tmp_path / "state.pt"
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"Checkpoint .*state\.pt: it must be whole"):
        fitted(few, checkpoint=file)
    assert file.read_bytes() == b"nonsense"
    file.unlink()
    fitted(few, checkpoint=file)
    whole = file.read_bytes()
    for other in ({"method": train.SQuantizer(sigma=0.9, delay=1)}, {"seed": 5},
                  {"schedule": replace(SCHEDULE, epochs=4)}, {"method": None}):  # fmt: skip
        with pytest.raises(ValueError, match="it must be of the same training, and is of another"):
            fitted(few, **{"checkpoint": file, **other})
    assert file.read_bytes() == whole


def test_progress_reports_every_epoch_with_its_loss_and_accuracy(few):
    events = []
    fitted(few, progress=events.append, stage="here", validation=few.test)
    assert [(e.stage, e.done, e.total) for e in events] == [("here", k, 3) for k in (1, 2, 3)]
    assert all(0 < e.loss < 10 and 0 <= e.accuracy <= 1 for e in events)


def test_diverging_training_stops_and_says_where_and_loses_nothing(few, tmp_path, monkeypatch):
    """A second epoch of nan leaves the state after the first one, from which it goes on."""
    monkeypatch.setattr("sqwire.train.loop._CHECKPOINT_SECONDS", -1.0)
    images = few.train.x.copy()
    spoilt = replace(few, train=train.Split(images, few.train.label))

    def spoil(event):
        images[:] = np.nan

    options = {"method": None, "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(ValueError, match="loss must be finite, not nan in epoch 2 of training"):
        fitted(spoilt, progress=spoil, **options)
    seen = []
    network = fitted(few, progress=lambda event: seen.append(event.done), **options)
    assert seen == [2, 3]
    assert equal(network, fitted(few, method=None))


def test_batch_larger_than_the_data_is_refused(few):
    with pytest.raises(ValueError, match=r"at most the number of images \(256\), not 300"):
        fitted(few, replace(SCHEDULE, batch=300))


def test_learning_rate_warms_up_and_falls_to_zero():
    schedule = train.Schedule(epochs=10, lr=0.1, warmup=2)
    rates = [schedule.rate(epoch / 10) for epoch in range(101)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(0.09, abs=0.005)
    assert rates[-1] == pytest.approx(0)
    assert train.Schedule(epochs=10, lr=0.1, warmup=0).rate(0) == 0.1


def test_crops_share_the_epochs_in_their_order():
    schedule = train.Schedule(epochs=5, crops=(8, 12))
    assert [schedule.crop(epoch) for epoch in range(5)] == [8, 8, 8, 12, 12]
    assert train.Schedule().crop(0) is None


def test_smaller_images_come_first(few):
    sides = []
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 10))
    network.register_forward_pre_hook(lambda _, x: sides.append(x[0].shape[2:]))
    few = replace(few, train=train.Split(few.train.x.repeat(2, 2).repeat(2, 3), few.train.label))
    train.fit(network, few, train.Schedule(epochs=2, batch=128, crops=(9, 16)))
    assert sides == [(9, 9)] * 2 + [(16, 16)] * 2


def test_bfloat16_is_for_plain_float_and_never_for_codes(few):
    half = replace(SCHEDULE, bfloat16=True)
    assert not equal(fitted(few, half, method=None), fitted(few, method=None))
    method = replace(METHOD, delay=0)
    assert equal(fitted(few, half, method=method), fitted(few, method=method))


def test_accumulated_gradients_are_those_of_the_whole_batch(few):
    """Without batch norm, whose statistics are of the parts."""
    states = []
    for parts in (1, 4):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        qat = train.prepare(net, train.BSQ(alpha=0.1), torch.tensor(few.train.x[:32]))
        schedule = train.Schedule(epochs=1, lr=1e-3, warmup=0, accumulate=parts)
        train.fit(qat, few, schedule)
        states.append(qat.state_dict())
    for key, value in states[0].items():
        assert torch.allclose(value.double(), states[1][key].double(), rtol=1e-4, atol=1e-5), key


def test_adam_trains_too(few):
    losses = []
    schedule = replace(SCHEDULE, optimizer="adam", lr=0.01)
    fitted(few, schedule, progress=lambda e: losses.append(e.loss))
    assert losses[0] > losses[-1]


WORKER = """
import sys, torch
from dataclasses import replace
from torch import nn
from sqwire import train
from sqwire.train.distributed import group
torch.set_num_threads(1)
data = train.digits()
data = replace(data, scale=16.0, augment="none",
               train=train.Split(data.train.x[:128], data.train.label[:128]))
states = []
with group("cpu"):
    for method in (train.SQuantizer(sigma=0.0, delay=1),
                   train.BSQ(alpha=0.01, search=2, interval=1),
                   train.Taylor(zeros=0.8, end=2, quantize=2, interval=0.5)):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        qat = train.prepare(net, method, data.real(data.train.x[:32]), steps_per_epoch=4)
        train.fit(qat, data, train.Schedule(epochs=3, batch=32, lr=0.02, warmup=0))
        states.append(qat.state_dict())
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        torch.save(states, sys.argv[1])
"""


def test_two_processes_equal_one_on_the_same_batches(tmp_path):
    """Without batch norm, whose statistics are of each process; and with a stage in plain float,
    and one in which other parameters learn than before."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    several = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for command, name in (([sys.executable], "one.pt"), (several, "two.pt")):
        done = subprocess.run(
            [*command, str(script), str(tmp_path / name)],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt"))
    for a_state, b_state in zip(one, two, strict=True):
        for key, value in a_state.items():
            a, b = value.double(), b_state[key].double()
            assert float((a - b).abs().mean()) <= 1e-4 * (1 + float(a.abs().mean())), key
            assert math.isfinite(float(b.sum()))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
def test_prepared_network_can_be_compiled_by_torch(tiny, images):
    """The graph that torch makes of it is the same function; the backend is left out here, which
    would need a C compiler."""
    qat = train.prepare(tiny, train.SQuantizer(), images)
    compiled = torch.compile(qat, backend="eager")
    assert torch.allclose(compiled(images), qat(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch": 1}, "batch must be at least 2, not 1"),
        ({"lr": 0.0}, "lr must be above 0 and at most 10, not 0.0"),
        ({"lr": float("nan")}, "lr must be above 0 and at most 10, not nan"),
        ({"shift": 1.5}, "shift must be from 0 to 1, not 1.5"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be above 0, not 0.0"),
        ({"accumulate": 0}, "accumulate must be 1 to half the batch, not 0"),
        ({"optimizer": "lion"}, 'optimizer must be "sgd" or "adam", not lion'),
        ({"candidates": 0.0}, "candidates must be above 0"),
        ({"crops": (16, 7)}, "crops must be 8 pixels at least"),
    ],
)
def test_impossible_schedules_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        train.Schedule(**wrong)
