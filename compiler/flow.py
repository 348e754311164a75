"""When beats come in a network of stages and how many of them must be able to wait, and where.

Every schedule is static, so this is a matter of counting and nothing is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.folded.timing import apart, needed_by
from sqwire.hw.fork import Fork
from sqwire.hw.network import Source, Stage, departures, frame_beats, joined
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.window import Window

__all__ = ["Flow"]

Int = NDArray[np.int64]

_NEVER = 1 << 60


class Flow:
    """The streams of a network that is given ``frames`` frames as fast as it takes them.

    ``inputs`` says how many beats a frame each of the network's inputs has, ``interval`` in how
    many cycles the network takes a frame. ``early`` is for each stream the cycle in which each
    beat comes, where nothing holds it up; ``late`` the one in which it may come and each output of
    the network still gives its first frame as early as it can and the others at that interval.
    """

    def __init__(
        self, inputs: Mapping[Source, int], stages: Sequence[Stage], frames: int, interval: int
    ):
        self.inputs, self.stages, self.frames, self.interval = inputs, stages, frames, interval
        self.by_name = {stage.name: stage for stage in stages}
        self.early = {source: np.arange(frames * beats) for source, beats in inputs.items()}
        # Stages on some way, and stages (or inputs) on every way, from an input to a stage.
        self._above: dict[str, set[str]] = {}
        self._always: dict[str, set[Source | str]] = {}
        for stage in stages:
            arrivals = joined(stage.spec, [self.early[source] for source in stage.sources])
            leave = departures(stage.spec, arrivals)
            self.early.update(dict.fromkeys(_ports(stage), leave))
            before = [source.stage for source in stage.sources if source.stage is not None]
            self._above[stage.name] = set[str]().union(*(self._above[n] for n in before))
            self._above[stage.name].add(stage.name)
            always = [self.always(source) for source in stage.sources]
            self._always[stage.name] = set.intersection(*always) | {stage.name}

    def above(self, source: Source) -> set[str]:
        """Stages on some way from an input to ``source``."""
        return set() if source.stage is None else self._above[source.stage]

    def always(self, source: Source) -> set[Source | str]:
        """Stages, or an input, on every way from an input to ``source``."""
        return {source} if source.stage is None else self._always[source.stage]

    @cached_property
    def late(self) -> dict[Source, Int]:
        late: dict[Source, Int] = {}
        for stage in reversed(self.stages):
            spec = stage.spec
            ports = _ports(stage)
            wanted = np.minimum.reduce([late[s] if s in late else self._given(s) for s in ports])
            if hasattr(spec, "latest"):
                late.update(dict.fromkeys(stage.sources, spec.latest(apart(wanted))))
                continue
            ready = apart(wanted).reshape(self.frames, -1) - spec.latency_cycles
            if hasattr(spec, "drain_cycles"):
                ready = ready - spec.drain_cycles()
            incoming = needed_by(spec.needs(), ready, spec.beats_in)
            for number, source in enumerate(stage.sources):
                late[source] = _own(spec, incoming, number)
        return late

    def _given(self, output: Source) -> Int:
        """When the beats of an output of the network must come."""
        early = self.early[output].reshape(self.frames, -1)
        steady = early[0] + self.interval * np.arange(self.frames)[:, None]
        return np.maximum(early, steady).reshape(-1)

    @cached_property
    def _finally(self) -> dict[str, set[str]]:
        """For each stage those that everything it gives must pass."""
        after: dict[str, list[str]] = {stage.name: [] for stage in self.stages}
        result: dict[str, set[str]] = {}
        for stage in reversed(self.stages):
            for source in stage.sources:
                if source.stage is not None:
                    after[source.stage].append(stage.name)
            ways = [result[name] for name in after[stage.name]]
            whole = len(ways) == len(stage.spec.outputs)
            result[stage.name] = (set.intersection(*ways) if whole else set()) | {stage.name}
        return result

    def tokens(self, one: Source, other: Source, taken: Int) -> tuple[int, str]:
        """By how many beats the stream ``one`` may be ahead of ``other`` where they join.

        There so many beats of the one as ``taken`` says go before each of the other.

        Before the other gives a beat, it may swallow so many more than this one may have
        passed on; and the name of the fork where that is so. A queue on ``one`` must hold them, or
        the fork waits for the one branch and the other branch for the fork.

        Streams from different inputs wait for nothing but who sends, unless forks
        tie both inputs together elsewhere as well: ``one`` stops its fork, which starves a second
        join, which stops the fork of ``other``. That cannot happen where queues let both inputs
        go in step, as if they came out of one fork, whose name is empty here.
        """
        most, where = 0, ""
        always = self.always(one) & self.always(other)
        nearer = [a for a in always if isinstance(a, str)]
        for fork in self.above(one) & self.above(other):
            # What parts above a stage that both pass has met again.
            if not _is_fork(self.by_name[fork]) or any(
                a != fork and fork in self._above[a] for a in nearer
            ):
                continue
            most, where = max((most, where), (self._ahead(fork, one, other, taken), fork))
        if not always and self._apart_from(one) and self._apart_from(other):
            most, where = max((most, where), (self._ahead("", one, other, taken), ""))
        return most, where

    def _ahead(self, fork: str, one: Source, other: Source, taken: Int) -> int:
        swallowed = self.needs(fork, other, following=True) - 1
        passed = self.needs(fork, one, following=False)
        frames, rest = np.divmod(swallowed, self._beats(fork))
        count = frames * len(passed) + np.searchsorted(passed, rest, side="right")
        return int((count - taken).max())

    def _beats(self, fork: str) -> int:
        return int(self.by_name[fork].spec.beats if fork else max(self.inputs.values()))

    def needs(self, fork: str, source: Source, *, following: bool) -> Int:
        """Beats of ``fork`` that ``source`` waits for to give each beat of a frame.

        With ``following`` the next frame comes at once, and pushes out what it can. ``fork`` is
        empty for one from which all inputs come, each with every beat of it from the first
        on until its frame is complete.
        """
        beats = self._beats(fork)
        needs: dict[Source, Int] = {}
        if not fork:
            needs = {source: np.arange(1, count + 1) for source, count in self.inputs.items()}
        wanted = self.above(source)
        for stage in self.stages:
            if stage.name == fork:
                needs.update(dict.fromkeys(_ports(stage), np.arange(1, beats + 1)))
                continue
            if stage.name not in wanted or not any(s in needs for s in stage.sources):
                continue
            nothing = [np.zeros(frame_beats(stage.spec, k), np.int64)
                       for k in range(len(stage.sources))]  # fmt: skip
            incoming = [needs.get(s, zero) for s, zero in zip(stage.sources, nothing, strict=True)]
            needed = np.maximum.accumulate(joined(stage.spec, incoming))
            frames, rest = np.divmod(_needs(stage.spec, following) - 1, len(needed))
            needs.update(dict.fromkeys(_ports(stage), needed[rest] + frames * beats))
        return needs[source]

    def depth(self, source: Source, stage: Stage, number: int) -> int:
        """How many beats of ``source`` must be able to wait for ``stage`` so that nothing is late.

        ``source`` goes to input ``number`` of ``stage``, at once or through a queue. While the
        queue is full, what comes before it stands still, and with it the gaps between its beats
        and everything that lives of the same fork. That does no harm as long as no beat comes later
        than ``late`` allows; for a stream without gaps and forks, however long its beats wait.
        """
        taken, came = self._taken(source, stage, number), self.early[source]
        spare = _from_now_on(self.late[source] - came)
        for fork in self._apart_from(source):
            (before,) = self.by_name[fork].sources
            others = _from_now_on(self.late[before] - self.early[before])
            needs = self.needs(fork, source, following=False)
            beats = self.by_name[fork].spec.beats
            next_beat = (np.arange(self.frames)[:, None] * beats + needs).reshape(-1)
            spare = np.minimum(spare, np.append(others, _NEVER)[next_beat])
        # Beat k waits for a place until beat k - depth is taken: no later than it may.
        last = np.searchsorted(taken, came + spare, side="right") - 1
        depth = int((np.arange(len(came)) - last).max())
        # A full queue takes nothing while a beat leaves: one place more keeps it moving.
        return depth + 1 if depth > 0 else 0

    def _taken(self, source: Source, stage: Stage, number: int) -> Int:
        """When beats of ``source`` are taken at the latest, where only outputs hold them up."""
        spec = stage.spec
        # A stage and narrow adders behind it are one: it stands still while they are busy.
        slow = next(
            (s for s in self.stages
             if isinstance(s.spec, SerialDot) and s.sources == (Source(stage.name),)),
            None,
        )  # fmt: skip
        if slow and isinstance(spec, Window):
            return spec.takes(self.early[source], slow.spec.takes)
        given = self.early[Source(slow.name if slow else stage.name)].reshape(self.frames, -1)
        latency = spec.latency_cycles + (slow.spec.latency_cycles if slow else 0)
        first = np.searchsorted(spec.needs(), np.arange(1, spec.beats_in + 1))
        # A beat that no output needs goes as soon as the one before it.
        first = np.minimum(first, spec.beats_out - 1)
        return _own(spec, given[:, first].reshape(-1) - latency, number)

    def _apart_from(self, source: Source) -> list[str]:
        """The forks above ``source`` of which some way has not met the way to ``source`` again."""
        always = self.always(source)
        return [
            name
            for name in self.above(source)
            if _is_fork(self.by_name[name]) and not (self._finally[name] - {name}) & always
        ]


def _is_fork(stage: Stage) -> bool:
    return isinstance(stage.spec, Fork)


def _ports(stage: Stage) -> list[Source]:
    return [Source(stage.name, port) for port in range(len(stage.spec.outputs))]


def _own(spec: Any, beats: Int, number: int) -> Int:
    """What is said of the beats an operator takes, for those of its input ``number``."""
    if not hasattr(spec, "turns"):
        return beats
    return beats.reshape(-1, spec.beats_in)[:, spec.turns(number)].reshape(-1)


def _needs(spec: Any, following: bool) -> Int:
    if following and hasattr(spec, "steady_needs"):
        return spec.steady_needs()
    return spec.needs()


def _from_now_on(spare: Int) -> Int:
    """The least of each and all that follow."""
    return np.minimum.accumulate(spare[::-1])[::-1]
