"""The interpreter, with the calls of the TFLite / LiteRT Interpreter."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _tensor
from ._compiled import Compiled, precision_number
from ._errors import ArgumentError, Status
from ._library import lib, text
from ._library import OperatorReport as _OperatorReport
from ._model import Bytes, Model, PathLike

Details = dict[str, Any]


class OpResolverType(enum.Enum):
    """Which arithmetic computes. BUILTIN_REF: integer results are the bits of LiteRT's reference kernels (slow)."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


@dataclasses.dataclass(frozen=True)
class OperatorReport:
    """What was decided for an operator, and with `set_profile(True)` what it cost. See eo_operator_report."""

    index: int
    name: str
    runner: str
    kernel: str
    reason: str
    partition: int
    output_offset: int | None
    calls: int
    nanoseconds: int


class Interpreter:
    """Runs a .tflite model. Answers to the calls of `tf.lite.Interpreter` and `ai_edge_litert`'s Interpreter.

    `model_path` may also be an `edgeopt.Model`; interpreters of one Model share its weights. `num_threads`: 1 by
    default. `experimental_preserve_all_tensors`: intermediate tensors stay readable after `invoke`. `weight_cache`: a
    file to keep packed weights in, which makes the next load of the same model fast; it is written if need be.
    `precision`: "bfloat16" lets float32 convolutions and fully connected layers compute in it where that is fast.
    `autotune`: times the kernels that can run a layer and takes the fastest, once for each `weight_cache`.
    The other experimental arguments choose how LiteRT delegates; they are accepted and change nothing here.

    One thread at a time may use an interpreter (except `cancel`). `invoke` lets other Python threads run.
    """

    def __init__(
        self,
        model_path: PathLike | Model | None = None,
        model_content: Bytes | None = None,
        experimental_delegates: Sequence[object] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: OpResolverType = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        experimental_compress_quantization_zero_points: bool = False,
        experimental_disable_delegate_node_fusion: bool = False,
        experimental_force_delegate_node_profiling: bool = False,
        *,
        weight_cache: PathLike | None = None,
        precision: str = "float32",
        autotune: bool = False,
    ):
        if num_threads is not None and (not isinstance(num_threads, int) or num_threads < 1):
            raise ArgumentError(f"num_threads is {num_threads!r}, expected at least 1", Status.INVALID_ARGUMENT)
        if experimental_delegates:
            raise ArgumentError("delegates of other libraries cannot be used", Status.INVALID_ARGUMENT)
        if (model_path is None) == (model_content is None):
            raise ArgumentError("give either model_path or model_content", Status.INVALID_ARGUMENT)
        if isinstance(model_path, Model):
            self._model = model_path._copy()
        else:
            self._model = Model(model_content if model_path is None else model_path)
        # The resolvers of LiteRT are enums of its own: told apart by name.
        resolver = getattr(experimental_op_resolver_type, "name", None)
        if resolver not in OpResolverType.__members__:
            raise ArgumentError(f"{experimental_op_resolver_type!r} is not an OpResolverType", Status.INVALID_ARGUMENT)
        self._options = dict(
            num_threads=num_threads or 1,
            reference=resolver == OpResolverType.BUILTIN_REF.name,
            keep_all=bool(experimental_preserve_all_tensors),
            weight_cache=None if weight_cache is None else os.fspath(weight_cache),
            precision=precision_number(precision),
            autotune=bool(autotune),
        )
        self._main = Compiled(self._model, None, **self._options)
        self._by_signature: dict[str, Compiled] = {}

    # ------------------------------------------------------------------------------------------------ running

    def allocate_tensors(self) -> None:
        """Compiles the model for the present input shapes. Raises `UnsupportedError` naming every operator that cannot
        be run."""
        self._main.allocate()

    def invoke(self) -> None:
        """Runs the model once."""
        self._main.invoke()

    def cancel(self) -> None:
        """Makes a running `invoke` raise `CancelledError` soon; without one, the next does. Any thread."""
        self._main.cancel()

    def reset_all_variables(self) -> None:
        """Sets variable tensors back to their initial values."""
        self._main.reset_variables()

    # ------------------------------------------------------------------------------------------------ tensors

    def set_tensor(self, tensor_index: int, value: npt.ArrayLike) -> None:
        """Copies a value, of the tensor's type and shape, into an input or a variable."""
        self._main.set(tensor_index, value)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> np.ndarray:
        """A copy of a tensor's value: an input, an output, a constant or, with experimental_preserve_all_tensors, any
        tensor. Packed int4 and int2 come one per byte. Of other subgraphs than the main one: constants."""
        if subgraph_index != 0:
            self._check_subgraph(subgraph_index)
            found = _tensor.find(self._model, subgraph_index, tensor_index)
            return _tensor.value(found, self._model._handle)
        return self._main.get(tensor_index)

    def tensor(self, tensor_index: int) -> Callable[[], np.ndarray]:
        """A function that gives a view of a tensor's memory: read and write it without a copy. The view keeps the
        interpreter's memory alive. While there are views, input shapes cannot be changed."""
        return lambda: self._main.view(tensor_index)

    def bind_input(self, tensor_index: int, array: np.ndarray | None) -> bool:
        """Makes `array` itself the input: no copy at `invoke`. It must be C-contiguous, of the tensor's type and shape.
        None unbinds. True: it is used in place; False: it is not aligned to its elements and copied at each invoke."""
        return self._main.bind_input(tensor_index, array)

    def bind_output(self, tensor_index: int, array: np.ndarray | None) -> bool:
        """The same for an output, which `invoke` then writes into `array`."""
        return self._main.bind_output(tensor_index, array)

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Gives an input another shape, from the next `allocate_tensors` on. With `strict`, only dimensions that are -1
        in `shape_signature` may change."""
        self._main.resize(input_index, tuple(int(size) for size in tensor_size), strict)

    # ------------------------------------------------------------------------------------------------ details

    def get_input_details(self) -> list[Details]:
        """For each input a dictionary: `name`, `index`, `shape`, `shape_signature` (-1: may change), `dtype`,
        `quantization` (scale, zero_point), `quantization_parameters` (`scales`, `zero_points`, `quantized_dimension`,
        `block_size`), `sparsity_parameters`."""
        return [self._main.details(index) for index in self._main.inputs]

    def get_output_details(self) -> list[Details]:
        """The same for each output."""
        return [self._main.details(index) for index in self._main.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[Details]:
        """The same for each tensor of a subgraph."""
        self._check_subgraph(subgraph_index)
        count = lib.eo_model_tensor_count(self._model._pointer, subgraph_index)
        if subgraph_index == 0:
            return [self._main.details(index) for index in range(count)]
        return [_tensor.details(_tensor.find(self._model, subgraph_index, index)) for index in range(count)]

    def num_subgraphs(self) -> int:
        """How many subgraphs the model has."""
        return int(lib.eo_model_subgraph_count(self._model._pointer))

    def _check_subgraph(self, index: int) -> None:
        if not 0 <= index < self.num_subgraphs():
            raise ArgumentError(
                f"subgraph_index is {index}, the model has {self.num_subgraphs()} subgraphs", Status.OUT_OF_RANGE
            )

    # --------------------------------------------------------------------------------------------- signatures

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """The signatures: key to the names of `inputs` and of `outputs`."""
        return {
            key: {"inputs": sorted(signature.inputs), "outputs": sorted(signature.outputs)}
            for key, signature in sorted(self._model.signatures.items())
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A function that runs a signature. The key may be left out if the model has only one."""
        keys = list(self._model.signatures)
        if signature_key is None:
            if len(keys) != 1:
                raise ArgumentError(f"the model has {len(keys)} signatures: {keys}; say which", Status.OUT_OF_RANGE)
            signature_key = keys[0]
        if signature_key not in keys:
            raise ArgumentError(f"the model has no signature '{signature_key}', only {keys}", Status.OUT_OF_RANGE)
        if signature_key not in self._by_signature:
            self._by_signature[signature_key] = Compiled(self._model, signature_key, **self._options)
        return SignatureRunner(self._by_signature[signature_key], self._model.signatures[signature_key])

    # ------------------------------------------------------------------------------------------- of EdgeOpt's own

    @property
    def arena_size(self) -> int:
        """Bytes of the block that holds all intermediate tensors."""
        return int(lib.eo_interpreter_arena_size(self._main.pointer))

    def set_num_threads(self, num_threads: int) -> None:
        """Number of threads from the next `invoke` on; 0: one per core."""
        lib.eo_interpreter_set_num_threads(self._main.pointer, num_threads)

    def set_profile(self, profile: bool) -> None:
        """Switches the timing of operators on or off, and sets all times to 0."""
        lib.eo_interpreter_set_profile(self._main.pointer, profile)

    def operators(self) -> list[OperatorReport]:
        """For each operator: who runs it, with which kernel, and its times."""
        reports, pointer = [], self._main.pointer
        for index in range(lib.eo_interpreter_operator_count(pointer)):
            found = _OperatorReport()
            lib.eo_interpreter_operator(pointer, index, ctypes.byref(found))
            in_arena = found.output_offset != ctypes.c_size_t(-1).value
            reports.append(
                OperatorReport(
                    found.index, text(found.name), text(found.runner), text(found.kernel), text(found.reason),
                    found.partition, found.output_offset if in_arena else None, found.calls, found.nanoseconds,
                )  # fmt: skip
            )
        return reports


