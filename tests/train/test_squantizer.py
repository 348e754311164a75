"""Sparsify, then quantize: the facts that the method must keep."""

import math
from dataclasses import replace

import pytest
import torch

from sqwire.train import SQuantizer
from sqwire.train.quantizer import largest_code, symmetric
from sqwire.train.squantizer import threshold


def gaussian(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


# |N(0, 1)| has mean sqrt(2/pi) and variance 1 - 2/pi; the share below t is erf(t / sqrt(2)).
@pytest.mark.parametrize("sigma", [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_zeros_of_gaussian_weights_follow_sigma(sigma):
    t = math.sqrt(2 / math.pi) + sigma * math.sqrt(1 - 2 / math.pi)
    want = math.erf(t / math.sqrt(2))
    codes = SQuantizer(sigma=sigma).weights(gaussian(1_000_000)).codes
    assert (codes == 0).float().mean().item() == pytest.approx(want, abs=0.005)


def test_zeros_of_gaussian_weights_are_those_of_the_table():
    table = {-0.5: 0.38, 0.0: 0.575, 0.5: 0.728, 1.0: 0.839, 1.5: 0.911, 2.0: 0.955, 3.0: 0.991}
    weight = gaussian(1_000_000, seed=1)
    for sigma, want in table.items():
        zeros = (SQuantizer(sigma=sigma).weights(weight).codes == 0).float().mean().item()
        assert zeros == pytest.approx(want, abs=0.005), sigma


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("sigma", [-0.5, 0.0, 1.5])
def test_zeros_are_exactly_the_weights_below_the_threshold(bits, sigma):
    weight = gaussian(10_000).reshape(25, 16, 5, 5)
    coded = SQuantizer(weight_bits=bits, sigma=sigma).weights(weight)
    assert torch.equal(coded.codes == 0, weight.abs() < threshold(weight, sigma))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_codes_are_integers_of_at_most_the_bits_and_reach_the_ends(bits):
    codes = SQuantizer(weight_bits=bits, sigma=-0.5).weights(gaussian(200_000)).codes
    top = largest_code(bits)
    assert torch.equal(codes, codes.round())
    assert codes.abs().max() == top
    assert len(codes.unique()) <= 2**bits - 1


def test_two_bits_use_the_mean_of_the_survivors_as_scale():
    weight = torch.tensor([0.1, -0.2, 1.0, -3.0])
    coded = SQuantizer(weight_bits=2, sigma=-0.2).weights(weight)
    assert coded.codes.tolist() == [0, 0, 1, -1]
    assert coded.scale.item() == 2.0


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_sparsify_then_quantize_equals_quantize_then_sparsify_under_one_mask(sigma):
    weight = gaussian(100_000, seed=2)
    mask = weight.abs() >= threshold(weight, sigma)
    scale = weight.abs().max() / largest_code(4)
    quantized_first = symmetric(weight, scale, 4) * mask
    coded = SQuantizer(weight_bits=4, sigma=sigma).weights(weight)
    assert torch.equal(coded.codes, quantized_first)
    assert coded.scale == scale


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_reaches_pruned_weights_unless_masked(masked):
    weight = gaussian(1000).requires_grad_()
    coded = SQuantizer(sigma=1.0, masked=masked).weights(weight)
    g = gaussian(1000, seed=3)
    coded.value.backward(g)
    want = torch.where(coded.codes == 0, 0.0, g) if masked else g
    assert torch.allclose(weight.grad, want, rtol=1e-6, atol=0)


def test_threshold_and_scale_carry_no_gradient():
    weight = gaussian(1000).requires_grad_()
    assert not threshold(weight, 1.0).requires_grad
    assert not SQuantizer().weights(weight).scale.requires_grad


def test_layer_of_zeros_stays_zero_and_finite():
    coded = SQuantizer(sigma=1.0).weights(torch.zeros(4, 4))
    assert not coded.codes.any()
    assert coded.scale > 0


def test_delay_counts_epochs():
    assert [SQuantizer(delay=2).active(epoch) for epoch in range(4)] == [False, False, True, True]


def test_layers_can_have_their_own_sigma():
    method = SQuantizer(sigma=1.0, sigma_of={"conv1": -0.5})
    assert method.layer("conv1").sigma == -0.5
    assert method.layer("fc") == replace(method, sigma_of={})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight_bits": 1}, "weight_bits must be 2 to 8, not 1"),
        ({"act_bits": 9}, "act_bits must be 2 to 8, not 9"),
        ({"delay": -1}, "delay must be 0 or more epochs, not -1"),
        ({"sigma": 11.0}, "sigma must be -3 to 10, not 11.0"),
        ({"sigma": float("nan")}, "sigma must be -3 to 10, not nan"),
        ({"sigma_of": {"fc": -4.0}}, r"sigma must be -3 to 10, not -4.0 \(fc\)"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SQuantizer(**wrong)
