"""Which lane sums which output and which bank holds which input, so that no lane waits for long.

Only counts matter. If ``C[i][b]`` of the products of lane ``i`` read bank ``b``, a ring takes
``sum over r of max over i of C[i][(i + r) % ring]`` cycles. The search swaps channels as long as a
smooth form of that, with logarithms of sums of exponentials for maxima, falls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.folded.layout import Layout

__all__ = ["Search"]

Int = NDArray[np.int64]
Float = NDArray[np.float64]

_ROUNDS, _PART_ROUNDS, _PART_TRIES = 60, 6, 8
_MOST_CANDIDATES = 16384
# Stop there; do not start again there; how much to start again (over the size of the counts).
_ENOUGH, _GOOD, _WORK = 0.99, 0.97, 100_000
# How often products are moved between parts in a round, and of how many lanes one moves at a time:
# many at once, each right by itself, are too many.
_MOVES, _MOVING = 80, 8
_SHARPNESS = (1.0, 2.0, 4.0)


@dataclass
class Search:
    """The state: where channels are, and how many products each lane reads from each bank.

    ``counts`` (outputs, inputs) is how many products each pair of channels has. ``share[k, o, b]``
    is how many of output ``o`` that read bank ``b`` are summed in part ``k``.
    """

    counts: Int
    lanes: int
    ring: int
    parts: int = 1
    lanes_in: int = 1
    lanes_out: int = 1
    bank: Int = field(init=False)
    lane: Int = field(init=False)
    share: Int = field(init=False)

    def __post_init__(self) -> None:
        outputs, inputs = self.counts.shape
        Layout.check(
            self.lanes, self.ring, inputs, outputs, self.parts, self.lanes_in, self.lanes_out
        )
        self.group = self.lanes // (self.parts * self.lanes_out)
        o = np.arange(outputs)
        first = (np.arange(self.parts)[:, None] * self.lanes_out + o % self.lanes_out) * self.group
        self.bank = np.arange(inputs) % self.ring
        self.lane = first + o // self.lanes_out % self.group
        self._split()
        self.rng = np.random.default_rng(0)

    @cached_property
    def _turn(self) -> Int:
        """(lanes, ring): the bank that a lane reads at each rotation."""
        return (np.arange(self.lanes)[:, None] + np.arange(self.ring)) % self.ring

    def _split(self) -> None:
        """Share the products of each output evenly among its parts."""
        outputs = len(self.counts)
        by_bank = _summed(self.counts.T, self.bank, self.ring)
        extra = np.arange(outputs)[:, None] + np.arange(self.ring)
        parts = np.arange(self.parts)[:, None, None]
        self.share = (by_bank.T + (extra + parts) % self.parts) // self.parts
        self._count()

    def phases(self) -> Int:
        """(rings, ring): the cycles each ring spends at each rotation."""
        turned = np.take_along_axis(self.cells, self._turn, 1)
        return turned.reshape(-1, self.ring, self.ring).max(axis=1)

    @property
    def cycles(self) -> int:
        """Length of the program."""
        return int(self.phases().sum(axis=1).max())

    def run(self, rounds: int = _ROUNDS) -> None:
        """Search until nothing improves, or little is left to gain; keeps the best found.

        Where much is left to gain it starts again, from the best with some channels swapped.
        """
        self._begin(rounds)
        self.mean = self.counts.sum() / self.lanes / self.ring
        bound = max(1.0, self.mean * self.ring)
        best = self._state()
        tries = int(np.clip(_WORK / self.counts.size, 2, 24))
        if self.parts > 1:
            # Sharing products out takes many moves; a good start is made above.
            tries, rounds = min(tries, _PART_TRIES), min(rounds, _PART_ROUNDS)
        for attempt in range(tries):
            for sharpness in _SHARPNESS[min(attempt, 1) :]:
                self.beta = min(sharpness / max(1.0, float(np.sqrt(self.mean))), 3.0)
                for _ in range(rounds):
                    if bound >= (_ENOUGH if self.parts == 1 else _GOOD) * best[0]:
                        break
                    moved = [self._swap_outputs(k) for k in range(self.parts)]
                    moved.append(self._swap_inputs() if self.parts == 1 else self._share_out())
                    best = min(best, self._state(), key=lambda state: state[0])
                    if not any(moved):
                        break
            self._restore(best)
            if bound >= _GOOD * best[0]:
                break
            if attempt < tries - 1:
                self._disturb()

    def _begin(self, rounds: int) -> None:
        """With several parts: take over what is best with one, on as many lanes as a part has."""
        lanes = self.lanes // self.parts
        if self.parts == 1 or lanes % self.ring:
            return
        one = Search(self.counts, lanes, self.ring, 1, self.lanes_in, self.lanes_out)
        one.run(rounds)
        self.bank = one.bank
        self.lane = one.lane + np.arange(self.parts)[:, None] * lanes
        self._split()

    def _state(self) -> tuple[int, Int, Int, Int]:
        return self.cycles, self.bank.copy(), self.lane.copy(), self.share.copy()

    def _restore(self, state: tuple[int, Int, Int, Int]) -> None:
        _, bank, lane, share = state
        self.bank, self.lane, self.share = bank.copy(), lane.copy(), share.copy()
        self._count()

    def _count(self) -> None:
        self.cells = np.zeros((self.lanes, self.ring), np.int64)
        for k in range(self.parts):
            np.add.at(self.cells, self.lane[k], self.share[k])

    def _disturb(self) -> None:
        """Swap a few outputs at random."""
        a, b = self._pairs(len(self.counts), self.group * self.lanes_out, self.lanes_out)
        if not len(a):
            return
        for q in self.rng.integers(0, len(a), max(2, len(self.counts) // 16)):
            k = int(self.rng.integers(self.parts))
            pair = self.lane[k, a[q]], self.lane[k, b[q]]
            self.lane[k, b[q]], self.lane[k, a[q]] = pair
        self._count()

    def _weigh(self, cells: Float | Int) -> Float:
        return np.exp(np.minimum(self.beta * (cells - self.mean), 60.0))

    def _costs(self, sums: Float) -> Float:
        """Of rings, from the sum over their lanes at each rotation (last axis)."""
        return np.log(np.maximum(sums, 1e-30)).sum(axis=-1) / self.beta

    def _now(self) -> tuple[Float, Float, Float]:
        turned = self._weigh(np.take_along_axis(self.cells, self._turn, 1))
        sums = turned.reshape(-1, self.ring, self.ring).sum(axis=1)
        return turned, sums, self._costs(sums)

    def _swap_outputs(self, k: int) -> bool:
        """Swap outputs of one row of part ``k`` between lanes; as many as gain, one a ring."""
        weighed, sums, costs = self._now()
        a, b = self._pairs(len(self.counts), self.group * self.lanes_out, self.lanes_out)
        if not len(a):
            return False
        lane_a, lane_b = self.lane[k, a], self.lane[k, b]
        change = self.share[k, b] - self.share[k, a]
        turned = np.take_along_axis(self.cells, self._turn, 1)
        up = self._weigh(
            turned[lane_a] + np.take_along_axis(change, self._turn[lane_a], 1)
        ) - weighed[lane_a]  # fmt: skip
        down = self._weigh(
            turned[lane_b] - np.take_along_axis(change, self._turn[lane_b], 1)
        ) - weighed[lane_b]  # fmt: skip
        ring_a, ring_b = lane_a // self.ring, lane_b // self.ring
        same = (ring_a == ring_b)[:, None]
        new_a = self._costs(sums[ring_a] + up + np.where(same, down, 0))
        new_b = self._costs(sums[ring_b] + down + np.where(same, up, 0))
        gain = self._soft(new_a, costs) - self._soft(costs[ring_a], costs)
        gain += np.where(same[:, 0], 0, self._soft(new_b, costs) - self._soft(costs[ring_b], costs))
        touched: set[int] = set()
        for q in np.argsort(gain, kind="stable")[:128]:
            if gain[q] > -1e-7:
                break
            rings = {int(ring_a[q]), int(ring_b[q])}
            if rings & touched:
                continue
            touched |= rings
            self.lane[k, a[q]], self.lane[k, b[q]] = lane_b[q], lane_a[q]
            self.cells[lane_a[q]] += change[q]
            self.cells[lane_b[q]] -= change[q]
        return bool(touched)

    def _soft(self, cost: Float, costs: Float) -> Float:
        """A smooth form of the longest ring, up to a factor: the sum of these over rings."""
        return np.exp(np.minimum(self.beta / 2 * (cost - costs.max()), 60.0))

    def _pairs(self, count: int, block: int, apart: int) -> tuple[Int, Int]:
        """Pairs within blocks that may change places: those ``apart`` is the same modulo."""
        i, j = np.triu_indices(min(block, count), apart)
        fits = (j - i) % apart == 0
        starts = np.arange(0, count, block)[:, None]
        a, b = (starts + i[fits]).reshape(-1), (starts + j[fits]).reshape(-1)
        inside = b < count
        a, b = a[inside], b[inside]
        if len(a) > _MOST_CANDIDATES:
            chosen = self.rng.choice(len(a), _MOST_CANDIDATES, replace=False)
            a, b = a[chosen], b[chosen]
        return a, b

    def _swap_inputs(self) -> bool:
        """The one swap of two inputs between banks that gains most."""
        _, sums, costs = self._now()
        a, b = self._pairs(len(self.bank), self.ring, 1)
        most = max(1, (1 << 21) // (self.lanes * self.ring))
        if len(a) > most:
            chosen = self.rng.choice(len(a), most, replace=False)
            a, b = a[chosen], b[chosen]
        if not len(a):
            return False
        by_lane = _summed(self.counts, self.lane[0], self.lanes)
        bank_a, bank_b = self.bank[a], self.bank[b]
        change = by_lane[:, b] - by_lane[:, a]
        cells_a, cells_b = self.cells[:, bank_a], self.cells[:, bank_b]
        up = self._weigh(cells_a + change) - self._weigh(cells_a)
        down = self._weigh(cells_b - change) - self._weigh(cells_b)
        change_of_sums = self._by_rotation(up, bank_a) + self._by_rotation(down, bank_b)
        new = self._costs(np.moveaxis(sums[:, :, None] + change_of_sums, 1, 2))
        gain = (self._soft(new, costs) - self._soft(costs, costs)[:, None]).sum(axis=0)
        q = int(np.argmin(gain))
        if gain[q] > -1e-7:
            return False
        self.bank[a[q]], self.bank[b[q]] = bank_b[q], bank_a[q]
        self.cells[:, bank_a[q]] += change[:, q]
        self.cells[:, bank_b[q]] -= change[:, q]
        self.share = _summed(self.counts.T, self.bank, self.ring).T[None].copy()
        return True

    def _by_rotation(self, cells: Float, bank: Int) -> Float:
        """(rings, ring, swaps): of (lanes, swaps), that of the lane which reads ``bank``."""
        lane = (bank - np.arange(self.ring)[:, None]) % self.ring
        return np.take_along_axis(cells.reshape(-1, self.ring, len(bank)), lane[None], 1)

    def _share_out(self) -> bool:
        """Move single products of outputs from one part to another."""
        moved = False
        for _ in range(_MOVES):
            weighed, sums, costs = self._now()
            slope = (self._soft(costs, costs)[:, None] / sums).repeat(self.ring, axis=0)
            more, less = np.empty((2, self.lanes, self.ring))
            np.put_along_axis(more, self._turn, np.expm1(self.beta) * weighed * slope, 1)
            np.put_along_axis(less, self._turn, np.expm1(-self.beta) * weighed * slope, 1)
            if not self._share(less, more):
                break
            moved = True
        return moved

    def _share(self, less: Float, more: Float) -> bool:
        """Move some of what gains, most first; of a sum of a lane from a bank one product at most.

        ``less`` and ``more`` (lanes, ring) are what one product less or more there is worth.
        """
        taken = np.where(self.share > 0, less[self.lane], 0)
        best = taken.argmin(axis=0)
        given = more[self.lane]
        np.put_along_axis(given, best[None], np.inf, 0)
        to = given.argmin(axis=0)
        flat = (taken.min(axis=0) + given.min(axis=0)).reshape(-1)
        gains = np.flatnonzero(flat < -1e-9)
        gains = gains[np.argsort(flat[gains], kind="stable")[: max(1, self.lanes // _MOVING)]]
        o, b = np.divmod(gains, self.ring)
        k, to = best[o, b], to[o, b]
        here, there = self.lane[k, o] * self.ring + b, self.lane[to, o] * self.ring + b
        touched: set[int] = set()
        chosen = []
        for q, cells in enumerate(zip(here.tolist(), there.tolist(), strict=True)):
            if touched.isdisjoint(cells):
                touched.update(cells)
                chosen.append(q)
        k, to, o, b = k[chosen], to[chosen], o[chosen], b[chosen]
        self.share[k, o, b] -= 1
        self.share[to, o, b] += 1
        self.cells[self.lane[k, o], b] -= 1
        self.cells[self.lane[to, o], b] += 1
        return bool(chosen)


def _summed(rows: Int, places: Int, count: int) -> Int:
    """For each of ``count`` places the sum of the rows that go there."""
    there = places == np.arange(count)[:, None]
    return (there.astype(np.float64) @ rows).astype(np.int64)  # exact, and faster than add.at
