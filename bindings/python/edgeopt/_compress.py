"""Pruning and clustering: fewer weights, and fewer different ones. What their weights look like."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import re
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from ._errors import ArgumentError, Status, UnsupportedError
from ._library import ChannelPruningOptions, ClusteringOptions, LayerRule, Log, PruningOptions, encoded, lib, text
from ._library import WeightStatistics as _WeightStatistics
from ._model import Bytes, Model, PathLike

#: Patterns of layer names ("*" any run of characters, "?" any one) with a number each; of those that fit the last counts.
Layers = Mapping[str, float]


class CentroidInitialization(enum.Enum):
    """Where the search for centroids begins."""

    LINEAR = "linear"  #: at equal distances
    RANDOM = "random"  #: anywhere between the least and the greatest weight
    DENSITY_BASED = "density_based"  #: the same number of weights around each
    KMEANS_PLUS_PLUS = "kmeans_plus_plus"  #: among the weights, far from one another


_GRANULARITIES = {"tensor": 0, "channel": 1, "scaled_channels": 2}
_STARTS = {start: number for number, start in enumerate(CentroidInitialization)}


def prune(
    model: Model | PathLike | Bytes,
    sparsity: float = 0.5,
    *,
    block: tuple[int, int] | None = None,
    block_pooling: str = "average",
    zeros_of: tuple[int, int] | None = None,
    over_all: bool = False,
    for_latency: bool = False,
    depthwise: bool = False,
    first: bool = False,
    layers: Layers | None = None,
    log: Callable[[str], None] | None = None,
) -> Model:
    """The model with the weights of least magnitude set to zero. The model given is not changed.

    Afterwards each weight tensor has exactly the share `sparsity` of zeros, rounded to a whole number of weights or
    blocks; of equal ones the first go first; zeros that were there stay and count.

    `block`: prune blocks of (output channels, neighbours in each), judged by "average" or "maximum" magnitude.
    `zeros_of`: (2, 4) sets the 2 smallest of every 4 neighbours to zero; `sparsity` is not used then.
    `over_all`: the target is that of all weights together, so that layers that need them less lose more (layer-adaptive
    magnitudes, LAMP; Lee et al., 2021).
    `for_latency`: prune only what then runs faster: 1x1 convolutions and fully connected layers, from half zeros on;
    unless another pattern is asked for, in blocks of (16, 1).
    `depthwise`, `first`: also depthwise filters, and the convolutions that read the model's inputs: they are few and
    lose accuracy first.
    `layers`: sparsities of layers, by patterns of the names of their weights or outputs; 0 leaves a layer alone.
    `log`: gets remarks.

    Raises `UnsupportedError` (no float weights to prune), `ModelError` and `ArgumentError`.
    """
    options = pruning_options(
        sparsity, block, block_pooling, zeros_of, over_all, for_latency, depthwise, first, layers, log
    )
    return _made(lib.eo_prune, model, options)


def prune_channels(
    model: Model | PathLike | Bytes,
    ratio: float = 0.5,
    *,
    norm: str = "l1",
    multiple: int = 1,
    layers: Layers | None = None,
    log: Callable[[str], None] | None = None,
) -> Model:
    """A smaller dense model without the output channels of least norm, and without all that belongs to them in the
    layers behind. Accuracy is lost until the model is trained again. The model given is not changed.

    `ratio`: the share of each layer's channels that goes. `norm`: "l1" or "l2". `multiple`: channels that stay are
    raised to a multiple of it. `layers`: ratios of layers by patterns of names; 0 leaves a layer alone. `log` gets a
    sentence for each layer that keeps its channels, with the reason.

    Raises `UnsupportedError` (no layer can lose channels) and `ArgumentError`.
    """
    rules = rules_of(layers)
    options = ChannelPruningOptions(
        ctypes.sizeof(ChannelPruningOptions),
        ratio,
        number_of(norm, {"l1": 0, "l2": 1}, "norm"),
        multiple,
        rules,
        len(rules),
        log_of(log),
        None,
    )
    return _made(lib.eo_prune_channels, model, options)


def cluster(
    model: Model | PathLike | Bytes,
    clusters: int = 16,
    *,
    start: CentroidInitialization | str = CentroidInitialization.KMEANS_PLUS_PLUS,
    seed: int = 0,
    iterations: int = 100,
    granularity: str = "scaled_channels",
    preserve_zeros: bool = True,
    int8_grid: bool = True,
    depthwise: bool = False,
    first: bool = False,
    layers: Layers | None = None,
) -> Model:
    """The model with the weights of each tensor replaced by `clusters` values, the centroids that k-means finds: the
    file deflates to a fraction. The model given is not changed.

    `start`, `seed`, `iterations`: of k-means; the same seed gives the same model.
    `granularity`: "tensor": all weights of a tensor share the values; "channel": each output channel has values of its
    own; "scaled_channels": all share them, each channel times its own largest magnitude, so that quantization with a
    scale for each channel stores just these few numbers.
    `preserve_zeros`: zero stays zero, is one of the values, and no other weight becomes it.
    `int8_grid`: only values that symmetric int8 weights hold exactly, so that quantization changes them no more.
    `depthwise`, `first`: also depthwise filters, and the layers that read the model's inputs.
    `layers`: numbers of clusters of layers by patterns of names; 0 leaves a layer alone.

    Raises `UnsupportedError` (no float weights to cluster), `ModelError` and `ArgumentError`.
    """
    options = clustering_options(
        clusters, start, seed, iterations, granularity, preserve_zeros, int8_grid, depthwise, first, layers
    )
    return _made(lib.eo_cluster, model, options)


def store_sparse(model: Model | PathLike | Bytes, sparsity: float = 0.5) -> Model:
    """The model with weights of at least `sparsity` zeros stored in the sparse encoding of the format, where that is
    smaller. Results do not change. The model given is not changed."""
    source = model if isinstance(model, Model) else Model(model)
    result = ctypes.c_void_p()
    lib.eo_model_store_sparse(source._pointer, sparsity, ctypes.byref(result))
    return Model._adopt(result, source._handle)


@dataclasses.dataclass(frozen=True)
class WeightStatistics:
    """What the numbers of a weight tensor look like; quantized ones times their scales."""

    subgraph: int
    tensor: int
    name: str
    type: str
    elements: int
    zeros: int
    distinct: int  #: different numbers that are stored
    size: int  #: bytes
    deflated_size: int
    least: float
    greatest: float
    mean: float
    deviation: float

    @property
    def sparsity(self) -> float:
        return self.zeros / self.elements if self.elements else 0.0


def weights(model: Model | PathLike | Bytes) -> list[WeightStatistics]:
    """Of each constant that operators multiply with or look up in. The values of a tensor in the sparse encoding are
    those that are stored."""
    source = model if isinstance(model, Model) else Model(model)
    result = []
    for index, subgraph in enumerate(source.subgraphs):
        for tensor in subgraph.tensors:
            if tensor.data is None:
                continue
            found = _WeightStatistics()
            try:
                lib.eo_model_weight_statistics(source._pointer, index, tensor.index, ctypes.byref(found))
            except UnsupportedError:
                continue
            if not found.is_weight:
                continue
            data = np.asarray(tensor.data).tobytes()
            numbers = (found.elements, found.zeros, found.distinct)
            shape = (found.least, found.greatest, found.mean, found.deviation)
            deflated = len(zlib.compress(data, 9))
            result.append(
                WeightStatistics(
                    index, tensor.index, tensor.name, tensor.type, *numbers, len(data), deflated, *shape
                )
            )
    return result


def weight_histogram(
    model: Model | PathLike | Bytes, tensor: int, bins: int = 64, *, subgraph: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges, as `numpy.histogram` gives them, of the values of a constant."""
    source = model if isinstance(model, Model) else Model(model)
    counts = np.zeros(bins, np.int64)
    found = _WeightStatistics()
    lib.eo_model_weight_statistics(source._pointer, subgraph, tensor, ctypes.byref(found))
    pointer = counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
    lib.eo_model_weight_histogram(source._pointer, subgraph, tensor, pointer, bins)
    return counts, np.linspace(found.least, found.greatest, bins + 1)


