"""What a verification found, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from .vectors import Rounding

__all__ = ["Finding", "Level", "Report"]

Level = Literal["component", "network", "netlist"]

# Lines of text that roundings take, at most.
_LISTED = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: what, whether it holds, and where it does not."""

    what: str
    passed: bool
    detail: str = ""

    def __str__(self) -> str:
        state = "ok    " if self.passed else "FAILED"
        return f"{state} {self.what}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Report:
    """Findings in the order of the data's way through the circuit, and cycles that were measured.

    ``latency_cycles`` are the cycles from the first transfer in to the last one out, both counted,
    of a single frame, ``cycles_per_frame`` by how many each further one makes that longer at full
    rate (None for fewer than two frames). All four are None where nothing was measured.
    """

    level: Level
    frames: int
    findings: tuple[Finding, ...]
    roundings: tuple[Rounding, ...] = ()
    """Values of the vectors that differ because their float32 arithmetic rounded."""
    cycles_per_frame: float | None = None
    latency_cycles: int | None = None
    planned_cycles_per_frame: int | None = None
    planned_latency_cycles: int | None = None
    inputs: int = 1
    """How many inputs the network has. Of several, one can run ahead of the others while what it
    passes on has room: until that is full, frames may follow each other faster than planned."""

    @property
    def passed(self) -> bool:
        """Does everything hold: every integer, every rule of the streams."""
        return all(finding.passed for finding in self.findings)

    @property
    def as_planned(self) -> bool:
        """Are the measured cycles those of the plan."""
        rate, planned = self.cycles_per_frame, self.planned_cycles_per_frame
        faster = rate and planned and self.inputs > 1 and rate < planned
        as_fast = rate in (None, planned) or bool(faster)
        return as_fast and self.latency_cycles == self.planned_latency_cycles

    @property
    def cycles(self) -> str:
        """Measured and planned cycles in words."""
        rate = "-" if self.cycles_per_frame is None else f"{self.cycles_per_frame:g}"
        return (
            f"a frame {rate} (planned {self.planned_cycles_per_frame}), "
            f"latency {self.latency_cycles} (planned {self.planned_latency_cycles})"
        )

    def lines(self) -> list[str]:
        """One line a finding, then the result, with the first failure."""
        lines = [str(finding) for finding in self.findings]
        if self.roundings:
            lines.append(
                f"{len(self.roundings)} values of the vectors differ where float32 arithmetic fell "
                "on the other side of a rounding boundary; exact arithmetic confirms ours:"
            )
            lines += [f"  {rounding}" for rounding in self.roundings[:_LISTED]]
            if len(self.roundings) > _LISTED:
                lines.append(f"  and {len(self.roundings) - _LISTED} more, see --json")
        failed = [finding for finding in self.findings if not finding.passed]
        checks = f"{self.level}: {len(self.findings)} checks on {self.frames} frames"
        if failed:
            first = failed[0].detail or failed[0].what
            return [*lines, f"{checks}, {len(failed)} failed; first: {first}"]
        return [*lines, f"{checks}, every integer agrees"]

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "level": self.level,
            "passed": self.passed,
            "frames": self.frames,
            "cycles_per_frame": self.cycles_per_frame,
            "latency_cycles": self.latency_cycles,
            "planned_cycles_per_frame": self.planned_cycles_per_frame,
            "planned_latency_cycles": self.planned_latency_cycles,
            "float_roundings": [asdict(rounding) for rounding in self.roundings],
            "findings": [
                {"what": f.what, "passed": f.passed, "detail": f.detail} for f in self.findings
            ],
        }
