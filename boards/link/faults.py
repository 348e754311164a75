"""A line that damages what it carries: for the tests, and to see a link recover."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .client import Line

__all__ = ["Faults", "FaultyLine"]


@dataclass(frozen=True)
class Faults:
    """How often a byte suffers: a bit flipped, lost, doubled, or a foreign one before it."""

    flip: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    insert: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.flip + self.drop + self.double + self.insert <= 1:
            raise ValueError("Faults: the rates must be positive and their sum at most 1")

    @classmethod
    def all(cls, rate: float) -> Faults:
        """All four kinds, ``rate`` together."""
        return cls(rate / 4, rate / 4, rate / 4, rate / 4)


class FaultyLine:
    """A line around another one that damages both directions; ``struck`` counts faults."""

    def __init__(self, line: Line, faults: Faults, seed: int = 0) -> None:
        self._line, self.faults, self._random = line, faults, random.Random(seed)
        self.struck = 0

    @property
    def in_waiting(self) -> int:
        return self._line.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        return self._spoil(self._line.read(size))

    def write(self, data: bytes, /) -> int | None:
        return self._line.write(self._spoil(data))

    def cancel_read(self) -> None:
        self._line.cancel_read()

    def close(self) -> None:
        self._line.close()

    def _spoil(self, data: bytes) -> bytes:
        faults, out = self.faults, bytearray()
        total = faults.flip + faults.drop + faults.double + faults.insert
        if not total:
            return data
        for byte in data:
            dice = self._random.random()
            if dice >= total:
                out.append(byte)
                continue
            self.struck += 1
            if dice < faults.flip:
                out.append(byte ^ 1 << self._random.randrange(8))
            elif dice < faults.flip + faults.double:
                out += bytes([byte, byte])
            elif dice < faults.flip + faults.double + faults.insert:
                out += bytes([self._random.randrange(256), byte])
        return bytes(out)
