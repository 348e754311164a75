"""The fixed split of the handwritten digits."""

import hashlib

import numpy as np

from sqwire import train


def keys(split):
    return {image.tobytes() for image in split.x}


def test_split_is_1257_and_540_and_always_the_same():
    train_images, test_images = train.digits()
    assert len(train_images.label) == 1257
    assert len(test_images.label) == 540
    digest = hashlib.sha256(test_images.x.tobytes() + test_images.label.tobytes()).hexdigest()
    assert digest.startswith("de710c261c02facb")


def test_split_is_stratified():
    parts = [np.bincount(part.label, minlength=10) / len(part.label) for part in train.digits()]
    assert np.abs(parts[0] - parts[1]).max() < 0.002


def test_images_are_integers_from_0_to_16():
    for part in train.digits():
        assert part.x.dtype == np.float32
        assert part.x.shape[1:] == (1, 8, 8)
        assert np.array_equal(np.unique(part.x), np.arange(17))


def test_no_test_image_is_a_training_image():
    train_images, test_images = train.digits()
    assert not keys(train_images) & keys(test_images)


def test_validation_images_come_from_the_training_images():
    everything, _ = train.digits()
    rest, validation = train.digits(validation=0.25, fold=1)
    assert len(rest.label) + len(validation.label) == 1257
    assert keys(rest) | keys(validation) == keys(everything)
    assert keys(train.digits(validation=0.25, fold=2)[1]) != keys(validation)
