"""Post-training quantization."""

from __future__ import annotations

import ctypes
import enum
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Union

import numpy as np
import numpy.typing as npt

from . import _tensor
from ._errors import ArgumentError, Status
from ._library import Handle, Log, QuantizerOptions, lib
from ._library import Tensor as _Tensor
from ._model import Bytes, Model, PathLike

Sample = Union[npt.ArrayLike, Sequence[npt.ArrayLike], Mapping[str, npt.ArrayLike]]


class Scheme(enum.Enum):
    """How a model is quantized."""

    FLOAT16 = "float16"  #: weights as float16; half the size; needs no samples
    DYNAMIC_RANGE = "dynamic_range"  #: weights as int8, activations stay float; a quarter; needs no samples
    INT8 = "int8"  #: weights and activations int8; a quarter, and integer arithmetic; needs samples
    INT16X8 = "int16x8"  #: activations int16, weights int8: more exact than int8; needs samples


_SCHEMES = {Scheme.FLOAT16: 0, Scheme.DYNAMIC_RANGE: 1, Scheme.INT8: 2, Scheme.INT16X8: 3}
_CALIBRATIONS = {"min_max": 0, "moving_average": 1}


def quantize(
    model: Model | PathLike | Bytes,
    scheme: Scheme | str = Scheme.INT8,
    calibration: Iterable[Sample] | None = None,
    *,
    input_type: str = "float32",
    output_type: str = "float32",
    per_channel: bool = True,
    calibration_method: str = "min_max",
    moving_average: float = 0.9,
    min_weight_elements: int = 1024,
    num_threads: int = 1,
    progress: bool | None = None,
) -> Model:
    """The model with weights, and with the integer schemes activations, in fewer bits. The model given is not changed.

    `calibration` gives samples of real input, in the shape and the type of the float model's inputs: one array for a
    model with one input, else a sequence of arrays in the inputs' order, or a mapping from the inputs' tensor names. A
    leading dimension of 1 may be missing, so an array of many samples will do.
    Each is run through the float model once and is then no longer needed, so a generator over any amount of data is
    fine. A hundred or so typical samples are usually enough.

    `input_type` and `output_type`: "float32", or with INT8 "int8" or "uint8", with INT16X8 "int16".
    `per_channel`: one scale for each output channel of a weight; else one for the whole tensor.
    `calibration_method`: "min_max", the range of all samples, or "moving_average", of the samples' ranges, keeping the
    share `moving_average` of the old range each time.
    `min_weight_elements`: DYNAMIC_RANGE leaves smaller weights as they are, FLOAT16 those below an eighth of it.
    `progress`: show a tqdm bar (default: where stderr is a terminal and tqdm is installed).

    Raises `CalibrationError`, `ModelError` (already quantized), `UnsupportedError`, `ArgumentError` and
    `ExecutionError` (a sample makes NaN or infinity; the sentence names the tensor).
    """
    source = model if isinstance(model, Model) else Model(model)
    scheme = Scheme(scheme)
    options = QuantizerOptions(
        ctypes.sizeof(QuantizerOptions),
        _SCHEMES[scheme],
        not per_channel,
        type_number(input_type),
        type_number(output_type),
        _calibration_number(calibration_method),
        moving_average,
        min_weight_elements,
        num_threads,
        Log(),
        None,
    )
    pointer = ctypes.c_void_p()
    lib.eo_quantizer_create(source._pointer, ctypes.byref(options), ctypes.byref(pointer))
    quantizer = Handle(pointer, lib.eo_quantizer_destroy, source._handle)
    if calibration is not None and scheme in (Scheme.INT8, Scheme.INT16X8):
        for sample in _with_progress(calibration, progress):
            _calibrate(quantizer, sample)
    result = ctypes.c_void_p()
    lib.eo_quantizer_finish(quantizer.pointer, ctypes.byref(result))
    return Model._adopt(result, source._handle)


def type_number(name: str) -> int:
    if name.upper() not in _tensor.NUMBERS:
        raise ArgumentError(f"{name!r} is not a tensor type", Status.INVALID_ARGUMENT)
    return _tensor.NUMBERS[name.upper()]


def _calibration_number(name: str) -> int:
    if name not in _CALIBRATIONS:
        raise ArgumentError(f"calibration_method {name!r} is not one of {list(_CALIBRATIONS)}", Status.INVALID_ARGUMENT)
    return _CALIBRATIONS[name]


def _with_progress(samples: Iterable[Sample], wanted: bool | None) -> Iterable[Sample]:
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return samples
    try:
        import tqdm
    except ImportError:
        return samples
    return tqdm.tqdm(samples, desc="calibrating", unit="sample")


def _calibrate(quantizer: Handle, sample: Sample) -> None:
    count = lib.eo_quantizer_input_count(quantizer.pointer)
    inputs = []
    for index in range(count):
        found = _Tensor()
        lib.eo_quantizer_input(quantizer.pointer, index, ctypes.byref(found))
        inputs.append((_tensor.name_of(found), _tensor.shape_of(found), _tensor.type_of(found)[1]))
    arrays = [as_input(value, *input) for value, input in zip(in_order(sample, inputs), inputs)]
    data = (ctypes.c_void_p * count)(*(array.ctypes.data for array in arrays))
    sizes = (ctypes.c_size_t * count)(*(array.nbytes for array in arrays))
    lib.eo_quantizer_calibrate(quantizer.pointer, data, sizes, count)


Input = tuple[str, tuple[int, ...], type[np.generic]]


def in_order(sample: Sample, inputs: list[Input]) -> list[npt.ArrayLike]:
    if isinstance(sample, Mapping):
        missing = [name for name, _, _ in inputs if name not in sample]
        if missing or len(sample) != len(inputs):
            names = [name for name, _, _ in inputs]
            raise ArgumentError(f"a sample has {list(sample)}, the model's inputs are {names}", Status.OUT_OF_RANGE)
        return [sample[name] for name, _, _ in inputs]
    values = list(sample) if isinstance(sample, (list, tuple)) else [sample]
    if len(values) != len(inputs):
        raise ArgumentError(f"a sample has {len(values)} arrays, the model has {len(inputs)} inputs", Status.WRONG_SIZE)
    return values


def as_input(value: npt.ArrayLike, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    array = np.asarray(value)
    if shape[:1] == (1,) and array.shape == shape[1:]:
        array = array[np.newaxis]  # one of an array of samples
    if array.shape != shape:
        raise ArgumentError(
            f"a sample for input '{name}' has shape {list(array.shape)}, expected {list(shape)}", Status.WRONG_SIZE
        )
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ArgumentError(
            f"a sample for input '{name}' is {array.dtype}, expected {np.dtype(dtype)}", Status.INVALID_ARGUMENT
        )
    return np.ascontiguousarray(array, dtype)
