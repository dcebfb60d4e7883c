#!/usr/bin/env python3
"""Time per epoch and peak memory of training, EdgeOpt beside Keras and the TensorFlow Model Optimization Toolkit.

    benchmarks/training/speed.py --peer .venv-tensorflow/bin/python [--networks mnist resnet8 resnet8-bn]
        [--cases plain pruned clustered qat pcqat] [--precision float32 bfloat16] [--threads 1 2] [--repeats 3]
        [--clock wall] [--json out.json]

`--peer`: a Python with TensorFlow, tf_keras (Keras 2, which the toolkit needs) and tensorflow_model_optimization. This
one needs EdgeOpt and NumPy. The networks are made and converted by the peer: `mnist` (Conv 12@3x3, maximum pooling,
Dense 10; 60,000 images), `resnet8` (CIFAR-10, without batch normalization: what a converter has folded) and `resnet8-bn`
(with it in Keras, and in EdgeOpt where it goes together with the case). Images and labels are random: their values do
not change the time. Batches of 128, Adam. `--precision bfloat16`: EdgeOpt's, and for plain training Keras' policy
mixed_bfloat16; with the toolkit, which has none, Keras stays in float32.

Each measurement is a fresh process held to as many processors as it has threads: a first epoch that is not counted
(Keras traces its graph in it), then two, the faster of which counts. The two sides take turns, `--repeats` times. An
epoch runs on `--images` images and is scaled to the whole data set (MNIST 60,000, CIFAR-10 50,000). The table has
medians over repeats, ratios Keras / EdgeOpt (above 1: EdgeOpt is better) with worst and best repeat, and says when the
processors did much for others or when repeats differ too much to judge. `--clock cpu` counts the processor's seconds of
the process instead: for one thread on a machine that others use, too.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 128
EPOCHS = 3
CLUSTERS = 16
SHAPES = {"mnist": (28, 28, 1), "resnet8": (32, 32, 3), "resnet8-bn": (32, 32, 3)}
WHOLE = {"mnist": 60000, "resnet8": 50000, "resnet8-bn": 50000}
IMAGES = {"mnist": 60000, "resnet8": 6400, "resnet8-bn": 6400}
CASES = ["plain", "pruned", "clustered", "qat", "pcqat"]
NOISY = 1.3  # the slowest repeat of one side over its fastest: beyond this nothing can be said


def clock() -> float:
    return time.process_time() if os.environ.get("EDGEOPT_BENCHMARK_CLOCK") == "cpu" else time.perf_counter()


def data(network: str, images: int):
    import numpy as np

    generator = np.random.default_rng(1)
    x = generator.random((images, *SHAPES[network]), np.float32)
    return x, generator.integers(0, 10, images).astype(np.int32)


# EdgeOpt


def edgeopt_trainer(model: str, network: str, case: str, threads: int, x, steps: int, precision: str = "float32"):
    import edgeopt

    options = {"batch_size": BATCH, "num_threads": threads, "loss": "sparse_categorical_crossentropy"}
    options["precision"] = precision
    if case == "pruned":
        options["pruning"] = edgeopt.Pruning(edgeopt.PolynomialDecay(0.5, 0.8, 0, steps * (EPOCHS - 1)))
    if case == "clustered":
        options["clustering"] = edgeopt.Clustering(CLUSTERS, first=True)
    if case in ("qat", "pcqat"):
        options["quantization"] = edgeopt.QuantizationAware([image[None] for image in x[:64]])
    elif network.endswith("-bn"):
        options["batch_normalization"] = True
    source = edgeopt.Model(model)
    if case == "pcqat":
        source = edgeopt.cluster(edgeopt.prune(source, 0.5), CLUSTERS, first=True)
        options["preserve"] = ("zeros", "clusters")
    return edgeopt.Trainer(source, **options)


def time_edgeopt(model: str, network: str, case: str, threads: int, x, y, precision: str) -> list[float]:
    steps = -(-len(x) // BATCH)
    trainer = edgeopt_trainer(model, network, case, threads, x, steps, precision)
    seconds = []
    for epoch in range(EPOCHS):
        start = clock()
        trainer.fit(x, y, seed=epoch, progress=False)
        seconds.append(clock() - start)
    return seconds


# Keras and its toolkit


def keras():
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf_keras

    return tf_keras


def keras_network(network: str):
    layers, has_norm = keras().layers, network.endswith("-bn")
    image = layers.Input(SHAPES[network])

    def convolution(x, filters, size, stride=1, activation=None):
        x = layers.Conv2D(filters, size, stride, padding="same")(x)
        x = layers.BatchNormalization()(x) if has_norm else x
        return layers.Activation(activation)(x) if activation else x

    if network == "mnist":
        x = layers.Conv2D(12, 3, activation="relu")(image)
        x = layers.MaxPooling2D(2)(x)
    else:
        x = convolution(image, 16, 3, activation="relu")
        for filters, stride in ((16, 1), (32, 2), (64, 2)):
            y = convolution(x, filters, 3, stride, "relu")
            y = convolution(y, filters, 3)
            if stride > 1:
                x = convolution(x, filters, 1, stride)
            x = layers.Activation("relu")(layers.Add()([x, y]))
        x = layers.AveragePooling2D(8)(x)
    return keras().Model(image, layers.Dense(10, dtype="float32")(layers.Flatten()(x)))


def compiled(model):
    loss = keras().losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def zero_half(model):
    import numpy as np

    for layer in model.layers:
        if hasattr(layer, "kernel"):
            values = layer.kernel.numpy()
            layer.kernel.assign(np.where(abs(values) < np.median(abs(values)), 0, values))
    return model


def clustered(model, x, y):
    """Weights pruned to one half, then clustered, as the toolkit wants them before PCQAT."""
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster

    wrapped = cluster.cluster_weights(
        zero_half(model),
        number_of_clusters=CLUSTERS,
        preserve_sparsity=True,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    )
    compiled(wrapped).fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
    return tfmot.clustering.keras.strip_clustering(wrapped)


def toolkit_model(model, case: str, steps: int, x, y):
    import tensorflow_model_optimization as tfmot

    if case == "pruned":
        schedule = tfmot.sparsity.keras.PolynomialDecay(0.5, 0.8, 0, steps * (EPOCHS - 1))
        wrapped = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
        return wrapped, [tfmot.sparsity.keras.UpdatePruningStep()]
    if case == "clustered":
        start = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
        return tfmot.clustering.keras.cluster_weights(model, CLUSTERS, cluster_centroids_init=start), []
    if case == "qat":
        return tfmot.quantization.keras.quantize_model(model), []
    if case == "pcqat":
        annotated = tfmot.quantization.keras.quantize_annotate_model(clustered(model, x, y))
        scheme = tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=True)
        return tfmot.quantization.keras.quantize_apply(annotated, scheme), []
    return model, []


def time_keras(network: str, case: str, threads: int, x, y, precision: str) -> list[float]:
    base, seconds = keras().callbacks.Callback, []
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras().utils.set_random_seed(1)
    if precision == "bfloat16" and case == "plain":
        keras().mixed_precision.set_global_policy("mixed_bfloat16")
    model, callbacks = toolkit_model(keras_network(network), case, -(-len(x) // BATCH), x, y)

    class Clock(base):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = clock()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(clock() - self.start)

    compiled(model).fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[*callbacks, Clock()])
    return seconds


def convert(networks: list[str], folder: str) -> None:
    keras()
    import tensorflow as tf

    for network in networks:
        keras().utils.set_random_seed(1)
        content = tf.lite.TFLiteConverter.from_keras_model(keras_network(network)).convert()
        (Path(folder) / f"{network}.tflite").write_bytes(content)


# Measuring


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(side: str, folder: str, network: str, case: str, precision: str, threads: int, images: int) -> dict:
    """One measurement, in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    x, y = data(network, images)
    if side == "edgeopt":
        import edgeopt  # noqa: F401

        before = peak_megabytes()
        seconds = time_edgeopt(str(Path(folder) / f"{network}.tflite"), network, case, threads, x, y, precision)
    else:
        keras()
        before = peak_megabytes()
        seconds = time_keras(network, case, threads, x, y, precision)
    peak = peak_megabytes()
    return {
        "seconds": min(seconds[1:]) * WHOLE[network] / images,
        "first_seconds": seconds[0],
        "megabytes": peak,
        "own_megabytes": peak - before,
    }


