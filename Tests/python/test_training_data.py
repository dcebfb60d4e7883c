"""Reading samples, dividing them, and changing them at random."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

import edgeopt
from edgeopt import augment


def idx(values):
    """The bytes of an idx file."""
    kind = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}[values.dtype.str[1:]]
    header = struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx_files(kind, tmp_path):
    values = np.arange(-12, 12).reshape(2, 3, 4).astype(kind)
    (tmp_path / "a.idx").write_bytes(idx(values))
    (tmp_path / "a-ubyte.gz").write_bytes(gzip.compress(idx(values)))
    for name in "a.idx", "a-ubyte.gz":
        found = edgeopt.data.read_idx(tmp_path / name)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_broken_idx_files(tmp_path):
    whole = idx(np.zeros((4, 5), np.float32))
    for broken in b"", whole[:3], whole[:9], whole[:-1], b"\1" + whole[1:], whole[:2] + b"\7" + whole[3:]:
        (tmp_path / "b.idx").write_bytes(broken)
        with pytest.raises(edgeopt.FileError, match="b.idx"):
            edgeopt.data.read_idx(tmp_path / "b.idx")
    (tmp_path / "b.gz").write_bytes(gzip.compress(whole)[:-9])
    for name in "b.gz", "missing.idx":
        with pytest.raises(edgeopt.FileError, match=name):
            edgeopt.data.read_idx(tmp_path / name)


def test_archives(tmp_path):
    x, y = np.ones((3, 2), np.float32), np.arange(3)
    np.savez(tmp_path / "one.npz", images=x, labels=y)
    found, labels = edgeopt.data.read_npz(tmp_path / "one.npz")
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(labels, y)
    np.savez(tmp_path / "two.npz", a=x, b=2 * x)
    found, labels = edgeopt.data.read_npz(tmp_path / "two.npz")
    assert set(found) == {"a", "b"} and labels is None
    (tmp_path / "no.npz").write_bytes(b"nothing")
    with pytest.raises(edgeopt.FileError):
        edgeopt.data.read_npz(tmp_path / "no.npz")


def test_folders_of_images(tmp_path):
    for name, grey in (("b", 255), ("a", 0), ("c", 51)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((6, 9), grey, np.uint8)).save(tmp_path / name / "picture.png")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    x, y, names = edgeopt.data.read_images(tmp_path, (4, 5), channels=1, mean=0, std=255)
    assert x.shape == (3, 4, 5, 1) and x.dtype == np.float32 and names == ["a", "b", "c"]
    np.testing.assert_array_equal(y, [0, 1, 2])
    np.testing.assert_allclose(x[:, 0, 0, 0], [0, 1, 0.2], rtol=1e-6)
    with pytest.raises(edgeopt.FileError, match="no folders"):
        edgeopt.data.read_images(tmp_path / "a", (4, 5))


def test_split():
    x, y = np.arange(100), np.arange(100) * 2
    (a, b), (c, d) = edgeopt.data.split(x, y, 0.2, seed=3)
    assert len(a) == 80 and len(c) == 20 and sorted([*a, *c]) == list(range(100))
    np.testing.assert_array_equal(b, a * 2)
    np.testing.assert_array_equal(d, c * 2)
    np.testing.assert_array_equal(edgeopt.data.split(x, y, 0.2, seed=3)[1][0], c)
    (rest, none), _ = edgeopt.data.split({"a": x, "b": y}, None, 0.5)
    assert none is None and (rest["b"] == 2 * rest["a"]).all()
    for share in 0, 1, 0.001:
        with pytest.raises(edgeopt.ArgumentError, match="held back"):
            edgeopt.data.split(x, y, share)


@pytest.fixture
def batch():
    return np.random.default_rng(0).random((16, 8, 10, 2)).astype(np.float32) + 1


def test_the_same_generator_gives_the_same_changes(batch):
    change = augment.chain(augment.crop(2), augment.flip(), augment.noise(0.1), augment.masks(3, 2, count=2))
    before = batch.copy()
    first, second = (change(batch, np.random.default_rng([1, 2])) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(batch, before)
    assert first.shape == batch.shape and first.dtype == batch.dtype and (first != batch).any()


def test_crop_moves_and_fills_with_zeros(batch):
    moved = augment.crop(2)(batch, np.random.default_rng(0))
    offsets = set()
    for old, new in zip(batch, moved):
        padded = np.pad(old, ((2, 2), (2, 2), (0, 0)))
        found = [(i, j) for i in range(5) for j in range(5) if np.array_equal(padded[i : i + 8, j : j + 10], new)]
        assert len(found) == 1
        offsets.update(found)
    assert len(offsets) > 5


def test_flip_mirrors_some(batch):
    flipped = augment.flip()(batch, np.random.default_rng(0))
    mirrored = [np.array_equal(new, old[:, ::-1]) for old, new in zip(batch, flipped)]
    same = [np.array_equal(new, old) for old, new in zip(batch, flipped)]
    assert any(mirrored) and any(same) and all(a != b for a, b in zip(mirrored, same))


def test_masks_clear_whole_rows_and_columns(batch):
    masked = augment.masks(time=3, frequency=2)(batch, np.random.default_rng(0))
    rows = (masked == 0).all(axis=(2, 3)).sum(1)
    columns = (masked == 0).all(axis=(1, 3)).sum(1)
    assert rows.max() == 3 and columns.max() == 2
    zeros = (masked == 0).all(3).sum(axis=(1, 2))
    np.testing.assert_array_equal(zeros, 10 * rows + 8 * columns - rows * columns)
    masked = augment.masks(time=3, value=-1)(batch[..., 0], np.random.default_rng(0))
    assert masked.min() == -1


def test_validation_split(digits_path, images, labels):
    x, y = images.reshape(-1, 8, 8, 1)[:200].astype(np.float32), labels[:200]
    history = edgeopt.Trainer(digits_path).fit(x, y, validation_split=0.25, augment=augment.noise(0.01))
    (rest, _), held = edgeopt.data.split(x, y, 0.25, 0)
    assert len(rest) == 150 and history[0]["val_accuracy"] * 50 == pytest.approx(round(history[0]["val_accuracy"] * 50))
    with pytest.raises(edgeopt.ArgumentError, match="validation_data"):
        edgeopt.Trainer(digits_path).fit(x, y, validation_split=0.25, validation_data=held)
