"""What a tensor is, and NumPy views of its memory."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
from typing import Any

import numpy as np

from . import _errors, _library

# By the numbers of the .tflite schema: name, NumPy type of the elements. NumPy has no bfloat16 and no float8; their
# bits are given as unsigned integers. Types under 8 bits are packed in memory and given as bytes.
_TYPES: dict[int, tuple[str, type[np.generic]]] = {
    0: ("FLOAT32", np.float32),
    1: ("FLOAT16", np.float16),
    2: ("INT32", np.int32),
    3: ("UINT8", np.uint8),
    4: ("INT64", np.int64),
    5: ("STRING", np.bytes_),
    6: ("BOOL", np.bool_),
    7: ("INT16", np.int16),
    8: ("COMPLEX64", np.complex64),
    9: ("INT8", np.int8),
    10: ("FLOAT64", np.float64),
    11: ("COMPLEX128", np.complex128),
    12: ("UINT64", np.uint64),
    13: ("RESOURCE", np.object_),
    14: ("VARIANT", np.object_),
    15: ("UINT32", np.uint32),
    16: ("UINT16", np.uint16),
    17: ("INT4", np.int8),
    18: ("BFLOAT16", np.uint16),
    19: ("INT2", np.int8),
    20: ("UINT4", np.uint8),
    21: ("FLOAT8_E4M3FN", np.uint8),
    22: ("FLOAT8_E5M2", np.uint8),
}
NUMBERS = {name: number for number, (name, _) in _TYPES.items()}
_BITS = {"INT4": 4, "UINT4": 4, "INT2": 2}


@dataclasses.dataclass(frozen=True)
class Quantization:
    """real = scale * (stored - zero_point). One scale for the tensor, for each channel of `dimension`, or, with
    `block_size`, for each block of so many elements along the last dimension."""

    scales: np.ndarray
    zero_points: np.ndarray
    dimension: int
    block_size: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph. `shape_signature` has -1 where the size may change. `data` is a read-only view of a
    constant's bytes in the model (packed types and sparse tensors: as they are stored), else None."""

    index: int
    name: str
    type: str
    dtype: type[np.generic]
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    quantization: Quantization | None
    is_variable: bool
    is_sparse: bool
    size: int
    data: np.ndarray | None = dataclasses.field(repr=False)


class Memory:
    """Memory of the library as NumPy sees it. A view's base is this object, which keeps the owner alive."""

    def __init__(self, owner: Any, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], writable: bool):
        self._owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address, not writable),
            "shape": shape,
            "typestr": dtype.str,
        }


def name_of(tensor: _library.Tensor) -> str:
    return _library.text(tensor.name)


def shape_of(tensor: _library.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[: tensor.rank]) if tensor.rank else ()


def signature_of(tensor: _library.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape_signature[: tensor.rank]) if tensor.shape_signature else shape_of(tensor)


def type_of(tensor: _library.Tensor) -> tuple[str, type[np.generic]]:
    return _TYPES.get(tensor.type, (f"TYPE_{tensor.type}", np.uint8))


def quantization_of(tensor: _library.Tensor) -> Quantization | None:
    count = tensor.quantization_count
    if count == 0 and tensor.block_size == 0:
        return None
    return Quantization(
        np.array(tensor.scales[:count], np.float32),
        np.array(tensor.zero_points[:count], np.int64),
        tensor.quantized_dimension,
        tensor.block_size,
    )


def view(tensor: _library.Tensor, owner: Any, writable: bool) -> tuple[np.ndarray, Memory] | None:
    """A view of the tensor's memory without a copy, in its shape where its elements are whole bytes; None if it has no
    memory at this time. While the Memory lives, some view does."""
    name, dtype = type_of(tensor)
    shape = shape_of(tensor)
    if tensor.data is None:
        return None
    item = np.dtype(dtype).itemsize
    if name in _BITS or dtype in (np.bytes_, np.object_) or int(np.prod(shape, dtype=np.int64)) * item != tensor.size:
        shape, dtype = (tensor.size,), np.uint8
    memory = Memory(owner, tensor.data, shape, np.dtype(dtype), writable)
    return np.asarray(memory), memory


def unpacked(tensor: _library.Tensor, stored: np.ndarray) -> np.ndarray:
    """A copy of the tensor's values: packed types one per byte, strings as bytes objects."""
    name, dtype = type_of(tensor)
    shape = shape_of(tensor)
    if name == "STRING":
        return _strings(stored.tobytes(), shape)
    if name in _BITS and not tensor.is_sparse:
        bits = _BITS[name]
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        values = (stored[:, np.newaxis] >> shifts) & ((1 << bits) - 1)
        values = values.reshape(-1)[: int(np.prod(shape, dtype=np.int64))].astype(dtype)
        if name.startswith("INT"):
            values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values).astype(dtype)
        return values.reshape(shape)
    return stored.copy()


def _strings(stored: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """int32 count, count + 1 int32 offsets, then the characters."""
    (count,) = struct.unpack_from("<i", stored)
    offsets = struct.unpack_from(f"<{count + 1}i", stored, 4)
    items = [stored[start:end] for start, end in zip(offsets, offsets[1:])]
    return np.array(items, dtype=object).reshape(shape) if items else np.empty(shape, dtype=object)


def find(model: Any, subgraph: int, index: int) -> _library.Tensor:
    """A tensor of a model. Raises `ArgumentError` if it is not there."""
    found = _library.Tensor()
    _library.lib.eo_model_tensor(model._pointer, subgraph, index, ctypes.byref(found))
    return found


def value(tensor: _library.Tensor, owner: Any) -> np.ndarray:
    """A copy of a constant's value."""
    seen = view(tensor, owner, writable=False)
    if seen is None:
        raise _errors.ArgumentError(
            f"tensor {tensor.index} '{name_of(tensor)}' is not a constant", _errors.Status.WRONG_STATE
        )
    return unpacked(tensor, seen[0])


def details(tensor: _library.Tensor) -> dict[str, Any]:
    """The tensor in the words of LiteRT's get_tensor_details."""
    quantization = quantization_of(tensor)
    per_tensor = quantization is not None and len(quantization.scales) == 1 and quantization.block_size == 0
    return {
        "name": name_of(tensor),
        "index": tensor.index,
        "shape": np.array(shape_of(tensor), np.int32),
        "shape_signature": np.array(signature_of(tensor), np.int32),
        "dtype": type_of(tensor)[1],
        "quantization": (
            (float(quantization.scales[0]), int(quantization.zero_points[0]))
            if quantization is not None and per_tensor
            else (0.0, 0)
        ),
        "quantization_parameters": {
            "scales": np.empty(0, np.float32) if quantization is None else quantization.scales,
            "zero_points": (
                np.empty(0, np.int32) if quantization is None else quantization.zero_points.astype(np.int32)
            ),
            "quantized_dimension": 0 if quantization is None else quantization.dimension,
            "block_size": 0 if quantization is None else quantization.block_size,
        },
        "sparsity_parameters": {},
    }


def describe(tensor: _library.Tensor, owner: Any) -> Tensor:
    """The tensor as a value; its data is a view that keeps `owner` alive."""
    type_name, dtype = type_of(tensor)
    seen = view(tensor, owner, writable=False)
    return Tensor(
        index=tensor.index,
        name=name_of(tensor),
        type=type_name,
        dtype=dtype,
        shape=shape_of(tensor),
        shape_signature=signature_of(tensor),
        quantization=quantization_of(tensor),
        is_variable=tensor.is_variable,
        is_sparse=tensor.is_sparse,
        size=tensor.size,
        data=seen[0] if seen else None,
    )
