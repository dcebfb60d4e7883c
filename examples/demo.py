"""The table of scripts/demo: a float model, its four quantized forms, and what training makes of it, measured.

    PYTHONPATH=bindings/python python3 examples/demo.py [MODEL]
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator

import numpy as np

import edgeopt

ROOT = pathlib.Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits"
SCHEMES = [scheme.value for scheme in edgeopt.Scheme]
#: Passes over the training half for each row that is trained.
EPOCHS = 20
BATCH_SIZE = 32
Sample = list[np.ndarray]


def digits() -> tuple[list[Sample], list[Sample], np.ndarray]:
    """Samples for calibration, held-out samples, and their labels."""
    images = np.load(DIGITS / "images.npy") / np.float32(16)
    labels = np.load(DIGITS / "labels.npy")
    half = len(images) // 2
    samples = [[image[np.newaxis]] for image in images]
    return samples[:half:7], samples[half:], labels[half:]


def trained(source: edgeopt.Model, calibration: list[Sample]) -> Iterator[tuple[str, edgeopt.Model]]:
    """Pruned, clustered, quantized, and one after the other, each while it is trained on the first half."""
    images = np.load(DIGITS / "images.npy") / np.float32(16)
    labels = np.load(DIGITS / "labels.npy")
    half = len(images) // 2
    steps = EPOCHS * -(-half // BATCH_SIZE)

    def tune(model: edgeopt.Model, rate: float = 1e-3, **targets: object) -> edgeopt.Model:
        optimizer = edgeopt.optimizers.Adam(edgeopt.schedules.Cosine(rate, steps))
        trainer = edgeopt.Trainer(model, optimizer=optimizer, batch_size=BATCH_SIZE, **targets)
        trainer.fit(images[:half], labels[:half], epochs=EPOCHS)
        return trainer.export()

    quantization = edgeopt.QuantizationAware(calibration)
    yield "int8, trained", tune(source, quantization=quantization)
    yield "int4 weights, trained", tune(source, quantization=edgeopt.QuantizationAware(calibration, weight_bits=4))
    schedule = edgeopt.PolynomialDecay(0, 0.75, 0, steps // 2, frequency=10)
    pruned = tune(source, 4e-3, pruning=edgeopt.Pruning(schedule), batch_normalization=True)
    yield "pruned 75 %", pruned
    clustered = tune(pruned, clustering=16, preserve="zeros")
    yield "... + 16 clusters", clustered
    yield "... + int8", tune(clustered, preserve=("zeros", "clusters"), quantization=quantization)


def random_samples(model: edgeopt.Model, count: int) -> list[Sample]:
    random = np.random.default_rng(1)

    def draw(tensor: edgeopt.Tensor) -> np.ndarray:
        if np.issubdtype(tensor.dtype, np.floating):
            return random.random(tensor.shape).astype(tensor.dtype)
        return random.integers(0, 2, tensor.shape).astype(tensor.dtype)

    return [[draw(tensor) for tensor in model.inputs] for _ in range(count)]


def run_all(interpreter: object, samples: list[Sample]) -> Iterator[np.ndarray]:
    """The first output for each sample. Works with our Interpreter and with LiteRT's."""
    interpreter.allocate_tensors()
    inputs = [detail["index"] for detail in interpreter.get_input_details()]
    output = interpreter.get_output_details()[0]["index"]
    for sample in samples:
        for index, array in zip(inputs, sample):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        yield interpreter.get_tensor(output)


def latency(path: pathlib.Path, sample: Sample) -> float:
    """Milliseconds for one run on one thread: the median of the runs of half a second."""
    interpreter = edgeopt.Interpreter(path)
    list(run_all(interpreter, [sample]))
    times, end = [], time.perf_counter() + 0.5
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def litert_agreement(path: pathlib.Path, samples: list[Sample], ours: list[np.ndarray]) -> str:
    """On how many samples stock LiteRT's largest output is at the same place, and how much its outputs differ: the
    largest difference as a share of the largest output."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return "not installed"
    theirs = list(run_all(Interpreter(str(path)), samples))
    largest = max(float(np.abs(output).max()) for output in theirs)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs))
    share = difference / largest if largest else difference
    same = sum(a.argmax() == b.argmax() for a, b in zip(ours, theirs))
    return f"{same} of {len(ours)}, within {100 * share:.2g} %"


def c_accuracy(folder: pathlib.Path, models: dict[str, pathlib.Path]) -> dict[str, str]:
    """What examples/c/load_and_run.c, compiled here with gcc, says."""
    program = folder / "load_and_run"
    include, lib = ROOT / "build" / "include", ROOT / "build" / "lib"
    source = ROOT / "examples" / "c" / "load_and_run.c"
    command = ["gcc", "-O2", source, "-o", program, f"-I{include}", f"-L{lib}", "-ledgeopt", f"-Wl,-rpath,{lib}"]
    subprocess.run(command, check=True)
    said = {}
    for scheme, path in models.items():
        arguments = [program, path, DIGITS / "images.npy", DIGITS / "labels.npy"]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        said[scheme] = re.search(r"([\d.]+) %", output)[1] + " %"
    return said


def print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def main() -> None:
    own = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    source = own or DIGITS / "digits_float32.tflite"
    model = edgeopt.Model(source)
    if own:
        print(f"{own.name}: calibrated with RANDOM data, so only sizes and latencies mean something.\n")
        calibration, held_out, labels = random_samples(model, 8), random_samples(model, 4), None
    else:
        calibration, held_out, labels = digits()

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = {"float32": source}
        for scheme in SCHEMES:
            models[scheme] = folder / f"{scheme}.tflite"
            edgeopt.quantize(model, scheme, calibration).save(models[scheme])
        for number, (title, made) in enumerate([] if own else trained(model, calibration)):
            models[title] = folder / f"trained{number}.tflite"
            made.save(models[title])
        from_c = {} if own else c_accuracy(folder, models)

        accuracy = [] if own else ["top-1", "top-1 from C"]
        rows = [["model", "bytes", "of float", "deflated", *accuracy, "latency", "LiteRT agrees"]]
        for scheme, path in models.items():
            data = path.read_bytes()
            outputs = list(run_all(edgeopt.Interpreter(path), held_out))
            row = [scheme, str(len(data)), f"{100 * len(data) / source.stat().st_size:.1f} %"]
            row.append(str(len(zlib.compress(data, 9))))
            if labels is not None:
                right = np.mean([output[0].argmax() == label for output, label in zip(outputs, labels)])
                row += [f"{100 * right:.2f} %", from_c[scheme]]
            row += [f"{latency(path, held_out[0]):.4f} ms", litert_agreement(path, held_out, outputs)]
            rows.append(row)
    if labels is not None:
        print(f"Handwritten digits, {len(held_out)} held-out images; {len(calibration)} for calibration; ", end="")
    print(f"one thread, {edgeopt.isa()}.")
    if labels is not None:
        print("The last five rows are trained here, on the first half of the images.")
    print_table(rows)


if __name__ == "__main__":
    main()
