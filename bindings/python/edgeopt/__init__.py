"""EdgeOpt: make .tflite models smaller and run them without copying.

    import edgeopt

    model = edgeopt.quantize("float.tflite", scheme="int8", calibration=samples)
    model.save("int8.tflite")

    interpreter = edgeopt.Interpreter("int8.tflite")  # answers to the calls of the TFLite / LiteRT Interpreter
"""

from . import augment, callbacks, data, optimizers, schedules
from ._compress import (
    CentroidInitialization,
    WeightStatistics,
    cluster,
    prune,
    prune_channels,
    store_sparse,
    weight_histogram,
    weights,
)
from ._errors import (
    ArgumentError,
    CalibrationError,
    CancelledError,
    DelegateError,
    Error,
    ExecutionError,
    FileError,
    ModelError,
    ResourceError,
    StateError,
    Status,
    UnsupportedError,
)
from ._interpreter import Interpreter, OperatorReport, OpResolverType, SignatureRunner
from ._library import isa, library_path, version
from ._model import Model, Operator, Signature, Subgraph
from ._optimize import LEVELS, Leaf, Level, Training, Tree, optimize, optimize_until
from ._quantize import Scheme, quantize
from ._targets import (
    Clustering,
    ConstantSparsity,
    ExportReport,
    PolynomialDecay,
    Pruning,
    PruningSchedule,
    QuantizationAware,
)
from ._tensor import Quantization, Tensor
from ._trainer import Loss, StepResult, Trainer
from .graph import Graph, Node

__version__ = version()

__all__ = [
    "ArgumentError",
    "CalibrationError",
    "CancelledError",
    "CentroidInitialization",
    "Clustering",
    "ConstantSparsity",
    "DelegateError",
    "Error",
    "ExecutionError",
    "ExportReport",
    "FileError",
    "Graph",
    "Interpreter",
    "LEVELS",
    "Leaf",
    "Level",
    "Loss",
    "Model",
    "ModelError",
    "Node",
    "OpResolverType",
    "Operator",
    "OperatorReport",
    "PolynomialDecay",
    "Pruning",
    "PruningSchedule",
    "Quantization",
    "QuantizationAware",
    "ResourceError",
    "Scheme",
    "Signature",
    "SignatureRunner",
    "StateError",
    "Status",
    "StepResult",
    "Subgraph",
    "Tensor",
    "Trainer",
    "Training",
    "Tree",
    "UnsupportedError",
    "WeightStatistics",
    "augment",
    "callbacks",
    "cluster",
    "data",
    "isa",
    "library_path",
    "optimize",
    "optimize_until",
    "optimizers",
    "prune",
    "prune_channels",
    "quantize",
    "schedules",
    "store_sparse",
    "version",
    "weight_histogram",
    "weights",
]
