"""What training makes of six networks: float, quantized, pruned, clustered, and all of it together. Prints the tables of
docs/training-accuracy.md.

    python benchmarks/training/accuracy.py --data DIR --results DIR [--only NAME ...] [--cases NAME ...]

DIR of data: cifar10/, mnist/, fsdd/. DIR of results: gets the models and NAME.json for each network; what is there is
not made again. `--tables` only prints. Needs numpy, pillow and, for
the comparison with LiteRT, ai-edge-litert besides the edgeopt package.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import edgeopt
import numpy as np
from networks import NETWORKS, Data, Network

SPARSITY = 0.75
CLUSTERS = 16


@dataclasses.dataclass(frozen=True)
class Case:
    """How a model is made: from which other one, and the trainer's arguments."""

    name: str
    source: str = "float"
    sparsity: float = 0  #: reached half-way
    zeros_of: tuple[int, int] | None = None
    clusters: int = 0
    granularity: str = "scaled_channels"
    pointwise_clusters: int = 0  #: of 1x1 convolutions; then all layers are clustered, first and depthwise ones too
    weight_bits: int = 0  #: quantization-aware
    preserve: tuple[str, ...] = ()
    trains: bool = True


#: Those that a target is set for come first.
CASES = [
    Case("float, trained on"),
    Case("int8, not trained", trains=False),
    Case("QAT int8", weight_bits=8),
    Case("QAT int4 weights", weight_bits=4),
    Case("pruned 75 %", sparsity=0.75),
    Case("pruned 75 %, clustered 16", "pruned 75 %", clusters=CLUSTERS, preserve=("zeros",)),
    Case("PCQAT", "pruned 75 %, clustered 16", weight_bits=8, preserve=("zeros", "clusters")),
    Case("clustered 16", clusters=16),
    Case("PQAT", "pruned 75 %", weight_bits=8, preserve=("zeros",)),
    Case("CQAT", "clustered 16", weight_bits=8, preserve=("clusters",)),
    Case("pruned 50 %", sparsity=0.5),
    Case("pruned 90 %", sparsity=0.9),
    Case("pruned 2:4", zeros_of=(2, 4)),
    Case("clustered 8", clusters=8),
    Case("clustered 32", clusters=32),
    Case("clustered 16, by tensor", clusters=16, granularity="tensor"),
    Case("CQAT, by tensor", "clustered 16, by tensor", weight_bits=8, preserve=("clusters",)),
    Case("pruned 75 %, clustered 16, by tensor", "pruned 75 %", clusters=CLUSTERS, granularity="tensor",
         preserve=("zeros",)),
    Case("PCQAT, by tensor", "pruned 75 %, clustered 16, by tensor", weight_bits=8, preserve=("zeros", "clusters")),
    Case("pruned 75 %, clustered 16 and 8", "pruned 75 %", clusters=CLUSTERS, pointwise_clusters=8,
         granularity="tensor", preserve=("zeros",)),
    Case("PCQAT, smallest", "pruned 75 %, clustered 16 and 8", weight_bits=8, preserve=("zeros", "clusters")),
    Case("clustered 16, by channel", clusters=16, granularity="channel"),
    Case("CQAT, by channel", "clustered 16, by channel", weight_bits=8, preserve=("clusters",)),
]
ORDER = [
    "float", "float, trained on", "int8, not trained", "QAT int8", "QAT int4 weights", "pruned 50 %", "pruned 75 %",
    "pruned 90 %", "pruned 2:4", "clustered 8", "clustered 16", "clustered 32", "PQAT", "CQAT",
    "pruned 75 %, clustered 16", "PCQAT",
]  # fmt: skip
#: What clusters share: three choices.
GRANULARITIES = [
    "clustered 16", "CQAT", "clustered 16, by tensor", "CQAT, by tensor", "clustered 16, by channel", "CQAT, by channel",
    "PCQAT", "PCQAT, by tensor", "PCQAT, smallest",
]  # fmt: skip