def _made(function: Callable[..., None], model: Model | PathLike | Bytes, options: ctypes.Structure) -> Model:
    source = model if isinstance(model, Model) else Model(model)
    result = ctypes.c_void_p()
    function(source._pointer, ctypes.byref(options), ctypes.byref(result))
    return Model._adopt(result, source._handle)


def pruning_options(
    sparsity: float,
    block: tuple[int, int] | None,
    block_pooling: str,
    zeros_of: tuple[int, int] | None,
    over_all: bool,
    for_latency: bool,
    depthwise: bool,
    first: bool,
    layers: Layers | None,
    log: Callable[[str], None] | None,
) -> PruningOptions:
    """The arguments of `prune` as the library takes them."""
    rules = rules_of(layers)
    return PruningOptions(
        ctypes.sizeof(PruningOptions),
        sparsity,
        2 if zeros_of else 1 if block else 0,
        *(block or (1, 4)),
        number_of(block_pooling, {"average": 0, "maximum": 1}, "block_pooling"),
        *(zeros_of or (2, 4)),
        over_all,
        for_latency,
        depthwise,
        first,
        rules,
        len(rules),
        log_of(log),
        None,
    )


def clustering_options(
    clusters: int,
    start: CentroidInitialization | str,
    seed: int,
    iterations: int,
    granularity: str,
    preserve_zeros: bool,
    int8_grid: bool,
    depthwise: bool,
    first: bool,
    layers: Layers | None,
) -> ClusteringOptions:
    """The arguments of `cluster` as the library takes them."""
    rules = rules_of(layers)
    return ClusteringOptions(
        ctypes.sizeof(ClusteringOptions),
        clusters,
        _STARTS[CentroidInitialization(start)],
        seed,
        iterations,
        number_of(granularity, _GRANULARITIES, "granularity"),
        preserve_zeros,
        int8_grid,
        depthwise,
        first,
        rules,
        len(rules),
    )


def rules_of(layers: Layers | None) -> ctypes.Array[LayerRule]:
    items = list((layers or {}).items())
    return (LayerRule * len(items))(*(LayerRule(encoded(name), value) for name, value in items))


def matches(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern of layers."""
    words = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(words, name, re.DOTALL) is not None


def log_of(log: Callable[[str], None] | None) -> Log:
    return Log(lambda _user, _level, sentence: log(text(sentence))) if log else Log()


def number_of(name: str, numbers: dict[str, int], what: str) -> int:
    if name not in numbers:
        raise ArgumentError(f"{what} {name!r} is not one of {list(numbers)}", Status.INVALID_ARGUMENT)
    return numbers[name]
