"""When each weight of a folded layer runs, and on which lane: decided before the circuit exists."""

from .assemble import schedule
from .digits import digits

__all__ = ["digits", "schedule"]
