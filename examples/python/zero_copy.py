"""NumPy arrays that are the tensors themselves: nothing is copied between Python and the model.

    PYTHONPATH=bindings/python python3 examples/python/zero_copy.py
"""

import pathlib

import numpy as np

from edgeopt import Interpreter

DIGITS = pathlib.Path(__file__).parents[1] / "digits"


def main() -> None:
    interpreter = Interpreter(DIGITS / "digits_float32.tflite")
    interpreter.allocate_tensors()
    pixels = interpreter.tensor(interpreter.get_input_details()[0]["index"])()
    scores = interpreter.tensor(interpreter.get_output_details()[0]["index"])()

    for image in np.load(DIGITS / "images.npy")[-5:]:
        np.divide(image, 16, out=pixels[0], casting="same_kind")  # computed right into the model's input
        interpreter.invoke()
        print(scores[0].argmax(), end=" ")
    print()

    del interpreter  # the views keep its memory alive
    print(f"the last score is still {scores.max():.3f}")


if __name__ == "__main__":
    main()
