"""Weight codes: level counts, zero sets, order of the two steps, gradients."""

import pytest
import torch

from sqwire import train
from sqwire.train import SQuantizer
from sqwire.train.grid import keep_largest, largest_code, masked_codes, symmetric, uniform_codes
from sqwire.train.method import Weights
from sqwire.train.squantizer import solve_sigma, threshold


def gaussian(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def codes(method, weight):
    with torch.no_grad():
        return Weights(torch.nn.Parameter(weight.clone()), method)()


@pytest.mark.parametrize(
    ("sigma", "gauss", "laplace"),
    [(-0.5, 0.38, 0.39), (0, 0.575, 0.632), (0.5, 0.728, 0.777), (1, 0.839, 0.865),
     (1.5, 0.911, 0.918), (2, 0.955, 0.950), (3, 0.991, 0.982)],
)  # fmt: skip
def test_zeros_of_untrained_weights_are_those_of_theory(sigma, gauss, laplace):
    weight = gaussian(1_000_000)
    assert (codes(SQuantizer(sigma=sigma), weight).codes == 0).double().mean() == pytest.approx(
        gauss, abs=0.005
    )
    u = torch.rand(1_000_000, generator=torch.Generator().manual_seed(1)) - 0.5
    weight = -u.sign() * torch.log1p(-2 * u.abs())
    assert (codes(SQuantizer(sigma=sigma), weight).codes == 0).double().mean() == pytest.approx(
        laplace, abs=0.005
    )


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("sigma", [-3.0, 0.0, 1.5])
def test_exactly_the_weights_below_the_threshold_are_zero(bits, sigma):
    weight = gaussian(10_000).reshape(25, 16, 5, 5)
    coded = codes(SQuantizer(weight_bits=bits, sigma=sigma), weight)
    assert torch.equal(coded.codes == 0, weight.abs() < threshold(weight, sigma))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_codes_are_integers_of_at_most_the_bits_and_reach_the_ends(bits, per_channel):
    weight = gaussian(200_000).reshape(4, -1)
    got = codes(SQuantizer(weight_bits=bits, sigma=-0.5, per_channel=per_channel), weight)
    assert torch.equal(got.codes, got.codes.round())
    assert got.codes.abs().max() == largest_code(bits)
    assert len(got.codes.unique()) <= 2**bits - 1
    assert got.scale.numel() == (4 if per_channel else 1)


def test_two_bits_use_the_mean_of_the_survivors_as_scale():
    coded = codes(SQuantizer(weight_bits=2, sigma=-0.2), torch.tensor([0.1, -0.2, 1.0, -3.0]))
    assert coded.codes.tolist() == [0, 0, 1, -1]
    assert coded.scale.item() == 2.0


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_sparsify_then_quantize_equals_quantize_then_sparsify_under_one_mask(sigma):
    weight = gaussian(100_000, seed=2)
    mask = weight.abs() >= threshold(weight, sigma)
    scale = weight.abs().max() / largest_code(4)
    quantized_first = symmetric(weight, scale, 4) * mask
    coded = codes(SQuantizer(sigma=sigma), weight)
    assert torch.equal(coded.codes, quantized_first)
    assert coded.scale == scale


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_the_scale_loses_least_and_clips_few_large_weights(bits):
    """Of a tensor with outliers, and of each channel on its own."""
    weight = torch.stack([gaussian(1000), gaussian(1000, seed=1).clamp(-1, 1)])
    weight[0, :3] = 9.0
    mask = weight.abs() >= 0.5
    kept = weight * mask

    def error(scale):
        return (symmetric(kept, scale, bits) * scale - kept).square()

    largest = kept.abs().max() / largest_code(bits)
    shares = torch.tensor([1.0, 0.85, 0.7, 0.55, 0.4])
    assert masked_codes(weight, mask, bits).scale == largest
    whole = masked_codes(weight, mask, bits, clip=True).scale
    assert whole < largest
    assert whole == min((largest * share for share in shares), key=lambda s: error(s).sum())
    each = masked_codes(weight, mask, bits, per_channel=True, clip=True).scale.flatten()
    for channel, scale in enumerate(each):
        own = kept[channel].abs().max() / largest_code(bits)
        assert scale == min((own * share for share in shares),
                            key=lambda s: error(s)[channel].sum())  # fmt: skip
    assert masked_codes(weight, mask, 8, clip=True).scale == kept.abs().max() / largest_code(8)


def test_dot_product_of_codes_times_scale_is_that_of_the_dequantized_weights():
    coded = codes(SQuantizer(sigma=0.5), gaussian(500))
    x = torch.randint(0, 16, (500,), generator=torch.Generator().manual_seed(4)).double()
    integers = int((coded.codes.double() * x).sum())
    scale = coded.scale.double()
    assert float((coded.codes.double() * scale * x).sum()) == pytest.approx(
        integers * float(scale), rel=1e-14
    )
    assert integers == sum(int(c) * int(v) for c, v in zip(coded.codes, x, strict=True))


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_reaches_pruned_weights_unless_masked(masked):
    w = Weights(torch.nn.Parameter(gaussian(1000)), SQuantizer(sigma=1.0, masked=masked))
    coded = w()
    g = gaussian(1000, seed=3)
    coded.value.backward(g)
    want = torch.where(coded.codes == 0, 0.0, g) if masked else g
    assert torch.allclose(w.weight.grad, want, rtol=1e-5, atol=1e-7)


def test_threshold_and_scale_carry_no_gradient():
    w = Weights(torch.nn.Parameter(gaussian(1000)), SQuantizer(sigma=1.0))
    assert not threshold(w.weight, 1.0).requires_grad
    assert not w().scale.requires_grad


def test_layer_of_zeros_stays_zero_and_finite():
    coded = codes(SQuantizer(sigma=1.0), torch.zeros(4, 4))
    assert not coded.codes.any()
    assert coded.scale > 0


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.83, 0.99])
def test_target_of_zeros_is_met_and_the_solved_sigma_meets_it_too(zeros):
    weight = gaussian(10_000)
    got = codes(SQuantizer(zeros=zeros), weight).codes
    assert int((got == 0).sum()) == round(zeros * 10_000)
    sigma = solve_sigma(weight, zeros)
    assert int((weight.abs() < threshold(weight, sigma)).sum()) == round(zeros * 10_000)


