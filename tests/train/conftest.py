"""A tiny run of the demo's recipe, shared by the tests in which training is not the point."""

import pytest
import torch

from sqwire import train

QUICK = train.Recipe(
    seed=3,
    compare_float=False,
    method=train.SQuantizer(sigma=1.2, delay=1),
    schedule=train.Schedule(epochs=3),
)


@pytest.fixture(scope="session")
def quick() -> train.Recipe:
    """A recipe of three epochs."""
    return QUICK


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> train.Run:
    """What :func:`quick` trains."""
    return train.run(QUICK, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="session")
def test_images() -> train.Split:
    """The 540 test images."""
    return train.digits()[1]


@pytest.fixture
def random_net() -> train.Network:
    """The demo network with random weights and random batch norms, in evaluation."""
    torch.manual_seed(11)
    network = train.demo_net(train.SQuantizer(sigma=0.5), (8, 16))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(-1.5, 1.5)
            module.bias.data.uniform_(-1, 1)
            module.running_mean.uniform_(-3, 3)
            module.running_var.uniform_(1, 30)
    network.quantize(True)
    return network.eval()
