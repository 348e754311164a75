"""Real handwritten digits: the 1797 images of 8x8 pixels that ship inside scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

__all__ = ["Split", "digits"]

TEST_IMAGES = 540


@dataclass(frozen=True)
class Split:
    """Images (count, 1, 8, 8) float32 holding integers 0..16, and labels (count,) 0..9."""

    x: NDArray[np.float32]
    label: NDArray[np.int64]


def digits(*, validation: float = 0.0, fold: int = 0) -> tuple[Split, Split]:
    """Training and test images: 1257 and 540, stratified, always the same ones.

    With ``validation``, the test images stay untouched and the second part is that share of the
    training images instead, another for each ``fold``: for choosing hyperparameters.
    """
    data = load_digits()
    x = data.images.astype(np.float32)[:, None]
    label = data.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(label)), test_size=TEST_IMAGES, stratify=label, random_state=0
    )
    if validation:
        train, test = train_test_split(
            train, test_size=validation, stratify=label[train], random_state=fold
        )
    return Split(x[train], label[train]), Split(x[test], label[test])
