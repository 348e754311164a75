"""A whole network: operators joined by streams, AXI4-Stream at both ends."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from . import axis
from .beat import Beat

__all__ = ["Network", "Source", "Stage", "departures"]


def departures(spec, arrivals: np.ndarray) -> np.ndarray:
    """The cycles in which the outputs of an operator leave, where nothing holds them up.

    ``arrivals`` are the cycles in which its input beats come, of one or more frames.
    """
    frames = arrivals.reshape(-1, spec.beats_in)
    ready = frames[:, spec.needs() - 1] + spec.latency_cycles
    if hasattr(spec, "drain_cycles"):
        ready = ready + spec.drain_cycles()
    # One beat a cycle: none leaves before the one in front of it.
    index = np.arange(ready.size)
    return np.maximum.accumulate(ready.reshape(-1) - index) + index


@dataclass(frozen=True)
class Source:
    """Where a stream comes from: output ``port`` of the stage called ``stage``.

    ``stage`` None is the input of the network.
    """

    stage: str | None
    port: int = 0


@dataclass(frozen=True)
class Stage:
    """One operator of a network: its name, its description and what feeds its inputs."""

    name: str
    spec: Any
    sources: tuple[Source, ...]

    @property
    def instance(self) -> str:
        """Name of its instance in the Verilog: ``name`` with everything but letters, digits
        and ``_`` replaced by ``_``."""
        return re.sub(r"\W", "_", self.name)


@dataclass(frozen=True)
class Network:
    """Stages in topological order; the last one's output is the network's.

    ``input`` is what one beat of the network's input carries, ``beats_in`` how many make a frame.

    Raises
    ------
    ValueError
        If two stages share a name, a source is unknown or used twice, or a beat does not fit
        the one it is connected to.
    """

    input: Beat
    beats_in: int
    stages: tuple[Stage, ...]

    def __post_init__(self):
        free: dict[Source, tuple[Beat, int]] = {Source(None): (self.input, self.beats_in)}
        names = set()
        for stage in self.stages:
            if stage.instance in names:
                raise ValueError(f'Network: stage names must differ, not "{stage.name}" twice')
            names.add(stage.instance)
            if len(stage.sources) != len(stage.spec.inputs):
                raise ValueError(
                    f'Stage "{stage.name}": sources must be {len(stage.spec.inputs)}, '
                    f"not {len(stage.sources)}"
                )
            for source, beat in zip(stage.sources, stage.spec.inputs, strict=True):
                if source not in free:
                    raise ValueError(
                        f'Stage "{stage.name}": {source} does not exist or feeds two stages; '
                        "put a fork behind it"
                    )
                given, beats = free.pop(source)
                if given.layout != beat.layout or beats != stage.spec.beats_in:
                    raise ValueError(
                        f'Stage "{stage.name}": wants {stage.spec.beats_in} x {beat}, '
                        f"its source gives {beats} x {given}"
                    )
            for port, beat in enumerate(stage.spec.outputs):
                free[Source(stage.name, port)] = (beat, stage.spec.beats_out)
        if list(free) != [self.last]:
            raise ValueError(f"Network: one output must be left over, not {list(free)}")

    @property
    def last(self) -> Source:
        """Where the network's output comes from."""
        return Source(self.stages[-1].name if self.stages else None)

    @property
    def output(self) -> Beat:
        """What one beat of the network's output carries."""
        return self.stages[-1].spec.outputs[0] if self.stages else self.input

    @property
    def beats_out(self) -> int:
        """Output beats a frame."""
        return self.stages[-1].spec.beats_out if self.stages else self.beats_in

    @cached_property
    def axis_input(self) -> axis.Port:
        """Byte layout of ``s_axis``."""
        return axis.Port(self.input, self.beats_in)

    @cached_property
    def axis_output(self) -> axis.Port:
        """Byte layout of ``m_axis``."""
        return axis.Port(self.output, self.beats_out)

    @property
    def inputs(self):
        return (self.input,)

    @property
    def outputs(self):
        return (self.output,)

    def needs(self) -> np.ndarray:
        needs = {Source(None): np.arange(1, self.beats_in + 1)}
        for stage in self.stages:
            needed = np.maximum.reduce([needs[s] for s in stage.sources])[stage.spec.needs() - 1]
            for port in range(len(stage.spec.outputs)):
                needs[Source(stage.name, port)] = needed
        return needs[self.last]

    def output_cycles(self) -> np.ndarray:
        """Cycle in which each output beat of a single frame is transferred, without stalls.

        The first input beat is transferred in cycle 0, and one in every cycle after.
        """
        cycles = {Source(None): np.arange(self.beats_in)}
        for stage in self.stages:
            spec = stage.spec
            arrivals = np.maximum.reduce([cycles[s] for s in stage.sources])
            ready = departures(spec, arrivals)
            for port in range(len(spec.outputs)):
                cycles[Source(stage.name, port)] = ready
        return cycles[self.last]

    def trace(self, x):
        """What every stage puts out for input ``x`` (frames, beats, lanes), by source."""
        values = {Source(None): x}
        for stage in self.stages:
            got = stage.spec.compute(*(values[s] for s in stage.sources))
            for port, value in enumerate(got if isinstance(got, tuple) else (got,)):
                values[Source(stage.name, port)] = value
        return values

    def compute(self, x):
        """The exact output ``(frames, beats_out, lanes)`` for ``(frames, beats_in, lanes)``."""
        return self.trace(x)[self.last]

    def create(self) -> wiring.Component:
        """The network with plain streams ``i`` and ``o``."""
        return _Component(self)

    def top(self) -> wiring.Component:
        """The network behind AXI4-Stream ports, see :class:`_Top`."""
        return _Top(self)


