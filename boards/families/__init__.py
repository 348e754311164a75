"""Families of devices."""

from __future__ import annotations

from collections.abc import Mapping

from .ecp5 import ECP5
from .family import Family
from .gowin import GOWIN
from .ice40 import ICE40

__all__ = ["FAMILIES", "Family"]

FAMILIES: Mapping[str, Family] = {family.name: family for family in (ECP5, ICE40, GOWIN)}
"""All of them, by name."""
