"""Real handwritten digits: the 1797 images of 8x8 pixels that ship inside scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from .data import Data, Split

__all__ = ["digits"]

TEST_IMAGES = 540


def digits() -> Data:
    """Training and test images: 1257 and 540, stratified, always the same ones.

    Images are (count, 1, 8, 8) float32 holding integers 0..16, labels 0..9.
    """
    data = load_digits()
    x = data.images.astype(np.float32)[:, None]
    label = data.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(label)), test_size=TEST_IMAGES, stratify=label, random_state=0
    )
    return Data("digits", Split(x[train], label[train]), Split(x[test], label[test]), 10,
                augment="shift")  # fmt: skip
