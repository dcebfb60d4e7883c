#!/usr/bin/env python3
"""EdgeOpt and LiteRT on the same models in one run.

    benchmarks/peers/compare.py model.tflite ... [--threads 1 2] [--repeats 5] [--seconds 1] [--json out.json]

Every measurement is a fresh process with one model and one runtime; the runtimes take turns, `--repeats` times. The
table has the median over repeats of the per-process median of invoke (input already in place), the ratio LiteRT /
EdgeOpt (above 1: EdgeOpt is faster) with its worst and best repeat, the time to load and compile, and the peak
memory above what the process had before the model. It also says how much the processors did for others meanwhile.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

RUNTIMES = ("edgeopt", "litert")


def interpreter_class(runtime: str):
    if runtime == "edgeopt":
        from edgeopt import Interpreter
    else:
        from ai_edge_litert.interpreter import Interpreter
    return Interpreter


def random_input(detail, rng):
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return rng.standard_normal(detail["shape"]).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, detail["shape"]).astype(dtype)
    limits = np.iinfo(dtype) if dtype.itemsize <= 2 else np.iinfo(np.int8)
    return rng.integers(max(limits.min, -128), min(limits.max, 127), detail["shape"], endpoint=True).astype(dtype)


def measure(runtime: str, model: str, threads: int, seconds: float) -> dict:
    """One measurement, in this process."""
    Interpreter = interpreter_class(runtime)
    bare = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    it = Interpreter(model_path=model, num_threads=threads)
    it.allocate_tensors()
    compile_seconds = time.perf_counter() - start
    rng = np.random.default_rng(1)
    for detail in it.get_input_details():
        it.set_tensor(detail["index"], random_input(detail, rng))
    for _ in range(3):
        it.invoke()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 20 or time.perf_counter() < end:
        start = time.perf_counter()
        it.invoke()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "milliseconds": 1e3 * statistics.median(times),
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


def compare(model: str, threads: int, repeats: int, seconds: float) -> dict:
    runs = {runtime: [] for runtime in RUNTIMES}
    everyone, ours = busy_cores()
    start = time.perf_counter()
    for _ in range(repeats):
        for runtime in RUNTIMES:
            runs[runtime].append(in_fresh_process(runtime, model, threads, seconds))
    wall = time.perf_counter() - start
    everyone_after, ours_after = busy_cores()
    row = {"model": Path(model).stem, "threads": threads, "runs": runs}
    row["foreign_cores"] = max(0.0, (everyone_after - everyone - (ours_after - ours)) / wall)
    for runtime in RUNTIMES:
        errors = [run["error"] for run in runs[runtime] if "error" in run]
        if errors:
            row["error"] = f"{runtime}: {errors[0]}"
            return row
        for key in ("milliseconds", "compile_milliseconds", "megabytes"):
            row[f"{runtime}_{key}"] = statistics.median(run[key] for run in runs[runtime])
    ratios = [b["milliseconds"] / a["milliseconds"] for a, b in zip(runs["edgeopt"], runs["litert"])]
    row["ratio"], row["worst"], row["best"] = statistics.median(ratios), min(ratios), max(ratios)
    return row


def print_row(row: dict) -> None:
    if "error" in row:
        print(f"{row['model']:<34} {row['threads']:>2}  {row['error']}")
        return
    cells = "".join(
        f"{row['edgeopt_' + key]:>9.2f} {row['litert_' + key]:>9.2f}"
        for key in ("milliseconds", "compile_milliseconds", "megabytes")
    )
    noise = f"  (others used {row['foreign_cores']:.1f} cores: not reliable)" if row["foreign_cores"] > 0.2 else ""
    print(f"{row['model']:<34} {row['threads']:>2} {row['ratio']:>6.2f} {row['worst']:>6.2f} {row['best']:>6.2f}{cells}{noise}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.repeats} repeats; ratio = LiteRT / EdgeOpt")
    print(f"{'model':<34} th  ratio  worst   best  invoke ms: EO    LiteRT  compile: EO  LiteRT   MiB: EO    LiteRT")
    rows = []
    for model in options.models:
        for threads in options.threads:
            rows.append(compare(model, threads, options.repeats, options.seconds))
            print_row(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        name, path, count, duration = sys.argv[2:]
        print(json.dumps(measure(name, path, int(count), float(duration))))
    else:
        main()
