"""Comparison with a threshold out of a memory: another for each channel, say."""

from amaranth.hdl import Signal

from ..ranges import Range
from .memory import Fabric, Store, pipe
from .rom import pack, rom

__all__ = ["compare_cycles", "reached", "reached_store"]


def reached_store(name: str, depth: int, domain: Range, fabric: Fabric) -> Store:
    """The memory of ``depth`` thresholds for codes of ``domain``, some of which are never."""
    return Store(name, depth, _thresholds(domain).bits, True, 1, fabric)


def compare_cycles(store: Store) -> int:
    """Look up and compare; the word of a block RAM, which is slow, goes through a register."""
    return 3 if store.kind == "block" else 2


def reached(m, store: Store, domain: Range, thresholds, address, x, name):
    """Whether ``x``, in ``domain``, is ``thresholds[address]`` or more; so many cycles later."""
    cycles = compare_cycles(store)
    word = rom(m, store, pack([thresholds], [store.width]), address)
    limit = Signal(_thresholds(domain).shape, name=f"{name}_limit")
    m.d.comb += limit.eq(pipe(m, word, cycles - 2, f"{name}_threshold"))
    out = Signal(name=f"{name}_reached", reset_less=True)
    m.d.sync += out.eq(pipe(m, x, cycles - 1, f"{name}_x") >= limit)
    return out


def _thresholds(domain):
    return Range(domain.lo, domain.hi + 1)
