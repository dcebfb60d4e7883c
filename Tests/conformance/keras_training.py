"""Runs in the TensorFlow environment: ten training steps of three networks, by Keras.

    python keras_training.py results.npz

For each network and optimizer the file has the .tflite model of the start, the batches, and Keras's loss before and
variables after each step.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

keras = tf.keras
STEPS, BATCH = 10, 8


def convolutional():
    """Convolutions, pooling, one fully connected layer."""
    x = inputs = keras.Input((12, 12, 1))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def residual():
    """Depthwise and pointwise convolutions with a shortcut, global average pooling."""
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    for stride in (1, 2):
        y = keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", activation="relu")(x)
        y = keras.layers.Conv2D(16, 1)(y)
        x = keras.layers.ReLU()(keras.layers.Add()([x, y]) if stride == 1 else y)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def transformer():
    """One block of attention, layer normalization and a GELU network."""
    x = inputs = keras.Input((6, 12))
    x = keras.layers.Dense(16)(x)
    # A bias of the keys changes nothing: its gradient is rounding, which Adam would blow up to whole steps.
    query, value, key = (keras.layers.Dense(16, use_bias=bias)(x) for bias in (True, True, False))
    attended = keras.layers.Attention()([query, value, key])
    x = keras.layers.LayerNormalization(epsilon=1e-3)(keras.layers.Add()([x, keras.layers.Dense(16)(attended)]))
    y = keras.layers.Dense(16)(keras.layers.Dense(32, activation="gelu")(x))
    x = keras.layers.LayerNormalization(epsilon=1e-3)(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def optimizer(name):
    if name == "sgd":
        return keras.optimizers.SGD(0.05, momentum=0.9)
    return keras.optimizers.Adam(0.002)


def main(path):
    results = {}
    for build in (convolutional, residual, transformer):
        for name in ("sgd", "adam"):
            generator = np.random.default_rng(7)
            keras.utils.set_random_seed(7)
            model = build()
            # No two numbers are alike, so that variables are found again in the .tflite model by their values.
            model.set_weights([w + generator.normal(0, 0.05, w.shape).astype(np.float32) for w in model.get_weights()])
            prefix = f"{build.__name__}/{name}"
            tflite = tf.lite.TFLiteConverter.from_keras_model(model).convert()
            results[f"{prefix}/model"] = np.frombuffer(tflite, np.uint8)
            results[f"{prefix}/x"] = x = generator.normal(size=(STEPS, BATCH, *model.input_shape[1:])).astype(np.float32)
            results[f"{prefix}/y"] = y = generator.integers(0, 10, (STEPS, BATCH)).astype(np.int32)
            for index, weights in enumerate(model.get_weights()):
                results[f"{prefix}/start/{index}"] = weights
            rule = optimizer(name)
            loss_of = keras.losses.SparseCategoricalCrossentropy()
            for step in range(STEPS):
                with tf.GradientTape() as tape:
                    loss = loss_of(y[step], model(x[step], training=True))
                variables = model.trainable_variables
                rule.apply_gradients(zip(tape.gradient(loss, variables), variables))
                results[f"{prefix}/loss/{step}"] = loss.numpy()
                for index, weights in enumerate(model.get_weights()):
                    results[f"{prefix}/after/{step}/{index}"] = weights
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
