"""A whole network: operators joined by streams, AXI4-Stream at both ends."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from . import axis, ports

__all__ = ["Network", "Source", "Stage", "departures", "frame_beats", "joined", "taken_before"]


def joined(spec, parts) -> np.ndarray:
    """What ``parts`` say of the beats of each input, of one or more frames, for what is taken.

    An operator takes a beat of every input at once, when the last of them is there; one with
    ``turns`` one after the other.
    """
    if not hasattr(spec, "turns"):
        return np.maximum.reduce(parts)
    turns = [spec.turns(number) for number in range(len(parts))]
    frames = len(parts[0]) // len(turns[0])
    result = np.empty((frames, spec.beats_in), np.int64)
    for own, part in zip(turns, parts, strict=True):
        result[:, own] = part.reshape(frames, -1)
    return result.reshape(-1)


def frame_beats(spec, number: int) -> int:
    """How many beats of input ``number`` make a frame."""
    return len(spec.turns(number)) if hasattr(spec, "turns") else spec.beats_in


def taken_before(spec, one: int, other: int) -> np.ndarray:
    """How many beats of input ``one`` are taken before each beat of input ``other`` in a frame."""
    if not hasattr(spec, "turns"):
        return np.arange(spec.beats_in)
    return np.searchsorted(spec.turns(one), spec.turns(other))


def departures(spec, arrivals: np.ndarray) -> np.ndarray:
    """The cycles in which the outputs of an operator leave, where nothing holds them up.

    ``arrivals`` are the cycles in which its input beats come, of one or more frames.
    """
    if hasattr(spec, "departures"):
        return spec.departures(arrivals)
    needs, frames = spec.needs(), arrivals.reshape(-1, spec.beats_in)
    if not np.array_equal(needs, np.arange(1, spec.beats_in + 1)):
        frames = frames[:, needs - 1]
    ready = frames + spec.latency_cycles
    if hasattr(spec, "drain_cycles"):
        ready = ready + spec.drain_cycles()
    ready = ready.reshape(-1)
    # One beat a cycle: none leaves before the one in front of it.
    if (ready[1:] > ready[:-1]).all():
        return ready
    index = np.arange(ready.size)
    return np.maximum.accumulate(ready - index) + index


@dataclass(frozen=True)
class Source:
    """Where a stream comes from: output ``port`` of the stage called ``stage``.

    ``stage`` None is the network itself, and ``port`` the number of its input.
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
    """Stages in topological order between some inputs and some outputs.

    ``inputs`` says of each input what a beat carries and how many make a frame, ``ends`` where
    each output comes from: a stage, or an input that is passed through.

    Inputs and outputs are streams that know nothing of each other, but frame ``n`` of one belongs
    to frame ``n`` of every other. The network takes from each input when it needs
    something of it and keeps no input for another: who sends must be able to offer all of them at
    the same time. Likewise who receives must take from all outputs: one that is not taken
    will stop the others.

    Raises
    ------
    ValueError
        If two stages share a name, a source is unknown, unused or used twice, or a beat does not
        fit the one it is connected to.
    """

    inputs: tuple[axis.Port, ...]
    stages: tuple[Stage, ...]
    ends: tuple[Source, ...]

    def __post_init__(self):
        free = dict(self._offered)
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
            for number, (source, beat) in enumerate(
                zip(stage.sources, stage.spec.inputs, strict=True)
            ):
                if source not in free:
                    raise ValueError(
                        f'Stage "{stage.name}": {source} does not exist or feeds two stages; '
                        "put a fork behind it"
                    )
                given = free.pop(source)
                frame = frame_beats(stage.spec, number)
                if given.beat.layout != beat.layout or given.frame != frame:
                    raise ValueError(
                        f'Stage "{stage.name}": wants {frame} x {beat}, '
                        f"its source gives {given.frame} x {given.beat}"
                    )
            free |= _given(stage)
        if sorted(map(str, free)) != sorted(map(str, self.ends)) or not self.ends:
            raise ValueError(
                f"Network: its outputs must be all that is left over, {list(free)}, "
                f"each once, not {list(self.ends)}"
            )

    @property
    def _offered(self) -> dict[Source, axis.Port]:
        return {Source(None, number): port for number, port in enumerate(self.inputs)}

    @cached_property
    def outputs(self) -> tuple[axis.Port, ...]:
        """What a beat of each output carries, and how many make a frame."""
        streams = dict(self._offered)
        for stage in self.stages:
            streams |= _given(stage)
        return tuple(streams[source] for source in self.ends)

    def needs(self, output: int = 0, input: int = 0) -> np.ndarray:
        """How many beats of a frame of an input each beat of an output waits for."""
        needs = {source: np.zeros(port.frame, int) for source, port in self._offered.items()}
        needs[Source(None, input)] = np.arange(1, self.inputs[input].frame + 1)
        for stage in self.stages:
            taken = joined(stage.spec, [needs[s] for s in stage.sources])
            needed = np.maximum.accumulate(taken)[stage.spec.needs() - 1]
            needs.update(dict.fromkeys(_given(stage), needed))
        return needs[self.ends[output]]

    def output_cycles(self, output: int = 0) -> np.ndarray:
        """Cycle in which each beat of an output is transferred, without stalls, of a single frame.

        The first beat of each input is transferred in cycle 0, and one in every cycle after.
        """
        cycles = {source: np.arange(port.frame) for source, port in self._offered.items()}
        for stage in self.stages:
            arrivals = joined(stage.spec, [cycles[s] for s in stage.sources])
            cycles.update(dict.fromkeys(_given(stage), departures(stage.spec, arrivals)))
        return cycles[self.ends[output]]

    def trace(self, *x):
        """What every stage puts out for inputs ``x`` (frames, beats, lanes), by source."""
        values = dict(zip(self._offered, x, strict=True))
        for stage in self.stages:
            got = ports.as_tuple(stage.spec.compute(*(values[s] for s in stage.sources)))
            values.update(zip(_given(stage), got, strict=True))
        return values

    def compute(self, *x):
        """The exact output ``(frames, beats, lanes)`` for an input of such shape; a tuple of them
        where there are several."""
        values = self.trace(*x)
        return ports.one_or_all([values[source] for source in self.ends])

    def create(self) -> wiring.Component:
        """The network with plain streams: ``i``, or ``i0``, ``i1``, ...; and ``o`` likewise."""
        return _Component(self)

    def top(self) -> wiring.Component:
        """The network behind AXI4-Stream ports, see :class:`_Top`."""
        return _Top(self)


