"""The calls that users of the TensorFlow Model Optimization Toolkit know, for model files.

    from edgeopt.toolkit import PolynomialDecay, prune_low_magnitude, strip_pruning

    prepared = prune_low_magnitude("model.tflite", PolynomialDecay(0.2, 0.75, begin_step=0, end_step=1000))
    trainer = edgeopt.Trainer(prepared)
    trainer.fit(images, labels, epochs=5)
    pruned = strip_pruning(trainer)

Without training a model is pruned or clustered at once, to where the toolkit's schedule would end: strip it then and
there. Shapes are the toolkit's: a kernel is (inputs, outputs). Zeros and clusters of earlier steps are kept with
`edgeopt.Trainer(quantize_model(model, samples), preserve=("zeros", "clusters"))`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Optional, Union

from . import _compress
from ._compress import CentroidInitialization
from ._errors import ArgumentError, Status
from ._model import Bytes, Model, PathLike
from ._quantize import Sample
from ._targets import (
    Annotated,
    Clustering,
    ConstantSparsity,
    PolynomialDecay,
    Pruning,
    PruningSchedule,
    QuantizationAware,
    Targets,
)
from ._trainer import Trainer

__all__ = [
    "CentroidInitialization",
    "ConstantSparsity",
    "PolynomialDecay",
    "PruneForLatencyOnXNNPack",
    "PruningSchedule",
    "QuantizeConfig",
    "cluster_weights",
    "prune_low_magnitude",
    "quantize_annotate_layer",
    "quantize_annotate_model",
    "quantize_apply",
    "quantize_model",
    "strip_clustering",
    "strip_pruning",
]


class PruneForLatencyOnXNNPack:
    """The policy to prune only what then runs faster: see `edgeopt.prune(for_latency=True)`."""


def prune_low_magnitude(
    to_prune: Model | PathLike | Bytes,
    pruning_schedule: PruningSchedule = ConstantSparsity(0.5, 0),
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: Optional[PruneForLatencyOnXNNPack] = None,
    sparsity_m_by_n: Optional[tuple[int, int]] = None,
) -> Annotated:
    """The model pruned to the schedule's final sparsity, which a `Trainer` prunes by the schedule instead. `block_size`
    is (inputs, outputs); `sparsity_m_by_n` = (2, 4) sets 2 of every 4 neighbouring inputs to zero. As in the toolkit the
    layers that read the inputs are pruned too, depthwise filters are not."""
    model = _model(to_prune)
    inputs, outputs = block_size
    settings: dict[str, Any] = {
        "block": None if (inputs, outputs) == (1, 1) else (outputs, inputs),
        "block_pooling": {"AVG": "average", "MAX": "maximum"}.get(block_pooling_type, block_pooling_type),
        "zeros_of": sparsity_m_by_n,
        "for_latency": pruning_policy is not None,
        "first": True,
    }
    pruned = _compress.prune(model, pruning_schedule.final, **settings)
    return Annotated.of(model, Targets(pruning=Pruning(pruning_schedule, **settings)), pruned)


def _model(given: Model | PathLike | Bytes) -> Model:
    return given if isinstance(given, Model) else Model(given)


def _strip(given: Trainer | Model | PathLike | Bytes) -> Model:
    if isinstance(given, Trainer):
        return given.export()
    model = _model(given)
    return model._copy() if isinstance(model, Annotated) else model


def strip_pruning(model: Trainer | Model | PathLike | Bytes) -> Model:
    """What the trainer has made, or the model pruned at once; nothing of the training is in it."""
    return _strip(model)


def cluster_weights(
    to_cluster: Model | PathLike | Bytes,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
) -> Annotated:
    """The model with `number_of_clusters` values in each weight tensor, or in each output channel of it, which a
    `Trainer` trains. As in the toolkit the layers that read the inputs are clustered too, depthwise filters are not."""
    model = _model(to_cluster)
    settings: dict[str, Any] = {
        "start": cluster_centroids_init,
        "granularity": "channel" if cluster_per_channel else "tensor",
        "preserve_zeros": preserve_sparsity,
        "first": True,
    }
    clustered = _compress.cluster(model, number_of_clusters, **settings)
    return Annotated.of(model, Targets(clustering=Clustering(number_of_clusters, **settings)), clustered)


def strip_clustering(model: Trainer | Model | PathLike | Bytes) -> Model:
    """What the trainer has made, or the model clustered at once; nothing of the training is in it."""
    return _strip(model)


@dataclasses.dataclass(frozen=True)
class QuantizeConfig:
    """How a layer is quantized; None: as all are."""

    weight_bits: Optional[int] = None
    activation_bits: Optional[int] = None


class QuantizeAnnotated(Model):
    """A model with patterns of the layers to quantize."""

    layers: dict[str, QuantizeConfig]


def quantize_annotate_layer(
    to_annotate: Model | PathLike | Bytes, layer: str, quantize_config: QuantizeConfig = QuantizeConfig()
) -> QuantizeAnnotated:
    """Says that the layers whose output has a name that fits `layer` ("*" any characters, "?" one), or whose operator is
    called so ("CONV_2D"), are to be quantized; those that no call names stay float."""
    model = _model(to_annotate)
    names = {name for operator in _layers(model) for name in operator}
    if not any(_compress.matches(name, layer) for name in names):
        raise ArgumentError(f"no layer has a name like {layer!r}", Status.OUT_OF_RANGE)
    made = QuantizeAnnotated.__new__(QuantizeAnnotated)
    made._handle = model._handle
    made.layers = {**getattr(model, "layers", {}), layer: quantize_config}
    return made


def quantize_annotate_model(to_annotate: Model | PathLike | Bytes) -> QuantizeAnnotated:
    """Says that all layers are to be quantized, as far as no call has said how."""
    model = _model(to_annotate)
    made = QuantizeAnnotated.__new__(QuantizeAnnotated)
    made._handle = model._handle
    made.layers = {"*": QuantizeConfig(), **getattr(model, "layers", {})}
    return made


def quantize_apply(
    model: QuantizeAnnotated, calibration: Iterable[Sample], **settings: Any
) -> Annotated:
    """The model for a `Trainer` that simulates its quantization and exports it. `calibration` are samples as
    `edgeopt.quantize` takes them, for the ranges of activations to start from; `settings` are those of
    `edgeopt.QuantizationAware`."""
    if not isinstance(model, QuantizeAnnotated):
        raise ArgumentError("nothing of the model is annotated: call quantize_annotate_model", Status.INVALID_ARGUMENT)
    stay_float = []
    for operator, output in _layers(model):
        if not any(_compress.matches(name, layer) for name in (operator, output) for layer in model.layers):
            stay_float.append(output)
    weight_bits = {name: config.weight_bits for name, config in model.layers.items() if config.weight_bits}
    activations = {name: config.activation_bits for name, config in model.layers.items() if config.activation_bits}
    quantization = QuantizationAware(
        calibration,
        **{
            "float_layers": stay_float,
            "weight_bits_of": weight_bits,
            "activation_bits_of": activations,
            **settings,
        },
    )
    return Annotated.of(model._copy(), Targets(quantization=quantization))


def quantize_model(to_quantize: Model | PathLike | Bytes, calibration: Iterable[Sample], **settings: Any) -> Annotated:
    """`quantize_apply` of `quantize_annotate_model`."""
    return quantize_apply(quantize_annotate_model(to_quantize), calibration, **settings)


def _layers(model: Model) -> list[tuple[str, str]]:
    """Of each operator its own name and that of its first output."""
    graph = model.subgraphs[0]
    return [(op.name, graph.tensors[op.outputs[0]].name) for op in graph.operators if op.outputs]
