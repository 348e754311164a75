"""Modules that compare pictures: formulas, gradients, and the way through prepare and freeze."""

import numpy as np
import pytest
import torch
from torch import nn

from sqwire import train
from sqwire.compiler import frontend
from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.consistency import Consistency as ConsistencyHw
from sqwire.hw.costvolume import CostVolume as CostVolumeHw
from sqwire.hw.median import Median as MedianHw
from sqwire.hw.ranges import Range
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.train.matching import (
    Consistency,
    CostVolume,
    Disparity,
    Median,
    PadCrop,
    bilinear,
    consistency,
    median,
    subpixel,
)
from sqwire.train.networks.stereo import stereo_half, stereo_quarter, stereo_twin


def integers(*shape, low=-8, high=8):
    return torch.randint(low, high, shape).float()


def beats(x):
    """(frames, channels, height, width) as the circuits take them."""
    frames, channels = x.shape[:2]
    return x.permute(0, 2, 3, 1).reshape(frames, -1, channels).numpy().astype(np.int64)


@pytest.mark.parametrize("form", ["difference", "product"])
@pytest.mark.parametrize("shifts", [1, 4, 12])
def test_cost_volume_is_that_of_the_circuit(form, shifts):
    left, right = integers(2, 3, 4, 9), integers(2, 3, 4, 9)
    codes = (Range(-8, 7),) * 3
    hw = CostVolumeHw(4, 9, codes, codes, shifts, form)
    found = CostVolume(shifts, form)(left, right)
    assert np.array_equal(beats(found), hw.compute(beats(left), beats(right)))


def test_gradients_of_the_cost_volume_are_those_of_autograd():
    left = torch.randn(2, 3, 4, 9, dtype=torch.double, requires_grad=True)
    right = torch.randn(2, 3, 4, 9, dtype=torch.double, requires_grad=True)
    weight = torch.randn(2, 5, 4, 9, dtype=torch.double)
    plain = torch.stack([
        (left - nn.functional.pad(right[..., : 9 - d], (d, 0))).abs().sum(1) for d in range(5)
    ], 1)  # fmt: skip
    want = torch.autograd.grad((plain * weight).sum(), (left, right))
    found = torch.autograd.grad((CostVolume(5)(left, right) * weight).sum(), (left, right))
    for a, b in zip(found, want, strict=True):
        assert torch.allclose(a, b)


@pytest.mark.parametrize("parts", [2, 16, 64])
def test_subpixel_is_that_of_the_circuit(parts):
    x = integers(2, 7, 20, 30)
    hw = SubpixelArgMax(Beat(Range(-8, 7), 7), parts, 600)
    assert np.array_equal(beats(subpixel(x, parts)), hw.compute(beats(x)))
    wide = torch.randint(-(2**23), 2**23, (1, 5, 20, 30)).float()
    hw = SubpixelArgMax(Beat(Range.signed(24), 5), parts, 600)
    assert np.array_equal(beats(subpixel(wide, parts)), hw.compute(beats(wide)))


@pytest.mark.parametrize("factor", [2, 4])
def test_bilinear_is_that_of_the_circuit(factor):
    x = integers(2, 3, 5, 7)
    rows = BilinearRows(5, 7, Beat(Range(-8, 7), 3), factor)
    columns = BilinearColumns(5 * factor, 7, rows.outputs[0], factor)
    assert np.array_equal(beats(bilinear(x, factor)), columns.compute(rows.compute(beats(x))))


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 2), (6, 7)])
def test_median_is_that_of_the_circuit(size, dilation):
    x = integers(2, 3, *size)
    hw = MedianHw(*size, Beat(Range(-8, 7), 3), dilation=dilation)
    assert np.array_equal(beats(median(x, dilation)), hw.compute(hw.window.compute(beats(x))))
    y = x.clone().requires_grad_()
    Median(dilation)(y).sum().backward()
    assert y.grad.sum() == x.numel()


def test_medians_of_nothing_are_refused():
    with pytest.raises(ValueError, match="dilation must be at least 1, not 0"):
        Median(0)
    with pytest.raises(ValueError, match="dilations of at least 1, not"):
        Disparity(smooth=(1, 0))


