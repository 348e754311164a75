"""Records of candidates: formula, and the way through prepare, freeze and export."""

import numpy as np
import pytest
import torch
from torch import nn

from sqwire import train
from sqwire.boxes import BCCD_HEAD, decode
from sqwire.hw.beat import Beat
from sqwire.hw.candidates import Candidates as CandidatesHw
from sqwire.hw.ranges import Range
from sqwire.train.candidates import Candidates, candidates, first_code
from sqwire.train.networks.cells import cells


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


@pytest.mark.parametrize(("channels", "thresholds"), [((1,), (5,)), ((2, 0), (6, 7)), ((0,), (9,))])
@pytest.mark.parametrize("count", [1, 7, 30])
def test_records_are_those_of_the_circuit(count, channels, thresholds):
    x = torch.randint(-8, 8, (4, 3, 5, 6)).float()
    hw = CandidatesHw(Beat(Range(-8, 7), 3), 30, count, channels, thresholds)
    beats = x.permute(0, 2, 3, 1).reshape(4, 30, 3).numpy().astype(np.int64)
    found = candidates(x, count, channels, thresholds)
    assert found.shape == (4, 4, 1, count)
    assert np.array_equal(found[:, :, 0].permute(0, 2, 1).numpy(), hw.compute(beats))


def test_the_map_passes_in_training_only():
    x = torch.randn(2, 6, 4, 5)
    module = Candidates(3, 0.0)
    assert module(x) is x
    assert torch.equal(module.eval()(x), candidates(x, 3, [4], [0.0]))


def heads(*layers, channels=(1,), threshold=0.5, count=5):
    """About half of the positions reach 0.5."""
    torch.manual_seed(0)
    last = nn.Conv2d(4, 3, 1)
    nn.init.constant_(last.bias, 0.5)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), last, *layers,
        Candidates(count, threshold, channels),
    )  # fmt: skip


@pytest.mark.parametrize(
    "network",
    [heads(), heads(nn.BatchNorm2d(3), channels=(2, 1)), heads(nn.ReLU()), heads(threshold=99.0)],
    ids=["sums", "batch norm", "codes", "none"],
)
def test_frozen_equals_the_graph_and_the_map_it_is_made_of(network, agree):
    x = torch.randint(0, 16, (6, 1, 4, 5)).float()
    frozen = train.prepare(network, train.SQuantizer(sigma=0.0), x).freeze()
    agree(frozen, x)
    last = frozen.nodes["y"]
    source = frozen.nodes[last.inputs[0]].inputs[0]
    gain, bias = (torch.tensor(v[1:])[:, None, None] for v in (last.op.gain, last.op.bias))
    codes = torch.tensor(frozen.trace(x.numpy())[source]).float()
    want = network[-1].eval()(codes * gain + bias)
    found = torch.tensor(frozen(x.numpy()))
    there = want[:, :1] >= 0
    assert torch.equal(found[:, :1], want[:, :1])
    assert torch.equal(found.where(there, 0), want.where(there, 0))
    assert there.any() == (network[-1].threshold < 99)


def test_falling_objectness_is_refused():
    network = heads(nn.BatchNorm2d(3))
    network[4].weight.data[1] = -1
    x = torch.randint(0, 16, (6, 1, 4, 5)).float()
    with pytest.raises(ValueError, match="the gain of channel 1 must be above 0, not -"):
        train.prepare(network, train.SQuantizer(sigma=0.0), x).freeze()


def test_boxes_of_a_detector_are_those_of_its_whole_map(stir):
    x = torch.randint(0, 256, (3, 3, 48, 64)).float()
    torch.manual_seed(2)
    network = stir(cells(width=2, count=30))
    nn.init.normal_(network.head.weight, std=0.5)
    nn.init.constant_(network.head.bias, -1.0)
    method = train.SQuantizer(sigma=0.0)
    qat = train.prepare(network, method, x, input_bits=8, input_scale=1.0)
    whole = train.prepare(cells(width=2), method, x, input_bits=8, input_scale=1.0)
    whole.load_state_dict(qat.state_dict())
    records, maps = qat.freeze()(x.numpy()), whole.freeze()(x.numpy())
    assert records.shape == (3, 9, 1, 30) and maps.shape == (3, 8, 6, 8)
    assert ((records[:, 0] >= 0).sum(-1) < 30).all() and (records[:, 0] >= 0).any()
    for few, every in zip(records, maps, strict=True):
        found, want = (decode([y], [BCCD_HEAD], (48, 64)) for y in (few, every))
        assert np.array_equal(found.boxes, want.boxes)
        assert np.array_equal(found.scores, want.scores)
    assert qat.train()(x).shape == maps.shape


def test_a_threshold_is_that_of_float32():
    rng = np.random.default_rng(0)
    for _ in range(50):
        gain, bias = (np.float32(v) for v in (rng.uniform(1e-3, 1), rng.normal()))
        codes = np.arange(-500, 501)
        logits = gain * codes.astype(np.float32) + bias
        threshold = float(rng.choice(logits))
        reached = codes[logits >= threshold]
        assert first_code(gain, bias, threshold, -500, 500) == reached[0]
    assert first_code(np.float32(1), np.float32(0), 9.0, -3, 8) == 9
    assert first_code(np.float32(1), np.float32(0), -9.0, -3, 8) == -3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Candidates(0, 0.5), "count must be at least 1, not 0"),
        (lambda: Candidates(3, 0.5, ()), "channels must be some different ones"),
        (lambda: Candidates(3, 0.5, (1, 1)), "some different ones"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (heads(count=21), r"count must be at most 20 .* not 21"),
        (heads(channels=(3,)), r"channels 0 to 2 .* not 5 and \(3,\)"),
        (heads().append(nn.ReLU()), 'nothing may follow "4"'),
    ],
)
def test_networks_that_do_not_fit_are_refused(network, said):
    x = torch.randint(0, 16, (2, 1, 4, 5)).float()
    with pytest.raises(ValueError, match=said):
        train.prepare(network, train.SQuantizer(sigma=0.0), x).freeze()
