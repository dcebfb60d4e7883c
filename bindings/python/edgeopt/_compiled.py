"""One subgraph of a model, compiled when it is first needed, and the views of its memory."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _tensor
from ._errors import ArgumentError, StateError, Status
from ._library import Handle, InterpreterOptions, Log, check, encoded, invoke, lib
from ._library import Tensor as _Tensor
from ._model import Model

_DIRECT = 1  # EO_BINDING_DIRECT
_PRECISIONS = ("float32", "bfloat16")  # the numbers of eo_precision


def precision_number(name: str) -> int:
    if name not in _PRECISIONS:
        raise ArgumentError(f"precision is {name!r}, expected one of {_PRECISIONS}", Status.INVALID_ARGUMENT)
    return _PRECISIONS.index(name)


def _not_ready() -> StateError:
    return StateError("call allocate_tensors() first", Status.WRONG_STATE)


class Compiled:
    """The main subgraph, or that of a signature.

    Shapes can be set before anything is compiled, as LiteRT's callers do; `allocate` makes them real.
    """

    def __init__(
        self,
        model: Model,
        signature: str | None,
        *,
        num_threads: int,
        reference: bool,
        keep_all: bool,
        weight_cache: str | bytes | None,
        precision: int,
        autotune: bool,
    ):
        self._model = model
        self._signature = signature
        self._weight_cache = weight_cache
        self._num_threads, self._reference, self._keep_all = num_threads, reference, keep_all
        self._precision, self._autotune = precision, autotune
        if signature is None:
            graph = 0
            inputs, outputs = model.inputs, model.outputs
            self.inputs, self.outputs = [t.index for t in inputs], [t.index for t in outputs]
        else:
            found = model.signatures[signature]
            graph = found.subgraph
            self.inputs, self.outputs = list(found.inputs.values()), list(found.outputs.values())
        self._subgraph = graph
        self._count = lib.eo_model_tensor_count(model._pointer, graph)
        self._handle: Handle | None = None
        self._wanted: dict[int, tuple[int, ...]] = {}  # shapes not yet allocated, by position of the input
        self._views: weakref.WeakSet[_tensor.Memory] = weakref.WeakSet()
        self._bound: dict[tuple[str, int], np.ndarray | None] = {}  # keeps bound arrays alive
        self._moves_outputs = False  # an output's shape depends on values: its memory may move at invoke

    @property
    def pointer(self) -> ctypes.c_void_p:
        """The handle of an interpreter that is ready."""
        if self._handle is None or self._wanted:
            raise _not_ready()
        return self._handle.pointer

    def allocate(self) -> None:
        if self._handle is None:
            self._handle = self._create()
        if self._wanted:
            self._refuse_while_viewed("change input shapes")
            self._resize(self._handle.pointer)
            self._wanted = {}
        self._moves_outputs = any(self._output(i).data is None for i in range(len(self.outputs)))

    def _create(self) -> Handle:
        options = InterpreterOptions(
            struct_size=ctypes.sizeof(InterpreterOptions),
            num_threads=self._num_threads,
            arithmetic=int(self._reference),
            signature=None if self._signature is None else encoded(self._signature),
            keep_all=self._keep_all,
            log=Log(),
            weight_cache=None if self._weight_cache is None else os.fsencode(self._weight_cache),
            precision=self._precision,
            autotune=self._autotune,
        )
        pointer = ctypes.c_void_p()
        lib.eo_interpreter_create(self._model._pointer, ctypes.byref(options), ctypes.byref(pointer))
        return Handle(pointer, lib.eo_interpreter_destroy, self._model._handle, self._bound)

    def _resize(self, pointer: ctypes.c_void_p) -> None:
        shapes = []
        for position in range(len(self.inputs)):
            found = _Tensor()
            lib.eo_interpreter_input(pointer, position, ctypes.byref(found))
            shapes.append(self._wanted.get(position, _tensor.shape_of(found)))
        flat = [size for shape in shapes for size in shape]
        lib.eo_interpreter_resize_inputs(
            pointer,
            (ctypes.c_int32 * len(flat))(*flat),
            (ctypes.c_int32 * len(shapes))(*map(len, shapes)),
            len(shapes),
        )

    def invoke(self) -> None:
        # Of small networks this is most of the time: no property, no check of the status by ctypes.
        handle = self._handle
        if handle is None or self._wanted:
            raise _not_ready()
        if self._moves_outputs:
            self._refuse_while_viewed("invoke a model whose output shapes depend on values")
        status = invoke(handle.pointer)
        if status:
            check(status)

    def cancel(self) -> None:
        lib.eo_interpreter_cancel(self.pointer)

    def reset_variables(self) -> None:
        lib.eo_interpreter_reset_variables(self.pointer)

    def resize(self, index: int, shape: tuple[int, ...], strict: bool) -> None:
        position = self._position(self.inputs, index, "input")
        found = self._found(index)
        if any(size < 0 for size in shape):
            raise StateError(f"{self._named(found)} cannot have the shape {list(shape)}", Status.WRONG_SIZE)
        signature = _tensor.signature_of(found)
        fits = len(signature) == len(shape) and all(fixed in (-1, size) for fixed, size in zip(signature, shape))
        if strict and not fits:
            raise StateError(
                f"{self._named(found)} has shape_signature {list(signature)}: strictly, it cannot become {list(shape)}",
                Status.WRONG_SIZE,
            )
        present = self._wanted.get(position, _tensor.shape_of(found))
        if shape != present:
            self._refuse_while_viewed("change input shapes")
            self._wanted[position] = shape

    def details(self, index: int) -> dict[str, Any]:
        found = self._found(index)
        details = _tensor.details(found)
        if index in self.inputs:
            wanted = self._wanted.get(self.inputs.index(index))
            if wanted is not None:
                details["shape"] = np.array(wanted, np.int32)
        return details

    def set(self, index: int, value: npt.ArrayLike) -> None:
        found = self._ready(index)
        target, _ = self._seen(found, writable=True)
        array = np.asarray(value)
        name, dtype = _tensor.type_of(found)
        if array.dtype != dtype:
            raise ArgumentError(f"{self._named(found)} is {name}, given: {array.dtype}", Status.INVALID_ARGUMENT)
        if array.shape != _tensor.shape_of(found):
            raise ArgumentError(
                f"{self._named(found)} has shape {list(_tensor.shape_of(found))}, given: {list(array.shape)}",
                Status.WRONG_SIZE,
            )
        if target.shape != array.shape:
            raise ArgumentError(f"{self._named(found)} has packed elements, use tensor()", Status.INVALID_ARGUMENT)
        target[...] = array

    def get(self, index: int) -> np.ndarray:
        found = self._ready(index)
        return _tensor.unpacked(found, self._seen(found, writable=False)[0])

    def view(self, index: int) -> np.ndarray:
        found = self._ready(index)
        array, memory = self._seen(found, writable=not self._is_constant(index))
        self._views.add(memory)
        return array

    def bind_input(self, index: int, array: np.ndarray | None) -> bool:
        return self._bind("input", self.inputs, index, array, lib.eo_interpreter_bind_input) and (
            lib.eo_interpreter_input_binding(self.pointer, self.inputs.index(index)) == _DIRECT
        )

    def bind_output(self, index: int, array: np.ndarray | None) -> bool:
        return self._bind("output", self.outputs, index, array, lib.eo_interpreter_bind_output) and (
            lib.eo_interpreter_output_binding(self.pointer, self.outputs.index(index)) == _DIRECT
        )

    def _bind(self, side: str, ends: list[int], index: int, array: np.ndarray | None, bind: Any) -> bool:
        position = self._position(ends, index, side)
        if array is None:
            bind(self.pointer, position, None, 0)
            self._bound.pop((side, position), None)
            return False
        found = self._ready(index)
        _, dtype = _tensor.type_of(found)
        shape = _tensor.shape_of(found)
        is_array = isinstance(array, np.ndarray)
        if not is_array or array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
            raise ArgumentError(
                f"{self._named(found)} needs a C-contiguous {np.dtype(dtype)} array of shape {list(shape)}",
                Status.INVALID_ARGUMENT,
            )
        if side == "output" and not array.flags.writeable:
            raise ArgumentError(f"{self._named(found)} cannot be bound to a read-only array", Status.INVALID_ARGUMENT)
        bind(self.pointer, position, array.ctypes.data, array.nbytes)
        self._bound[side, position] = array
        return True

    # ------------------------------------------------------------------------------------------------- inside

    def _found(self, index: int) -> _Tensor:
        """The tensor as it is now: of the interpreter if there is one, else of the model."""
        if not 0 <= index < self._count:
            raise ArgumentError(f"tensor index is {index}, the model has {self._count} tensors", Status.OUT_OF_RANGE)
        if self._handle is None:
            return _tensor.find(self._model, self._subgraph, index)
        found = _Tensor()
        lib.eo_interpreter_tensor(self._handle.pointer, index, ctypes.byref(found))
        return found

    def _ready(self, index: int) -> _Tensor:
        found = self._found(index)
        if self._handle is None or self._wanted:
            raise ArgumentError(f"{self._named(found)}: call allocate_tensors() first", Status.WRONG_STATE)
        return found

    def _output(self, position: int) -> _Tensor:
        found = _Tensor()
        assert self._handle is not None
        lib.eo_interpreter_output(self._handle.pointer, position, ctypes.byref(found))
        return found

    def _seen(self, found: _Tensor, writable: bool) -> tuple[np.ndarray, _tensor.Memory]:
        if writable and self._is_constant(found.index):
            raise ArgumentError(f"{self._named(found)} is a constant of the model", Status.INVALID_ARGUMENT)
        seen = _tensor.view(found, self._handle, writable)
        if seen is None:
            raise ArgumentError(
                f"{self._named(found)} has no value to look at: only inputs, outputs (after invoke, if their shapes"
                " depend on values) and constants have, and with experimental_preserve_all_tensors all tensors",
                Status.WRONG_STATE,
            )
        return seen

    def _is_constant(self, index: int) -> bool:
        """Constants lie in the model, and may be in memory that is mapped read-only."""
        in_model = _tensor.find(self._model, self._subgraph, index)
        return bool(in_model.data) and not in_model.is_variable

    def _position(self, ends: list[int], index: int, side: str) -> int:
        if index not in ends:
            raise StateError(f"tensor {index} is not an {side}; those are {ends}", Status.OUT_OF_RANGE)
        return ends.index(index)

    def _refuse_while_viewed(self, what: str) -> None:
        if self._views:
            raise StateError(
                f"cannot {what} while {len(self._views)} views of its tensors exist; hold the function that tensor()"
                " gives, not the array",
                Status.WRONG_STATE,
            )

    def _named(self, found: _Tensor) -> str:
        return f"tensor {found.index} '{_tensor.name_of(found)}'"
