"""Storage and compression, counted by hand."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from sqwire import train
from sqwire.train.accounting import storage
from sqwire.train.card import REQUIRED


def sparse(count, nonzeros, code=3):
    codes = np.zeros(count, dtype=np.int64)
    codes[:: count // nonzeros][:nonzeros] = code
    return codes


def test_each_format_is_counted_as_written():
    codes = np.array([0, 0, 3, 0, 0, 0, 0, -1, 2, 0])
    kept = storage(codes, 4).formats
    assert kept["dense"] == 40
    assert kept["bitmask"] == 10 + 3 * 4
    # gaps 2, 4, 0: in 2 bits the gap of 4 takes an entry more; in 3 bits none does.
    assert kept["runs"] == min((3 + 1) * (2 + 4), 3 * (3 + 4), (3 + 3) * (1 + 4))
    ideal = -(7 * math.log2(0.7) + 3 * math.log2(0.1))
    assert kept["entropy"] == math.ceil(ideal) + 2 + 4 * 36


def test_best_format_depends_on_the_zeros():
    rng = np.random.default_rng(0)
    dense = rng.integers(-7, 8, 100_000)
    assert storage(dense, 4).best in ("dense", "entropy")
    for share in (0.5, 0.9, 0.99):
        codes = np.where(rng.random(100_000) < share, 0, rng.choice([-5, 1, 7], 100_000))
        kept = storage(codes, 4)
        assert kept.bits == min(kept.formats.values())
        assert kept.bits < kept.formats["dense"]


def test_zeros_only_take_nothing():
    assert storage(np.zeros(50, dtype=np.int64), 4).bits == 0


@pytest.mark.parametrize(("zeros", "mask"), [(0.4, 9.4), (0.8, 17.8), (0.9, 22.9), (0.99, 30.8)])
def test_bitmask_compression_is_that_of_the_table(zeros, mask):
    """Shares of zeros and ratios for 4 bits that follow from the format alone."""
    codes = np.zeros(1_000_000, dtype=np.int64)
    codes[: round((1 - zeros) * 1_000_000)] = 1
    assert 32e6 / storage(codes, 4).formats["bitmask"] == pytest.approx(mask, abs=0.05)


@pytest.fixture
def frozen(stir, digits):
    net = stir(train.networks.demo((8, 16)))
    x = torch.tensor(digits.train.x[:64])
    return train.prepare(net, train.SQuantizer(sigma=0.5), x).eval().freeze()


def test_card_counts_every_layer(frozen):
    card = frozen.card
    by_name = {x.name: x for x in card.layers}
    assert [(n, x.weights) for n, x in by_name.items()] == [
        ("conv1", 72), ("conv2", 1152), ("conv3", 2304), ("add1", 0), ("fc", 640)
    ]  # fmt: skip
    for name, x in by_name.items():
        node = frozen.nodes[name]
        if x.weights:
            assert x.nonzeros == int((node.op.weight != 0).sum())
            assert x.shape == node.op.weight.shape
            assert x.weight_bits == 4
            assert x.largest_code == np.abs(node.op.weight).max() == 7
        low, high = node.bounds.low.min(), node.bounds.high.max()
        assert x.accumulator == (low, high)
        assert -(2 ** (x.accumulator_bits - 1)) <= low
        assert high < 2 ** (x.accumulator_bits - (low < 0))
    # A gain and a bias a channel; the addition only clamps; ten of each at the end.
    assert {n: x.constants for n, x in by_name.items()} == {
        "conv1": 16, "conv2": 32, "conv3": 32, "add1": 0, "fc": 20
    }  # fmt: skip
    assert by_name["conv3"].act_signed
    assert by_name["fc"].act_bits is None
    assert by_name["conv2"].macs == 1152 * 16
    assert by_name["conv2"].bops == by_name["conv2"].nonzeros * 16 * 4 * 4
    assert by_name["conv1"].bops == by_name["conv1"].nonzeros * 64 * 4 * card.input_bits
    stored = sum(x.stored + 32 * x.constants for x in card.layers)
    assert card.compression == 32 * 4168 / stored
    assert card.papers_compression == 32 * 4168 / (4 * card.nonzeros)
    assert card.papers_width_compression == pytest.approx(32 / 3)
    assert card.float_bops == (72 * 64 + 1152 * 16 + 2304 * 16 + 640) * 1024


def test_card_counts_the_constants_that_the_file_holds(frozen):
    held = sum(
        int(np.prod(c.dims))
        for c in train.to_qonnx(frozen).graph.initializer
        if c.name.endswith(("_gain", "_bias"))
    )
    assert held == sum(x.constants for x in frozen.card.layers)


def test_card_has_every_field_and_is_json(frozen, tmp_path):
    frozen.card.save(tmp_path / "card.json")
    document = json.loads((tmp_path / "card.json").read_text())
    for name in (*REQUIRED, "rounding", "batch_norm", "scale_format", "bias", "residual_bits",
                 "first_layer", "last_layer", "weight_grid", "bops", "compression"):  # fmt: skip
        assert document[name] is not None, name
    assert document["residual_bits"] == [4]
    assert document["first_layer"] == {"name": "conv1", "weight_bits": 4}
    assert "conv3" in str(frozen.card)


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_field_is_an_error_and_writes_nothing(name, frozen, tmp_path):
    card = train.card(frozen, {name: None})
    with pytest.raises(ValueError, match=rf"every field must be filled, and {name} is not"):
        card.save(tmp_path / "card.json")
    assert not list(tmp_path.iterdir())


def test_facts_of_the_training_are_on_the_card(images):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1))
    qat = train.prepare(net, train.SQuantizer(), images, steps_per_epoch=4).eval()
    for _ in range(6):
        qat.step()
    document = qat.freeze(data="twelve images", seed=7).card.document()
    assert (document["data"], document["seed"], document["epochs"]) == ("twelve images", 7, 1.5)
    assert document["settings"]["sigma"] == 0.5
