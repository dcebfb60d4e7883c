"""Makes an int8 model from a float model and a hundred samples of real input.

    PYTHONPATH=bindings/python python3 examples/python/quantize.py OUTPUT.tflite
"""

import pathlib
import sys

import numpy as np

import edgeopt

DIGITS = pathlib.Path(__file__).parents[1] / "digits"


def main() -> None:
    output = sys.argv[1]
    model = edgeopt.Model(DIGITS / "digits_float32.tflite")
    images = np.load(DIGITS / "images.npy") / np.float32(16)
    samples = (image[np.newaxis] for image in images[:800:8])  # one at a time: memory does not grow with their number

    small = edgeopt.quantize(model, scheme="int8", calibration=samples)
    small.description = "handwritten digits, int8"
    small.save(output)
    print(f"{len(model.to_bytes())} bytes became {len(small.to_bytes())}")


if __name__ == "__main__":
    main()
