"""What the methods do on real digits, with a perceptron that trains in seconds."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sqwire import train

STEPS = 1257 // 64


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def trained(data, method, epochs, seed=0):
    """Test accuracy and zeros behind a training from scratch."""
    torch.manual_seed(seed)
    data = replace(data, scale=16.0)
    x = data.real(data.train.x[:256])
    qat = train.prepare(perceptron(), method, x, steps_per_epoch=STEPS)
    schedule = train.Schedule(epochs=epochs, lr=0.1, weight_decay=1e-4, max_grad_norm=1e3, shift=0)
    with train.reproducible():
        train.fit(qat, data, schedule, seed=seed)
    return train.accuracy(qat, data, data.test), qat.zeros()


def test_masked_gradients_let_zeros_run_away_at_high_sigma(digits):
    """Pruned weights that get no gradient cannot come back, the rest grow, and the threshold with
    them."""
    free = trained(digits, train.SQuantizer(sigma=2.0, delay=3, act_bits=8), 16)
    masked = trained(digits, train.SQuantizer(sigma=2.0, delay=3, act_bits=8, masked=True), 16)
    assert masked[1] > free[1] + 0.01
    assert free[0] > masked[0] + 0.03


def test_squantizer_keeps_its_accuracy_at_half_a_sigma(digits):
    plain = trained(digits, train.Uniform(weight_bits=8, act_bits=8), 16)
    sparse = trained(digits, train.SQuantizer(sigma=0.5, delay=4, act_bits=8), 16)
    assert sparse[1] > 0.7
    assert sparse[0] > plain[0] - 0.02


@pytest.fixture(scope="module")
def pruned(digits):
    """Accuracies at 95 % zeros by score."""
    settings = {"zeros": 0.95, "start": 4, "end": 10, "quantize": 12, "act_bits": 8}
    kinds = (train.Taylor, train.Magnitude, train.Random)
    return {kind.__name__: trained(digits, kind(**settings), 16) for kind in kinds}


def test_taylor_beats_random_by_20_points_at_95_percent(pruned):
    assert pruned["Taylor"][0] > pruned["Random"][0] + 0.2


def test_all_scores_reach_the_same_sparsity(pruned):
    assert {round(zeros, 2) for _, zeros in pruned.values()} == {0.95}