class SignatureRunner:
    """Runs one signature: `outputs = runner(input_name=array, ...)`. Inputs may have any shape that the model can take;
    outputs are copies, by name."""

    def __init__(self, compiled: Compiled, signature: Any):
        self._compiled = compiled
        self._signature = signature

    def __call__(self, **inputs: npt.ArrayLike) -> dict[str, np.ndarray]:
        signature, compiled = self._signature, self._compiled
        if set(inputs) != set(signature.inputs):
            raise ArgumentError(
                f"signature '{signature.key}' has inputs {list(signature.inputs)}, given: {list(inputs)}",
                Status.OUT_OF_RANGE,
            )
        arrays = {signature.inputs[name]: np.asarray(value) for name, value in inputs.items()}
        for tensor, array in arrays.items():
            compiled.resize(tensor, array.shape, strict=False)
        compiled.allocate()
        for tensor, array in arrays.items():
            compiled.set(tensor, array)
        compiled.invoke()
        return {name: compiled.get(tensor) for name, tensor in signature.outputs.items()}

    def get_input_details(self) -> dict[str, Details]:
        """Name to the dictionary that `Interpreter.get_input_details` tells about."""
        return {name: self._compiled.details(index) for name, index in sorted(self._signature.inputs.items())}

    def get_output_details(self) -> dict[str, Details]:
        """The same for the outputs."""
        return {name: self._compiled.details(index) for name, index in sorted(self._signature.outputs.items())}