def test_global_target_has_one_threshold_for_all_layers():
    net = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 5))
    net[0].weight.data *= 10
    qat = train.prepare(net, SQuantizer(zeros=0.6, scope="global"), torch.rand(3, 20))
    qat.step()
    everything = torch.cat([w.weight.detach().abs().flatten() for _, w in qat.weights()])
    kept = torch.cat([w().codes.detach().flatten() != 0 for _, w in qat.weights()])
    assert int((~kept).sum()) == round(0.6 * 750)
    assert everything[kept].min() > everything[~kept].max()


def test_plain_quantization_has_its_levels_and_clips_at_low_widths():
    weight = torch.linspace(-3, 3, 50_001)
    for bits in range(2, 9):
        coded = uniform_codes(weight, bits)
        assert len(coded.codes.unique()) == 2**bits - 1
        assert coded.codes.abs().max() == largest_code(bits)
    weight = gaussian(50_000)
    # The step that loses least of a Gaussian at 7 levels loses less than the largest weight's.
    error = (uniform_codes(weight, 3).value - weight).square().mean()
    naive = weight.abs().max() / 3
    assert error < ((weight / naive).round() * naive - weight).square().mean() / 2


def test_largest_scores_are_kept_exactly():
    scores = torch.tensor([[3.0, 1.0], [2.0, 2.0]])
    assert keep_largest(scores, 0.25).tolist() == [[True, False], [True, True]]
    assert keep_largest(scores, 0.5).tolist() == [[True, False], [False, True]]
    assert keep_largest(scores, 0.0).all()


def test_masked_weight_never_has_a_code_and_a_kept_one_always_has():
    weight = gaussian(1000)
    mask = torch.rand(1000) < 0.3
    coded = masked_codes(weight, mask, 4)
    assert torch.equal(coded.codes != 0, mask & (weight != 0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight_bits": 1}, "weight_bits must be 2 to 8, not 1"),
        ({"act_bits": 9}, "act_bits must be 2 to 8, not 9"),
        ({"delay": -1}, "delay must be 0 or more epochs, not -1"),
        ({"delay": float("nan")}, "delay must be 0 or more epochs, not nan"),
        ({"sigma": 11.0}, "sigma must be -3 to 10, not 11.0"),
        ({"sigma": float("nan")}, "sigma must be -3 to 10, not nan"),
        ({"zeros": 1.0}, "zeros must be 0 to 0.999, not 1.0"),
        ({"scope": "block"}, 'scope must be "layer" or "global", not "block"'),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SQuantizer(**wrong)
