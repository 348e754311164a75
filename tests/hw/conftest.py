import numpy as np
import pytest


@pytest.fixture
def on_time():
    """Every output of a run without stalls comes when the description says, not earlier or later.

    A beat leaves ``latency_cycles`` behind the input that completes it, but never in the same cycle
    as the one in front of it.
    """

    def check(spec, timing):
        for outputs in timing.out_cycles:
            frames = len(outputs) // spec.beats_out
            completing = np.add.outer(np.arange(frames) * spec.beats_in, spec.needs() - 1)
            inputs = np.max(timing.in_cycles, axis=0)
            ready = inputs[completing.reshape(-1)] + spec.latency_cycles
            index = np.arange(len(ready))
            predicted = np.maximum.accumulate(ready - index) + index
            assert list(outputs) == predicted.tolist()

    return check