def _given(stage: Stage) -> dict[Source, axis.Port]:
    """The streams that a stage puts out."""
    beats = stage.spec.beats_out
    return {
        Source(stage.name, port): axis.Port(beat, beats)
        for port, beat in enumerate(stage.spec.outputs)
    }


class _Component(wiring.Component):
    """Hardware of a :class:`Network`; one submodule a stage, named after it."""

    def __init__(self, network: Network):
        self.network = network
        self._i = ports.names("i", len(network.inputs))
        self._o = ports.names("o", len(network.outputs))
        ins = {n: In(p.beat.signature) for n, p in zip(self._i, network.inputs, strict=True)}
        outs = {n: Out(p.beat.signature) for n, p in zip(self._o, network.outputs, strict=True)}
        super().__init__(ins | outs)

    def elaborate(self, platform):
        m = Module()
        streams = {Source(None, k): flipped(getattr(self, name)) for k, name in enumerate(self._i)}
        for stage in self.network.stages:
            component = stage.spec.create()
            m.submodules[stage.instance] = component
            sinks = ports.names("i", len(stage.sources))
            for source, name in zip(stage.sources, sinks, strict=True):
                connect(m, streams.pop(source), getattr(component, name))
            given = ports.names("o", len(stage.spec.outputs))
            for number, name in enumerate(given):
                streams[Source(stage.name, number)] = getattr(component, name)
        for source, name in zip(self.network.ends, self._o, strict=True):
            connect(m, streams[source], flipped(getattr(self, name)))
        return m


class _Top(wiring.Component):
    """A network as a block for any design: AXI4-Stream in, AXI4-Stream out.

    One transfer is one position; :class:`sqwire.hw.axis.Port` gives the byte layout. Where there
    are several inputs their signals begin with ``s_axis0``, ``s_axis1``, ..., and those of several
    outputs with ``m_axis0``, ``m_axis1``, ...

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        Input frames.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        Output frames.
    error : ``Out(1)``
        One cycle high for each input frame whose ``tlast`` came early or late. A short frame is
        completed with zeros and the surplus of a long one dropped: each still gives one output
        frame, and the next frame is processed correctly. One for all inputs.
    """

    def __init__(self, network: Network):
        self.network = network
        self._i = tuple(zip(ports.names("", len(network.inputs)), network.inputs, strict=True))
        self._o = tuple(zip(ports.names("", len(network.outputs)), network.outputs, strict=True))
        members = {}
        for k, port in self._i:
            members |= {f"s_axis{k}_tdata": In(port.bits), f"s_axis{k}_tvalid": In(1)}
            members |= {f"s_axis{k}_tready": Out(1), f"s_axis{k}_tlast": In(1)}
        for k, port in self._o:
            members |= {f"m_axis{k}_tdata": Out(port.bits), f"m_axis{k}_tvalid": Out(1)}
            members |= {f"m_axis{k}_tready": In(1), f"m_axis{k}_tlast": Out(1)}
        super().__init__(members | {"error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.network = network = self.network.create()
        errors = []
        for k, port in self._i:
            m.submodules[f"axis_in{k}"] = source = axis.AxisIn(port)
            connect(m, source.o, getattr(network, f"i{k}"))
            for signal in ("tdata", "tvalid", "tlast"):
                m.d.comb += getattr(source, signal).eq(getattr(self, f"s_axis{k}_{signal}"))
            m.d.comb += getattr(self, f"s_axis{k}_tready").eq(source.tready)
            errors.append(source.error)
        for k, port in self._o:
            m.submodules[f"axis_out{k}"] = sink = axis.AxisOut(port)
            connect(m, getattr(network, f"o{k}"), sink.i)
            for signal in ("tdata", "tvalid", "tlast"):
                m.d.comb += getattr(self, f"m_axis{k}_{signal}").eq(getattr(sink, signal))
            m.d.comb += sink.tready.eq(getattr(self, f"m_axis{k}_tready"))
        m.d.comb += self.error.eq(Cat(errors).any())
        return m
