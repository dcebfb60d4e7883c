"""The same trainings with the TensorFlow Model Optimization Toolkit: the same float network, data, epochs and rates.

    TF_USE_LEGACY_KERAS=1 python benchmarks/training/tfmot_accuracy.py --data DIR --results DIR [--only NAME ...]

Needs tensorflow, tf_keras, tensorflow-model-optimization and pillow, and the float networks that accuracy.py has put into
the folder of results. Writes NAME_tfmot.json there, which accuracy.py prints beside its own rows.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import edgeopt
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from accuracy import CLUSTERS, SPARSITY, measured_weights, steps
from networks import NETWORKS, Data, Network

layers = keras.layers
CASES = ["QAT int8", "pruned 75 %", "clustered 16", "pruned 75 %, clustered 16", "PQAT", "CQAT", "PCQAT"]
SOURCES = {"pruned 75 %, clustered 16": "pruned 75 %", "PQAT": "pruned 75 %", "CQAT": "clustered 16",
           "PCQAT": "pruned 75 %, clustered 16"}  # fmt: skip


def mnist_layers() -> keras.Model:
    return keras.Sequential([
        layers.InputLayer(input_shape=(28, 28, 1)),
        layers.Conv2D(12, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])


def resnet8_layers() -> keras.Model:
    def conv(x, filters: int, size: int, stride: int, activation: str | None = "relu"):
        return layers.Conv2D(filters, size, stride, "same", activation=activation)(x)

    start = x = layers.Input((32, 32, 3))
    x = conv(x, 16, 3, 1)
    for filters, stride in [(16, 1), (32, 2), (64, 2)]:
        y = conv(conv(x, filters, 3, stride), filters, 3, 1, None)
        if stride > 1:
            x = conv(x, filters, 1, stride, None)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(start, layers.Dense(10, activation="softmax")(x))


def with_weights(model: keras.Model, path: Path) -> keras.Model:
    """The model with the weights of a .tflite file, whose layers each fit just one of its shapes in order."""
    graph = edgeopt.Model(path).subgraphs[0]
    found = []
    for operator in graph.operators:
        if operator.name not in ("CONV_2D", "FULLY_CONNECTED"):
            continue
        kernel, bias = (np.array(graph.tensors[index].data) for index in operator.inputs[1:3])
        found.append([np.moveaxis(kernel, 0, -1) if kernel.ndim == 4 else kernel.T, bias])
    for layer in model.layers:
        if layer.get_weights():
            shapes = [array.shape for array in layer.get_weights()]
            match = next(i for i, arrays in enumerate(found) if [array.shape for array in arrays] == shapes)
            layer.set_weights(found.pop(match))
    return model


MAKERS = {"mnist": mnist_layers, "resnet8": resnet8_layers}


class Batches(keras.utils.Sequence):
    """The samples shuffled and changed as accuracy.py does it."""

    def __init__(self, network: Network, data: Data):
        self._network, self._data, self._epoch = network, data, 0
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._data.train) // self._network.batch_size)

    def __getitem__(self, batch: int):
        rows = self._order[batch * self._network.batch_size :][: self._network.batch_size]
        x = self._data.train[rows]
        if self._network.augment:
            x = self._network.augment(x, np.random.default_rng([0, self._epoch, batch]))
        return x, self._data.train_labels[rows]

    def on_epoch_end(self) -> None:
        self._order = np.random.default_rng([0, self._epoch]).permutation(len(self._data.train))
        self._epoch += 1


def train(model: keras.Model, network: Network, data: Data, callbacks: list) -> None:
    """As many epochs as accuracy.py takes, and its rates."""
    epochs, rate = network.tuning_epochs, network.tuning_rate
    if callbacks:
        epochs, rate = network.pruning_epochs, network.pruning_rate
    cosine = keras.optimizers.schedules.CosineDecay(rate, steps(network, data, epochs))
    model.compile(keras.optimizers.Adam(cosine), "sparse_categorical_crossentropy")
    model.fit(Batches(network, data), epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks)


def clustered(model: keras.Model, preserve_sparsity: bool) -> keras.Model:
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster

    return cluster.cluster_weights(
        model,
        number_of_clusters=CLUSTERS,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
        preserve_sparsity=preserve_sparsity,
    )


def made(case: str, source: keras.Model, network: Network, data: Data) -> keras.Model:
    """What the toolkit makes of a model, trained; pruned and clustered ones stripped."""
    count = steps(network, data, network.pruning_epochs)
    quantization, combine = tfmot.quantization.keras, tfmot.experimental.combine
    callbacks: list = []
    if case == "pruned 75 %":
        schedule = tfmot.sparsity.keras.PolynomialDecay(0, SPARSITY, 0, count // 2, frequency=max(1, count // 40))
        model = tfmot.sparsity.keras.prune_low_magnitude(source, pruning_schedule=schedule)
        callbacks.append(tfmot.sparsity.keras.UpdatePruningStep())
    elif "clustered" in case:
        model = clustered(source, preserve_sparsity="pruned" in case)
    else:
        schemes = {
            "QAT int8": None,
            "PQAT": combine.Default8BitPrunePreserveQuantizeScheme,
            "CQAT": combine.Default8BitClusterPreserveQuantizeScheme,
            "PCQAT": lambda: combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=True),
        }
        scheme = schemes[case]
        annotated = quantization.quantize_annotate_model(source)
        model = quantization.quantize_apply(annotated, scheme()) if scheme else quantization.quantize_apply(annotated)
    train(model, network, data, callbacks)
    if case == "pruned 75 %":
        return tfmot.sparsity.keras.strip_pruning(model)
    return tfmot.clustering.keras.strip_clustering(model) if "clustered" in case else model


def converted(model: keras.Model, quantized: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def top1(content: bytes, data: Data) -> float:
    def classes() -> Iterator[int]:
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        place, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
        for sample in data.test:
            interpreter.set_tensor(place, sample[None])
            interpreter.invoke()
            yield int(interpreter.get_tensor(result).argmax())

    return 100 * float(np.mean(np.array(list(classes())) == data.test_labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(MAKERS))
    options = parser.parse_args()
    for network in NETWORKS:
        if network.name not in MAKERS or network.name not in options.only:
            continue
        keras.utils.set_random_seed(1)
        data = network.data(options.data)
        file = options.results / f"{network.name}_tfmot.json"
        rows = json.loads(file.read_text()) if file.exists() else {}
        for case in CASES:
            if case in rows:
                continue
            start = time.monotonic()
            kept = options.results / f"{network.name}_tfmot_{SOURCES.get(case, 'float')}.weights.h5"
            source = with_weights(MAKERS[network.name](), options.results / f"{network.name}_float.tflite")
            if case in SOURCES:
                source.load_weights(kept)
            model = made(case, source, network, data)
            if case in SOURCES.values():
                model.save_weights(options.results / f"{network.name}_tfmot_{case}.weights.h5")
            content = converted(model, "QAT" in case)
            rows[case] = {
                "top1": top1(content, data),
                "bytes": len(content),
                "deflated": len(zlib.compress(content, 9)),
                **measured_weights(content),
                "seconds": time.monotonic() - start,
            }
            file.write_text(json.dumps(rows, indent=1) + "\n")
            print(network.name, case, rows[case], flush=True)


if __name__ == "__main__":
    main()
