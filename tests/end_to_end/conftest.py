"""The demo network, trained for a few epochs only: accuracy is not the point here."""

import pytest

from sqwire import train
from sqwire.compiler.build import Build, compile_model


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> train.Run:
    recipe = train.Recipe(
        compare_float=False,
        method=train.SQuantizer(sigma=1.5, delay=1),
        schedule=train.Schedule(epochs=6),
    )
    return train.run(recipe, tmp_path_factory.mktemp("trained") / "digits")


@pytest.fixture(scope="session")
def digits() -> train.Split:
    """The test images."""
    return train.digits().test


@pytest.fixture(scope="session")
def digits_build(trained, tmp_path_factory) -> Build:
    return compile_model(trained.model, tmp_path_factory.mktemp("compiled") / "digits")
