"""Compression, counted by hand."""

import json

import numpy as np
import pytest

from sqwire import train
from sqwire.train.card import Card, Layer


def layer(weights, nonzeros, constants=0, bits=4):
    return Layer("name", (weights,), weights, nonzeros, bits, 4, False, (0, 1), constants)


def test_bitmask_where_it_is_smaller():
    # 100 of 1000 weights: a mask has 1000 bits, addresses 100 * 10.
    dense = layer(1000, 101)
    assert (dense.bitmask_bits, dense.index_bits, dense.position) == (1000, 1010, "bitmask")
    assert dense.stored_bits == 101 * 4 + 1000


def test_index_where_it_is_smaller():
    sparse = layer(1000, 99, constants=3)
    assert (sparse.index_bits, sparse.position) == (990, "index")
    assert sparse.stored_bits == 99 * 4 + 990 + 3 * 32


def test_honest_and_papers_compression():
    card = Card((layer(1000, 99, constants=3), layer(64, 64, bits=8)), 5, {})
    assert card.weights == 1064
    assert card.nonzeros == 163
    assert card.zeros == 901 / 1064
    # 396 + 990 + 96 bits, and 512 + 64 bits.
    assert card.compression == 32 * 1064 / (1482 + 576)
    assert card.papers_compression == 32 * 1064 / (396 + 512)


def test_compression_with_a_bitmask_is_that_of_the_table():
    """Shares of zeros and ratios from the literature notes: 4 bits with and without a bitmask."""
    for zeros, mask, papers in [(0.4, 9.4, 13.3), (0.8, 17.8, 40), (0.9, 22.9, 80)]:
        nonzeros = round((1 - zeros) * 1_000_000)
        card = Card((layer(1_000_000, nonzeros),), 5, {})
        assert card.layers[0].position == "bitmask"
        assert card.compression == pytest.approx(mask, abs=0.05)
        assert card.papers_compression == pytest.approx(papers, abs=0.05)


def test_card_of_the_demo_network_counts_every_layer(random_net):
    frozen = train.freeze(random_net)
    card = train.card(frozen, {"seed": 1})
    by_name = {x.name: x for x in card.layers}
    assert [(n, x.weights) for n, x in by_name.items()] == [
        ("conv1", 72), ("conv2", 1152), ("conv3", 2304), ("add1", 0), ("fc", 640)
    ]  # fmt: skip
    for name, x in by_name.items():
        if x.weights:
            weight = frozen.nodes[name].op.weight
            assert x.nonzeros == int((weight != 0).sum())
            assert x.shape == weight.shape
            assert x.weight_bits == 4
        bounds = frozen.nodes[name].bounds
        assert x.accumulator == (bounds.low.min(), bounds.high.max())
    # A gain and a bias a channel; the addition only clamps; one scale and ten biases at the end.
    assert {n: x.constants for n, x in by_name.items()} == {
        "conv1": 16, "conv2": 32, "conv3": 32, "add1": 0, "fc": 11
    }  # fmt: skip
    assert by_name["conv3"].act_signed
    assert by_name["fc"].act_bits is None
    assert by_name["add1"].stored_bits == 0


def test_card_counts_the_constants_that_the_file_holds(random_net):
    frozen = train.freeze(random_net)
    model = train.to_qonnx(frozen)
    held = sum(
        int(np.prod(c.dims)) for c in model.graph.initializer if c.name.endswith(("_gain", "_bias"))
    )
    assert held == sum(x.constants for x in train.card(frozen).layers)


def test_card_is_json_with_its_facts(random_net, tmp_path):
    card = train.card(train.freeze(random_net), {"seed": 1})
    card.save(tmp_path / "card.json")
    document = json.loads((tmp_path / "card.json").read_text())
    assert document["seed"] == 1
    assert document["compression"] == card.compression
    assert document["layers"][1]["position"] == card.layers[1].position
    assert document["layers"][1]["zeros"] == 1 - document["layers"][1]["nonzeros"] / 1152
