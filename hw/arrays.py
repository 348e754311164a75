"""Integer arrays: those that sit in a frozen description, and their products."""

from typing import Any

import numpy as np

__all__ = ["frozen", "product"]


def frozen(values) -> np.ndarray:
    """A read-only int64 copy of ``values``.

    Raises
    ------
    TypeError
        If ``values`` are not integers: a float here would hide a rounding.
    """
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"array: values must be integers, not {array.dtype}")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


def product(x: np.ndarray, weight: np.ndarray, largest: int) -> np.ndarray:
    """``x @ weight.T`` of integers, exact, for what circuits compute.

    Shapes: ``x`` (..., lanes), none of it beyond ``largest`` either way, ``weight`` (rows, lanes);
    gives (..., rows), which must fit in int64. Floats compute it wherever all sums of parts are
    integers that they hold, and all positions are one matrix: that is many times as fast.
    """
    most = int(np.abs(weight).sum(axis=1).max()) * largest
    kind: Any = np.float32 if most < 2**24 else np.float64 if most < 2**53 else np.int64
    flat = x.reshape(-1, x.shape[-1]).astype(kind) @ weight.T.astype(kind)
    return flat.astype(np.int64).reshape(*x.shape[:-1], len(weight))
