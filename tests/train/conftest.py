"""Small networks and data that the tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sqwire import train
from sqwire.compiler import frontend


@pytest.fixture(autouse=True)
def one_thread():
    """Tests share two cores with others."""
    torch.set_num_threads(1)
    torch.manual_seed(11)


def _stir(model: nn.Module) -> nn.Module:
    """Batch norms as if they had seen something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-1.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    return model


def _agree(frozen: train.Frozen, x: torch.Tensor, folder: Path) -> int:
    """Compare every integer of a frozen network with the compiler's graph of its export.

    Gives the number of tensors compared.
    """
    file = folder / "model.onnx"
    frozen.export(file)
    graph = frontend.import_qonnx(file)
    traced = graph.trace(graph.input.quantize(x.numpy()))
    ours = frozen.trace(x.numpy())
    compared = 0
    for name, codes in ours.items():
        if name in traced:
            assert np.array_equal(traced[name].transpose(0, 3, 1, 2), codes), name
            compared += 1
    last = graph.nodes[-1].name
    assert last in ours, f"the last tensor, {last}, must be one of ours"
    return compared


@pytest.fixture
def tiny() -> nn.Sequential:
    """Two convolutions and a fully connected layer, without batch norm."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@pytest.fixture
def images() -> torch.Tensor:
    """Twelve frames of 1x8x8, integers 0..16."""
    return torch.randint(0, 17, (12, 1, 8, 8)).float()


@pytest.fixture(scope="session")
def digits() -> train.Data:
    """The real ones."""
    return train.digits()


@pytest.fixture(scope="session")
def quick() -> train.Recipe:
    """The demo's network for three epochs."""
    return train.Recipe(
        seed=3,
        compare_float=False,
        method=train.SQuantizer(sigma=1.2, delay=1),
        schedule=train.Schedule(epochs=3),
    )


@pytest.fixture(scope="session")
def trained(quick, tmp_path_factory) -> train.Run:
    """What :func:`quick` trains."""
    return train.run(quick, tmp_path_factory.mktemp("trained") / "run")


def _learn(qat, x, y, steps: int, lr: float = 0.05):
    """A few steps of a loop of one's own."""
    optimizer = torch.optim.SGD(qat.parameters(), lr=lr, momentum=0.9)
    losses = []
    for _ in range(steps):
        loss = qat.loss(nn.functional.cross_entropy(qat(x), y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if qat.step():
            optimizer.state.clear()
        losses.append(float(loss.detach()))
    return losses


@pytest.fixture
def stir():
    return _stir


@pytest.fixture
def agree(tmp_path):
    """Compare with the compiler's graph, see above; ``agree(frozen, x)``."""
    return lambda frozen, x: _agree(frozen, x, tmp_path)


@pytest.fixture
def learn():
    return _learn
