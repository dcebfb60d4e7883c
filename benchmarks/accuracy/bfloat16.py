"""What computing in bfloat16 costs: top-1 accuracy of float models with `precision="bfloat16"` beside float32, and how
often the two give the same class. Prints the table of docs/performance.md.

    python benchmarks/accuracy/bfloat16.py --models DIR --data DIR [--samples N]

DIRs as for quantization.py, whose classifiers and pictures it takes. Where the processor does not multiply bfloat16 by
tiles, both columns are the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import edgeopt
import numpy as np
from quantization import TASKS, outputs, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of .tflite files")
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10/, mnist/ and imagenet_500/")
    parser.add_argument("--samples", type=int, help="at most so many labelled pictures")
    options = parser.parse_args()
    row("model", "pictures", "top-1 float32", "top-1 bfloat16", "same class", "largest difference of an output")
    row(*["---"] * 6)
    for task in TASKS:
        images, labels = (array[: options.samples] for array in task.test(options.data))
        samples = [[image[None]] for image in images]
        path = str(options.models / f"{task.model}.tflite")
        exact, rounded = (
            np.stack(outputs(edgeopt.Interpreter(path, precision=precision), samples))
            for precision in ("float32", "bfloat16")
        )
        classes = [rows[:, task.first_class :].argmax(axis=1) for rows in (exact, rounded)]
        tops = [100 * float((guesses == labels).mean()) for guesses in classes]
        same = 100 * float((classes[0] == classes[1]).mean())
        row(
            task.model, task.data, f"{tops[0]:.2f}", f"{tops[1]:.2f}", f"{same:.2f} %",
            f"{np.abs(exact - rounded).max():.3f}",
        )


if __name__ == "__main__":
    main()
