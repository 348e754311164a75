"""The training loop: delay, reproducibility, interruption, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sqwire import train
from sqwire.train.loop import _shifted

METHOD = train.SQuantizer(sigma=1.0, delay=2)
SCHEDULE = train.Schedule(epochs=3)


@pytest.fixture(scope="module")
def few():
    """The first 256 training images."""
    images = train.digits()[0]
    return train.Split(images.x[:256], images.label[:256])


def fitted(few, schedule=SCHEDULE, method=METHOD, seed=0, **options):
    with train.reproducible(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = train.demo_net(METHOD, (4, 4))
        train.fit(network, few, schedule, method, seed=seed, **options)
    return network


def state(network):
    return [value.clone() for value in network.state_dict().values()]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_delay_trains_in_plain_float_first_and_quantized_after_it(few):
    enabled = []

    class Spy(train.Network):
        def quantize(self, on):
            enabled.append(on)
            super().quantize(on)

    network = train.demo_net(METHOD, (4, 4))
    network.__class__ = Spy
    train.fit(network, few, SCHEDULE, METHOD)
    assert enabled == [False, False, True, True]
    assert all(w.enabled for _, w in network.weights())


def test_epochs_before_the_delay_are_those_of_the_float_network(few):
    two = replace(SCHEDULE, epochs=2)
    assert equal(state(fitted(few, two, METHOD)), state(fitted(few, two, None)))
    assert not equal(state(fitted(few)), state(fitted(few, method=None)))


def test_float_network_is_not_quantized_in_the_end(few):
    network = fitted(few, method=None)
    assert not any(w.enabled for _, w in network.weights())
    assert not network.training


def test_clip_levels_are_learned_once_quantized(few):
    level = "layers.conv1.act.clip.level"
    assert fitted(few, method=None).state_dict()[level] != fitted(few).state_dict()[level]


def test_same_seed_gives_the_same_network_whatever_the_threads(few):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = state(fitted(few))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert equal(first, state(fitted(few)))
    assert not equal(first, state(fitted(few, seed=1)))


def test_interrupted_training_continues_to_the_same_bits(few, tmp_path, monkeypatch):
    monkeypatch.setattr("sqwire.train.loop._CHECKPOINT_EPOCHS", 1)
    seen = []

    def interrupt(event):
        seen.append(event.done)
        if event.done == 2 and seen.count(2) == 1:
            raise KeyboardInterrupt

    whole = state(fitted(few))
    options = {"progress": interrupt, "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(KeyboardInterrupt):
        fitted(few, **options)
    assert equal(whole, state(fitted(few, **options)))
    assert seen == [1, 2, 3]


def test_damaged_checkpoint_is_refused_by_name(few, tmp_path):
    file = tmp_path / "state.pt"
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"Checkpoint .*state\.pt: it must be whole"):
        fitted(few, checkpoint=file)


def test_progress_reports_every_epoch_with_its_loss(few):
    events = []
    fitted(few, progress=events.append, stage="here")
    assert [(e.stage, e.done, e.total) for e in events] == [("here", k, 3) for k in (1, 2, 3)]
    assert all(0 < e.loss < 10 for e in events)


def test_diverging_training_stops_and_says_where(few):
    bad = train.Split(np.full_like(few.x, np.nan), few.label)
    with pytest.raises(ValueError, match="loss must be finite, not nan in epoch 1 of training"):
        fitted(bad)


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


def test_shifted_images_keep_their_pixels_and_move_by_one_at_most():
    x = torch.zeros(600, 1, 8, 8)
    x[:, :, 3, 4] = 7
    shifted = _shifted(x, 1.0, torch.Generator().manual_seed(0))
    where = {tuple(p[2:].tolist()) for p in shifted.nonzero()}
    assert where == {(r, c) for r in (2, 3, 4) for c in (3, 4, 5)}
    assert shifted.sum() == x.sum()
    assert torch.equal(_shifted(x, 0.0, torch.Generator()), x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch": 1}, "batch must be at least 2, not 1"),
        ({"lr": 0.0}, "lr must be above 0 and at most 10, not 0.0"),
        ({"lr": float("nan")}, "lr must be above 0 and at most 10, not nan"),
        ({"shift": 1.5}, "shift must be from 0 to 1, not 1.5"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be above 0, not 0.0"),
    ],
)
def test_impossible_schedules_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        train.Schedule(**wrong)