def in_fresh_process(python: str, *arguments) -> dict:
    command = [python, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}


def busy_cores() -> tuple[float, float]:
    """Processor seconds spent by everyone, and by this process and its children."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    everyone = (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return everyone, children.ru_utime + children.ru_stime


def summary(runs: list[dict]) -> dict:
    errors = [run["error"] for run in runs if "error" in run]
    if errors:
        return {"error": errors[0]}
    found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    times = [run["seconds"] for run in runs]
    return {**found, "spread": max(times) / min(times)}


def compare(options, folder: str, network: str, case: str, precision: str, threads: int) -> dict:
    images = options.images or IMAGES[network]
    runs = {"edgeopt": [], "keras": []}
    everyone, ours = busy_cores()
    start = time.perf_counter()
    for _ in range(options.repeats):
        for side, results in runs.items():
            python = sys.executable if side == "edgeopt" else options.peer
            if python:
                results.append(in_fresh_process(python, side, folder, network, case, precision, threads, images))
    wall = time.perf_counter() - start
    everyone_after, ours_after = busy_cores()
    row = {"network": network, "case": case, "precision": precision, "threads": threads, "images": images, "runs": runs}
    row["foreign_cores"] = max(0.0, (everyone_after - everyone - (ours_after - ours)) / wall)
    row["sides"] = {side: summary(results) for side, results in runs.items() if results}
    if len(row["sides"]) == 2 and not any("error" in side for side in row["sides"].values()):
        ratios = [b["seconds"] / a["seconds"] for a, b in zip(runs["edgeopt"], runs["keras"])]
        row["ratio"], row["worst"], row["best"] = statistics.median(ratios), min(ratios), max(ratios)
    return row


def print_row(row: dict) -> None:
    cells = [f"{row['network']:<11} {row['case']:<10} {row['precision']:<9} {row['threads']:>2}"]
    for side in row["sides"].values():
        cells.append(f"{side['seconds']:>8.2f} {side['megabytes']:>7.0f} {side['own_megabytes']:>6.0f}"
                     if "error" not in side else f"  {side['error']}")
    if "ratio" in row:
        cells.append(f"{row['ratio']:>6.2f} {row['worst']:>6.2f} {row['best']:>6.2f}")
        if max(side["spread"] for side in row["sides"].values()) > NOISY:
            cells.append(" repeats differ too much to judge")
    print(" ".join(cells), flush=True)
    if row["foreign_cores"] > 0.2 and os.environ["EDGEOPT_BENCHMARK_CLOCK"] == "wall":
        print(f"  others used {row['foreign_cores']:.1f} cores meanwhile: not reliable", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of Keras and its toolkit; without it only EdgeOpt runs")
    parser.add_argument("--models", type=Path, help="a folder with the networks as .tflite files, or to put them")
    parser.add_argument("--networks", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, help="images of a measured epoch")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["EDGEOPT_BENCHMARK_CLOCK"] = options.clock
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.models or Path(temporary)
        missing = [name for name in options.networks if not (folder / f"{name}.tflite").exists()]
        if missing and not options.peer:
            parser.error(f"{', '.join(missing)}: no such network in {folder}, and no --peer to make it")
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run([options.peer, __file__, "--convert", str(folder), *missing], check=True)
        print(f"{platform.machine()}, {os.cpu_count()} cores, {options.repeats} repeats; ratio = Keras / EdgeOpt")
        print(f"{'':<35}    EdgeOpt               Keras")
        print(f"{'network':<11} {'case':<10} {'precision':<9} th s/epoch     MiB   own  s/epoch     MiB    own  ratio  worst   best")
        rows = []
        for threads in options.threads:
            for network in options.networks:
                for case, precision in itertools.product(options.cases, options.precision):
                    rows.append(compare(options, str(folder), network, case, precision, threads))
                    print_row(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        side, folder, network, case, precision, threads, images = sys.argv[2:]
        print(json.dumps(measure(side, folder, network, case, precision, int(threads), int(images))))
    elif sys.argv[1:2] == ["--convert"]:
        convert(sys.argv[3:], sys.argv[2])
    else:
        main()
