#!/usr/bin/env python3
"""EdgeOpt and its peers on the same models in one run.

    benchmarks/peers/compare.py model.tflite ... [--threads 1 2] [--repeats 5] [--seconds 1] [--json out.json]
                                                 [--precision bfloat16] [--idle 4]

Peers are those of LiteRT, OpenVINO (both run the .tflite file) and ONNX Runtime (runs model.onnx beside model.tflite,
if it is there) that Python can import. Every measurement is a fresh process with one model and one runtime; the
runtimes take turns, `--repeats` times. The table has a line for each peer: the median over repeats of the per-process
median of invoke (input already in place), the ratio peer / EdgeOpt (above 1: EdgeOpt is faster) with its worst and best
repeat, the time to load and compile, and the peak memory above what the process had before the model. EdgeOpt is also
compiled with a warm packed-weight file. OpenVINO is held to float32 for float models, or with `--precision bfloat16` to
bfloat16, as EdgeOpt is then; the others stay with float32. `--idle` waits so many seconds before each process: the host
of a virtual machine may take back what the one before has freed, and compiling then waits for memory. It also says how
much the processors did for others meanwhile, and when the repeats differ too much to judge. `--json` writes what each
process measured, also its least time of an invoke.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PEERS = {"litert": "ai_edge_litert", "openvino": "openvino", "onnxruntime": "onnxruntime"}
NOISY = 1.3  # a peer's slowest repeat over its fastest, or EdgeOpt's: beyond this nothing can be said


class TFLite:
    """EdgeOpt or LiteRT: the same calls."""

    def __init__(self, runtime: str, model: str, threads: int, precision: str, weights: str | None):
        if runtime == "litert":
            from ai_edge_litert.interpreter import Interpreter

            self.interpreter = Interpreter(model_path=model, num_threads=threads)
        else:
            from edgeopt import Interpreter

            options = {"weight_cache": weights} if weights else {}
            self.interpreter = Interpreter(model_path=model, num_threads=threads, precision=precision, **options)
        self.interpreter.allocate_tensors()

    def fill(self, rng):
        for detail in self.interpreter.get_input_details():
            self.interpreter.set_tensor(detail["index"], random_input(detail["shape"], detail["dtype"], rng))

    def invoke(self):
        self.interpreter.invoke()


class OpenVINO:
    def __init__(self, model: str, threads: int, precision: str):
        import openvino

        self.compiled = openvino.Core().compile_model(
            model, "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            },
        )
        self.request = self.compiled.create_infer_request()

    def fill(self, rng):
        import openvino

        self.inputs = []  # the tensors do not keep the arrays
        for index, port in enumerate(self.compiled.inputs):
            self.inputs.append(random_input(list(port.shape), port.element_type.to_dtype(), rng))
            self.request.set_input_tensor(index, openvino.Tensor(self.inputs[-1], shared_memory=True))

    def invoke(self):
        self.request.infer()


class ONNXRuntime:
    def __init__(self, model: str, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def fill(self, rng):
        types = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}
        self.feed = {}
        for port in self.session.get_inputs():
            shape = [size if isinstance(size, int) else 1 for size in port.shape]
            self.feed[port.name] = random_input(shape, types.get(port.type, np.int32), rng)

    def invoke(self):
        self.session.run(None, self.feed)


def load(runtime: str, model: str, threads: int, precision: str, weights: str | None):
    if runtime == "openvino":
        return OpenVINO(model, threads, precision)
    if runtime == "onnxruntime":
        return ONNXRuntime(str(Path(model).with_suffix(".onnx")), threads)
    return TFLite(runtime, model, threads, precision, weights)


def installed(model: str) -> list[str]:
    """The runtimes that can run this model."""
    found = [name for name, module in PEERS.items() if importlib.util.find_spec(module)]
    if not Path(model).with_suffix(".onnx").exists():
        found = [name for name in found if name != "onnxruntime"]
    return ["edgeopt", *found]


def random_input(shape, dtype, rng):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype) if dtype.itemsize <= 2 else np.iinfo(np.int8)
    # Wide integers are indices: tokens of a language model, say.
    lowest = max(limits.min, -128) if dtype.itemsize <= 2 else 0
    return rng.integers(lowest, min(limits.max, 127), shape, endpoint=True).astype(dtype)


def measure(runtime: str, model: str, threads: int, precision: str, seconds: float, weights: str | None) -> dict:
    """One measurement, in this process. No seconds: only compile."""
    importlib.import_module(PEERS.get(runtime, "edgeopt"))
    bare = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    network = load(runtime, model, threads, precision, weights)
    compile_seconds = time.perf_counter() - start
    if seconds <= 0:
        return {"compile_milliseconds": 1e3 * compile_seconds}
    network.fill(np.random.default_rng(1))
    for _ in range(3):
        network.invoke()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 20 or time.perf_counter() < end:
        start = time.perf_counter()
        network.invoke()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "milliseconds": 1e3 * statistics.median(times),
        "least_milliseconds": 1e3 * min(times),
        "compile_milliseconds": 1e3 * compile_seconds,
        "megabytes": (peak - bare) / 1024,
    }


def in_fresh_process(*arguments) -> dict:
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def busy_cores() -> tuple[float, float]:
    """Processor seconds spent by everyone, and by this process and its children."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    everyone = (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return everyone, children.ru_utime + children.ru_stime


