"""Max pooling: the largest code of each channel in a window."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .pipeline import Pipeline
from .ranges import Range

__all__ = ["MaxPool"]


@dataclass(frozen=True)
class MaxPool:
    """``o[m, c] = max over t of i[m, t * channels + c]``, the reduction behind a sliding window.

    Shapes: in ``(beats, taps * channels)``, tap-major with channels innermost; out
    ``(beats, channels)``. ``range`` is that of the input and of the output. A window that reaches
    over the edge must be padded with a code that is never above a real one: ``range.lo``.

    Timing: one beat a cycle; ``latency_cycles`` is the depth of the tree of pairwise maxima, each
    with a register: ``ceil(log2(taps))``, so one tap is a wire. The whole pipeline stops while
    the output is held.

    Raises
    ------
    ValueError
        If ``channels``, ``taps`` or ``beats`` is below one.
    """

    channels: int
    taps: int
    range: Range
    beats: int = 1

    def __post_init__(self):
        for what in ("channels", "taps", "beats"):
            if getattr(self, what) < 1:
                raise ValueError(f"MaxPool: {what} must be at least 1, not {getattr(self, what)}")

    @property
    def inputs(self):
        return (Beat(self.range, self.taps * self.channels),)

    @property
    def outputs(self):
        return (Beat(self.range, self.channels),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        return (self.taps - 1).bit_length()

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return x.reshape(*x.shape[:-1], self.taps, self.channels).max(axis=-2)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`MaxPool`.

    Members
    -------
    i : ``In(stream)``
        Windows.
    o : ``Out(stream)``
        The largest code of each channel.
    """

    def __init__(self, spec: MaxPool):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i], self.o, spec.latency_cycles)

        for channel in range(spec.channels):
            codes = [self.i.payload[tap * spec.channels + channel] for tap in range(spec.taps)]
            level = 0
            while len(codes) > 1:
                # Cycle `level`: maxima of neighbours; the odd one out only waits.
                level += 1
                codes = [
                    self._larger(pipeline, codes[k : k + 2], f"max_{channel}_{level}_{k // 2}")
                    for k in range(0, len(codes), 2)
                ]
            m.d.comb += self.o.payload[channel].eq(codes[0])
        return m

    def _larger(self, pipeline, codes, name):
        larger = codes[0] if len(codes) == 1 else Mux(codes[0] > codes[1], codes[0], codes[1])
        return pipeline.register(larger, self.spec.range.shape, name)
