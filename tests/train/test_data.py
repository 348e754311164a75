"""Digits, CIFAR-10 in its binary layout, splits and augmentation."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from sqwire import train
from sqwire.train.data import augmented, carve, cropped

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "cifar-10-batches-bin"


def keys(split):
    return {image.tobytes() for image in split.x}


def test_digits_are_1257_and_540_and_always_the_same(digits):
    assert (len(digits.train), len(digits.test)) == (1257, 540)
    digest = hashlib.sha256(digits.test.x.tobytes() + digits.test.label.tobytes()).hexdigest()
    assert digest.startswith("de710c261c02facb")
    for part in (digits.train, digits.test):
        assert part.x.dtype == np.float32
        assert np.array_equal(np.unique(part.x), np.arange(17))
    assert not keys(digits.train) & keys(digits.test)
    shares = [np.bincount(p.label, minlength=10) / len(p) for p in (digits.train, digits.test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.002


def test_validation_images_are_taken_out_of_the_training_images_by_class(digits):
    rest, validation = carve(digits.train, 0.25, 1)
    assert len(rest) + len(validation) == 1257
    assert keys(rest) | keys(validation) == keys(digits.train)
    counts = np.bincount(digits.train.label)
    assert np.abs(np.bincount(validation.label) - counts / 4).max() <= 1
    assert keys(carve(digits.train, 0.25, 1)[1]) == keys(validation)
    assert keys(carve(digits.train, 0.25, 2)[1]) != keys(validation)
    assert len(carve(digits.train, 0, 0)[1]) == 0


def write(folder, counts=(3, 2, 2, 2, 1), test=4):
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"data_batch_{k + 1}.bin" for k in range(5)] + ["test_batch.bin"]
    for name, count in zip(names, (*counts, test), strict=True):
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        (folder / name).write_bytes(records.tobytes())
    return folder


def test_cifar10_is_read_as_the_layout_says(tmp_path):
    folder = write(tmp_path / "cifar-10-batches-bin")
    for place in (folder, tmp_path):
        data = train.cifar10(place)
        assert data.train.x.shape == (10, 3, 32, 32)
        assert data.train.x.dtype == np.uint8
        assert data.test.label.tolist() == [0, 1, 2, 3]
    record = np.frombuffer((folder / "data_batch_1.bin").read_bytes(), np.uint8)[3073:6146]
    assert data.train.label[1] == record[0] == 1
    assert data.train.x[1, 2, 5, 7] == record[1 + 2 * 1024 + 5 * 32 + 7]
    real = data.real(data.train.x)
    assert real.min() >= -2 and real.max() < 2
    assert torch.equal((real * 64).round(), real * 64)


def test_cifar10_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there must be data_batch_1\.bin, and is not"):
        train.cifar10(tmp_path)
    folder = write(tmp_path / "a")
    file = folder / "data_batch_4.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"data_batch_4\.bin: its size must be a multiple of 3073"):
        train.cifar10(folder)
    file.write_bytes(whole[:3073] + b"\x0b" + whole[3074:])
    with pytest.raises(ValueError, match="labels must be 0 to 9, and that of record 1 is 11"):
        train.cifar10(folder)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="and is 0; it is cut off"):
        train.cifar10(folder)


def test_real_cifar10_has_its_numbers():
    if not REAL.is_dir():
        pytest.skip("the unpacked CIFAR-10 is not beside the repository")
    data = train.cifar10(REAL)
    assert np.bincount(data.train.label).tolist() == [5000] * 10
    assert np.bincount(data.test.label).tolist() == [1000] * 10


def test_labels_out_of_range_are_refused():
    split = train.Split(np.zeros((2, 1, 2, 2), np.float32), np.array([0, 3]))
    with pytest.raises(ValueError, match="labels must be 0 to 2, not 3"):
        train.Data("mine", split, split, 3)


def test_shifted_images_keep_their_pixels_and_move_by_one_at_most():
    x = torch.zeros(600, 1, 8, 8)
    x[:, :, 3, 4] = 7
    moved = augmented(x, "shift", 1.0, torch.Generator().manual_seed(0))
    where = {tuple(p[2:].tolist()) for p in moved.nonzero()}
    assert where == {(r, c) for r in (2, 3, 4) for c in (3, 4, 5)}
    assert moved.sum() == x.sum()
    assert torch.equal(augmented(x, "shift", 0.0, torch.Generator()), x)
    assert augmented(x, "none", 1.0, torch.Generator()) is x


def test_cropped_images_move_by_four_at_most_and_half_are_mirrored():
    x = torch.zeros(2000, 3, 32, 32)
    x[:, 0, 10, 8] = 1
    x[:, 1, 10, 9] = 1
    moved = augmented(x, "crop", 1.0, torch.Generator().manual_seed(0))
    assert moved.shape == x.shape
    left = moved[:, 0].flatten(1).argmax(1)
    right = moved[:, 1].flatten(1).argmax(1)
    mirrored = (right < left).float().mean()
    assert 0.45 < mirrored < 0.55
    rows = set((left // 32).tolist())
    assert rows == set(range(6, 15))


def test_cut_images_are_squares_of_the_image_from_everywhere_in_it():
    x = torch.arange(20 * 24).reshape(1, 1, 20, 24).expand(3000, 1, 20, 24).float()
    cut = cropped(x, 16, torch.Generator().manual_seed(0))
    assert cut.shape == (3000, 1, 16, 16)
    first = cut[:, 0, 0, 0].long()
    assert torch.equal(cut[:, 0], first[:, None, None] + x[0, 0, :16, :16])
    assert set(first.tolist()) == {24 * r + c for r in range(5) for c in range(9)}
    with pytest.raises(ValueError, match="crops must be at most 20, the images' side, not 21"):
        cropped(x, 21, torch.Generator())
