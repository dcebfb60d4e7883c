"""A .tflite model: look at it, edit its names, signatures and metadata, write it."""

from __future__ import annotations

import ctypes
import dataclasses
import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Union

import numpy as np

from . import _tensor
from ._errors import ArgumentError, Status
from ._library import Handle, encoded, lib, text
from ._library import Operator as _Operator
from ._library import Signature as _Signature
from ._tensor import Tensor

PathLike = Union[str, "os.PathLike[str]"]
Bytes = Union[bytes, bytearray, memoryview]


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator of a subgraph. Inputs and outputs are tensor indices; -1 marks an optional input left out."""

    index: int
    name: str
    is_custom: bool
    builtin_code: int
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str


@dataclasses.dataclass(frozen=True)
class Signature:
    """A named entry point: names of inputs and outputs to tensor indices of `subgraph`."""

    key: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Subgraph:
    """A graph of operators. Inputs and outputs are tensor indices."""

    name: str
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Model:
    """A .tflite model.

    `source` is a path, which is mapped into memory (do not change the file meanwhile), or the bytes of a model:
    `bytes` and read-only buffers are used in place, others are copied. Everything is checked here: a file that is not
    a valid model raises `ModelError`.

    Editing a model does not change interpreters made from it before. Different threads may use one model, but must
    not edit it at the same time.
    """

    def __init__(self, source: PathLike | Bytes):
        pointer = ctypes.c_void_p()
        if isinstance(source, (str, os.PathLike)):
            lib.eo_model_open(os.fsencode(source), ctypes.byref(pointer))
            self._handle = Handle(pointer, lib.eo_model_destroy)
            return
        data = np.frombuffer(source, np.uint8)
        borrow = not data.flags.writeable
        lib.eo_model_from_memory(data.ctypes.data, data.size, int(borrow), ctypes.byref(pointer))
        self._handle = Handle(pointer, lib.eo_model_destroy, data if borrow else None)

    @classmethod
    def _adopt(cls, pointer: ctypes.c_void_p, *keep_alive: object) -> Model:
        model = cls.__new__(cls)
        model._handle = Handle(pointer, lib.eo_model_destroy, *keep_alive)
        return model

    def _copy(self) -> Model:
        """The same model; editing one of the two leaves the other as it is."""
        model = Model.__new__(Model)
        model._handle = self._handle
        return model

    @property
    def _pointer(self) -> ctypes.c_void_p:
        return self._handle.pointer

    def save(self, path: PathLike) -> None:
        """Writes the model: to a temporary name first, then renamed. Raises `FileError`."""
        lib.eo_model_save(self._pointer, os.fsencode(path))

    def to_bytes(self) -> bytes:
        """The bytes that `save` would write."""
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        lib.eo_model_serialize(self._pointer, ctypes.byref(data), ctypes.byref(size))
        try:
            return ctypes.string_at(data, size.value)
        finally:
            lib.eo_free(data)

    @property
    def description(self) -> str:
        """The model's own description. Can be set."""
        return text(lib.eo_model_description(self._pointer))

    @description.setter
    def description(self, description: str) -> None:
        self._edit(lib.eo_model_set_description, encoded(description))

    @property
    def subgraphs(self) -> list[Subgraph]:
        """All subgraphs; the first is the main one."""
        return [self._subgraph(index) for index in range(lib.eo_model_subgraph_count(self._pointer))]

    @property
    def inputs(self) -> list[Tensor]:
        """The main subgraph's inputs."""
        return self._ends(0, lib.eo_model_input_count, lib.eo_model_input)

    @property
    def outputs(self) -> list[Tensor]:
        """The main subgraph's outputs."""
        return self._ends(0, lib.eo_model_output_count, lib.eo_model_output)

    @property
    def signatures(self) -> dict[str, Signature]:
        """The signatures by their keys."""
        result = {}
        for index in range(lib.eo_model_signature_count(self._pointer)):
            found = _Signature()
            lib.eo_model_signature(self._pointer, index, ctypes.byref(found))
            result[text(found.key)] = Signature(
                text(found.key),
                found.subgraph,
                {text(found.input_names[i]): found.inputs[i] for i in range(found.input_count)},
                {text(found.output_names[i]): found.outputs[i] for i in range(found.output_count)},
            )
        return result

    @property
    def metadata(self) -> MutableMapping[str, bytes]:
        """The metadata entries by their names. Assigning and deleting edits the model."""
        return _Metadata(self)

    def rename_tensor(self, tensor: int, name: str, subgraph: int = 0) -> None:
        """Gives a tensor another name."""
        self._edit(lib.eo_model_rename_tensor, subgraph, tensor, encoded(name))

    def set_signature(
        self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int], subgraph: int = 0
    ) -> None:
        """Adds a signature, or replaces the one with the same key. Names map to tensor indices."""

        def names(ends: Mapping[str, int]) -> ctypes.Array[ctypes.c_char_p]:
            return (ctypes.c_char_p * len(ends))(*map(encoded, ends))

        def tensors(ends: Mapping[str, int]) -> ctypes.Array[ctypes.c_int32]:
            return (ctypes.c_int32 * len(ends))(*ends.values())

        signature = _Signature(
            encoded(key), subgraph,
            len(inputs), names(inputs), tensors(inputs),
            len(outputs), names(outputs), tensors(outputs),
        )  # fmt: skip
        self._edit(lib.eo_model_set_signature, ctypes.byref(signature))

    def remove_signature(self, key: str) -> None:
        """Removes the signature with this key."""
        self._edit(lib.eo_model_remove_signature, encoded(key))

    def _edit(self, function: object, *arguments: object) -> None:
        edited = ctypes.c_void_p()
        function(self._pointer, *arguments, ctypes.byref(edited))  # type: ignore[operator]
        # Weights are shared with the model before, which may borrow its bytes from Python.
        self._handle = Handle(edited, lib.eo_model_destroy, *self._handle._keep_alive)

    def _tensor(self, subgraph: int, index: int) -> Tensor:
        return _tensor.describe(_tensor.find(self, subgraph, index), self._handle)

    def _ends(self, subgraph: int, count: object, at: object) -> list[Tensor]:
        tensors = []
        for position in range(count(self._pointer, subgraph)):  # type: ignore[operator]
            index = ctypes.c_int32()
            at(self._pointer, subgraph, position, ctypes.byref(index))  # type: ignore[operator]
            tensors.append(self._tensor(subgraph, index.value))
        return tensors

    def _operator(self, subgraph: int, index: int) -> Operator:
        found, options = _Operator(), ctypes.c_void_p()
        lib.eo_model_operator(self._pointer, subgraph, index, ctypes.byref(found))
        lib.eo_model_operator_options(self._pointer, subgraph, index, ctypes.byref(options))
        try:
            options_text = text(ctypes.string_at(options))
        finally:
            lib.eo_free(options)
        return Operator(
            index, text(found.name), found.is_custom, found.builtin_code, found.version,
            tuple(found.inputs[: found.input_count]), tuple(found.outputs[: found.output_count]), options_text,
        )  # fmt: skip

    def _subgraph(self, index: int) -> Subgraph:
        pointer = self._pointer
        return Subgraph(
            text(lib.eo_model_subgraph_name(pointer, index)),
            [self._tensor(index, i) for i in range(lib.eo_model_tensor_count(pointer, index))],
            [self._operator(index, i) for i in range(lib.eo_model_operator_count(pointer, index))],
            tuple(tensor.index for tensor in self._ends(index, lib.eo_model_input_count, lib.eo_model_input)),
            tuple(tensor.index for tensor in self._ends(index, lib.eo_model_output_count, lib.eo_model_output)),
        )


class _Metadata(MutableMapping[str, bytes]):
    def __init__(self, model: Model):
        self._model = model

    def _entries(self) -> Iterator[tuple[str, bytes]]:
        pointer = self._model._pointer
        for index in range(lib.eo_model_metadata_count(pointer)):
            name, data, size = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()
            lib.eo_model_metadata(pointer, index, ctypes.byref(name), ctypes.byref(data), ctypes.byref(size))
            yield text(name.value), ctypes.string_at(data, size.value) if size.value else b""

    def __getitem__(self, name: str) -> bytes:
        return dict(self._entries())[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._entries())

    def __len__(self) -> int:
        return int(lib.eo_model_metadata_count(self._model._pointer))

    def __setitem__(self, name: str, value: bytes) -> None:
        if not value:
            sentence = f"metadata entry {name!r} would be empty; use del to remove it"
            raise ArgumentError(sentence, Status.INVALID_ARGUMENT)
        self._model._edit(lib.eo_model_set_metadata, encoded(name), bytes(value), len(value))

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._model._edit(lib.eo_model_set_metadata, encoded(name), None, 0)
