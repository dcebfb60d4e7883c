"""Batches of arrays or of any iterable, the same ones for the same seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ._errors import ArgumentError, Status

Arrays = Sequence[np.ndarray]
Augment = Callable[[Any, np.random.Generator], Any]


def arrays(values: Any, names: Sequence[str], what: str) -> list[np.ndarray]:
    """One array for each name: given alone, in order, or by name."""
    if isinstance(values, Mapping):
        missing = [name for name in names if name not in values]
        if missing:
            raise ArgumentError(f"{what} have {list(values)}, expected {list(names)}", Status.OUT_OF_RANGE)
        return [np.asarray(values[name]) for name in names]
    if values is None:
        values = []
    elif not isinstance(values, (list, tuple)) or len(names) == 1 and (len(values) != 1 or np.isscalar(values[0])):
        values = [values]
    if len(values) != len(names):
        raise ArgumentError(f"{len(values)} arrays were given as {what}, expected {len(names)}", Status.WRONG_SIZE)
    return [np.asarray(value) for value in values]


class ArrayData:
    """Samples in arrays whose first dimension counts them."""

    def __init__(self, inputs: Arrays, labels: Arrays, weights: Optional[np.ndarray], batch_size: int):
        self.inputs, self.labels, self.weights, self.batch_size = inputs, labels, weights, batch_size
        sizes = {len(array) for array in [*inputs, *labels, *([] if weights is None else [weights])]}
        if len(sizes) != 1:
            raise ArgumentError(f"arrays have different numbers of samples: {sorted(sizes)}", Status.WRONG_SIZE)
        self.count = sizes.pop()
        if self.count == 0:
            raise ArgumentError("there are no samples", Status.WRONG_SIZE)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batches(self, order: Optional[np.ndarray], first: int) -> Iterator[tuple[Arrays, Arrays, Optional[np.ndarray]]]:
        """From batch `first` on, in this order of samples; None: as they are."""
        for batch in range(first, len(self)):
            rows: Any = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            if order is not None:
                rows = order[rows]
            yield (
                [array[rows] for array in self.inputs],
                [array[rows] for array in self.labels],
                None if self.weights is None else self.weights[rows],
            )


class IterableData:
    """Batches (x, y) or (x, y, weights) of an iterable that can be begun anew for each epoch."""

    def __init__(self, source: Iterable[Any], input_names: Sequence[str], label_names: Sequence[str]):
        self.source, self.input_names, self.label_names = source, input_names, label_names

    def __len__(self) -> int:
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return 0

    def batches(self, order: None, first: int) -> Iterator[tuple[Arrays, Arrays, Optional[np.ndarray]]]:
        for batch in itertools.islice(iter(self.source), first, None):
            parts = batch if isinstance(batch, tuple) else (batch,)
            x = arrays(parts[0], self.input_names, "inputs")
            y = arrays(parts[1] if len(parts) > 1 else None, self.label_names, "labels")
            yield x, y, np.asarray(parts[2], np.float32) if len(parts) > 2 else None


def fit(value: np.ndarray, tensor: tuple[str, tuple[int, ...], type[np.generic]], batch_size: int) -> np.ndarray:
    """The array as a tensor (name, shape, type) of the trainer takes it, with any number of samples."""
    name, shape, dtype = tensor
    value = np.asarray(value)
    is_batched = bool(shape) and shape[0] == batch_size
    if (value.shape[1:] != shape[1:] if is_batched else value.shape != shape) or value.ndim != len(shape):
        wanted = ["samples", *shape[1:]] if is_batched else list(shape)
        raise ArgumentError(
            f"'{name}' got an array of shape {list(value.shape)}, expected {wanted}".replace("'samples'", "samples"),
            Status.WRONG_SIZE,
        )
    if dtype == np.int32 and value.dtype.kind in "iub":
        if value.dtype.itemsize > 2 and value.size and not -(2**31) <= int(value.min()) <= int(value.max()) < 2**31:
            raise ArgumentError(f"'{name}' has numbers that int32 does not hold", Status.OUT_OF_RANGE)
    elif not np.can_cast(value.dtype, dtype, "same_kind"):
        raise ArgumentError(f"'{name}' is {value.dtype}, expected {np.dtype(dtype)}", Status.INVALID_ARGUMENT)
    return np.ascontiguousarray(value, dtype)
