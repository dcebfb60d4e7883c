"""Fine-tuning on the .tflite graph."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _tensor, optimizers, schedules
from ._compiled import precision_number
from ._data import ArrayData, Arrays, Augment, IterableData, arrays, fit
from ._errors import ArgumentError, Status
from ._library import Batch, BatchResult, Handle, HostLoss, LossTerm, TrainerOptions, encoded, lib
from ._library import Tensor as _Tensor
from ._model import Bytes, Model, PathLike
from ._quantize import Sample
from ._targets import Annotated, Clustering, ExportReport, Pruning, QuantizationAware, Targets, check_export, strings
from .callbacks import Callback, Logs, StopTraining
from .data import split

_LOSSES = {
    "auto": 0,
    "sparse_categorical_crossentropy": 1,
    "categorical_crossentropy": 2,
    "binary_crossentropy": 3,
    "mse": 4,
    "mean_squared_error": 4,
    "mae": 5,
    "mean_absolute_error": 5,
    "huber": 6,
    "cosine_similarity": 7,
    "ctc": 8,
    "distillation": 9,
    "distillation_of_outputs": 10,
    "host": 11,
}
#: Gets the outputs of a batch, one array for each host loss, and returns the loss and its gradient by each of them.
HostFunction = Callable[[list[np.ndarray]], tuple[float, Sequence[npt.ArrayLike]]]


@dataclasses.dataclass(frozen=True)
class Loss:
    """One term of what is minimized, for one output of the model. `kind`: "sparse_categorical_crossentropy",
    "categorical_crossentropy", "binary_crossentropy", "mse", "mae", "huber", "cosine_similarity", "ctc",
    "distillation" and "distillation_of_outputs" (no labels: from the model as it was), "host", or "auto" by the model's
    end. Cross-entropies look through a final SOFTMAX or LOGISTIC."""

    kind: str = "auto"
    output: int = 0
    weight: float = 1.0
    label_smoothing: float = 0.0
    delta: float = 1.0  #: Huber: errors above it count linearly
    temperature: float = 1.0  #: distillation: logits are divided by it
    max_labels: int = 0  #: CTC: most labels of a sample; unused places of a row are -1


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What a step or an evaluated batch has given."""

    loss: float
    correct: int
    counted: int
    gradient_norm: float
    learning_rate: float

    @property
    def accuracy(self) -> Optional[float]:
        """Share of right answers; None where the losses know no right and wrong."""
        return self.correct / self.counted if self.counted else None


