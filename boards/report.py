"""What a synthesis gave: cells, clock, utilisation; saved as ``synth.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Cells", "SynthResult", "Usage"]

_TYPES = {
    "LUT4": "lut4",
    "CCU2C": "ccu2c",
    "PFUMX": "pfumx",
    "L6MUX21": "l6mux21",
    "TRELLIS_FF": "ff",
    "MULT18X18D": "dsp",
    "DP16KD": "bram",
    "TRELLIS_DPR16X4": "lutram",
}


@dataclass(frozen=True)
class Cells:
    """Cells of an ECP5 netlist.

    ``lut4`` are LUT4, ``ccu2c`` carry cells of two bits, ``pfumx`` and ``l6mux21`` the
    multiplexers that join LUTs (they come with the LUTs and cost nothing more), ``ff``
    TRELLIS_FF, ``dsp`` MULT18X18D, ``bram`` DP16KD, ``lutram`` TRELLIS_DPR16X4 (16 x 4 bits).
    """

    lut4: int = 0
    ccu2c: int = 0
    pfumx: int = 0
    l6mux21: int = 0
    ff: int = 0
    dsp: int = 0
    bram: int = 0
    lutram: int = 0

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Cells:
        """From Yosys' counts by type.

        Raises
        ------
        ValueError
            If a type is none of those above.
        """
        unknown = sorted(set(counts) - set(_TYPES))
        if unknown:
            raise ValueError(f"{unknown[0]} is no cell of ECP5 that sqwire counts")
        return cls(**{_TYPES[name]: int(count) for name, count in counts.items()})

    @property
    def area(self) -> int:
        """``LUT4 + 2 * CCU2C``: LUT sites, LUT RAM not counted. A carry cell takes two."""
        return self.lut4 + 2 * self.ccu2c

    def covers(self, other: Cells) -> bool:
        """Whether there are at least as many cells of every type as in ``other``."""
        return all(mine >= asdict(other)[name] for name, mine in asdict(self).items())

    def to_json(self) -> dict[str, int]:
        """All counts and the area."""
        return {**asdict(self), "area": self.area}


@dataclass(frozen=True)
class Usage:
    """How many sites of a kind the routed design uses, of how many."""

    used: int
    available: int


@dataclass(frozen=True)
class SynthResult:
    """A design that was routed.

    ``network`` counts the cells of the network alone, ``design`` with the shell around it.
    ``fmax_hz`` is the highest clock of the routed design, ``clock_hz`` the constraint it was
    routed for. ``usage`` is by nextpnr's names of sites. ``design_sha256`` is that of
    ``design.il``. ``cycles_per_frame`` is None where the caller did not say.

    ``seconds`` by tool is not part of :meth:`to_json`, which is the same for the same input;
    it is empty in a result that was loaded.
    """

    board: str
    clock_hz: int
    seed: int
    design_sha256: str
    network: Cells
    design: Cells
    fmax_hz: int
    usage: Mapping[str, Usage]
    tools: Mapping[str, str]
    cycles_per_frame: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def frames_per_second(self) -> float | None:
        """Frames a second at ``clock_hz``."""
        return self.clock_hz / self.cycles_per_frame if self.cycles_per_frame else None

    @property
    def frames_per_second_at_fmax(self) -> float | None:
        """Frames a second at ``fmax_hz``."""
        return self.fmax_hz / self.cycles_per_frame if self.cycles_per_frame else None

    def to_json(self) -> str:
        """The result as text, the same text for the same design, board, clock and seed."""
        document: dict[str, Any] = {
            "board": self.board,
            "clock_hz": self.clock_hz,
            "seed": self.seed,
            "design_sha256": self.design_sha256,
            "network": self.network.to_json(),
            "design": self.design.to_json(),
            "fmax_hz": self.fmax_hz,
            "usage": {name: asdict(usage) for name, usage in sorted(self.usage.items())},
            "tools": dict(sorted(self.tools.items())),
            "cycles_per_frame": self.cycles_per_frame,
            "frames_per_second": self.frames_per_second,
            "frames_per_second_at_fmax": self.frames_per_second_at_fmax,
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def load(cls, file: Path) -> SynthResult:
        """The result in a ``synth.json``.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            document = json.loads(file.read_text())
            document.pop("frames_per_second")
            document.pop("frames_per_second_at_fmax")
            for part in ("network", "design"):
                document[part].pop("area")
                document[part] = Cells(**document[part])
            usage = {name: Usage(**value) for name, value in document.pop("usage").items()}
            return cls(usage=usage, **document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file}: it must be what sqwire synth writes, and is not") from error
