"""The bitstream."""

from __future__ import annotations

from .tools import ECPPACK, Workshop

__all__ = ["pack"]


def pack(workshop: Workshop) -> float:
    """Pack ``design.config`` to the compressed bitstream ``design.bit``; the seconds it took.

    Raises
    ------
    SynthError
        If ecppack fails.
    """
    return workshop.run(
        ECPPACK,
        ["--compress", "--input", "design.config", "--bit", "design.bit"],
        ["design.bit"],
    )