def compare(model: str, threads: int, precision: str, repeats: int, seconds: float, idle: float) -> dict:
    runs = {runtime: [] for runtime in installed(model)}
    everyone, ours = busy_cores()
    start = time.perf_counter()
    warm = []
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights")
        in_fresh_process("edgeopt", model, threads, precision, 0, weights)
        for _ in range(repeats):
            for runtime, results in runs.items():
                time.sleep(idle)
                results.append(in_fresh_process(runtime, model, threads, precision, seconds, ""))
            time.sleep(idle)
            warm.append(in_fresh_process("edgeopt", model, threads, precision, 0, weights))
    wall = time.perf_counter() - start
    everyone_after, ours_after = busy_cores()
    row = {"model": Path(model).stem, "threads": threads, "precision": precision}
    row |= {"runs": runs, "warm": warm, "peers": {}}
    row["foreign_cores"] = max(0.0, (everyone_after - everyone - (ours_after - ours)) / wall)
    if not any("error" in run for run in warm):
        row["warm_milliseconds"] = statistics.median(run["compile_milliseconds"] for run in warm)
    for runtime, results in runs.items():
        errors = [run["error"] for run in results if "error" in run]
        if errors:
            row["peers"][runtime] = {"error": errors[0]}
            continue
        keys = ("milliseconds", "compile_milliseconds", "megabytes")
        summary = {key: statistics.median(run[key] for run in results) for key in keys}
        times = [run["milliseconds"] for run in results]
        summary["spread"] = max(times) / min(times)
        if "error" not in row["peers"].get("edgeopt", {}):
            ratios = [b["milliseconds"] / a["milliseconds"] for a, b in zip(runs["edgeopt"], results)]
            summary["ratio"], summary["worst"], summary["best"] = statistics.median(ratios), min(ratios), max(ratios)
        row["peers"][runtime] = summary
    return row


def print_row(row: dict) -> None:
    for runtime, peer in row["peers"].items():
        start = f"{row['model']:<35} {row['threads']:>2} {runtime:<12}"
        if "error" in peer:
            print(f"{start} {peer['error']}")
            continue
        ratio = f"{peer['ratio']:>6.2f} {peer['worst']:>6.2f} {peer['best']:>6.2f}" if "ratio" in peer else " " * 20
        cells = f"{peer['milliseconds']:>9.2f} {peer['compile_milliseconds']:>9.2f}"
        warm = f"{row['warm_milliseconds']:>8.2f}" if runtime == "edgeopt" and "warm_milliseconds" in row else " " * 8
        noise = "  repeats differ too much to judge" if peer["spread"] > NOISY else ""
        print(f"{start} {ratio} {cells} {warm} {peer['megabytes']:>8.1f}{noise}")
    if row["foreign_cores"] > 0.2:
        print(f"  others used {row['foreign_cores']:.1f} cores meanwhile: not reliable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--idle", type=float, default=0.0)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.repeats} repeats; ratio = runtime / EdgeOpt")
    print(f"{'model':<35} th {'runtime':<12}  ratio  worst   best invoke ms compile ms   warm      MiB")
    rows = []
    for model in options.models:
        for threads in options.threads:
            rows.append(compare(model, threads, options.precision, options.repeats, options.seconds, options.idle))
            print_row(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        name, path, count, precision, duration, file = sys.argv[2:]
        print(json.dumps(measure(name, path, int(count), precision, float(duration), file or None)))
    else:
        main()
