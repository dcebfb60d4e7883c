"""Trains the float model of the demo on scikit-learn's handwritten digits, and writes the images beside it.

Needs TensorFlow and scikit-learn (the demo itself does not):

    python3 -m venv /tmp/keras && /tmp/keras/bin/pip install tensorflow-cpu scikit-learn
    /tmp/keras/bin/python examples/digits/make_model.py

The digits are the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI Machine Learning
Repository, CC BY 4.0), as scikit-learn ships it.

The first half of the images is for training and calibration. The second half, by other writers, is held out.
Images are 8 x 8 with values 0 to 16; the model takes them divided by 16, as float32 [batch, 8, 8, 1].
"""

import pathlib

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf

FOLDER = pathlib.Path(__file__).parent
EPOCHS = 60


def make_network() -> keras.Model:
    def convolution(filters: int, stride: int = 1) -> list[keras.Layer]:
        return [
            keras.layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]

    return keras.Sequential([
        keras.Input((8, 8, 1)),
        *convolution(16),
        *convolution(32, stride=2),
        *convolution(64),
        *convolution(64, stride=2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="softmax"),
    ])


def main() -> None:
    keras.utils.set_random_seed(1)
    digits = sklearn.datasets.load_digits()
    images = digits.images.astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.uint8)
    half = len(images) // 2
    train = (images[:half] / np.float32(16), labels[:half])
    held_out = (images[half:] / np.float32(16), labels[half:])

    network = make_network()
    augment = keras.Sequential([
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        keras.layers.RandomRotation(0.03, fill_mode="constant"),
    ])
    batches = tf.data.Dataset.from_tensor_slices(train).shuffle(half, seed=1).batch(32)
    batches = batches.map(lambda x, y: (augment(x, training=True), y))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(batches))
    network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(batches, epochs=EPOCHS, verbose=2)
    print("held out: loss %.4f, accuracy %.4f" % tuple(network.evaluate(*held_out, verbose=0)))

    model = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    (FOLDER / "digits_float32.tflite").write_bytes(model)
    np.save(FOLDER / "images.npy", images)
    np.save(FOLDER / "labels.npy", labels)
    # For calibration from C: raw float32 inputs, one after the other.
    train[0][::7].tofile(FOLDER / "samples.f32")


if __name__ == "__main__":
    main()
