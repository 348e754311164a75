"""A thousand damaged files: each is refused in one line and in time, or is a network."""

import importlib.util
import resource
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "bench" / "fuzz_frontend.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_frontend", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("number", [0, 1])
def test_damaged_models_are_refused_or_whole(fuzz, number):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = []
    for k, mutant in enumerate(fuzz.mutants(fuzz.small_models()[number], 500, seed=2026)):
        result, seconds = fuzz.outcome(mutant)
        assert result in ("graph", "refused"), (k, result)
        assert seconds < fuzz.LIMIT_S, (k, seconds)
        outcomes.append(result)
    # Both happen, or the mutations are too harsh or too mild to say anything.
    assert 25 < outcomes.count("graph") < 475
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "KiB"


def test_the_models_to_be_damaged_are_sound(fuzz):
    for model in fuzz.small_models():
        assert fuzz.outcome(model)[0] == "graph"
