"""Reading samples to train with: idx files (as MNIST comes), folders of images, .npz archives."""

from __future__ import annotations

import gzip
import pathlib
import struct
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from ._errors import ArgumentError, FileError, Status
from ._model import PathLike

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: PathLike) -> np.ndarray:
    """The array of an idx file, plain or as .gz.

    Raises `FileError` for anything else."""
    place = pathlib.Path(path)
    try:
        with gzip.open(place) if place.suffix == ".gz" else place.open("rb") as file:
            data = file.read()
        zero, kind, rank = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{rank}I", data, 4)
        dtype = np.dtype(_IDX_TYPES[kind if zero == 0 else -1])
        values = np.frombuffer(data, dtype, int(np.prod(shape, dtype=np.int64)), 4 + 4 * rank)
    except (OSError, EOFError, struct.error, KeyError, ValueError) as failure:
        raise FileError(f"{place}: cannot be read as an idx file: {failure}", Status.FILE_ERROR) from None
    return values.reshape(shape).astype(dtype.newbyteorder("="))


def read_npz(path: PathLike) -> tuple[Any, Optional[np.ndarray]]:
    """Inputs, one array or a mapping of several by name, and the labels: the array "labels" or "y"; None without."""
    try:
        with np.load(path) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as failure:
        raise FileError(f"{path}: cannot be read as a .npz archive: {failure}", Status.FILE_ERROR) from None
    labels = found.pop("labels", found.pop("y", None))
    return (next(iter(found.values())) if len(found) == 1 else found), labels


def read_images(
    folder: PathLike,
    size: tuple[int, int],
    *,
    channels: int = 3,
    mean: Union[float, Sequence[float]] = 127.5,
    std: Union[float, Sequence[float]] = 127.5,
    crop: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pictures, classes and the classes' names of a folder with a folder of JPEG or PNG files for each class, in the
    alphabetical order of their names (needs Pillow). Of each picture the central square, its side the share `crop` of
    the shorter one, is resized to `size` (height, width); pixels become (value - mean) / std."""
    from PIL import Image

    place = pathlib.Path(folder)
    names = sorted(entry.name for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []
    pictures, classes = [], []
    for number, name in enumerate(names):
        for path in sorted((place / name).iterdir()):
            if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
                continue
            with Image.open(path) as opened:
                image = opened.convert("RGB" if channels == 3 else "L")
            side = max(1, round(crop * min(image.size)))
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.resize(size[::-1], Image.Resampling.BILINEAR, (left, top, left + side, top + side))
            pictures.append(np.asarray(image, np.uint8).reshape(*size, channels))
            classes.append(number)
    if not pictures:
        raise FileError(f"{place}: has no folders with .jpg, .jpeg or .png files", Status.FILE_ERROR)
    pixels = (np.stack(pictures) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return pixels.astype(np.float32), np.array(classes, np.int32), names


def split(x: npt.ArrayLike, y: Optional[npt.ArrayLike], share: float, seed: int = 0) -> tuple[Any, Any]:
    """Divides samples at random: (x, y) of the rest, and (x, y) of `share` of them. `x` is an array, or a list or a
    mapping of arrays."""
    parts = list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, (list, tuple)) else [x]
    count = len(np.asarray(parts[0]))
    held = round(share * count)
    if not 0 < held < count:
        raise ArgumentError(f"{held} of {count} samples would be held back", Status.INVALID_ARGUMENT)
    order = np.random.default_rng([seed, 1]).permutation(count)
    rest, chosen = np.sort(order[:-held]), np.sort(order[-held:])

    def part(rows: np.ndarray) -> tuple[Any, Any]:
        taken = [np.asarray(values)[rows] for values in parts]
        inputs = dict(zip(x, taken)) if isinstance(x, dict) else taken if isinstance(x, (list, tuple)) else taken[0]
        return inputs, None if y is None else np.asarray(y)[rows]

    return part(rest), part(chosen)