@pytest.mark.parametrize("parts", [2, 16])
def test_consistency_is_that_of_the_circuit(parts):
    left = integers(3, 1, 4, 30, low=0, high=100)
    right = (left.roll(-2, 3) + integers(3, 1, 4, 30)).clamp(min=0)
    hw = ConsistencyHw(4, 30, Range(0, 99), Range(0, 107), parts, 5)
    found = consistency(left, right, parts, 5)
    assert 0 < found.mean() < 1
    assert np.array_equal(beats(found), hw.compute(beats(left), beats(right)))


class BothViews(nn.Module):
    """Disparities of either picture from itself alone, and where they agree."""

    def __init__(self, parts=8, factor=2, smooth=()):
        super().__init__()
        self.scores = nn.Conv2d(1, 5, 3, padding=1, bias=False)
        self.left = Disparity(parts, factor, (0, 0, -1, -1), smooth=smooth)
        self.right = Disparity(parts, factor, (0, 0, -1, -1), smooth=smooth)
        self.same = Consistency(1.25)

    def forward(self, x):
        left = self.left(self.scores(x[:, :1]))
        right = self.right(self.scores(x[:, 1:]))
        return left, self.same(left, right)


@pytest.mark.parametrize(("parts", "factor", "smooth"), [(8, 2, ()), (16, 4, (2, 1)), (4, 1, ())])
def test_frozen_views_agree_where_those_in_training_do(parts, factor, smooth, tmp_path):
    x = integers(3, 2, 6, 12, low=0, high=16)
    qat = train.prepare(BothViews(parts, factor, smooth), train.Uniform(), x)
    frozen = qat.freeze()
    disparity, same = frozen(x.numpy())
    assert 0 < same.mean() < 1 and set(np.unique(same)) == {0.0, 1.0}
    with torch.no_grad():
        for found, want in zip(qat.eval()(x), (disparity, same), strict=True):
            assert np.array_equal(found.numpy(), want)
    frozen.export(tmp_path / "model.onnx")
    graph = frontend.import_qonnx(tmp_path / "model.onnx")
    codes = graph.run(graph.input.quantize(x.numpy()))
    for output, found, want in zip(graph.outputs, codes, (disparity, same), strict=True):
        assert np.array_equal(output.dequantize(found), want)
    assert qat.train()(x)[1].shape == (3, 5, 6, 12)


def test_heads_in_other_parts_do_not_agree():
    x = integers(3, 2, 6, 12, low=0, high=16)
    with pytest.raises(ValueError, match="one power of two from 2 to 64, not 12 and 12"):
        train.prepare(BothViews(6, 2), train.Uniform(), x).freeze()


def test_a_smooth_head_has_no_single_spots(agree):
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False), Disparity(4, 2, (0, 0, -1, -1), smooth=(1, 3))
    )
    x = integers(3, 1, 6, 8, low=0, high=16)
    qat = train.prepare(network, train.Uniform(), x)
    frozen = qat.freeze()
    agree(frozen, x)
    traced = frozen.trace(x.numpy())
    codes = torch.tensor(traced["1"]).float()
    assert not torch.equal(codes, median(codes))
    assert np.array_equal(traced["1.median"], median(codes).numpy())
    assert np.array_equal(traced["1.median2"], median(median(codes), 3).numpy())
    with torch.no_grad():
        assert np.array_equal(qat.eval()(x).numpy(), frozen(x.numpy()))


def test_a_median_between_layers_keeps_codes_and_step(agree):
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), Median(2), nn.Conv2d(4, 3, 1), nn.ReLU()
    )
    x = integers(3, 1, 5, 6, low=0, high=16)
    frozen = train.prepare(network, train.Uniform(), x).freeze()
    assert agree(frozen, x) == 5


def test_scores_that_are_a_parabola_give_the_shift_exactly():
    shift = torch.arange(10.0).reshape(1, 10, 1, 1)
    true = torch.tensor([1.25, 3.5, 4.0625, 7.9375]).reshape(1, 1, 1, 4)
    found = subpixel(-((shift - true) ** 2), 16)
    assert torch.equal(found / 16, true)


def test_the_head_lets_scores_pass_in_training_only():
    head = Disparity(parts=16, factor=2, edges=(0, 0, -1, -3))
    x = torch.randn(2, 8, 6, 7)
    assert head(x) is x
    disparity = head.eval()(x)
    assert disparity.shape == (2, 1, 11, 11)
    # Where an even pixel lies the sample itself stands: best shift times two, to a 16th.
    best = x.argmax(1)[:, :6, :6].float() * 2
    assert (disparity[:, 0, ::2, ::2] - best).abs().max() <= 1


