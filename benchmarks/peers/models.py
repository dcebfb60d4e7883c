#!/usr/bin/env python3
"""Makes the networks that compare.py runs: .tflite files with random weights, through TensorFlow's converter.

    .venv-tensorflow/bin/python benchmarks/peers/models.py FOLDER [--networks mobilenet_v2 bert others yolo_v8 ...]
        [--forms float32 int8 ...] [--onnx]

Networks: MobileNetV1, V2 and V3-Large, ResNet101V2 (224 x 224) and InceptionV3 (299 x 299) of `keras.applications`, and
`bert`: four layers of width 256 with four heads over 128 tokens. These six are made unless `--networks` names some;
`others` are the twenty-three of networks.py, each of which has a name, too. Files are named NETWORK.FORM.tflite. The
same call makes the same weights. Batch normalization of the six has the statistics of a random batch, so that values
neither vanish nor overflow; what a random network answers says nothing, but its speed is that of a trained one.
`--onnx` writes NETWORK.float32.onnx too, for ONNX Runtime (needs tf2onnx).

The others' inputs and outputs are never int8, and what has no int8 operator stays float32. Where the converter fails
(int8 of recurrent loops, int16x8 of some), a line on stderr says so, the rest is made, and the exit status is 1.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from networks import NETWORKS as OTHERS

APPLICATIONS = {
    "mobilenet_v1": ("MobileNet", 224),
    "mobilenet_v2": ("MobileNetV2", 224),
    "mobilenet_v3_large": ("MobileNetV3Large", 224),
    "inception_v3": ("InceptionV3", 299),
    "resnet101_v2": ("ResNet101V2", 224),
}
NETWORKS = [*APPLICATIONS, "bert"]
LOOPS = ["lstm", "bidirectional_lstm", "gru_loop"]  # TensorFlow 2.21 crashes when it calibrates a WHILE
FORMS = ["float32", "float16", "dynamic_range", "int8", "int16x8"]
TOKENS, WIDTH, HEADS, LAYERS, VOCABULARY = 128, 256, 4, 4, 8000


def samples(network: str, count: int) -> np.ndarray:
    generator = np.random.default_rng(1)
    if network == "bert":
        return generator.integers(0, VOCABULARY, (count, TOKENS)).astype(np.int32)
    size = APPLICATIONS[network][1]
    # Coarse blocks beside fine noise: pictures vary slowly, too.
    blocks = generator.random((count, 8, 8, 3), np.float32).repeat(-(-size // 8), 1).repeat(-(-size // 8), 2)
    fine = generator.random((count, size, size, 3), np.float32)
    pictures = 0.7 * blocks[:, :size, :size] + 0.3 * fine
    return pictures * 255 if network == "mobilenet_v3_large" else pictures * 2 - 1


def bert() -> keras.Model:
    """Devlin et al., 2019, small, with an answer of two numbers for each token."""
    layers = keras.layers
    tokens = layers.Input((TOKENS,), dtype="int32")
    positions = np.arange(TOKENS)[None]
    x = layers.Embedding(VOCABULARY, WIDTH)(tokens) + layers.Embedding(TOKENS, WIDTH)(positions)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    for _ in range(LAYERS):
        attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + attended)
        hidden = layers.Dense(4 * WIDTH, activation=lambda y: keras.activations.gelu(y, approximate=True))(x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dense(WIDTH)(hidden))
    return keras.Model(tokens, layers.Dense(2)(x))


def network(name: str) -> keras.Model:
    keras.utils.set_random_seed(7 if name in OTHERS else 1)
    if name in OTHERS:
        return OTHERS[name]()
    if name == "bert":
        return bert()
    make, size = APPLICATIONS[name]
    model = getattr(keras.applications, make)(weights=None, input_shape=(size, size, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    model(samples(name, 8), training=True)
    return model


def input_of_one(tensor: keras.KerasTensor) -> keras.InputSpec:
    return keras.InputSpec(shape=(1, *tensor.shape[1:]), dtype=tensor.dtype)


def calibration(name: str, inputs: list[keras.KerasTensor]) -> list[list[np.ndarray]]:
    """What quantization takes its ranges from: the inputs of each call."""
    if name not in OTHERS:
        return [[sample[None]] for sample in samples(name, 16)]
    generator = np.random.default_rng(1)

    def random(tensor: keras.KerasTensor) -> np.ndarray:
        shape = (1, *tensor.shape[1:])
        if tensor.dtype == "int32":
            return generator.integers(0, 1000, shape).astype(np.int32)
        return generator.random(shape).astype(np.float32) * 2 - 1

    return [[random(tensor) for tensor in inputs] for _ in range(4)]


def converted(saved: str, name: str, form: str, inputs: list[keras.KerasTensor]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    if form != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form in ("int8", "int16x8"):
        if name in LOOPS:
            raise ValueError("TensorFlow cannot calibrate loops.")
        converter.representative_dataset = lambda: calibration(name, inputs)
    if form == "int8" and name not in OTHERS:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if name != "bert":
            converter.inference_input_type = converter.inference_output_type = tf.int8
    if form == "int16x8":
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [
            sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
            sets.TFLITE_BUILTINS,
        ]
    return converter.convert()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS, *OTHERS, "others"], default=NETWORKS)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=["float32", "int8"])
    parser.add_argument("--onnx", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in [each for name in options.networks for each in (OTHERS if name == "others" else [name])]:
        model = network(name)
        signature = [keras.tree.map_structure(input_of_one, model.input)]
        with tempfile.TemporaryDirectory() as saved:
            model.export(saved, input_signature=signature, verbose=False)
            for form in options.forms:
                path = options.folder / f"{name}.{form}.tflite"
                try:
                    path.write_bytes(converted(saved, name, form, model.inputs))
                except Exception as error:
                    reason = str(error).partition("\n")[0]
                    print(f"{path} was not made: {reason}", file=sys.stderr)
                    failed = True
                    continue
                print(f"{path}: {path.stat().st_size} bytes", flush=True)
        if options.onnx:
            path = options.folder / f"{name}.float32.onnx"
            model.export(path, format="onnx", input_signature=signature, verbose=False)
    sys.exit(failed)


if __name__ == "__main__":
    main()
