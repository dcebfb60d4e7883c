"""Makes the float model of the demo: a small network, written and trained here.

    PYTHONPATH=bindings/python python3 examples/digits/make_model.py

The digits beside this file are the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI
Machine Learning Repository, CC BY 4.0), as scikit-learn ships it. The first half of the images is for training and
calibration. The second half, by other writers, is held out. Images are 8 x 8 with values 0 to 16; the model takes them
divided by 16, as float32 [batch, 8, 8, 1].
"""

import pathlib
import sys

import numpy as np

import edgeopt

FOLDER = pathlib.Path(__file__).resolve().parent
EPOCHS = 60
BATCH_SIZE = 32


def network() -> edgeopt.Model:
    graph = edgeopt.Graph(seed=1)
    x = graph.input(8, 8, 1)
    for filters, stride in [(16, 1), (32, 2), (64, 1), (64, 2)]:
        x = graph.conv(x, filters, 3, stride, activation="relu")
    graph.softmax(graph.dense(graph.mean(x, (1, 2)), 10))
    return graph.model()


def moved(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each shifted by up to 0.8 pixels and turned by up to 10 degrees, between the pixels linearly."""
    count, height, width, _ = images.shape
    angle = random.uniform(-0.18, 0.18, (count, 1, 1))
    down, right = random.uniform(-0.8, 0.8, (2, count, 1, 1))
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2]).reshape(2, 1, 1)
    rows = np.cos(angle) * y - np.sin(angle) * x + (height - 1) / 2 + down
    columns = np.sin(angle) * y + np.cos(angle) * x + (width - 1) / 2 + right
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, beside = (rows - top)[..., None], (columns - left)[..., None]
    sample = np.arange(count)[:, None, None]

    def pixels(row: int, column: int) -> np.ndarray:
        return padded[sample, top + 4 + row, left + 4 + column]

    upper = (1 - beside) * pixels(0, 0) + beside * pixels(0, 1)
    lower = (1 - beside) * pixels(1, 0) + beside * pixels(1, 1)
    return ((1 - below) * upper + below * lower).astype(np.float32)


def main() -> None:
    images = np.load(FOLDER / "images.npy") / np.float32(16)
    labels = np.load(FOLDER / "labels.npy")
    half = len(images) // 2
    steps = EPOCHS * -(-half // BATCH_SIZE)
    trainer = edgeopt.Trainer(
        network(),
        optimizer=edgeopt.optimizers.Adam(edgeopt.schedules.Cosine(4e-3, steps)),
        batch_size=BATCH_SIZE,
        batch_normalization=True,
    )
    trainer.fit(images[:half], labels[:half], epochs=EPOCHS, augment=moved)
    print("held out:", trainer.evaluate(images[half:], labels[half:]))
    trainer.export().save(FOLDER / "digits_float32.tflite" if len(sys.argv) < 2 else sys.argv[1])
    # For calibration from C: raw float32 inputs, one after the other.
    images[:half:7].tofile(FOLDER / "samples.f32")


if __name__ == "__main__":
    main()
