"""The calls that users of the TensorFlow Model Optimization Toolkit know, for model files.

    from edgeopt.toolkit import ConstantSparsity, prune_low_magnitude, strip_pruning

    pruned = strip_pruning(prune_low_magnitude("model.tflite", ConstantSparsity(0.75, 0)))

A model is pruned or clustered at once, to where the toolkit's schedule would end; nothing is wrapped around it, so that
there is nothing to strip. Shapes are the toolkit's: a kernel is (inputs, outputs).
"""

from __future__ import annotations

import dataclasses
from typing import Optional

from . import _compress
from ._compress import CentroidInitialization
from ._model import Bytes, Model, PathLike

__all__ = [
    "CentroidInitialization",
    "ConstantSparsity",
    "PolynomialDecay",
    "PruneForLatencyOnXNNPack",
    "PruningSchedule",
    "cluster_weights",
    "prune_low_magnitude",
    "strip_clustering",
    "strip_pruning",
]


class PruningSchedule:
    """How sparse weights are at a step of the training."""

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether weights are pruned at this step, and to which sparsity."""
        raise NotImplementedError

    @property
    def final(self) -> float:
        """The sparsity in the end."""
        raise NotImplementedError


def _prunes(step: int, begin: int, end: int, frequency: int) -> bool:
    if step < begin or (end >= 0 and step > end):
        return False
    return step == end or (step - begin) % frequency == 0


@dataclasses.dataclass(frozen=True)
class ConstantSparsity(PruningSchedule):
    """The same sparsity from `begin_step` to `end_step` (-1: always), applied every `frequency` steps."""

    target_sparsity: float
    begin_step: int
    end_step: int = -1
    frequency: int = 100

    def __call__(self, step: int) -> tuple[bool, float]:
        return _prunes(step, self.begin_step, self.end_step, self.frequency), self.target_sparsity

    @property
    def final(self) -> float:
        return self.target_sparsity


@dataclasses.dataclass(frozen=True)
class PolynomialDecay(PruningSchedule):
    """From `initial_sparsity` to `final_sparsity`, fast first: f + (i - f) (1 - (t - begin) / (end - begin)) ** power.
    The last step prunes too, whatever the frequency."""

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    power: float = 3
    frequency: int = 100

    def __call__(self, step: int) -> tuple[bool, float]:
        done = min(max((step - self.begin_step) / max(self.end_step - self.begin_step, 1), 0), 1)
        sparsity = self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * (1 - done) ** self.power
        return _prunes(step, self.begin_step, self.end_step, self.frequency), sparsity

    @property
    def final(self) -> float:
        return self.final_sparsity


class PruneForLatencyOnXNNPack:
    """The policy to prune only what runs faster with single zeros: 1x1 convolutions."""


def prune_low_magnitude(
    to_prune: Model | PathLike | Bytes,
    pruning_schedule: PruningSchedule = ConstantSparsity(0.5, 0),
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: Optional[PruneForLatencyOnXNNPack] = None,
    sparsity_m_by_n: Optional[tuple[int, int]] = None,
) -> Model:
    """The model pruned to the schedule's final sparsity. `block_size` is (inputs, outputs); `sparsity_m_by_n` = (2, 4)
    sets 2 of every 4 neighbouring inputs to zero."""
    inputs, outputs = block_size
    return _compress.prune(
        to_prune,
        pruning_schedule.final,
        block=None if (inputs, outputs) == (1, 1) else (outputs, inputs),
        block_pooling={"AVG": "average", "MAX": "maximum"}.get(block_pooling_type, block_pooling_type),
        zeros_of=sparsity_m_by_n,
        for_latency=pruning_policy is not None,
    )


def strip_pruning(model: Model | PathLike | Bytes) -> Model:
    """The model: nothing is wrapped around pruned weights here."""
    return model if isinstance(model, Model) else Model(model)


def cluster_weights(
    to_cluster: Model | PathLike | Bytes,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
) -> Model:
    """The model with `number_of_clusters` values in each weight tensor, or in each output channel of it. As in the
    toolkit the layers that read the inputs are clustered too, depthwise filters are not."""
    return _compress.cluster(
        to_cluster,
        number_of_clusters,
        start=cluster_centroids_init,
        granularity="channel" if cluster_per_channel else "tensor",
        preserve_zeros=preserve_sparsity,
        first=True,
    )


def strip_clustering(model: Model | PathLike | Bytes) -> Model:
    """The model: nothing is wrapped around clustered weights here."""
    return model if isinstance(model, Model) else Model(model)
