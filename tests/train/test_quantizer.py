"""Rounding, grids and learned clip levels, with their gradients."""

import pytest
import torch

from sqwire.train.quantizer import ActQuantizer, Clip, largest_code, round_ste, symmetric


def test_rounding_is_half_to_even():
    x = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999])
    assert round_ste(x).tolist() == [-2, -2, 0, 0, 2, 2, 2]


def test_rounded_values_are_integers_exactly():
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0)) * 1e4
    assert torch.equal(round_ste(x), x.round())


def test_gradient_passes_through_rounding_unchanged():
    x = torch.linspace(-3, 3, 61, requires_grad=True)
    g = torch.arange(61.0)
    round_ste(x).backward(g)
    assert torch.equal(x.grad, g)


@pytest.mark.parametrize("bits", range(2, 9))
def test_symmetric_grid_has_all_its_levels_and_no_others(bits):
    top = largest_code(bits)
    weight = torch.cat([torch.linspace(-1, 1, 20_000), torch.zeros(1)])
    codes = symmetric(weight, torch.tensor(1 / top), bits)
    assert codes.unique().tolist() == list(range(-top, top + 1))
    assert len(codes.unique()) == 2**bits - 1


def test_nonzero_weight_never_becomes_zero():
    weight = torch.tensor([1e-6, -1e-6, 0.0])
    assert symmetric(weight, torch.tensor(1.0), 4).tolist() == [1, -1, 0]


@pytest.mark.parametrize(("bits", "signed"), [(4, False), (4, True), (2, False), (8, True)])
def test_codes_are_the_whole_range_and_nothing_else(bits, signed):
    act = ActQuantizer(bits, Clip(1.5), signed=signed)
    coded = act(torch.linspace(-3, 3, 100_001))
    low = -(2 ** (bits - 1)) if signed else 0
    assert coded.codes.unique().tolist() == list(range(low, low + 2**bits))
    assert coded.scale.item() == pytest.approx(1.5 / (2**bits - 1))


def test_gradient_to_an_unsigned_clip_level_counts_what_is_clipped_above():
    act = ActQuantizer(4, Clip(2.0))
    x = torch.tensor([-1.0, 0.3, 1.9, 2.0, 2.1, 50.0], requires_grad=True)
    g = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    act(x).value.backward(g)
    assert act.clip.level.grad.item() == pytest.approx(8 + 16 + 32)
    assert x.grad.tolist() == pytest.approx([0, 2, 4, 0, 0, 0])


def test_gradient_to_a_signed_clip_level_has_both_ends():
    act = ActQuantizer(4, Clip(1.5), signed=True)  # codes -8..7, step 0.1
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], requires_grad=True)
    act(x).value.backward(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    assert act.clip.level.grad.item() == pytest.approx(1 * -8 / 15 + 8 * 7 / 15)
    assert x.grad.tolist() == pytest.approx([0, 2, 4, 0])


def test_shared_clip_gives_equal_scales_and_sums_gradients():
    clip = Clip(1.0)
    a, b = ActQuantizer(4, clip), ActQuantizer(4, clip, signed=True)
    assert a.scale == b.scale
    (a(torch.tensor([5.0])).value.sum() + b(torch.tensor([5.0])).value.sum()).backward()
    assert clip.level.grad.item() == pytest.approx(1 + 7 / 15)


def test_disabled_quantizer_is_a_relu_or_nothing():
    x = torch.tensor([-1.23, 4.56])
    for signed, want in [(False, [0.0, 4.56]), (True, [-1.23, 4.56])]:
        act = ActQuantizer(4, Clip(), signed=signed)
        act.enabled = False
        assert act(x).value.tolist() == pytest.approx(want)
