"""Classifies the held-out handwritten digits: the calls of the TFLite Interpreter, one import line changed.

    PYTHONPATH=bindings/python python3 examples/python/classify.py [MODEL]
"""

import pathlib
import sys

import numpy as np

from edgeopt import Interpreter  # was: from ai_edge_litert.interpreter import Interpreter

DIGITS = pathlib.Path(__file__).parents[1] / "digits"


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else DIGITS / "digits_float32.tflite"
    images = np.load(DIGITS / "images.npy") / np.float32(16)
    labels = np.load(DIGITS / "labels.npy")
    half = len(images) // 2  # the first half was for training

    interpreter = Interpreter(model_path=model)
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    right = 0
    for image, label in zip(images[half:], labels[half:]):
        interpreter.set_tensor(input_index, image[np.newaxis])
        interpreter.invoke()
        right += interpreter.get_tensor(output_index)[0].argmax() == label
    print(f"{right} of {len(labels) - half} right")


if __name__ == "__main__":
    main()