def _port(component, direction, number, count):
    return getattr(component, direction if count == 1 else f"{direction}{number}")


class _Component(wiring.Component):
    """Hardware of a :class:`Network`; one submodule a stage, named after it."""

    def __init__(self, network: Network):
        self.network = network
        super().__init__({"i": In(network.input.signature), "o": Out(network.output.signature)})

    def elaborate(self, platform):
        m = Module()
        streams = {Source(None): flipped(self.i)}
        for stage in self.network.stages:
            component = stage.spec.create()
            m.submodules[stage.instance] = component
            for number, source in enumerate(stage.sources):
                sink = _port(component, "i", number, len(stage.sources))
                connect(m, streams.pop(source), sink)
            count = len(stage.spec.outputs)
            for number in range(count):
                streams[Source(stage.name, number)] = _port(component, "o", number, count)
        connect(m, streams[self.network.last], flipped(self.o))
        return m


class _Top(wiring.Component):
    """A network as a block for any design: AXI4-Stream in, AXI4-Stream out.

    One transfer is one position; :class:`sqwire.hw.axis.Port` gives the byte layout.

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        Input frames.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        Output frames.
    error : ``Out(1)``
        One cycle high for each input frame whose ``tlast`` came early or late. A short frame is
        completed with zeros and the surplus of a long one dropped: each still gives one output
        frame, and the next frame is processed correctly.
    """

    def __init__(self, network: Network):
        self.network = network
        super().__init__(
            {
                "s_axis_tdata": In(network.axis_input.bits),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(network.axis_output.bits),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.axis_in = source = axis.AxisIn(self.network.axis_input)
        m.submodules.network = network = self.network.create()
        m.submodules.axis_out = sink = axis.AxisOut(self.network.axis_output)
        connect(m, source.o, network.i)
        connect(m, network.o, sink.i)
        m.d.comb += [
            source.tdata.eq(self.s_axis_tdata),
            source.tvalid.eq(self.s_axis_tvalid),
            source.tlast.eq(self.s_axis_tlast),
            self.s_axis_tready.eq(source.tready),
            self.m_axis_tdata.eq(sink.tdata),
            self.m_axis_tvalid.eq(sink.tvalid),
            self.m_axis_tlast.eq(sink.tlast),
            sink.tready.eq(self.m_axis_tready),
            self.error.eq(source.error),
        ]
        return m
