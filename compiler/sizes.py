"""Sizes of folded engines that are worth trying for a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .folding import Fold, Unit
from .narrow import LANES

__all__ = [
    "MOST_LANES",
    "even_fold",
    "kinds",
    "lane_counts",
    "narrowest",
    "split_folds",
    "variants",
]

# Lanes that share banks, and a layer's lanes at most.
_RING, MOST_LANES = 8, 512
# Lanes with inputs of their own, at most: every output waits for all of them, and each has a bank.
_MOST_SPLIT = 32
# Where weights have more digits than this on average, shifting takes longer than multiplying.
_MOST_DIGITS = 1.3
# A program of zeros too, without addresses, is worth so many times the lanes at most.
_MOST_DENSE = 1.6
# Lanes may stand idle for so small a share of the time, because outputs do not divide evenly.
_EVEN = 0.97


def variants(unit: Unit, fold: Fold) -> Sequence[Fold]:
    """``fold``, and what to try next if it is too slow by a little."""
    result = [fold]
    fixed = fold.dense or fold.by_input
    if fold.lanes_in < fold.ring and not fixed:
        result.append(replace(fold, ring=fold.ring // 2))
    if fold.lanes % (2 * fold.parts * fold.lanes_out) == 0 and not fixed:
        result.append(replace(fold, parts=2 * fold.parts))
    if unit.op.stride != (1, 1):
        reach = unit.tensor.width * (unit.op.kernel[0] + unit.op.stride[0])
        result.append(replace(fold, slots=1 << reach.bit_length()))
    return result


def kinds(unit: Unit) -> list[tuple[str, int, bool]]:
    """Kinds of lanes worth trying, how many products each does, and whether for zeros too.

    Where zeros cost few lanes more, a program without addresses may be better.
    """
    found = [("dsp", unit.nonzeros, False), ("lut", unit.nonzeros, False)]
    if unit.op.weight.size <= _MOST_DENSE * unit.nonzeros:
        found += [(kind, unit.op.weight.size, True) for kind in ("dsp", "lut")]
    if unit.signed_digits <= _MOST_DIGITS * unit.nonzeros:
        found.append(("digit", unit.signed_digits, False))
    return found


def lane_counts(least: int, most: float) -> Iterator[int]:
    """Numbers of lanes, from ``least`` to ``most``: whole rings, of 8 where they are many."""
    yield from (n for n in (1, 2, 4, 6) if least <= n <= most)
    for step, first, last in ((4, 8, 32), (8, 32, 128), (16, 128, MOST_LANES + 1)):
        yield from (n for n in range(first, last, step) if least <= n <= most)


def even_fold(
    lanes: int, lanes_in: int, lanes_out: int, outputs: int, kind: str, dense: bool
) -> Fold | None:
    """``lanes`` in rings as wide as they allow; sums in as few parts as use all lanes evenly.

    None where the counts do not divide.
    """
    if lanes % lanes_out:
        return None
    beats = outputs // lanes_out
    best: tuple[float, int, int] | None = None
    for parts in range(1, min(_RING, lanes) + 1 if dense else lanes // lanes_out + 1):
        group, rest = divmod(lanes, lanes_out * parts)
        if rest:
            continue
        ring = min(_RING, lanes & -lanes)
        while parts > 1 and ring > lanes_in and lanes // parts % ring:
            ring //= 2
        if dense and (ring % parts or lanes // parts % ring):
            continue  # each part has whole rings, and its share of the banks
        even = beats / (-(-beats // group) * group)
        if ring >= lanes_in and (best is None or even > best[0]):
            best = even, parts, ring
        if best is not None and best[0] >= _EVEN:
            break
    if best is None:
        return None
    _, parts, ring = best
    return Fold(lanes, ring, parts, lanes_in, lanes_out, kind, dense=dense)


def split_folds(unit: Unit, least: int, lanes_in: int, kind: str) -> Iterator[Fold]:
    """At least so many lanes that each have inputs of their own, fewest first."""
    lanes = max(1 << (least - 1).bit_length(), lanes_in)
    while lanes <= min(_MOST_SPLIT, unit.tensor.channels):
        yield Fold(lanes, lanes, lanes, lanes_in, 1, kind, by_input=True)
        lanes *= 2


def narrowest(channels: int, positions: int, interval: int) -> int | None:
    """The fewest channels a beat with which a stream keeps up."""
    for lanes in LANES:
        if channels % lanes == 0 and channels // lanes * positions <= interval:
            return lanes
    return None
