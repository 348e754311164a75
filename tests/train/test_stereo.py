"""Training of stereo networks: the loss, and a loop that goes on where it was stopped."""

import numpy as np
import pytest
import torch

from sqwire import train
from sqwire.train.matching import subpixel
from sqwire.train.networks.stereo import stereo_twin
from sqwire.train.scenes import Renderer
from sqwire.train.stepping import StepSchedule
from sqwire.train.stereo import filled_up, fit_stereo, score_loss, stacked


@pytest.fixture(scope="module")
def renderer():
    return Renderer(24, 48, 16)


def test_the_loss_is_least_where_the_head_finds_the_truth():
    truth = torch.rand(1, 8, 12) * 10 + 2
    scores = torch.zeros(1, 8, 4, 6, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for _ in range(300):
        loss = score_loss(scores, truth, torch.ones_like(truth), 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = subpixel(scores.detach(), 16)[:, 0] / 16 * 2
    assert (found - truth[:, ::2, ::2]).abs().max() < 0.15


def test_positions_count_by_their_weight():
    scores = torch.randn(1, 4, 2, 2)
    truth = torch.tensor([[[0.0, 3.0], [1.0, 2.0]]])
    weight = torch.tensor([[[1.0, 0.5], [1.0, 0.0]]])
    one = torch.ones(1, 1, 1)
    each = [score_loss(scores[..., y : y + 1, x : x + 1], truth[:, y : y + 1, x : x + 1], one, 1)
            for y in (0, 1) for x in (0, 1)]  # fmt: skip
    want = (each[0] + 0.5 * each[1] + each[2]) / 2.5
    assert torch.allclose(score_loss(scores, truth, weight, 1), want)


def test_some_pairs_are_smaller_than_the_frame():
    pairs, weight = torch.ones(2, 2, 24, 48), torch.full((2, 24, 48), 0.8)
    shares = []
    for seed in range(20):
        x, w = filled_up(pairs, weight, seed)
        assert torch.equal(w, x[:, 0] * 0.8)
        inside = x[0, 0]
        rows, columns = int(inside[:, 0].sum()), int(inside[0].sum())
        assert inside.sum() == rows * columns and rows > 16 and columns > 28
        shares.append(rows * columns < 24 * 48)
    assert 0.3 < np.mean(shares) < 0.9


def test_training_lowers_the_loss_and_follows_from_its_arguments(renderer):
    def once():
        torch.manual_seed(0)
        network = stereo_twin()
        steps = []
        before = judged(network)
        fit_stereo(
            network, renderer, StepSchedule(30, 2, 5e-3, warmup=3), factor=2,
            progress=lambda step, loss: steps.append(step),
        )  # fmt: skip
        assert steps == list(range(1, 31))
        return network.state_dict(), before, judged(network)

    def judged(network):
        network.train()
        with torch.no_grad():
            scores = network(pairs)
        return float(score_loss(scores, disparity, torch.ones_like(disparity), 2))

    pairs, disparity, _ = stacked([renderer.render(k) for k in range(1000, 1008)])
    state, before, after = once()
    again, _, _ = once()
    assert after < before
    for name, value in state.items():
        assert torch.equal(value, again[name]), name


def test_an_interrupted_training_goes_on_to_the_same_network(renderer, tmp_path):
    x, _, _ = stacked([renderer.render(k) for k in range(2)])
    schedule = StepSchedule(8, 2, 5e-3, warmup=2)

    class Stop(Exception):
        pass

    def stop(step, loss):
        if step == 5:
            raise Stop

    def qat():
        torch.manual_seed(0)
        method = train.SQuantizer(zeros=0.5, delay=3)
        return train.prepare(stereo_twin(), method, x, input_bits=8)

    whole = qat()
    fit_stereo(whole, renderer, schedule, factor=2)
    file = tmp_path / "state"
    with pytest.raises(Stop):
        fit_stereo(qat(), renderer, schedule, factor=2, checkpoint=file, every=4, progress=stop)
    rest = qat()
    fit_stereo(rest, renderer, schedule, factor=2, checkpoint=file, every=4)
    assert np.array_equal(whole.freeze()(x.numpy()), rest.freeze()(x.numpy()))
    with pytest.raises(ValueError, match="it must be of the same training"):
        fit_stereo(qat(), renderer, StepSchedule(9), factor=2, checkpoint=file)


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch": 0}, {"lr": 0}, {"warmup": 0}])
def test_settings_out_of_range_are_named(change):
    with pytest.raises(ValueError, match=f"StepSchedule: {next(iter(change))} must be"):
        StepSchedule(**change)
