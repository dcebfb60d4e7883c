"""edgeopt.h as ctypes: where the library is, its structs, and its functions.

Functions that return eo_status are wrapped: they raise the exception for it instead.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
from ctypes import (
    POINTER,
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from typing import Any

from . import _errors

_NAME = "libedgeopt.so"


def library_path() -> pathlib.Path:
    """Where the library is: EDGEOPT_LIBRARY, else inside the installed package, else the source tree's build folder."""
    chosen = os.environ.get("EDGEOPT_LIBRARY")
    if chosen:
        return pathlib.Path(chosen)
    here = pathlib.Path(__file__).resolve().parent
    places = [here / _NAME, here.parents[2] / "build" / "lib" / _NAME]
    for place in places:
        if place.exists():
            return place
    raise ImportError(
        f"{_NAME} is not in {' nor in '.join(str(place.parent) for place in places)};"
        " build it with scripts/build, or set EDGEOPT_LIBRARY to its path"
    )


class Tensor(ctypes.Structure):
    _fields_ = [
        ("index", c_int32),
        ("name", c_char_p),
        ("type", c_int),
        ("rank", c_int32),
        ("shape", POINTER(c_int32)),
        ("shape_signature", POINTER(c_int32)),
        ("is_variable", c_bool),
        ("is_sparse", c_bool),
        ("quantization_count", c_int32),
        ("scales", POINTER(c_float)),
        ("zero_points", POINTER(c_int64)),
        ("quantized_dimension", c_int32),
        ("block_size", c_int32),
        ("size", c_size_t),
        ("data", c_void_p),
    ]


class Operator(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("is_custom", c_bool),
        ("builtin_code", c_int32),
        ("version", c_int32),
        ("input_count", c_int32),
        ("inputs", POINTER(c_int32)),
        ("output_count", c_int32),
        ("outputs", POINTER(c_int32)),
    ]


class Signature(ctypes.Structure):
    _fields_ = [
        ("key", c_char_p),
        ("subgraph", c_int32),
        ("input_count", c_int32),
        ("input_names", POINTER(c_char_p)),
        ("inputs", POINTER(c_int32)),
        ("output_count", c_int32),
        ("output_names", POINTER(c_char_p)),
        ("outputs", POINTER(c_int32)),
    ]


