"""Random changes of batches while training: `trainer.fit(x, y, augment=augment.chain(augment.crop(4), augment.flip()))`.

Each gives a function of a batch [samples, rows, columns, ...] and a generator, as `Trainer.fit` takes it, that returns a
new batch. Rows and columns are those of pictures, or time and frequencies of a spectrogram.
"""

from __future__ import annotations

import numpy as np

from ._data import Augment


def chain(*steps: Augment) -> Augment:
    """One after the other."""

    def apply(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        for step in steps:
            x = step(x, generator)
        return x

    return apply


def crop(padding: int) -> Augment:
    """Moves each sample by up to `padding` rows and columns each way; what comes in from outside is 0."""

    def apply(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        rows, columns = x.shape[1:3]
        edges = [(0, 0), (padding, padding), (padding, padding), *[(0, 0)] * (x.ndim - 3)]
        padded = np.pad(x, edges)
        result = np.empty_like(x)
        for index, (top, left) in enumerate(generator.integers(0, 2 * padding + 1, (len(x), 2))):
            result[index] = padded[index, top : top + rows, left : left + columns]
        return result

    return apply


def flip(probability: float = 0.5) -> Augment:
    """Mirrors samples left to right."""

    def apply(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        result = x.copy()
        chosen = generator.random(len(x)) < probability
        result[chosen] = x[chosen][:, :, ::-1]
        return result

    return apply


def noise(deviation: float) -> Augment:
    """Adds normal noise."""

    def apply(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return x + (deviation * generator.standard_normal(x.shape, np.float32)).astype(x.dtype)

    return apply


def masks(time: int = 0, frequency: int = 0, count: int = 1, value: float = 0.0) -> Augment:
    """Sets `count` times up to `time` neighbouring rows and up to `frequency` neighbouring columns of each sample to
    `value` (Park et al., "SpecAugment", 2019)."""

    def apply(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        result = x.copy()
        for sample in result:
            for axis, most in ((0, time), (1, frequency)):
                for _ in range(count if most else 0):
                    length = int(generator.integers(0, min(most, sample.shape[axis]) + 1))
                    start = int(generator.integers(0, sample.shape[axis] - length + 1))
                    np.moveaxis(sample, axis, 0)[start : start + length] = value
        return result

    return apply
