"""Integer arrays that may sit in a frozen description."""

import numpy as np

__all__ = ["frozen"]


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
