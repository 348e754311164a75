"""A function of one integer as the steps where it changes."""

from dataclasses import dataclass

import numpy as np

from .arrays import frozen
from .ranges import Range

__all__ = ["Steps"]


@dataclass(frozen=True, eq=False)
class Steps:
    """A function of one integer: ``levels[k]`` where ``k`` is how many ``thresholds`` are ``<= x``.

    ``thresholds`` rise strictly, neighbouring ``levels`` differ and there is one more of them,
    so two equal functions have equal steps.

    Raises
    ------
    ValueError
        If the thresholds do not rise or the number of levels is not one more.
    """

    thresholds: np.ndarray
    levels: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "thresholds", frozen(self.thresholds))
        object.__setattr__(self, "levels", frozen(self.levels))
        if len(self.levels) != len(self.thresholds) + 1:
            raise ValueError(
                f"Steps: levels must be one more than thresholds ({len(self.thresholds)}), "
                f"not {len(self.levels)}"
            )
        if (np.diff(self.thresholds) <= 0).any():
            raise ValueError(f"Steps: thresholds must rise, not {self.thresholds.tolist()}")

    def __eq__(self, other):
        return (
            isinstance(other, Steps)
            and np.array_equal(self.thresholds, other.thresholds)
            and np.array_equal(self.levels, other.levels)
        )

    def __hash__(self):
        return hash((self.thresholds.tobytes(), self.levels.tobytes()))

    @classmethod
    def tabulate(cls, lo, values) -> "Steps":
        """The steps of the function whose value at ``lo + n`` is ``values[n]``."""
        values = np.asarray(values)
        changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        return cls(lo + changes, values[np.concatenate([[0], changes])])

    def within(self, domain: Range) -> "Steps":
        """The same function on ``domain``, without the steps that lie outside it."""
        kept = (self.thresholds > domain.lo) & (self.thresholds <= domain.hi)
        first = int((self.thresholds <= domain.lo).sum())
        count = int(kept.sum())
        levels = self.levels[first : first + count + 1]
        thresholds = self.thresholds[kept]
        real = np.flatnonzero(levels[1:] != levels[:-1])
        return Steps(thresholds[real], levels[np.concatenate([[0], real + 1])])

    def __call__(self, x):
        return self.levels[np.searchsorted(self.thresholds, x, side="right")]
