"""What each quantization scheme costs: accuracy, size, and agreement with LiteRT. Prints the tables of
docs/quantization.md.

    python benchmarks/accuracy/quantization.py --models DIR --data DIR [--only NAME ...] [--samples N]

DIR of models: .tflite files, with goldens/NAME/CASE/inputs.npz for those without labelled data. DIR of data: cifar10/,
mnist/, imagenet_500/. Needs numpy, pillow and ai-edge-litert besides the edgeopt package.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import edgeopt
import numpy as np
from ai_edge_litert import interpreter as litert
from PIL import Image

SCHEMES = {"float16": "FLOAT16", "dynamic range": "DYNAMIC_RANGE", "int8": "INT8", "int16x8": "INT16X8"}
INTEGER = {"int8": "int8", "int16x8": "int16"}
REFERENCE = litert.OpResolverType.BUILTIN_REF
Samples = list[list[np.ndarray]]


# ------------------------------------------------------------------------------------------------------------- data


@dataclass
class Task:
    """A classifier with its data. `twins`: quantized files of the same network made by others."""

    model: str
    data: str
    calibration: Callable[[Path], Iterator[np.ndarray]]
    test: Callable[[Path], tuple[np.ndarray, np.ndarray]]
    first_class: int = 0
    twins: tuple[str, ...] = ()


def cifar_calibration(data: Path) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(data / "cifar10" / "train_20000_jpeg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        for name in names[:: len(names) // 200][:200]:
            yield np.asarray(Image.open(io.BytesIO(archive.read(name))), np.float32)[None]


def cifar_test(data: Path) -> tuple[np.ndarray, np.ndarray]:
    rows = np.fromfile(data / "cifar10" / "test_1000.bin", np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32), rows[:, 0]


def idx(path: Path) -> np.ndarray:
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def mnist_calibration(data: Path) -> Iterator[np.ndarray]:
    images = idx(data / "mnist" / "train-images-idx3-ubyte.gz")[:200]
    yield from (images[..., None].astype(np.float32) / 255)[:, None]


def mnist_test(data: Path) -> tuple[np.ndarray, np.ndarray]:
    images = idx(data / "mnist" / "t10k-images-idx3-ubyte.gz")
    return images[..., None].astype(np.float32) / 255, idx(data / "mnist" / "t10k-labels-idx1-ubyte.gz")


def imagenet(data: Path) -> tuple[np.ndarray, np.ndarray]:
    rows = [line.split() for line in (data / "imagenet_500" / "labels.txt").read_text().splitlines()]
    pixels = [np.asarray(Image.open(data / "imagenet_500" / row[0]).convert("RGB"), np.float32) for row in rows]
    return np.stack(pixels) / 127.5 - 1, np.array([int(row[1]) for row in rows])


def imagenet_calibration(data: Path) -> Iterator[np.ndarray]:
    yield from imagenet(data)[0][:100, None]


TASKS = [
    Task(
        "resnet_cifar10_float32", "CIFAR-10, 1000 test pictures", cifar_calibration, cifar_test,
        twins=("resnet_cifar10_int8",),
    ),
    Task(
        "mnist_cnn_float32", "MNIST, 10000 test pictures", mnist_calibration, mnist_test,
        twins=("mnist_cnn_weightonly_int8", "mnist_cnn_mixed"),
    ),
    Task(
        "mobilenet_v1_025_224_float32", "ImageNet, 500 pictures", imagenet_calibration, imagenet, first_class=1
    ),
]


# ---------------------------------------------------------------------------------------------------------- running


def outputs(interpreter, samples: Samples) -> list[np.ndarray]:
    """All outputs of each sample in one row. Real values are stored the way the inputs want them."""
    interpreter.allocate_tensors()
    rows = []
    for sample in samples:
        for detail, value in zip(interpreter.get_input_details(), sample):
            interpreter.set_tensor(detail["index"], stored(value, detail))
        interpreter.invoke()
        found = [np.array(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]
        rows.append(np.concatenate([np.asarray(value, np.float64).ravel() for value in found]))
    return rows


def stored(value: np.ndarray, detail: dict) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    value = value.reshape(detail["shape"])
    if not scale or not np.issubdtype(value.dtype, np.floating):
        return value.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(value / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def accuracy(interpreter, task: Task, images: np.ndarray, labels: np.ndarray) -> float:
    rows = outputs(interpreter, [[image[None]] for image in images])
    guesses = np.array([row[task.first_class :].argmax() for row in rows])
    return 100 * float((guesses == labels).mean())


def signal_to_noise(exact: list[np.ndarray], other: list[np.ndarray]) -> float:
    a, b = np.concatenate(exact), np.concatenate(other)
    noise = np.square(a - b).sum()
    return float(10 * np.log10(np.square(a).sum() / noise)) if noise else float("inf")


def agreement(model: edgeopt.Model, folder: Path, samples: Samples) -> str:
    """Of a model with integer outputs: how many elements are within one step of LiteRT's default path, and how many
    equal its reference kernels in reference mode."""
    path = str(folder / "agreement.tflite")
    model.save(path)
    ours, theirs = (np.concatenate(outputs(kind(path), samples)) for kind in (edgeopt.Interpreter, litert.Interpreter))
    near = 100 * float((np.abs(ours - theirs) <= 1).mean())
    try:
        exact = np.concatenate(outputs(litert.Interpreter(path, experimental_op_resolver_type=REFERENCE), samples))
    except (RuntimeError, ValueError):
        return f"{near:.2f} % / no reference kernel"
    mine = edgeopt.Interpreter(path, experimental_op_resolver_type=edgeopt.OpResolverType.BUILTIN_REF)
    equal = 100 * float((np.concatenate(outputs(mine, samples)) == exact).mean())
    return f"{near:.2f} % / {equal:.2f} %"


# ------------------------------------------------------------------------------------------------------------ tables


def sizes(path: Path, original: Path) -> list[str]:
    def deflated(file: Path) -> int:
        return len(zlib.compress(file.read_bytes(), 6))

    size, full = path.stat().st_size, original.stat().st_size
    return [f"{size}", f"{size / full:.3f}", f"{deflated(path)}", f"{deflated(path) / deflated(original):.3f}"]


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def classifier(task: Task, models: Path, data: Path, folder: Path, count: int | None) -> None:
    images, labels = (array[:count] for array in task.test(data))
    original = models / f"{task.model}.tflite"
    samples = list(task.calibration(data))
    print(f"\n### {task.model}: {task.data}\n")
    row("scheme", "top-1 EdgeOpt", "top-1 LiteRT", "bytes", "of float", "deflated", "of float", "agreement")
    row(*["---"] * 8)

    def line(name: str, path: Path, agreed: str = "") -> None:
        tops = [accuracy(kind(str(path)), task, images, labels) for kind in (edgeopt.Interpreter, litert.Interpreter)]
        row(name, *(f"{top:.2f}" for top in tops), *sizes(path, original), agreed)

    line("float32", original)
    for name, scheme in SCHEMES.items():
        path = folder / f"{task.model}_{scheme}.tflite"
        edgeopt.quantize(original, edgeopt.Scheme[scheme], samples, progress=False).save(path)
        agreed = ""
        if name in INTEGER:
            kind = INTEGER[name]
            model = edgeopt.quantize(
                original, edgeopt.Scheme[scheme], samples, input_type=kind, output_type=kind, progress=False
            )
            agreed = agreement(model, folder, [[image[None]] for image in images[:100]])
        line(name, path, agreed)
    path = folder / f"{task.model}_per_tensor.tflite"
    edgeopt.quantize(original, edgeopt.Scheme.INT8, samples, per_channel=False, progress=False).save(path)
    line("int8, per tensor", path)
    for twin in task.twins:
        line(f"{twin} (made by others)", models / f"{twin}.tflite")


def golden_samples(models: Path, name: str) -> Samples:
    case = sorted((models / "goldens" / name).iterdir())[0]
    with np.load(case / "inputs.npz") as archive:
        arrays = [archive[f"in{index}"] for index in range(len(archive.files))]
    interpreter = litert.Interpreter(str(models / f"{name}.tflite"))
    details = interpreter.get_input_details()
    if interpreter.get_signature_list():
        # With a signature the stored inputs are sorted by its names.
        runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
        order = [runner.get_input_details()[key]["index"] for key in sorted(runner.get_input_details())]
        arrays = [arrays[order.index(detail["index"])] for detail in details]
    count = min(4, len(arrays[0]))
    return [
        [array[step].reshape(detail["shape"]).astype(detail["dtype"]) for array, detail in zip(arrays, details)]
        for step in range(count)
    ]


def fidelity(name: str, models: Path, folder: Path) -> None:
    original = models / f"{name}.tflite"
    try:
        samples = golden_samples(models, name)
        exact = outputs(litert.Interpreter(str(original)), samples)
    except (RuntimeError, ValueError) as problem:
        row(name, "", f"LiteRT: {str(problem).splitlines()[0][:60]}", "", "", "", "")
        return
    for label, scheme in SCHEMES.items():
        path = folder / f"{name}_{scheme}.tflite"
        try:
            edgeopt.quantize(original, edgeopt.Scheme[scheme], samples, progress=False).save(path)
        except edgeopt.Error as problem:
            row(name, label, str(problem)[:100], "", "", "", "")
            continue
        decibels = []
        for kind in (edgeopt.Interpreter, litert.Interpreter):
            try:
                decibels.append(f"{signal_to_noise(exact, outputs(kind(str(path)), samples)):.1f}")
            except (RuntimeError, ValueError, edgeopt.Error) as problem:
                decibels.append(str(problem).splitlines()[0][:60])
        agreed = ""
        if label in INTEGER:
            kind = INTEGER[label]
            model = edgeopt.quantize(
                original, edgeopt.Scheme[scheme], samples, input_type=kind, output_type=kind, progress=False
            )
            try:
                agreed = agreement(model, folder, samples)
            except (RuntimeError, ValueError, edgeopt.Error) as problem:
                agreed = str(problem).splitlines()[0][:60]
        size = sizes(path, original)
        row(name, label, *decibels, size[1], size[3], agreed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of .tflite files and goldens/")
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10/, mnist/ and imagenet_500/")
    parser.add_argument("--only", nargs="*", help="names of models, without .tflite")
    parser.add_argument("--samples", type=int, help="at most so many labelled pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for task in TASKS:
            if not options.only or task.model in options.only:
                classifier(task, options.models, options.data, folder, options.samples)
        others = sorted(path.stem for path in options.models.glob("*_float32.tflite"))
        others = [name for name in others if name not in [task.model for task in TASKS]]
        others = [name for name in others if not options.only or name in options.only]
        if others:
            print("\n### The other float models: signal to noise of the outputs, against float\n")
            row("model", "scheme", "EdgeOpt dB", "LiteRT dB", "bytes of float", "deflated of float", "agreement")
            row(*["---"] * 7)
        for name in others:
            fidelity(name, options.models, folder)


if __name__ == "__main__":
    main()