class Options(ctypes.Structure):
    """What a caller fills in. ctypes cuts numbers off that a field cannot hold; here they are refused."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, int) and getattr(self, name) != value:
            raise _errors.ArgumentError(f"{name} is {value}: out of range", _errors.Status.INVALID_ARGUMENT)


Log = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)


class InterpreterOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("num_threads", c_int32),
        ("arithmetic", c_int),
        ("signature", c_char_p),
        ("keep", POINTER(c_char_p)),
        ("keep_count", c_int32),
        ("keep_all", c_bool),
        ("profile", c_bool),
        ("delegates", c_void_p),
        ("delegate_count", c_int32),
        ("log", Log),
        ("log_user", c_void_p),
        ("weight_cache", c_char_p),
        ("thread_pool", c_void_p),
        ("precision", c_int),
        ("autotune", c_bool),
    ]


class ThreadPoolOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("num_threads", c_int32),
        ("parallel_for", c_void_p),
        ("user", c_void_p),
    ]


class OperatorReport(ctypes.Structure):
    _fields_ = [
        ("index", c_int32),
        ("name", c_char_p),
        ("runner", c_char_p),
        ("kernel", c_char_p),
        ("reason", c_char_p),
        ("partition", c_int32),
        ("output_offset", c_size_t),
        ("calls", c_uint64),
        ("nanoseconds", c_uint64),
    ]


class QuantizerOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("scheme", c_int),
        ("per_tensor_weights", c_bool),
        ("input_type", c_int),
        ("output_type", c_int),
        ("calibration", c_int),
        ("moving_average", c_float),
        ("min_weight_elements", c_int32),
        ("num_threads", c_int32),
        ("log", Log),
        ("log_user", c_void_p),
    ]


class LossTerm(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("loss", c_int),
        ("output", c_int32),
        ("weight", c_float),
        ("label_smoothing", c_float),
        ("delta", c_float),
        ("temperature", c_float),
        ("max_labels", c_int32),
    ]


HostLoss = ctypes.CFUNCTYPE(
    c_int, c_void_p, POINTER(POINTER(c_float)), POINTER(POINTER(c_float)), c_int32, POINTER(c_float)
)


class LayerRule(Options):
    _fields_ = [("pattern", c_char_p), ("value", c_double)]


class PruningOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("sparsity", c_double),
        ("pattern", c_int),
        ("block_rows", c_int32),
        ("block_columns", c_int32),
        ("block_pooling", c_int),
        ("group_zeros", c_int32),
        ("group_size", c_int32),
        ("global", c_bool),
        ("for_latency", c_bool),
        ("depthwise", c_bool),
        ("first", c_bool),
        ("rules", POINTER(LayerRule)),
        ("rule_count", c_int32),
        ("log", Log),
        ("log_user", c_void_p),
    ]


class ChannelPruningOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("ratio", c_double),
        ("norm", c_int),
        ("multiple", c_int32),
        ("rules", POINTER(LayerRule)),
        ("rule_count", c_int32),
        ("log", Log),
        ("log_user", c_void_p),
    ]


class ClusteringOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("clusters", c_int32),
        ("start", c_int),
        ("seed", c_uint64),
        ("iterations", c_int32),
        ("granularity", c_int),
        ("preserve_zeros", c_bool),
        ("int8_grid", c_bool),
        ("depthwise", c_bool),
        ("first", c_bool),
        ("rules", POINTER(LayerRule)),
        ("rule_count", c_int32),
    ]


class PruningScheduleOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("initial_sparsity", c_double),
        ("begin_step", c_int64),
        ("end_step", c_int64),
        ("frequency", c_int64),
        ("power", c_double),
        ("regrow", c_bool),
    ]


NextSample = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p), POINTER(c_size_t), c_int32)


class TrainingQuantization(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("scheme", c_int),
        ("weight_bits", c_int32),
        ("activation_bits", c_int32),
        ("per_tensor_weights", c_bool),
        ("input_type", c_int),
        ("output_type", c_int),
        ("ranges", c_int),
        ("range_momentum", c_float),
        ("freeze_step", c_int64),
        ("learned_weights", c_bool),
        ("float_layers", POINTER(c_char_p)),
        ("float_layer_count", c_int32),
        ("weight_bits_rules", POINTER(LayerRule)),
        ("weight_bits_rule_count", c_int32),
        ("activation_bits_rules", POINTER(LayerRule)),
        ("activation_bits_rule_count", c_int32),
        ("calibration", NextSample),
        ("calibration_user", c_void_p),
        ("log", Log),
        ("log_user", c_void_p),
    ]


class ExportReport(ctypes.Structure):
    _fields_ = [
        ("samples", c_int64),
        ("same_top1", c_int64),
        ("elements", c_int64),
        ("equal", c_int64),
        ("one_step", c_int64),
        ("two_steps", c_int64),
        ("largest_distance", c_float),
    ]


class TrainerOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("batch_size", c_int32),
        ("num_threads", c_int32),
        ("signature", c_char_p),
        ("losses", POINTER(LossTerm)),
        ("loss_count", c_int32),
        ("frozen", POINTER(c_char_p)),
        ("frozen_count", c_int32),
        ("trainable", POINTER(c_char_p)),
        ("trainable_count", c_int32),
        ("optimizer", c_int),
        ("learning_rate", c_float),
        ("momentum", c_float),
        ("nesterov", c_bool),
        ("beta1", c_float),
        ("beta2", c_float),
        ("epsilon", c_float),
        ("weight_decay", c_float),
        ("no_decay", POINTER(c_char_p)),
        ("no_decay_count", c_int32),
        ("clip_value", c_float),
        ("clip_norm", c_float),
        ("clip_global_norm", c_float),
        ("averaging", c_float),
        ("schedule", c_int),
        ("schedule_steps", c_int32),
        ("warmup_steps", c_int32),
        ("end_learning_rate", c_float),
        ("decay_rate", c_float),
        ("power", c_float),
        ("host_loss", HostLoss),
        ("host_user", c_void_p),
        ("batch_normalization", c_bool),
        ("batch_norm_momentum", c_float),
        ("pruning", POINTER(PruningOptions)),
        ("pruning_schedule", POINTER(PruningScheduleOptions)),
        ("clustering", POINTER(ClusteringOptions)),
        ("preserve_zeros", c_bool),
        ("preserve_clusters", c_bool),
        ("quantization", POINTER(TrainingQuantization)),
        ("recompute_activations", c_bool),
        ("unroll", c_bool),
        ("precision", c_int),
    ]


class Batch(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("sample_count", c_int32),
        ("inputs", POINTER(c_void_p)),
        ("input_sizes", POINTER(c_size_t)),
        ("labels", POINTER(c_void_p)),
        ("label_sizes", POINTER(c_size_t)),
        ("weights", POINTER(c_float)),
    ]


class BatchResult(ctypes.Structure):
    _fields_ = [
        ("loss", c_float),
        ("correct", c_int32),
        ("counted", c_int32),
        ("gradient_norm", c_float),
        ("learning_rate", c_float),
    ]


class WeightStatistics(ctypes.Structure):
    _fields_ = [
        ("is_weight", c_bool),
        ("elements", c_int64),
        ("zeros", c_int64),
        ("distinct", c_int64),
        ("least", c_double),
        ("greatest", c_double),
        ("mean", c_double),
        ("deviation", c_double),
    ]


class _Status(int):
    """The result type of functions that return eo_status."""


# name: (result, arguments). A handle is a c_void_p, `out` a pointer to one.
_handle, _out = c_void_p, POINTER(c_void_p)
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "eo_status_name": (c_char_p, [c_int]),
    "eo_status_message": (c_char_p, [c_int]),
    "eo_last_error": (c_char_p, []),
    "eo_version": (c_char_p, []),
    "eo_isa": (c_char_p, []),
    "eo_free": (None, [c_void_p]),
    "eo_type_name": (c_char_p, [c_int]),
    "eo_model_open": (_Status, [c_char_p, _out]),
    "eo_model_from_memory": (_Status, [c_void_p, c_size_t, c_int, _out]),
    "eo_model_destroy": (None, [_handle]),
    "eo_model_save": (_Status, [_handle, c_char_p]),
    "eo_model_serialize": (_Status, [_handle, POINTER(c_void_p), POINTER(c_size_t)]),
    "eo_model_description": (c_char_p, [_handle]),
    "eo_model_subgraph_count": (c_int32, [_handle]),
    "eo_model_subgraph_name": (c_char_p, [_handle, c_int32]),
    "eo_model_tensor_count": (c_int32, [_handle, c_int32]),
    "eo_model_operator_count": (c_int32, [_handle, c_int32]),
    "eo_model_input_count": (c_int32, [_handle, c_int32]),
    "eo_model_output_count": (c_int32, [_handle, c_int32]),
    "eo_model_signature_count": (c_int32, [_handle]),
    "eo_model_metadata_count": (c_int32, [_handle]),
    "eo_model_input": (_Status, [_handle, c_int32, c_int32, POINTER(c_int32)]),
    "eo_model_output": (_Status, [_handle, c_int32, c_int32, POINTER(c_int32)]),
    "eo_model_tensor": (_Status, [_handle, c_int32, c_int32, POINTER(Tensor)]),
    "eo_model_operator": (_Status, [_handle, c_int32, c_int32, POINTER(Operator)]),
    "eo_model_signature": (_Status, [_handle, c_int32, POINTER(Signature)]),
    "eo_model_metadata": (
        _Status,
        [_handle, c_int32, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)],
    ),
    "eo_model_operator_options": (_Status, [_handle, c_int32, c_int32, POINTER(c_void_p)]),
    "eo_model_set_description": (_Status, [_handle, c_char_p, _out]),
    "eo_model_rename_tensor": (_Status, [_handle, c_int32, c_int32, c_char_p, _out]),
    "eo_model_set_signature": (_Status, [_handle, POINTER(Signature), _out]),
    "eo_model_remove_signature": (_Status, [_handle, c_char_p, _out]),
    "eo_model_set_metadata": (_Status, [_handle, c_char_p, c_void_p, c_size_t, _out]),
    "eo_interpreter_create": (_Status, [_handle, POINTER(InterpreterOptions), _out]),
    "eo_interpreter_destroy": (None, [_handle]),
    "eo_interpreter_input_count": (c_int32, [_handle]),
    "eo_interpreter_output_count": (c_int32, [_handle]),
    "eo_interpreter_input_index": (c_int32, [_handle, c_char_p]),
    "eo_interpreter_output_index": (c_int32, [_handle, c_char_p]),
    "eo_interpreter_input_name": (c_char_p, [_handle, c_int32]),
    "eo_interpreter_output_name": (c_char_p, [_handle, c_int32]),
    "eo_interpreter_input": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_interpreter_output": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_interpreter_tensor_count": (c_int32, [_handle]),
    "eo_interpreter_tensor": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_interpreter_resize_input": (_Status, [_handle, c_int32, POINTER(c_int32), c_int32]),
    "eo_interpreter_resize_inputs": (_Status, [_handle, POINTER(c_int32), POINTER(c_int32), c_int32]),
    "eo_interpreter_bind_input": (_Status, [_handle, c_int32, c_void_p, c_size_t]),
    "eo_interpreter_bind_output": (_Status, [_handle, c_int32, c_void_p, c_size_t]),
    "eo_interpreter_input_binding": (c_int, [_handle, c_int32]),
    "eo_interpreter_output_binding": (c_int, [_handle, c_int32]),
    "eo_interpreter_invoke": (_Status, [_handle]),
    "eo_interpreter_cancel": (None, [_handle]),
    "eo_interpreter_reset_variables": (_Status, [_handle]),
    "eo_interpreter_set_num_threads": (_Status, [_handle, c_int32]),
    "eo_interpreter_arena_size": (c_size_t, [_handle]),
    "eo_interpreter_operator_count": (c_int32, [_handle]),
    "eo_interpreter_operator": (_Status, [_handle, c_int32, POINTER(OperatorReport)]),
    "eo_interpreter_set_profile": (None, [_handle, c_bool]),
    "eo_thread_pool_create": (_Status, [POINTER(ThreadPoolOptions), _out]),
    "eo_thread_pool_destroy": (None, [_handle]),
    "eo_quantizer_create": (_Status, [_handle, POINTER(QuantizerOptions), _out]),
    "eo_quantizer_destroy": (None, [_handle]),
    "eo_quantizer_input_count": (c_int32, [_handle]),
    "eo_quantizer_input": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_quantizer_calibrate": (_Status, [_handle, POINTER(c_void_p), POINTER(c_size_t), c_int32]),
    "eo_quantizer_finish": (_Status, [_handle, _out]),
    "eo_trainer_create": (_Status, [_handle, POINTER(TrainerOptions), _out]),
    "eo_trainer_destroy": (None, [_handle]),
    "eo_trainer_input_count": (c_int32, [_handle]),
    "eo_trainer_label_count": (c_int32, [_handle]),
    "eo_trainer_output_count": (c_int32, [_handle]),
    "eo_trainer_input": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_trainer_label": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_trainer_output": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_trainer_step": (_Status, [_handle, POINTER(Batch), POINTER(BatchResult)]),
    "eo_trainer_observe": (_Status, [_handle, POINTER(Batch)]),
    "eo_trainer_evaluate": (_Status, [_handle, POINTER(Batch), POINTER(BatchResult)]),
    "eo_trainer_predict": (_Status, [_handle, POINTER(Batch), POINTER(c_void_p), POINTER(c_size_t)]),
    "eo_trainer_parameter_count": (c_int32, [_handle]),
    "eo_trainer_parameter_index": (c_int32, [_handle, c_char_p]),
    "eo_trainer_parameter": (_Status, [_handle, c_int32, POINTER(Tensor)]),
    "eo_trainer_set_parameter": (_Status, [_handle, c_int32, c_void_p, c_size_t]),
    "eo_trainer_steps": (c_int64, [_handle]),
    "eo_trainer_learning_rate": (c_float, [_handle]),
    "eo_trainer_set_learning_rate": (_Status, [_handle, c_float]),
    "eo_trainer_save": (_Status, [_handle, c_char_p, c_char_p, c_size_t]),
    "eo_trainer_restore": (_Status, [_handle, c_char_p, POINTER(c_void_p), POINTER(c_size_t)]),
    "eo_trainer_export": (_Status, [_handle, _out]),
    "eo_trainer_check_export": (_Status, [_handle, NextSample, c_void_p, POINTER(ExportReport)]),
    "eo_prune": (_Status, [_handle, POINTER(PruningOptions), _out]),
    "eo_prune_channels": (_Status, [_handle, POINTER(ChannelPruningOptions), _out]),
    "eo_cluster": (_Status, [_handle, POINTER(ClusteringOptions), _out]),
    "eo_model_store_sparse": (_Status, [_handle, c_double, _out]),
    "eo_model_weight_statistics": (_Status, [_handle, c_int32, c_int32, POINTER(WeightStatistics)]),
    "eo_model_weight_histogram": (_Status, [_handle, c_int32, c_int32, POINTER(c_int64), c_int32]),
}


def check(status: int, function: Any = None, arguments: Any = None) -> None:
    """Raises what a call's status says."""
    if status != 0:
        raise _errors.error(status, lib.eo_last_error().decode("utf-8", "replace"))


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))  # CDLL lets other Python threads run during a call
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = c_int if result is _Status else result
        if result is _Status:
            function.errcheck = check
    return library


lib = _load()

# The call that is made most, without a check in Python: its status is to be given to `check`.
invoke = lib["eo_interpreter_invoke"]
invoke.argtypes, invoke.restype = _FUNCTIONS["eo_interpreter_invoke"][1], c_int


class Handle:
    """Owns a handle of the library and releases it when the last reference goes."""

    def __init__(self, pointer: c_void_p, destroy: Any, *keep_alive: Any):
        self.pointer = pointer
        self._destroy = destroy
        self._keep_alive = keep_alive  # what the library borrows

    def __del__(self) -> None:
        self._destroy(self.pointer)


def text(string: bytes | None) -> str:
    """A string of the library; names in model files need not be valid UTF-8."""
    return (string or b"").decode("utf-8", "surrogateescape")


def encoded(string: str) -> bytes:
    """The inverse of `text`."""
    return string.encode("utf-8", "surrogateescape")


def version() -> str:
    """The version of the library, "0.1.0"."""
    return text(lib.eo_version())


def isa() -> str:
    """The instruction set that the kernels use, "avx2", say. The environment variable EDGEOPT_ISA caps it."""
    return text(lib.eo_isa())