def fit(trainer: edgeopt.Trainer, network: Network, data: Data, epochs: int) -> None:
    trainer.fit(data.train, data.train_labels, epochs=epochs, augment=network.augment, progress=False)


def steps(network: Network, data: Data, epochs: int) -> int:
    """Of a training of so many epochs."""
    return epochs * -(-len(data.train) // network.batch_size)


def trained_float(network: Network, data: Data) -> edgeopt.Model:
    rate = edgeopt.schedules.Cosine(network.rate, steps(network, data, network.epochs))
    trainer = edgeopt.Trainer(
        network.start(),
        optimizer=edgeopt.optimizers.Adam(rate),
        batch_size=network.batch_size,
        batch_normalization=network.batch_normalization,
        precision=network.precision,
    )
    fit(trainer, network, data, network.epochs)
    return trainer.export()


def has_convolutions(path: Path) -> bool:
    return any(operator.name == "CONV_2D" for operator in edgeopt.Model(path).subgraphs[0].operators)


def clustering(case: Case, source: Path) -> edgeopt.Clustering:
    if not case.pointwise_clusters:
        return edgeopt.Clustering(case.clusters, granularity=case.granularity)
    graph = edgeopt.Model(source).subgraphs[0]
    weights = [graph.tensors[op.inputs[1]] for op in graph.operators if op.name == "CONV_2D"]
    pointwise = {tensor.name: case.pointwise_clusters for tensor in weights if list(tensor.shape[1:3]) == [1, 1]}
    return edgeopt.Clustering(
        case.clusters, granularity=case.granularity, first=True, depthwise=True, layers=pointwise or None
    )


def samples(data: Data) -> list[np.ndarray]:
    return [picture[None] for picture in data.train[:200]]


def made(case: Case, source: Path, network: Network, data: Data) -> tuple[edgeopt.Model, dict]:
    """The model, and how far it is from what was simulated."""
    if not case.trains:
        return edgeopt.quantize(source, "int8", samples(data), progress=False), {}
    is_pruned = bool(case.sparsity or case.zeros_of)
    epochs = network.pruning_epochs if is_pruned else network.tuning_epochs
    rate = network.pruning_rate if is_pruned else network.tuning_rate
    count = steps(network, data, epochs)
    targets: dict = {"preserve": case.preserve}
    if case.sparsity:
        frequency = max(1, count // 40)
        schedule = edgeopt.PolynomialDecay(0, case.sparsity, 0, count // 2, frequency=frequency)
        targets["pruning"] = edgeopt.Pruning(schedule)
    if case.zeros_of:
        targets["pruning"] = edgeopt.Pruning(zeros_of=case.zeros_of)
    if case.clusters:
        targets["clustering"] = clustering(case, source)
    if case.weight_bits:
        targets["quantization"] = edgeopt.QuantizationAware(samples(data), weight_bits=case.weight_bits)
    trainer = edgeopt.Trainer(
        source,
        optimizer=edgeopt.optimizers.Adam(edgeopt.schedules.Cosine(rate, count)),
        batch_size=network.batch_size,
        batch_normalization=is_pruned and has_convolutions(source),
        precision=network.precision,
        **targets,
    )
    fit(trainer, network, data, epochs)
    if not case.weight_bits:
        return trainer.export(), {}
    report = trainer.check_export(sample[None] for sample in data.test[:500])
    return trainer.export(), {
        "within_one_step": report.within_one_step,
        "same_top1": report.top1_agreement,
    }


def top1(interpreter, data: Data, count: int | None = None) -> np.ndarray:
    """The class of each test sample. Works with our interpreter and with LiteRT's."""
    interpreter.allocate_tensors()
    place, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    classes = []
    for sample in data.test[:count]:
        interpreter.reset_all_variables()
        interpreter.set_tensor(place, sample[None])
        interpreter.invoke()
        classes.append(int(interpreter.get_tensor(result).argmax()))
    return np.array(classes)


def litert_agreement(path: Path, ours: np.ndarray, data: Data, count: int = 300) -> float | None:
    """The share of samples that LiteRT puts into the same class."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return None
    return float((top1(Interpreter(str(path)), data, count) == ours[:count]).mean())


def measured(path: Path, data: Data) -> dict:
    content = path.read_bytes()
    classes = top1(edgeopt.Interpreter(path), data)
    return {
        "top1": 100 * float((classes == data.test_labels).mean()),
        "bytes": len(content),
        "deflated": len(zlib.compress(content, 9)),
        **measured_weights(content),
        "litert": litert_agreement(path, classes, data),
    }


def measured_weights(content: bytes) -> dict:
    """Different values in the largest weight tensor, and the share of zeros among all weights."""
    weights = edgeopt.weights(content)
    largest = max(weights, key=lambda found: found.elements)
    zeros = sum(found.zeros for found in weights)
    return {"distinct": largest.distinct, "zeros": zeros / sum(found.elements for found in weights)}


class Results:
    """The rows of a network in a file of their own."""

    def __init__(self, folder: Path, network: Network):
        self._folder, self._network = folder, network
        self._file = folder / f"{network.name}.json"
        self.rows: dict[str, dict] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def path(self, case: str) -> Path:
        name = "".join(letter if letter.isalnum() else "_" for letter in case)
        return self._folder / f"{self._network.name}_{name}.tflite"

    def add(self, case: str, data: Data, make: Callable[[], tuple[edgeopt.Model, dict]]) -> None:
        if case in self.rows:
            return
        start = time.monotonic()
        try:
            model, more = make()
            model.save(self.path(case))
            self.rows[case] = {**measured(self.path(case), data), **more, "seconds": time.monotonic() - start}
        except edgeopt.Error as problem:
            self.rows[case] = {"problem": str(problem)}
        self._file.write_text(json.dumps(self.rows, indent=1) + "\n")
        print(self._network.name, case, self.rows[case], flush=True)

    def tables(self) -> None:
        print(f"\n## {self._network.title}\n")
        self._table(ORDER)
        if any("by tensor" in case for case in self.rows):
            print("\nWhat clusters share:\n")
            self._table(GRANULARITIES)

    def _table(self, cases: list[str]) -> None:
        other = self._folder / f"{self._network.name}_tfmot.json"
        theirs = json.loads(other.read_text()) if other.exists() and cases is ORDER else {}
        row("", "top-1 %", "bytes", "deflated", "of the float file", "values", "zeros %", *["tfmot"] * bool(theirs))
        row(*["---"] * (8 if theirs else 7))
        full = self.rows.get("float", {}).get("bytes", 0)
        for case in cases:
            found = self.rows.get(case)
            if found is None or "problem" in found:
                continue
            cells = [f"{found['top1']:.2f}", f"{found['bytes']:,}", f"{found['deflated']:,}"]
            cells += [f"1/{full / found['deflated']:.1f}", f"{found['distinct']:,}", f"{100 * found['zeros']:.1f}"]
            if theirs:
                peer = theirs.get(case)
                cells.append(f"{peer['top1']:.2f}, {peer['deflated']:,}" if peer else "")
            row(case, *cells)


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with cifar10/, mnist/ and fsdd/")
    parser.add_argument("--results", type=Path, required=True, help="folder of what was made so far")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("--cases", nargs="*", help="names of rows; what they are made from must be there")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of training's products")
    parser.add_argument("--tables", action="store_true", help="only print what is there")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    chosen = [network for network in NETWORKS if not options.only or network.name in options.only]
    for network in chosen if not options.tables else []:
        network = dataclasses.replace(network, precision=options.precision)
        data, results = network.data(options.data), Results(options.results, network)
        results.add("float", data, lambda: (trained_float(network, data), {}))
        for case in CASES:
            if not options.cases or case.name in options.cases:
                results.add(case.name, data, lambda: made(case, results.path(case.source), network, data))
    for network in chosen:
        Results(options.results, network).tables()


if __name__ == "__main__":
    main()
