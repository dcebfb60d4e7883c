"""What training makes of a model's weights: pruned, clustered, quantized, or kept as they are made."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from . import _tensor
from ._compress import CentroidInitialization, Layers, clustering_options, log_of, number_of, pruning_options, rules_of
from ._errors import ArgumentError, Status
from ._library import ExportReport as _ExportReport
from ._library import NextSample, PruningScheduleOptions, TrainerOptions, TrainingQuantization, encoded, lib
from ._model import Model
from ._quantize import Input, Sample, as_input, in_order, type_number


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


@dataclasses.dataclass(frozen=True)
class Pruning:
    """Pruning while training. `sparsity`: a share of zeros, met from the first step on, or a schedule that leads there.
    `regrow`: gradients reach pruned weights too, which can come back at the next pruning. The rest is that of
    `edgeopt.prune`."""

    sparsity: Union[float, PruningSchedule] = 0.5
    regrow: bool = False
    block: Optional[tuple[int, int]] = None
    block_pooling: str = "average"
    zeros_of: Optional[tuple[int, int]] = None
    over_all: bool = False
    for_latency: bool = False
    depthwise: bool = False
    first: bool = False
    layers: Optional[Layers] = None

    def _schedule(self) -> tuple[float, PruningScheduleOptions]:
        given = self.sparsity
        options = PruningScheduleOptions(ctypes.sizeof(PruningScheduleOptions), -1, 0, -1, 100, 3, self.regrow)
        if not isinstance(given, PruningSchedule):
            return given, options
        if not isinstance(given, (ConstantSparsity, PolynomialDecay)):
            raise ArgumentError("a schedule is ConstantSparsity or PolynomialDecay", Status.INVALID_ARGUMENT)
        options.begin_step, options.end_step = given.begin_step, given.end_step
        options.frequency = given.frequency
        if isinstance(given, PolynomialDecay):
            if given.end_step < given.begin_step:
                raise ArgumentError(
                    f"a schedule from step {given.begin_step} to step {given.end_step}", Status.INVALID_ARGUMENT
                )
            options.initial_sparsity, options.power = given.initial_sparsity, given.power
        return given.final, options


@dataclasses.dataclass(frozen=True)
class Clustering:
    """Clustering while training: the few values are trained with the weights that choose among them. The settings are
    those of `edgeopt.cluster`."""

    clusters: int = 16
    start: Union[CentroidInitialization, str] = CentroidInitialization.KMEANS_PLUS_PLUS
    seed: int = 0
    iterations: int = 100
    granularity: str = "scaled_channels"
    preserve_zeros: bool = True
    int8_grid: bool = True
    depthwise: bool = False
    first: bool = False
    layers: Optional[Layers] = None


_SCHEMES = {"int8": 2, "int16x8": 3}
_RANGES = {"moving_average": 0, "last_value": 1, "all_values": 2, "fixed": 3, "learned": 4}


@dataclasses.dataclass(frozen=True)
class QuantizationAware:
    """Training simulates the integer model that is then exported.

    `calibration`: samples as `edgeopt.quantize` takes them, for the ranges of activations to start from. `scheme`:
    "int8" or "int16x8". `weight_bits`: 2 to 16; layers with more than 8 compute in float, their weights are stored as
    int16. `activation_bits`: 4 to 8, with int16x8 to 16 (None: all). `ranges`: how they follow: "moving_average"
    (keeping `range_momentum` of the old one), "last_value", "all_values", "fixed", or "learned"; from `freeze_step` on
    they stay. `learned_weights`: train the scales of weights, too.
    `float_layers`: patterns of layers that stay float: of the name of what an operator writes, or an operator's name
    ("CONV_2D"); `weight_bits_of` and `activation_bits_of` give single layers other bits by such patterns.
    `log`: gets remarks.
    """

    calibration: Iterable[Sample]
    scheme: str = "int8"
    weight_bits: int = 8
    activation_bits: Optional[int] = None
    per_channel: bool = True
    input_type: str = "float32"
    output_type: str = "float32"
    ranges: str = "moving_average"
    range_momentum: float = 0.99
    freeze_step: Optional[int] = None
    learned_weights: bool = False
    float_layers: Sequence[str] = ()
    weight_bits_of: Optional[Layers] = None
    activation_bits_of: Optional[Layers] = None
    log: Optional[Callable[[str], None]] = None


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """How far an integer model is from what was simulated."""

    samples: int
    same_top1: int  #: samples whose first output has its largest element at the same place
    elements: int  #: of all float outputs of all samples
    equal: int  #: less than half a step of the output's scale apart
    one_step: int
    two_steps: int
    largest_distance: float  #: in steps

    @property
    def within_one_step(self) -> float:
        """The share of elements that are at most one step apart."""
        return (self.equal + self.one_step) / self.elements if self.elements else 1.0

    @property
    def top1_agreement(self) -> float:
        return self.same_top1 / self.samples if self.samples else 1.0


@dataclasses.dataclass(frozen=True)
class Targets:
    """All of it, as `Trainer` takes it."""

    pruning: Union[float, Pruning, None] = None
    clustering: Union[int, Clustering, None] = None
    preserve: Union[str, Sequence[str]] = ()
    quantization: Optional[QuantizationAware] = None

    def with_others(self, others: Targets) -> Targets:
        """These, but what `others` says in its place."""
        given = {field.name: getattr(others, field.name) for field in dataclasses.fields(others)}
        return dataclasses.replace(self, **{name: value for name, value in given.items() if value not in (None, ())})

    def fill(self, options: TrainerOptions, model: Model) -> Filled:
        """Writes them into the options, which borrow from the result."""
        filled = Filled(_inputs(model))
        if self.pruning is not None:
            pruning = self.pruning if isinstance(self.pruning, Pruning) else Pruning(self.pruning)
            target, schedule = pruning._schedule()
            made = pruning_options(
                target,
                pruning.block,
                pruning.block_pooling,
                pruning.zeros_of,
                pruning.over_all,
                pruning.for_latency,
                pruning.depthwise,
                pruning.first,
                pruning.layers,
                None,
            )
            options.pruning, options.pruning_schedule = filled.pointer(made), filled.pointer(schedule)
        if self.clustering is not None:
            clustering = Clustering(self.clustering) if isinstance(self.clustering, int) else self.clustering
            values = (getattr(clustering, field.name) for field in dataclasses.fields(clustering))
            options.clustering = filled.pointer(clustering_options(*values))
        for name in [self.preserve] if isinstance(self.preserve, str) else self.preserve:
            field = number_of(name, {"zeros": 0, "clusters": 1}, "preserve")
            setattr(options, ("preserve_zeros", "preserve_clusters")[field], True)
        if self.quantization is not None:
            options.quantization = filled.pointer(filled.quantization(self.quantization))
        return filled


class Filled:
    """Keeps what options point to."""

    def __init__(self, inputs: list[Input]):
        self.inputs = inputs
        self._keep: list[Any] = []
        self._samples: Samples | None = None

    def pointer(self, struct: Any) -> Any:
        self._keep.append(struct)
        return ctypes.pointer(struct)

    def raising(self) -> contextlib.AbstractContextManager[None]:
        """Raises what the calibration has raised."""
        return self._samples.raising() if self._samples else contextlib.nullcontext()

    def quantization(self, given: QuantizationAware) -> TrainingQuantization:
        made = TrainingQuantization(struct_size=ctypes.sizeof(TrainingQuantization))
        made.scheme = number_of(given.scheme, _SCHEMES, "scheme")
        made.weight_bits, made.activation_bits = given.weight_bits, given.activation_bits or 0
        made.per_tensor_weights = not given.per_channel
        made.input_type, made.output_type = type_number(given.input_type), type_number(given.output_type)
        made.ranges, made.range_momentum = number_of(given.ranges, _RANGES, "ranges"), given.range_momentum
        made.freeze_step = -1 if given.freeze_step is None else given.freeze_step
        made.learned_weights = given.learned_weights
        made.float_layers = patterns = strings(given.float_layers)
        made.float_layer_count = len(patterns)
        weights, activations = rules_of(given.weight_bits_of), rules_of(given.activation_bits_of)
        made.weight_bits_rules, made.weight_bits_rule_count = weights, len(weights)
        made.activation_bits_rules, made.activation_bits_rule_count = activations, len(activations)
        self._samples = Samples(given.calibration, self.inputs)
        made.calibration = self._samples.function
        made.log = log_of(given.log)
        return made


class Samples:
    """Gives the samples of an iterable to the library."""

    def __init__(self, samples: Iterable[Sample], inputs: list[Input]):
        self._iterator = iter(samples)
        self._inputs = inputs
        self._present: list[np.ndarray] = []  # what the library borrows
        self._failure: BaseException | None = None
        self.function = NextSample(self._next)

    def _next(self, _user: Any, data: Any, sizes: Any, count: int) -> int:
        try:
            sample = next(self._iterator, None)
            if sample is None:
                return 0
            self._present = [as_input(v, *i) for v, i in zip(in_order(sample, self._inputs), self._inputs)]
            for index, array in enumerate(self._present):
                data[index], sizes[index] = array.ctypes.data, array.nbytes
            return 1
        except BaseException as failure:  # it cannot pass through C; `raising` raises it again
            self._failure = failure
            return -1

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            if self._failure is not None:
                raise self._failure from None
            raise


def check_export(trainer: ctypes.c_void_p, inputs: list[Input], given: Iterable[Sample]) -> ExportReport:
    samples, report = Samples(given, inputs), _ExportReport()
    with samples.raising():
        lib.eo_trainer_check_export(trainer, samples.function, None, ctypes.byref(report))
    return ExportReport(*(getattr(report, field.name) for field in dataclasses.fields(ExportReport)))


class Annotated(Model):
    """A model that knows what training is to make of it: give it to a `Trainer`."""

    original: Model
    targets: Targets

    @staticmethod
    def of(model: Model, targets: Targets, shown: Model | None = None) -> Annotated:
        """`shown`: what the model is without training."""
        base = model.original if isinstance(model, Annotated) else model
        made = Annotated.__new__(Annotated)
        made._handle = (shown or model)._handle
        made.original = base
        made.targets = model.targets.with_others(targets) if isinstance(model, Annotated) else targets
        return made


def _inputs(model: Model) -> list[Input]:
    tensors = model.subgraphs[0].tensors
    found = []
    for index in model.subgraphs[0].inputs:
        tensor = tensors[index]
        found.append((tensor.name, tuple(tensor.shape), np.dtype(tensor.dtype).type))
    return found


def strings(values: str | Sequence[str]) -> Any:
    """Patterns as C takes them; one may come alone."""
    given = [values] if isinstance(values, str) else values
    return (ctypes.c_char_p * len(given))(*(encoded(value) for value in given))
