"""Activations: codes, gradients, and the levels that they start from."""

import pytest
import torch

from sqwire.train.quantizer import ActQuantizer, Step


def quantizer(bits=4, level=3.0, signed=False):
    act = ActQuantizer(bits, Step(bits), signed=signed)
    act.pending = False
    act.step.level.data.fill_(level)
    return act


@pytest.mark.parametrize(("signed", "low", "high"), [(False, 0, 15), (True, -8, 7)])
def test_codes_are_integers_of_the_range_and_round_half_to_even(signed, low, high):
    act = quantizer(signed=signed, level=15.0)
    x = torch.tensor([-100.0, 0.5, 1.5, 2.5, 3.4, 100.0])
    assert act(x).codes.tolist() == [low, 0, 2, 2, 3, high]
    assert float(act(x).scale) == 1


@pytest.mark.parametrize("signed", [False, True])
def test_gradients_are_those_of_the_formula(signed):
    act = quantizer(signed=signed)
    step = 3.0 / 15
    x = torch.tensor([-2.0, -0.3, 0.31, 1.0, 2.9, 3.5]).requires_grad_()
    g = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    act(x).value.backward(g)
    inside = (x > act.low * step) & (x < act.high * step)
    assert torch.allclose(x.grad, torch.where(inside, g, 0.0))
    above, below = g[x >= act.high * step].sum(), g[x < act.low * step].sum()
    want = (above * act.high + below * act.low) / 15
    assert float(act.step.level.grad) == pytest.approx(float(want), rel=1e-5)


def test_disabled_quantizer_does_nothing():
    act = quantizer()
    act.enabled = False
    x = torch.randn(5)
    assert torch.equal(act(x).value, x)


def test_first_tensor_sets_the_level_and_the_widest_of_those_that_share_it_counts():
    step = Step(4)
    narrow, wide = ActQuantizer(4, step), ActQuantizer(4, step, signed=True)
    x = torch.rand(10_000)
    narrow(x)
    rms = float(x.square().mean().sqrt())
    assert float(step.level.detach()) == pytest.approx(2.5 * rms, rel=1e-4)
    wide(4 * x)
    assert float(step.level.detach()) == pytest.approx(12 * rms, rel=1e-4)
    narrow(100 * x)
    assert float(step.level.detach()) == pytest.approx(12 * rms, rel=1e-4)


def test_fixed_step_is_not_learned_and_exact():
    step = Step(8, 1 / 64)
    act = ActQuantizer(8, step, signed=True)
    act(torch.randn(10) * 50)
    assert float(step.value) == 1 / 64
    assert not step.level.requires_grad
