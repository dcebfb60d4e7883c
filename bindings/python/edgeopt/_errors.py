"""Exceptions: one class for each group of statuses in edgeopt.h, each also what LiteRT raises in that case."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """The statuses of edgeopt.h."""

    OK = 0x00
    INVALID_ARGUMENT = 0x10
    OUT_OF_RANGE = 0x11
    WRONG_SIZE = 0x12
    WRONG_STATE = 0x13
    FILE_ERROR = 0x20
    INVALID_MODEL = 0x30
    UNSUPPORTED = 0x31
    OUT_OF_MEMORY = 0x40
    THREAD_ERROR = 0x41
    CANCELLED = 0x50
    EXECUTION_ERROR = 0x51
    NO_CALIBRATION = 0x52
    DELEGATE_ERROR = 0x60


class Error(Exception):
    """A call failed and changed nothing. The text is the library's sentence; `status` says which kind."""

    def __init__(self, sentence: str, status: Status):
        super().__init__(sentence)
        self.status = status


class ArgumentError(Error, ValueError):
    """An argument, an index, a name, a shape or a size is wrong."""


class StateError(Error, RuntimeError):
    """The call does not fit the moment: `invoke` before `allocate_tensors`, say."""


class FileError(Error, ValueError):
    """A file could not be read or written."""


class ModelError(Error, ValueError):
    """The bytes are not a valid .tflite model."""


class UnsupportedError(Error, RuntimeError):
    """The model needs something that the library does not have. The sentence names all of it."""


class ResourceError(Error, RuntimeError):
    """Memory or a thread could not be had."""


class CancelledError(Error, RuntimeError):
    """`Interpreter.cancel` was called."""


class ExecutionError(Error, RuntimeError):
    """An operator met values that it cannot compute with."""


class CalibrationError(Error, ValueError):
    """The quantization scheme needs calibration samples and got none."""


class DelegateError(Error, RuntimeError):
    """A delegate failed."""


_CLASSES = {
    Status.INVALID_ARGUMENT: ArgumentError,
    Status.OUT_OF_RANGE: ArgumentError,
    Status.WRONG_SIZE: ArgumentError,
    Status.WRONG_STATE: StateError,
    Status.FILE_ERROR: FileError,
    Status.INVALID_MODEL: ModelError,
    Status.UNSUPPORTED: UnsupportedError,
    Status.OUT_OF_MEMORY: ResourceError,
    Status.THREAD_ERROR: ResourceError,
    Status.CANCELLED: CancelledError,
    Status.EXECUTION_ERROR: ExecutionError,
    Status.NO_CALIBRATION: CalibrationError,
    Status.DELEGATE_ERROR: DelegateError,
}


def error(status: int, sentence: str) -> Error:
    """The exception for a status."""
    known = Status(status)
    return _CLASSES[known](sentence, known)
