"""What a synthesis gave: cells, clock, utilisation; saved as ``synth.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Cells", "SynthResult", "Usage"]


@dataclass(frozen=True)
class Cells:
    """Cells of a netlist.

    ``lut4`` are look-up tables, ``ff`` flip-flops, ``dsp`` multipliers, ``bram`` block RAMs,
    ``lutram`` RAMs in the place of LUTs, ``pll`` PLLs. On ECP5 ``ccu2c`` are carry cells of two
    bits, ``pfumx`` and ``l6mux21`` the multiplexers that join LUTs (they come with the LUTs
    and cost nothing more), LUT RAMs are TRELLIS_DPR16X4 (16 x 4 bits). On iCE40 ``carry`` stands
    beside a LUT. On Gowin ``alu`` is a carry cell of one bit, in the place of a LUT, and ``mux``
    joins LUTs.
    """

    lut4: int = 0
    ccu2c: int = 0
    pfumx: int = 0
    l6mux21: int = 0
    ff: int = 0
    dsp: int = 0
    bram: int = 0
    lutram: int = 0
    carry: int = 0
    alu: int = 0
    mux: int = 0
    pll: int = 0

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], types: Mapping[str, str], free: frozenset[str]
    ) -> Cells:
        """From Yosys' counts by type; ``types`` says as what each type counts, ``free`` which
        do not.

        Raises
        ------
        ValueError
            If a type is none of those.
        """
        found: dict[str, int] = {}
        for name, count in counts.items():
            if name in types:
                found[types[name]] = found.get(types[name], 0) + int(count)
            elif name not in free:
                raise ValueError(f"{name} is no cell of the device that sqwire counts")
        return cls(**found)

    @property
    def area(self) -> int:
        """LUT sites, LUT RAM not counted: ``LUT4 + 2 * CCU2C``, and on Gowin ``LUT + ALU``."""
        return self.lut4 + 2 * self.ccu2c + self.alu

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

    ``network`` counts the cells of the network alone, ``design`` with the link around it, whose
    line runs at ``baud``.
    ``fmax_hz`` is the highest clock of the routed design, ``clock_hz`` the constraint it was
    routed for. ``usage`` is by nextpnr's names of sites. ``design_sha256`` is that of
    ``design.il``. ``cycles_per_frame`` is None where the caller did not say.

    ``seconds`` by tool is not part of :meth:`to_json`, which is the same for the same input;
    it is empty in a result that was loaded.
    """

    board: str
    clock_hz: int
    baud: int
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
            "baud": self.baud,
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
