"""CIFAR-10 in its standard binary layout, from any folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .data import Data, Split

__all__ = ["cifar10"]

FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST = ("test_batch.bin",)
CLASSES = 10
RECORD = 1 + 3 * 32 * 32


def cifar10(folder: Path | str) -> Data:
    """Read ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``.

    A record is a label byte and 3072 bytes: planes R, G, B of 32 rows of 32. Files may hold any
    number of records. ``folder`` is that of the files, or the one that holds
    ``cifar-10-batches-bin``. Nothing is unpickled.

    The network gets ``(byte - 128) / 64``: signed codes of 8 bits, 0 a middle grey, and the step
    a power of two.

    Raises
    ------
    ValueError
        If a file is missing, its size is no whole number of records, or a label exceeds 9; names
        the file and the record.
    """
    place = Path(folder)
    if (place / FOLDER).is_dir():
        place = place / FOLDER
    missing = [name for name in (*TRAIN, *TEST) if not (place / name).is_file()]
    if missing:
        raise ValueError(
            f"CIFAR-10 in {folder}: there must be {missing[0]}, and is not; give the folder with "
            "the binary version of the data set"
        )
    return Data("cifar10", _read(place, TRAIN), _read(place, TEST), CLASSES,
                offset=128.0, scale=64.0, augment="crop")  # fmt: skip


def _read(place: Path, names: tuple[str, ...]) -> Split:
    parts = [_records(place / name) for name in names]
    records = np.concatenate(parts)
    x = records[:, 1:].reshape(-1, 3, 32, 32)
    return Split(x, records[:, 0].astype(np.int64))


def _records(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    size = path.stat().st_size
    if not size or size % RECORD:
        raise ValueError(
            f"CIFAR-10 {path}: its size must be a multiple of {RECORD} bytes, and is {size}; "
            "it is cut off or another file"
        )
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, RECORD)
    for wrong in np.flatnonzero(records[:, 0] >= CLASSES)[:1]:
        raise ValueError(
            f"CIFAR-10 {path}: labels must be 0 to 9, and that of record {wrong} is "
            f"{records[wrong, 0]}; it is another file"
        )
    return records
