"""How deep a queue before a join must be: a count of beats, not a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import INPUT, Graph
from .ops import Chain

__all__ = ["Balance", "Lead"]

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Lead:
    """How far one input of a join is ahead of the slowest.

    ``tokens`` is the depth below which the network deadlocks: beats that this input may have
    passed on before the slowest gives its next. ``steady`` is the same while frame follows frame,
    where a window waits for the next frame and does not drain; ``cycles`` by how many cycles of
    latency the slowest comes later.
    """

    tokens: int
    steady: int
    cycles: int

    @property
    def depth(self) -> int:
        """Places that keep the rate. A full queue takes nothing while a beat leaves, so it is one
        more than what waits."""
        waiting = max(self.tokens, self.steady) + self.cycles
        return waiting + 1 if waiting else 0


@dataclass(frozen=True)
class _Profile:
    """Seen from a fork: beats behind it that each output beat of a node takes, and cycles.

    ``steady`` goes on with every frame: output ``k + len(steady)`` takes one frame more.
    """

    needs: Int
    steady: Int
    cycles: int


class Balance:
    """The forks of a graph, and what lies between each and the joins behind it.

    An eager fork lets no branch be more than one beat ahead in what it takes. So before a
    join can fire for the m-th time, each branch has passed on what it can make of one beat less
    than the slowest branch needs for its m-th output; all but m - 1 of that waits.
    """

    def __init__(self, graph: Graph, chains: Mapping[str, Chain]):
        self._graph, self._chains = graph, chains
        self._dominator: dict[str, str] = {}
        self._level = {INPUT: 0}
        self._profiles: dict[str, dict[str, _Profile]] = {}
        for node in graph.nodes:
            self._dominator[node.name] = above = self.fork(node.inputs)
            self._level[node.name] = self._level[above] + 1

    def fork(self, inputs: Sequence[str]) -> str:
        """The nearest node that the streams of all ``inputs`` have passed."""
        common = inputs[0]
        for other in inputs[1:]:
            while common != other:
                if self._level[common] >= self._level[other]:
                    common = self._dominator[common]
                else:
                    other = self._dominator[other]
        return common

    def leads(self, inputs: Sequence[str], latency: Mapping[str, int]) -> list[Lead]:
        """For each input of a join, how far it is ahead; ``latency`` is that of each node."""
        fork = self.fork(inputs)
        profiles = [self._profile(fork, name, latency) for name in inputs]
        frame = self._graph.tensors[fork].positions
        slowest = max(profile.cycles for profile in profiles)
        needed = np.maximum.reduce([profile.needs for profile in profiles])
        # As many frames as a branch swallows before its first output, and two more.
        frames = 2 + max(int(profile.steady[0]) for profile in profiles) // frame
        places = np.arange(1, frames * len(needed) + 1)
        steady = [_at(profile.steady, frame, places) for profile in profiles]
        needed_steady = np.maximum.reduce(steady)
        return [
            Lead(
                _ahead(profile.needs, needed),
                _ahead(own, needed_steady),
                slowest - profile.cycles,
            )
            for profile, own in zip(profiles, steady, strict=True)
        ]

    def _profile(self, fork: str, name: str, latency: Mapping[str, int]) -> _Profile:
        known = self._profiles.setdefault(fork, {})
        if not known:
            start = np.arange(1, self._graph.tensors[fork].positions + 1)
            known[fork] = _Profile(start, start, 0)
        if name not in known:
            # Everything between the fork and the node, in topological order.
            for node in self._graph.nodes:
                if node.name in known or not all(i in known for i in node.inputs):
                    continue
                before = [known[i] for i in node.inputs]
                known[node.name] = self._through(node.name, before, fork, latency[node.name])
                if node.name == name:
                    break
        return known[name]

    def _through(self, name: str, before: Sequence[_Profile], fork: str, latency: int) -> _Profile:
        frame = self._graph.tensors[fork].positions
        needs = np.maximum.reduce([profile.needs for profile in before])
        steady = np.maximum.reduce([profile.steady for profile in before])
        for _, spec in self._chains[name]:
            needs = needs[spec.needs() - 1]
            steady = _at(steady, frame, _steady_needs(spec))
        return _Profile(needs, steady, latency + max(profile.cycles for profile in before))


def _steady_needs(spec: Any) -> Int:
    """Input beats for each output beat while the next frame follows."""
    steady: Int = spec.steady_needs() if hasattr(spec, "steady_needs") else spec.needs()
    return steady


def _at(needs: Int, frame: int, places: Int) -> Int:
    """``needs`` of output beats counted from 1 on, over any number of frames."""
    which, place = np.divmod(places - 1, len(needs))
    return np.asarray(needs[place] + which * frame)


def _ahead(own: Int, needed: Int) -> int:
    """The most beats that wait: passed on with one beat less than needed, but not yet used."""
    passed = np.searchsorted(own, needed - 1, side="right")
    return max(0, int((passed - np.arange(len(needed))).max()))
