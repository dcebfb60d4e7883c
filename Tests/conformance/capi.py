"""The few functions of edgeopt.h that the conformance tests need, over ctypes and NumPy."""
import ctypes
import os
import pathlib
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_int32, c_size_t, c_uint64, c_void_p

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE, FAST = 1, 0

DTYPES = {
    0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 8: np.complex64,
    9: np.int8, 10: np.float64, 11: np.complex128, 12: np.uint64, 15: np.uint32, 16: np.uint16,
}


class Tensor(ctypes.Structure):
    _fields_ = [
        ("index", c_int32), ("name", c_char_p), ("type", c_int), ("rank", c_int32), ("shape", POINTER(c_int32)),
        ("shape_signature", POINTER(c_int32)), ("is_variable", c_bool), ("is_sparse", c_bool),
        ("quantization_count", c_int32), ("scales", c_void_p), ("zero_points", c_void_p),
        ("quantized_dimension", c_int32), ("block_size", c_int32), ("size", c_size_t), ("data", c_void_p),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("num_threads", c_int32), ("arithmetic", c_int), ("signature", c_char_p),
        ("keep", c_void_p), ("keep_count", c_int32), ("keep_all", c_bool), ("profile", c_bool), ("delegates", c_void_p),
        ("delegate_count", c_int32), ("log", c_void_p), ("log_user", c_void_p),
    ]


class Report(ctypes.Structure):
    _fields_ = [
        ("index", c_int32), ("name", c_char_p), ("runner", c_char_p), ("kernel", c_char_p), ("reason", c_char_p),
        ("partition", c_int32), ("output_offset", c_size_t), ("calls", c_uint64), ("nanoseconds", c_uint64),
    ]


class Operator(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p), ("is_custom", c_bool), ("builtin_code", c_int32), ("version", c_int32),
        ("input_count", c_int32), ("inputs", POINTER(c_int32)), ("output_count", c_int32), ("outputs", POINTER(c_int32)),
    ]


def library_path():
    return os.environ.get("EDGEOPT_LIBRARY", str(ROOT / "build" / "lib" / "libedgeopt.so"))


lib = ctypes.CDLL(library_path())
lib.eo_last_error.restype = c_char_p
lib.eo_interpreter_input_name.restype = c_char_p
lib.eo_interpreter_output_name.restype = c_char_p
lib.eo_interpreter_arena_size.restype = c_size_t
for destroy in (lib.eo_model_destroy, lib.eo_interpreter_destroy):
    destroy.restype, destroy.argtypes = None, [c_void_p]


class EdgeOptError(Exception):
    """A status that is not EO_OK, with the library's sentence."""


def check(status):
    if status:
        raise EdgeOptError(lib.eo_last_error().decode("utf-8", "replace"))


class Interpreter:
    """A model file, compiled."""

    def __init__(self, path, arithmetic=FAST, signature=None, threads=1, keep_all=False, profile=False):
        self.model, self.pointer = c_void_p(), c_void_p()
        check(lib.eo_model_open(str(path).encode(), byref(self.model)))
        options = Options(ctypes.sizeof(Options), threads, arithmetic, signature.encode() if signature else None)
        options.keep_all, options.profile = keep_all, profile
        check(lib.eo_interpreter_create(self.model, byref(options), byref(self.pointer)))

    def __del__(self):
        lib.eo_interpreter_destroy(self.pointer)
        lib.eo_model_destroy(self.model)

    def names(self, which):
        count = getattr(lib, f"eo_interpreter_{which}_count")(self.pointer)
        name = getattr(lib, f"eo_interpreter_{which}_name")
        return [name(self.pointer, i).decode() for i in range(count)]

    def view(self, which, index):
        """A NumPy view of an input, output or tensor; None if it has no memory."""
        tensor = Tensor()
        check(getattr(lib, f"eo_interpreter_{which}")(self.pointer, index, byref(tensor)))
        shape = [tensor.shape[i] for i in range(tensor.rank)]
        if not tensor.data and tensor.size:
            return None
        dtype = DTYPES[tensor.type]
        if not tensor.size:
            return np.zeros(shape if 0 in shape else [0], dtype)
        buffer = (ctypes.c_char * tensor.size).from_address(tensor.data)
        return np.frombuffer(buffer, dtype).reshape(shape)

    def resize(self, index, shape):
        check(lib.eo_interpreter_resize_input(self.pointer, index, (c_int32 * len(shape))(*shape), len(shape)))

    def invoke(self):
        check(lib.eo_interpreter_invoke(self.pointer))

    def reports(self):
        for index in range(lib.eo_interpreter_operator_count(self.pointer)):
            report = Report()
            check(lib.eo_interpreter_operator(self.pointer, index, byref(report)))
            yield report

    def operator(self, index):
        result = Operator()
        check(lib.eo_model_operator(self.model, 0, index, byref(result)))
        return result