def test_frozen_equals_the_graph_in_every_layer(agree, stir):
    x = integers(2, 2, 22, 30, low=0, high=256)
    qat = train.prepare(stir(stereo_twin((22, 30))), train.SQuantizer(sigma=0.0), x)
    frozen = qat.freeze()
    assert agree(frozen, x) > 30
    # Scores are compared as integers before they are frozen, too, so that ties are the same.
    with torch.no_grad():
        assert np.array_equal(qat.eval()(x).numpy(), frozen(x.numpy()))


@pytest.mark.parametrize("form", ["difference", "product"])
def test_cost_volumes_of_both_forms_are_frozen(agree, form):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU())
            self.cost = CostVolume(4, form)
            self.last = nn.Conv2d(4, 5, 1)
            self.crop = PadCrop((-1, 0, 2, -3))

        def forward(self, x):
            cost = self.cost(self.tower(x[:, :1]), self.tower(x[:, 1:]))
            return self.last(self.crop(torch.relu(cost)))

    x = integers(3, 2, 8, 11, low=0, high=16)
    qat = train.prepare(Small(), train.Uniform(), x)
    frozen = qat.freeze()
    assert frozen(x.numpy()).shape == (3, 5, 9, 8)
    agree(frozen, x)


def test_towers_with_one_set_of_weights_share_their_steps():
    x = integers(2, 2, 24, 32, low=0, high=256)
    qat = train.prepare(stereo_twin(), train.SQuantizer(), x)
    for name in ("tower.0.0", "tower.1.0", "tower.2.0"):
        assert qat.layer(f"{name}.act").step is qat.layer(f"{name}@2.act").step
        assert qat.layer(name).weights is qat.layer(f"{name}@2").weights
    frozen = qat.freeze()
    assert set(frozen.facts["shared"]) == {f"tower.{k}.0@2" for k in range(3)}
    assert frozen.card.weights == sum(w.weight.numel() for _, w in qat.weights())
    assert frozen.card.zeros == pytest.approx(qat.zeros())


def test_scores_of_unlike_scale_are_quantized_before_they_are_compared(agree):
    network = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), Disparity(4, 2))
    x = integers(2, 1, 6, 8, low=0, high=16)
    frozen = train.prepare(network, train.Uniform(), x).freeze()
    assert "0.act" in frozen.nodes
    agree(frozen, x)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [(stereo_half, 338_456), (stereo_quarter, 335_024), (stereo_twin, 6_048)],
)
def test_networks_give_scores_and_disparities(network, parameters):
    made = network()
    assert sum(p.numel() for p in made.parameters()) == parameters
    factor, shifts = made.factor, made.shifts
    x = integers(1, 2, 48, 64, low=0, high=256)
    assert made(x).shape == (1, shifts, 48 // factor, 64 // factor)
    cropped = network((45, 61))
    cropped.load_state_dict(made.state_dict())
    found = cropped.eval()(x[:, :, :45, :61])
    assert found.shape == (1, 1, 45, 61)
    assert found.min() >= 0 and found.max() <= (shifts - 1) * factor


def test_weights_from_a_shift_to_itself_begin_as_a_blur():
    network = stereo_half()
    shift = torch.arange(40)
    blur = torch.tensor([1.0, 2.0, 1.0])
    blur = blur[:, None] * blur / 16
    skip = network.a7.weight.detach()[shift, shift + 40].mean(0)
    assert (skip - 2 * blur).abs().max() < 0.01
    own = network.a1[0].weight.detach()[shift, shift].mean(0)
    assert (own - blur).abs().max() < 0.05


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CostVolume(0), "shifts must be at least 1"),
        (lambda: CostVolume(4, "census"), 'form must be "difference" or "product"'),
        (lambda: Consistency(-1.0), "tolerance must not be negative"),
        (lambda: Disparity(parts=3), "parts must be an even number"),
        (lambda: Disparity(factor=3), "factor must be 1, 2 or 4"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_slices_of_positions_are_refused():
    class Wrong(nn.Module):
        def forward(self, x):
            return x[:, :, 1:]

    with pytest.raises(ValueError, match="a slice must be of channels"):
        train.prepare(Wrong(), train.Uniform(), integers(1, 1, 4, 4, low=0))