class Trainer:
    """A float model in training.

        trainer = edgeopt.Trainer("model.tflite", optimizer=edgeopt.optimizers.Adam(1e-3), batch_size=64)
        trainer.fit(images, labels, epochs=10, validation_data=(test_images, test_labels), checkpoint="train.ckpt")
        trainer.export().save("tuned.tflite")

    `loss`: a kind, a `Loss`, or a list of them whose weighted sum is minimized. `optimizer`: of `edgeopt.optimizers`, or
    its name. `frozen`, `trainable`: patterns (`*`, `?`) of parameters' names. `host_loss`: computes losses of kind
    "host". `batch_normalization` puts scale and shift with the statistics of the batch back behind each convolution and
    hidden fully connected layer; they are folded again at export.

    What is made of the weights on the way, all of it by `export`: `pruning`: a sparsity or `Pruning`; `clustering`: a
    number of values or `Clustering`; with both, what pruning leaves is clustered once its schedule has met the target.
    `preserve`: "zeros", "clusters" or both: what the model's weights have of them is kept where pruning and clustering
    do not decide. `quantization`: the integer model is simulated and exported. `unroll`: export loops and calls in line,
    as they were trained; else they are as the model has them, but with `quantization` always in line.

    `recompute_activations`: less memory for about a third more time: results of the forward pass are computed a second
    time where the backward pass needs them. `precision`: "bfloat16" lets convolutions, fully connected layers and their
    gradients multiply in it where that is fast (AMX); sums, parameters, all else and evaluation stay float32.

    Raises `UnsupportedError` naming every operator that has no gradient, `ModelError` for a quantized model.
    One thread at a time. The same start, data, seed and `num_threads` give the same bits.
    """

    def __init__(
        self,
        model: Model | PathLike | Bytes,
        loss: str | Loss | Sequence[str | Loss] = "auto",
        optimizer: str | optimizers.Optimizer = "adam",
        *,
        batch_size: int = 32,
        num_threads: int = 1,
        frozen: str | Sequence[str] = (),
        trainable: str | Sequence[str] = (),
        signature: str | None = None,
        batch_normalization: bool = False,
        batch_norm_momentum: float = 0.99,
        host_loss: HostFunction | None = None,
        pruning: float | Pruning | None = None,
        clustering: int | Clustering | None = None,
        preserve: str | Sequence[str] = (),
        quantization: QuantizationAware | None = None,
        recompute_activations: bool = False,
        unroll: bool = False,
        precision: str = "float32",
    ):
        source = model if isinstance(model, Model) else Model(model)
        targets = Targets(pruning, clustering, preserve, quantization)
        if isinstance(source, Annotated):
            targets, source = source.targets.with_others(targets), source.original
        self.batch_size = batch_size
        self.batch_normalization = batch_normalization
        self._failure: BaseException | None = None  # what host_loss raised
        self._host_shapes: list[tuple[int, ...]] = []
        self._host_function = HostLoss(self._call_host if host_loss else 0)
        self._host_loss = host_loss
        options = TrainerOptions(struct_size=ctypes.sizeof(TrainerOptions))
        options.batch_size, options.num_threads = batch_size, num_threads
        options.signature = None if signature is None else encoded(signature)
        patterns = strings(frozen), strings(trainable)
        options.frozen, options.trainable = patterns
        options.frozen_count, options.trainable_count = map(len, patterns)
        options.batch_normalization, options.batch_norm_momentum = batch_normalization, batch_norm_momentum
        options.recompute_activations = recompute_activations
        options.host_loss = self._host_function
        options.unroll = unroll
        options.precision = precision_number(precision)
        terms = _terms(loss)
        options.losses, options.loss_count = terms, len(terms)
        _set_optimizer(options, optimizer)
        pointer = ctypes.c_void_p()
        filled = targets.fill(options, source)
        with filled.raising():
            lib.eo_trainer_create(source._pointer, ctypes.byref(options), ctypes.byref(pointer))
        self._targets = filled  # its functions are called at export
        self._prunes = targets.pruning is not None
        self._handle = Handle(pointer, lib.eo_trainer_destroy, source._handle)
        self._pointer = self._handle.pointer
        self._inputs = self._tensors(lib.eo_trainer_input_count, lib.eo_trainer_input)
        self._labels = self._tensors(lib.eo_trainer_label_count, lib.eo_trainer_label)
        self._outputs = self._tensors(lib.eo_trainer_output_count, lib.eo_trainer_output)
        self._host_shapes = [self._outputs[term.output][1] for term in terms if term.loss == _LOSSES["host"]]

    def _tensors(self, count: Any, get: Any) -> list[tuple[str, tuple[int, ...], type[np.generic]]]:
        found = []
        for index in range(count(self._pointer)):
            tensor = _Tensor()
            get(self._pointer, index, ctypes.byref(tensor))
            found.append((_tensor.name_of(tensor), _tensor.shape_of(tensor), _tensor.type_of(tensor)[1]))
        return found

    @property
    def input_names(self) -> list[str]:
        """Names of the model's inputs."""
        return [name for name, _, _ in self._inputs]

    @property
    def label_names(self) -> list[str]:
        """One name for each loss that takes labels."""
        return [name for name, _, _ in self._labels]

    # One batch

    def step(self, x: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> StepResult:
        """Moves the parameters by one batch of at most `batch_size` samples."""
        return self._run(lib.eo_trainer_step, x, y, sample_weight)

    def observe(self, x: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> None:
        """Shows a batch to the statistics of batch normalization without moving a parameter."""
        batch, _keep = self._batch(x, y, sample_weight)
        self._call(lib.eo_trainer_observe, ctypes.byref(batch))

    def _run(self, function: Any, x: Any, y: Any, weights: Any) -> StepResult:
        batch, _keep = self._batch(x, y, weights)
        result = BatchResult()
        self._call(function, ctypes.byref(batch), ctypes.byref(result))
        return StepResult(
            result.loss, result.correct, result.counted, result.gradient_norm, result.learning_rate
        )

    def _call(self, function: Any, *arguments: Any) -> None:
        self._failure = None
        try:
            function(self._pointer, *arguments)
        except Exception:
            if self._failure is not None:
                raise self._failure from None
            raise

    def _batch(self, x: Any, y: Any, weights: Any, has_labels: bool = True) -> tuple[Batch, list[Any]]:
        inputs = [fit(a, t, self.batch_size) for a, t in zip(arrays(x, self.input_names, "inputs"), self._inputs)]
        labels = []
        if has_labels:
            given = arrays(y, self.label_names, "labels") if self._labels else []
            labels = [fit(a, t, self.batch_size) for a, t in zip(given, self._labels)]
        batch = Batch(struct_size=ctypes.sizeof(Batch), sample_count=len(inputs[0]) if inputs else 0)
        lists = [_addresses(inputs), _sizes(inputs), _addresses(labels), _sizes(labels)]
        batch.inputs, batch.input_sizes, batch.labels, batch.label_sizes = lists
        keep: list[Any] = [inputs, labels, lists]
        if weights is not None:
            floats = np.ascontiguousarray(weights, np.float32)
            if floats.shape != (batch.sample_count,):
                raise ArgumentError(
                    f"sample_weight has shape {list(floats.shape)}, expected [{batch.sample_count}]", Status.WRONG_SIZE
                )
            batch.weights = floats.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            keep.append(floats)
        return batch, keep

    def _call_host(self, _user: Any, outputs: Any, gradients: Any, count: int, loss: Any) -> int:
        try:
            views, places = [], []
            for index, shape in enumerate(self._host_shapes):
                views.append(np.ctypeslib.as_array(outputs[index], shape)[:count])
                places.append(np.ctypeslib.as_array(gradients[index], shape)[:count])
            assert self._host_loss is not None
            value, derivatives = self._host_loss(views)
            for place, derivative in zip(places, derivatives):
                place[...] = derivative
            loss[0] = value
            return 0
        except BaseException as failure:  # it cannot pass through C; the call that led here raises it again
            self._failure = failure
            return 1

    # All data

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        sample_weight: npt.ArrayLike | None = None,
        shuffle: bool = True,
        seed: int = 0,
        augment: Augment | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        checkpoint: PathLike | None = None,
        checkpoint_steps: int | None = None,
        resume: bool = True,
        progress: bool | None = None,
    ) -> list[Logs]:
        """Trains for `epochs` passes over the data and returns what each has given: loss, accuracy, learning_rate,
        seconds, with `pruning` sparsity, and with `validation_data` val_loss and val_accuracy.

        `x`, `y`: arrays whose first dimension counts samples (one for a model with one input, else a list or a mapping
        by name), or `x` is an iterable of batches (x, y) or (x, y, weights) that can be begun anew: a list, a
        DataLoader, an object with `__iter__`. Arrays are shuffled by `seed` and epoch.
        `augment(x_batch, generator)` returns the batch changed; the generator depends on seed, epoch and batch.
        `edgeopt.augment` has some. `validation_split` holds this share of the arrays back, chosen at random by the seed,
        and takes it as `validation_data`.
        `checkpoint`: a file written after each epoch, every `checkpoint_steps` steps, and at Ctrl-C, from which
        training with the same arguments goes on (`resume`) with the same bits.
        `progress`: show a tqdm bar (default: where stderr is a terminal and tqdm is installed).
        """
        if validation_split:
            if validation_data is not None or sample_weight is not None:
                raise ArgumentError(
                    "validation_split goes with neither validation_data nor sample_weight", Status.INVALID_ARGUMENT
                )
            (x, y), validation_data = split(x, y, validation_split, seed)
        data = self._data(x, y, sample_weight)
        run = _Run(seed, 0, self.steps, self.steps)
        path = None if checkpoint is None else pathlib.Path(checkpoint)
        if path is not None and resume and path.exists():
            run = _Run.read(self.restore(path), seed, path)
        history: list[Logs] = run.history
        for callback in callbacks:
            callback.on_fit_begin(self)
        try:
            while run.epoch < epochs:
                logs = self._epoch(data, run, shuffle, augment, callbacks, path, checkpoint_steps, progress, epochs)
                if validation_data is not None:
                    logs.update({f"val_{k}": v for k, v in self._validate(validation_data).items()})
                history.append(logs)
                epoch = run.epoch
                run.next_epoch(self.steps)
                if path is not None:
                    self.save(path, run.position())
                for callback in callbacks:
                    callback.on_epoch_end(self, epoch, logs)
        except StopTraining:
            pass
        except KeyboardInterrupt:
            if path is not None:
                self.save(path, run.position())
            raise
        finally:
            for callback in callbacks:
                callback.on_fit_end(self)
        return history

    def _data(self, x: Any, y: Any, weights: Any = None) -> ArrayData | IterableData:
        is_arrays = isinstance(x, (np.ndarray, Mapping)) or y is not None or not isinstance(x, Iterable)
        if not is_arrays and isinstance(x, (list, tuple)) and not self._labels:
            is_arrays = len(x) == len(self._inputs) and all(hasattr(a, "shape") for a in x)
        if not is_arrays:
            return IterableData(x, self.input_names, self.label_names)
        return ArrayData(
            arrays(x, self.input_names, "inputs"),
            arrays(y, self.label_names, "labels") if self._labels else [],
            None if weights is None else np.asarray(weights, np.float32),
            self.batch_size,
        )

    def _epoch(
        self,
        data: ArrayData | IterableData,
        run: _Run,
        shuffle: bool,
        augment: Augment | None,
        callbacks: Sequence[Callback],
        path: pathlib.Path | None,
        checkpoint_steps: int | None,
        progress: bool | None,
        epochs: int,
    ) -> Logs:
        start = time.perf_counter()
        order = None
        if shuffle and isinstance(data, ArrayData):
            order = np.random.default_rng([run.seed, run.epoch]).permutation(data.count)
        first = self.steps - run.epoch_start
        bar = _bar(f"epoch {run.epoch + 1}/{epochs}", len(data), first, progress)
        zeros: Logs = {}
        for batch, (x, y, weights) in enumerate(data.batches(order, first), first):
            if augment is not None:
                generator = np.random.default_rng([run.seed, run.epoch, batch])
                x = arrays(augment(x[0] if len(x) == 1 else x, generator), self.input_names, "inputs")
            result = self.step(list(x), list(y), weights)
            logs = run.add(result, len(x[0]))
            if self._prunes and (batch - first) % 50 == 0:
                zeros = {"sparsity": self.sparsity}
            if bar is not None:
                bar.update()
                bar.set_postfix({k: f"{v:.4g}" for k, v in {**run.means(), **zeros}.items()}, refresh=False)
            for callback in callbacks:
                callback.on_step_end(self, self.steps, logs)
            if path is not None and checkpoint_steps and self.steps % checkpoint_steps == 0:
                self.save(path, run.position())
        if bar is not None:
            bar.close()
        if first == 0 and self.steps == run.epoch_start:
            raise ArgumentError(
                f"epoch {run.epoch + 1} has no batches; an iterator that is used up cannot be begun anew",
                Status.WRONG_SIZE,
            )
        if self._prunes:
            zeros = {"sparsity": self.sparsity}
        return {**run.means(), **zeros, "learning_rate": self.learning_rate, "seconds": time.perf_counter() - start}

    def _validate(self, data: Any) -> Logs:
        return self.evaluate(*data) if isinstance(data, tuple) else self.evaluate(data)

    def evaluate(self, x: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> Logs:
        """Loss, and accuracy where there is one, of all samples. `x`, `y` as for `fit`."""
        means = _Means()
        for inputs, labels, weights in self._data(x, y, sample_weight).batches(None, 0):
            means.add(self._run(lib.eo_trainer_evaluate, list(inputs), list(labels), weights), len(inputs[0]))
        return means.values()

    def predict(self, x: Any) -> Any:
        """The model's outputs for all samples: one array, or a list of them."""
        inputs = ArrayData(arrays(x, self.input_names, "inputs"), [], None, self.batch_size).inputs
        parts: list[list[np.ndarray]] = [[] for _ in self._outputs]
        for first in range(0, len(inputs[0]), self.batch_size):
            chunk = [array[first : first + self.batch_size] for array in inputs]
            batch, _keep = self._batch(chunk, None, None, has_labels=False)
            results = []
            for _, shape, dtype in self._outputs:
                is_batched = bool(shape) and shape[0] == self.batch_size
                results.append(np.empty((batch.sample_count, *shape[1:]) if is_batched else shape, dtype))
            lib.eo_trainer_predict(self._pointer, ctypes.byref(batch), _addresses(results), _sizes(results))
            for part, result in zip(parts, results):
                part.append(result)
        joined = [np.concatenate(part) for part in parts]
        return joined[0] if len(joined) == 1 else joined

    # Parameters, rate, files

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of all parameters by name. Those with one name are told apart by their number."""
        found: dict[str, np.ndarray] = {}
        for index in range(lib.eo_trainer_parameter_count(self._pointer)):
            tensor = _Tensor()
            lib.eo_trainer_parameter(self._pointer, index, ctypes.byref(tensor))
            name, shape = _tensor.name_of(tensor), _tensor.shape_of(tensor)
            values = np.ctypeslib.as_array(
                ctypes.cast(tensor.data, ctypes.POINTER(ctypes.c_float)), (int(np.prod(shape, dtype=np.int64)),)
            )
            found[name if name not in found else f"{name}#{index}"] = values.reshape(shape).copy()
        return found

    @property
    def sparsity(self) -> float:
        """The share of zeros in the weights, which are the parameters of two dimensions or more."""
        weights = [values for values in self.parameters.values() if values.ndim > 1]
        elements = sum(values.size for values in weights)
        return 1 - sum(int(np.count_nonzero(values)) for values in weights) / max(1, elements)

    def set_parameter(self, name: str, values: npt.ArrayLike) -> None:
        """Other values; what the optimizer knows of the parameter starts anew."""
        names = list(self.parameters)
        if name not in names:
            raise ArgumentError(f"there is no parameter {name!r}, only {names}", Status.OUT_OF_RANGE)
        data = np.ascontiguousarray(values, np.float32)
        lib.eo_trainer_set_parameter(self._pointer, names.index(name), data.ctypes.data, data.nbytes)

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return int(lib.eo_trainer_steps(self._pointer))

    @property
    def learning_rate(self) -> float:
        """The rate of the next step. Setting it sets the rate that the schedule starts from."""
        return float(lib.eo_trainer_learning_rate(self._pointer))

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        lib.eo_trainer_set_learning_rate(self._pointer, rate)

    def save(self, path: PathLike, position: bytes = b"") -> None:
        """Writes a checkpoint, all or nothing, with some bytes of the caller's own."""
        lib.eo_trainer_save(self._pointer, os.fsencode(path), position, len(position))

    def restore(self, path: PathLike) -> bytes:
        """Goes on where a trainer of the same model and options was saved. Returns the caller's bytes."""
        position, size = ctypes.c_void_p(), ctypes.c_size_t()
        lib.eo_trainer_restore(self._pointer, os.fsencode(path), ctypes.byref(position), ctypes.byref(size))
        try:
            return ctypes.string_at(position, size.value)
        finally:
            lib.eo_free(position)

    def export(self) -> Model:
        """The model with the trained parameters and nothing of the training in it: pruned, clustered, and with
        `quantization` the integer model."""
        pointer = ctypes.c_void_p()
        lib.eo_trainer_export(self._pointer, ctypes.byref(pointer))
        return Model._adopt(pointer)

    def check_export(self, samples: Iterable[Sample]) -> ExportReport:
        """How far the integer model that `export` would now make is from what training simulates. `samples` as
        `quantize` takes them. Raises `StateError` for a training without `quantization`."""
        return check_export(self._pointer, self._targets.inputs, samples)


class _Means:
    """Means over samples."""

    def __init__(self) -> None:
        self.loss, self.samples, self.correct, self.counted = 0.0, 0, 0, 0

    def add(self, result: StepResult, samples: int) -> None:
        self.loss += result.loss * samples
        self.samples += samples
        self.correct += result.correct
        self.counted += result.counted

    def values(self) -> Logs:
        logs = {"loss": self.loss / max(1, self.samples)}
        if self.counted:
            logs["accuracy"] = self.correct / self.counted
        return logs


class _Run:
    """Where `fit` is in its data."""

    def __init__(self, seed: int, epoch: int, epoch_start: int, step: int):
        self.seed, self.epoch, self.epoch_start = seed, epoch, epoch_start
        self.history: list[Logs] = []
        self._sums = _Means()

    def add(self, result: StepResult, samples: int) -> Logs:
        self._sums.add(result, samples)
        logs = {"loss": result.loss, "learning_rate": result.learning_rate, "gradient_norm": result.gradient_norm}
        if result.accuracy is not None:
            logs["accuracy"] = result.accuracy
        return logs

    def means(self) -> Logs:
        return self._sums.values()

    def next_epoch(self, step: int) -> None:
        self.epoch, self.epoch_start, self._sums = self.epoch + 1, step, _Means()

    def position(self) -> bytes:
        """For checkpoints."""
        return json.dumps(
            {
                "seed": self.seed,
                "epoch": self.epoch,
                "epoch_start": self.epoch_start,
                "sums": vars(self._sums),
                "history": self.history,
            }
        ).encode()

    @staticmethod
    def read(position: bytes, seed: int, path: pathlib.Path) -> _Run:
        try:
            saved = json.loads(position)
            run = _Run(saved["seed"], saved["epoch"], saved["epoch_start"], 0)
            run.history = saved["history"]
            vars(run._sums).update(saved["sums"])
        except (ValueError, KeyError, TypeError):
            raise ArgumentError(f"{path}: the checkpoint was not written by fit", Status.INVALID_ARGUMENT) from None
        if run.seed != seed:
            raise ArgumentError(f"{path}: the checkpoint has seed {run.seed}, not {seed}", Status.INVALID_ARGUMENT)
        return run


def _bar(description: str, total: int, first: int, wanted: bool | None) -> Any:
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return None
    try:
        import tqdm
    except ImportError:
        return None
    return tqdm.tqdm(desc=description, total=total or None, initial=first, unit="step")


def _addresses(values: Arrays) -> Any:
    return (ctypes.c_void_p * len(values))(*(array.ctypes.data for array in values))


def _sizes(values: Arrays) -> Any:
    return (ctypes.c_size_t * len(values))(*(array.nbytes for array in values))


def _terms(loss: Union[str, Loss, Sequence[Union[str, Loss]]]) -> Any:
    given = [loss] if isinstance(loss, (str, Loss)) else list(loss)
    losses = [Loss(term) if isinstance(term, str) else term for term in given]
    terms = (LossTerm * len(losses))()
    for place, term in zip(terms, losses):
        if term.kind not in _LOSSES:
            raise ArgumentError(f"loss {term.kind!r} is not one of {list(_LOSSES)}", Status.INVALID_ARGUMENT)
        place.struct_size, place.loss, place.output = ctypes.sizeof(LossTerm), _LOSSES[term.kind], term.output
        place.weight, place.label_smoothing, place.delta = term.weight, term.label_smoothing, term.delta
        place.temperature, place.max_labels = term.temperature, term.max_labels
    return terms


def _set_optimizer(options: TrainerOptions, given: str | optimizers.Optimizer) -> None:
    if isinstance(given, str):
        if given not in optimizers.NAMES:
            raise ArgumentError(f"optimizer {given!r} is not one of {list(optimizers.NAMES)}", Status.INVALID_ARGUMENT)
        given = optimizers.NAMES[given]()
    options.optimizer = optimizers.NUMBERS[type(given)]
    options.weight_decay = -1.0 if given.weight_decay is None else given.weight_decay
    options.no_decay = patterns = strings(given.no_decay)
    options.no_decay_count = len(patterns)
    options.clip_value, options.clip_norm = given.clip_value, given.clip_norm
    options.clip_global_norm, options.averaging = given.clip_global_norm, given.averaging
    options.momentum = getattr(given, "momentum", 0.0)
    options.nesterov = getattr(given, "nesterov", False)
    options.beta1 = getattr(given, "beta1", 0.9)
    options.beta2 = getattr(given, "beta2", getattr(given, "rho", -1.0))
    options.epsilon = getattr(given, "epsilon", 1e-7)
    rate = given.learning_rate
    schedule = schedules.Constant(float(rate)) if isinstance(rate, (int, float)) else rate
    options.schedule, options.learning_rate = schedules.NUMBERS[type(schedule)], schedule.rate
    options.schedule_steps, options.warmup_steps = getattr(schedule, "steps", 0), schedule.warmup
    options.end_learning_rate = getattr(schedule, "end_rate", 0.0)
    options.decay_rate, options.power = getattr(schedule, "factor", 0.1), getattr(schedule, "power", 1.0)
