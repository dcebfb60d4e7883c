"""Every way to make a model smaller in one call, and the first that is small, fast and good enough."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Optional, Union

import numpy as np

from . import optimizers, schedules
from ._compress import Layers, cluster, prune, prune_channels, weight_histogram, weights
from ._errors import ArgumentError, Status
from ._interpreter import Interpreter
from ._model import Bytes, Model, PathLike
from ._data import Augment
from ._quantize import Sample, Scheme, quantize
from ._targets import Clustering, PolynomialDecay, Pruning, QuantizationAware
from ._trainer import Loss, Trainer

#: Gives the accuracy of a model; or inputs and labels of a classifier with one input.
Evaluation = Union[Callable[[Model], float], "tuple[np.ndarray, np.ndarray]"]


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Values of a weight tensor: `counts[i]` of them from `edges[i]` to `edges[i + 1]`."""

    name: str
    counts: list[int]
    edges: list[float]


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A model, how it was made, and what it is worth."""

    stages: tuple[str, ...]  #: "pruned 75%", "clustered 16", "int8" or "int8 QAT"
    model: Model
    accuracy: float | None
    size: int  #: bytes of the file
    deflated_size: int
    distinct: int  #: different numbers in the weight tensor that has most
    sparsity: float  #: zeros among all weights
    latency: float | None  #: seconds of one inference, the best of several

    @property
    def name(self) -> str:
        return " + ".join(self.stages) or "float32"

    def histograms(self, bins: int = 64) -> list[Histogram]:
        """Of each weight tensor."""
        result = []
        for found in weights(self.model):
            counts, edges = weight_histogram(self.model, found.tensor, bins, subgraph=found.subgraph)
            result.append(Histogram(found.name, counts.tolist(), edges.tolist()))
        return result


class Tree(Sequence[Leaf]):
    """The leaves, each a model to deploy. Indexed by number or name."""

    def __init__(self, leaves: Iterable[Leaf]):
        self._leaves = list(leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._leaves)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, str):
            return self._leaves[index]
        for leaf in self._leaves:
            if leaf.name == index:
                return leaf
        raise KeyError(index)

    def __str__(self) -> str:
        return table(self._leaves)

    def save(self, folder: PathLike) -> list[pathlib.Path]:
        """Writes each model and `summary.json` into a folder, which is made if it is not there; gives the paths."""
        place = pathlib.Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        paths = []
        for leaf in self._leaves:
            path = place / (leaf.name.replace(" + ", "_").replace(" ", "").replace("%", "") + ".tflite")
            leaf.model.save(path)
            paths.append(path)
        (place / "summary.json").write_text(self.to_json() + "\n")
        return paths

    def to_json(self, *, bins: int = 0) -> str:
        """What the table says; with `bins` also the histograms of the weights at each stage."""
        rows = []
        for leaf in self._leaves:
            row = {field.name: getattr(leaf, field.name) for field in dataclasses.fields(leaf) if field.name != "model"}
            if bins:
                row["histograms"] = [dataclasses.asdict(histogram) for histogram in leaf.histograms(bins)]
            rows.append({"name": leaf.name, **row})
        return json.dumps(rows, indent=2)

    def plot(self, path: PathLike, *, bins: int = 64, tensors: int = 4) -> None:
        """Draws the histograms of the `tensors` largest weight tensors, a row for each leaf (needs matplotlib)."""
        from matplotlib import pyplot

        first = sorted(weights(self._leaves[0].model), key=lambda found: -found.elements)[:tensors]
        size = (3 * len(first), 1.6 * len(self._leaves))
        figure, axes = pyplot.subplots(len(self._leaves), len(first), squeeze=False, figsize=size)
        for row, leaf in zip(axes, self._leaves):
            found = {histogram.name: histogram for histogram in leaf.histograms(bins)}
            for axis, tensor in zip(row, first):
                histogram = found.get(tensor.name)
                if histogram:
                    axis.stairs(np.log1p(histogram.counts), histogram.edges, fill=True)
                axis.set_title(f"{leaf.name}\n{tensor.name.split(';')[0][-32:]}", fontsize=6)
                axis.tick_params(labelsize=5)
            row[0].set_ylabel("log(1 + weights)", fontsize=5)
        figure.tight_layout()
        figure.savefig(path)
        pyplot.close(figure)


def table(leaves: Iterable[Leaf]) -> str:
    """The leaves as lines of text."""
    rows = [("model", "accuracy", "bytes", "deflated", "distinct", "zeros", "ms")]
    for leaf in leaves:
        rows.append(
            (
                leaf.name,
                "" if leaf.accuracy is None else f"{leaf.accuracy:.4f}",
                str(leaf.size),
                str(leaf.deflated_size),
                str(leaf.distinct),
                f"{leaf.sparsity:.1%}",
                "" if leaf.latency is None else f"{1000 * leaf.latency:.3f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Training:
    """How the models of `optimize` are trained. `x`, `y`: as `Trainer.fit` takes them; without `y` each learns what the
    model before it says. The rest is that of `Trainer`; `quantization` are settings of `QuantizationAware`. Without an
    `optimizer` it is Adam with a rate that falls like a cosine, from 0.002 for pruning, which puts batch normalization
    back where there are convolutions, and from 0.0005 for the others."""

    x: Any
    y: Any = None
    epochs: int = 3  #: for each stage
    batch_size: int = 32
    optimizer: Union[str, optimizers.Optimizer, None] = None
    loss: Union[str, Loss, Sequence[Union[str, Loss]], None] = None
    augment: Optional[Augment] = None
    seed: int = 0
    quantization: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def pruned(self, model: Model, sparsity: float, layers: Layers | None, threads: int) -> Model:
        """The target is met half-way."""
        steps = self.epochs * self._batches()
        schedule = PolynomialDecay(0, sparsity, 0, steps // 2, frequency=max(1, steps // 40))
        pruning = Pruning(schedule, layers=layers)
        is_normalized = any(operator.name == "CONV_2D" for operator in model.subgraphs[0].operators)
        trainer = self._trainer(model, threads, 0.002, pruning=pruning, batch_normalization=is_normalized)
        return self._fit(trainer)

    def clustered(self, model: Model, clusters: int, options: Mapping[str, Any], threads: int) -> Model:
        """Zeros stay."""
        targets = {"clustering": Clustering(clusters, **options), "preserve": "zeros"}
        return self._fit(self._trainer(model, threads, 0.0005, **targets))

    def quantized(
        self, model: Model, scheme: Scheme, samples: Iterable[Sample], preserve: Sequence[str], threads: int
    ) -> Model:
        settings = {"scheme": scheme.value, **self.quantization}
        quantization = QuantizationAware(samples, **settings)
        return self._fit(self._trainer(model, threads, 0.0005, preserve=preserve, quantization=quantization))

    def _batches(self) -> int:
        """Of an epoch."""
        if self.y is None and not isinstance(self.x, (np.ndarray, Mapping)):
            return max(1, len(self.x)) if isinstance(self.x, Sized) else 1
        x = next(iter(self.x.values())) if isinstance(self.x, Mapping) else self.x
        first = x[0] if isinstance(x, (list, tuple)) and hasattr(x[0], "shape") else x
        return max(1, -(-len(first) // self.batch_size))

    @property
    def _loss(self) -> Union[str, Loss, Sequence[Union[str, Loss]]]:
        has_labels = self.y is not None or not isinstance(self.x, (np.ndarray, Mapping))
        return self.loss or ("auto" if has_labels else "distillation")

    def _trainer(self, model: Model, threads: int, rate: float, **targets: Any) -> Trainer:
        optimizer = self.optimizer or optimizers.Adam(schedules.Cosine(rate, self.epochs * self._batches()))
        return Trainer(model, self._loss, optimizer, batch_size=self.batch_size, num_threads=threads, **targets)

    def _fit(self, trainer: Trainer) -> Model:
        trainer.fit(self.x, self.y, epochs=self.epochs, augment=self.augment, seed=self.seed)
        return trainer.export()


class _Stages:
    """Pruned and clustered forms of a model, each made once: by training, if there is any."""

    def __init__(
        self,
        source: Model,
        training: Training | None,
        threads: int,
        prune_layers: Layers | None = None,
        cluster_options: Mapping[str, Any] | None = None,
    ):
        self.training, self.threads = training, threads
        self._prune_layers, self._cluster_options = prune_layers, dict(cluster_options or {})
        self._made: dict[tuple[float | None, int | None], Model] = {(None, None): source}

    def make(self, sparsity: float | None, clusters: int | None) -> tuple[tuple[str, ...], Model]:
        """Its name and the model. What pruning leaves is clustered."""
        names = (f"pruned {sparsity:.0%}",) if sparsity else ()
        names += (f"clustered {clusters}",) if clusters else ()
        key = (sparsity or None, clusters or None)
        if key not in self._made:
            _, before = self.make(sparsity if clusters else None, None)
            if clusters:
                made = self._clustered(before, clusters)
            else:
                made = self._pruned(before, sparsity or 0)
            self._made[key] = made
        return names, self._made[key]

    def _pruned(self, model: Model, sparsity: float) -> Model:
        if self.training is None:
            return prune(model, sparsity, layers=self._prune_layers)
        return self.training.pruned(model, sparsity, self._prune_layers, self.threads)

    def _clustered(self, model: Model, clusters: int) -> Model:
        if self.training is None:
            return cluster(model, clusters, **self._cluster_options)
        return self.training.clustered(model, clusters, self._cluster_options, self.threads)

    def aware(
        self, stage: tuple[tuple[str, ...], Model], scheme: Scheme, samples: Iterable[Sample]
    ) -> tuple[tuple[str, ...], Model]:
        """Trained to be quantized; zeros and clusters stay."""
        assert self.training is not None
        names, model = stage
        preserve = [what for what, word in (("zeros", "pruned"), ("clusters", "clustered")) if word in " ".join(names)]
        return (
            (*names, f"{scheme.value} QAT"),
            self.training.quantized(model, scheme, samples, preserve, self.threads),
        )


def optimize(
    model: Model | PathLike | Bytes,
    calibration: Iterable[Sample] | None = None,
    evaluate: Evaluation | None = None,
    *,
    sparsity: float = 0.5,
    clusters: int = 32,
    channels: float = 0,
    schemes: Sequence[Scheme | str | None] = (None, Scheme.INT8),
    training: Training | None = None,
    granularity: str = "scaled_channels",
    prune_layers: Layers | None = None,
    cluster_layers: Layers | None = None,
    measure_latency: bool = True,
    num_threads: int = 1,
) -> Tree:
    """The model as it is, pruned, clustered, and both, each in every one of `schemes` (None: not quantized): what they
    are worth, and the models. Without training what they cost is the worst case; with `training` each is trained, and
    for the integer schemes there is one more: trained to be quantized, keeping zeros and clusters (QAT, PQAT, CQAT,
    PCQAT).

    `calibration`: as `quantize` takes it; it is read once and kept. `evaluate`: a function from a model to a number, or
    (inputs, labels) of a classifier. `channels`: remove this share of each layer's channels first.
    """
    source = model if isinstance(model, Model) else Model(model)
    samples = None if calibration is None else list(calibration)
    base: tuple[str, ...] = ()
    if channels:
        source, base = prune_channels(source, channels), (f"channels -{channels:.0%}",)
    stages = _Stages(
        source, training, num_threads, prune_layers, {"granularity": granularity, "layers": cluster_layers}
    )
    made = [stages.make(*how) for how in ((None, None), (sparsity, None), (None, clusters), (sparsity, clusters))]
    leaves = []
    for scheme in schemes:
        for stage in made:
            for names, leaf in _forms(stages, stage, scheme, samples):
                leaves.append(_leaf((*base, *names), leaf, evaluate, measure_latency, num_threads))
    return Tree(leaves)


def _forms(
    stages: _Stages,
    stage: tuple[tuple[str, ...], Model],
    scheme: Scheme | str | None,
    samples: list[Sample] | None,
) -> Iterator[tuple[tuple[str, ...], Model]]:
    """A stage quantized after training, and where that can be also by it."""
    names, model = stage
    if scheme is None:
        yield stage
        return
    wanted = Scheme(scheme)
    yield (*names, wanted.value), quantize(model, wanted, samples)
    if stages.training is not None and wanted in _INTEGERS:
        yield stages.aware(stage, wanted, samples or [])


_INTEGERS = (Scheme.INT8, Scheme.INT16X8)


@dataclasses.dataclass(frozen=True)
class Level:
    """One step down: how far to prune and cluster (None: not at all) and how to quantize."""

    scheme: Scheme | str | None = None
    sparsity: float | None = None
    clusters: int | None = None


#: From what costs least accuracy to what costs most.
LEVELS: tuple[Level, ...] = (
    Level(),
    Level(Scheme.FLOAT16),
    Level(Scheme.DYNAMIC_RANGE),
    Level(Scheme.INT8),
    Level(Scheme.INT8, sparsity=0.3),
    Level(Scheme.INT8, clusters=32),
    Level(Scheme.INT8, sparsity=0.5),
    Level(Scheme.INT8, sparsity=0.5, clusters=32),
    Level(Scheme.INT8, sparsity=0.6, clusters=16),
    Level(Scheme.INT8, sparsity=0.75, clusters=16),
    Level(Scheme.INT8, sparsity=0.8, clusters=8),
    Level(Scheme.INT8, sparsity=0.9, clusters=8),
)


def optimize_until(
    model: Model | PathLike | Bytes,
    calibration: Iterable[Sample] | None = None,
    evaluate: Evaluation | None = None,
    *,
    accuracy: float | None = None,
    size: int | None = None,
    deflated_size: int | None = None,
    latency: float | None = None,
    levels: Sequence[Level] = LEVELS,
    training: Training | None = None,
    num_threads: int = 1,
) -> Leaf:
    """Walks down the levels and gives the first model of at least `accuracy`, at most `size` bytes of file,
    `deflated_size` bytes deflated, and `latency` seconds. A level whose scheme needs samples is left out without
    `calibration`. With `training` what a level prunes and clusters is trained, and its integer schemes are tried twice:
    quantized after training, then trained to be quantized.

    Raises `ArgumentError`, with the table of all that was tried, if no level meets the wish.
    """
    if accuracy is not None and evaluate is None:
        raise ArgumentError("an accuracy was asked for without a way to evaluate it", Status.INVALID_ARGUMENT)
    source = model if isinstance(model, Model) else Model(model)
    samples = None if calibration is None else list(calibration)
    stages = _Stages(source, training, num_threads)
    tried = []
    for level in levels:
        scheme = None if level.scheme is None else Scheme(level.scheme)
        if scheme in _INTEGERS and samples is None:
            continue
        for names, made in _forms(stages, stages.make(level.sparsity, level.clusters), scheme, samples):
            leaf = _leaf(names, made, evaluate, latency is not None, num_threads)
            limits = ((leaf.size, size), (leaf.deflated_size, deflated_size), (leaf.latency, latency))
            is_small = all(limit is None or value is None or value <= limit for value, limit in limits)
            is_good = accuracy is None or (leaf.accuracy is not None and leaf.accuracy >= accuracy)
            if is_small and is_good:
                return leaf
            tried.append(leaf)
    raise ArgumentError("no level meets the wish; tried were\n" + table(tried), Status.INVALID_ARGUMENT)


def _leaf(
    names: tuple[str, ...],
    model: Model,
    evaluate: Evaluation | None,
    measure_latency: bool,
    num_threads: int,
) -> Leaf:
    data = model.to_bytes()
    found = weights(model)
    elements = sum(statistics.elements for statistics in found)
    return Leaf(
        names,
        model,
        None if evaluate is None else _accuracy(model, evaluate, num_threads),
        len(data),
        len(zlib.compress(data, 9)),
        max((statistics.distinct for statistics in found), default=0),
        sum(statistics.zeros for statistics in found) / elements if elements else 0.0,
        _latency(model, num_threads) if measure_latency else None,
    )


def _accuracy(model: Model, evaluate: Evaluation, num_threads: int) -> float:
    if callable(evaluate):
        return float(evaluate(model))
    inputs, labels = evaluate
    interpreter = Interpreter(model, num_threads=num_threads)
    interpreter.allocate_tensors()
    [source], [result] = interpreter.get_input_details(), interpreter.get_output_details()
    right = 0
    for sample, label in zip(inputs, labels):
        interpreter.set_tensor(source["index"], np.ascontiguousarray(sample, source["dtype"]).reshape(source["shape"]))
        interpreter.invoke()
        right += int(interpreter.get_tensor(result["index"]).argmax() == label)
    return right / max(len(labels), 1)


def _latency(model: Model, num_threads: int, runs: int = 10) -> float:
    interpreter = Interpreter(model, num_threads=num_threads)
    interpreter.allocate_tensors()
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        interpreter.invoke()
        best = min(best, time.perf_counter() - start)
    return best
