#!/usr/bin/env python3
"""Runs models against stored results of LiteRT and tells where they part.

    golden.py [model ...] [--fast | --reference] [--layers] [--threads N]

A model is a name like resnet_cifar10_int8 or ops/t2o_add_float32; without one, all are run. One line for each case:
what agrees, or why not. --layers also prints the first operators whose results differ from LiteRT's.
The models lie in EDGEOPT_MODELS, else in ../shared/models beside the project.
"""
import argparse
import json
import os
import pathlib
import sys

import numpy as np

import capi

MODELS = pathlib.Path(os.environ.get("EDGEOPT_MODELS", capi.ROOT.parent / "shared" / "models"))
# A float result may differ by this share of the largest value.
FLOAT_TOLERANCE = 1e-5


def cases(wanted=()):
    """(model, case) pairs: the model's name, and its record from cases.json."""
    table = json.loads((MODELS / "cases.json").read_text())
    for file, entries in table.items():
        model = file.removesuffix(".tflite")
        if wanted and model not in wanted:
            continue
        for case in entries:
            yield model, case


def folder(model, case):
    return MODELS / "goldens" / model / case.get("case", "base")


def load(path):
    with np.load(path) as archive:
        return [archive[key] for key in sorted(archive, key=lambda key: int(key[2 if key.startswith("in") else 3:]))]


class Runner:
    """The calls of one case; a signature's arguments are in alphabetical order, as in the stored files."""

    def __init__(self, model, case, arithmetic, threads=1, keep_all=False):
        signature = case.get("signature")
        self.interpreter = capi.Interpreter(MODELS / f"{model}.tflite", arithmetic, signature, threads, keep_all)
        self.order = {}
        for which in ("input", "output"):
            names = self.interpreter.names(which)
            order = list(range(len(names)))
            self.order[which] = sorted(order, key=lambda i: names[i]) if signature else order
        for index, shape in case.get("resize", {}).items():
            self.interpreter.resize(self.order["input"][int(index)], shape)

    def step(self, values):
        for index, value in zip(self.order["input"], values):
            view = self.interpreter.view("input", index)
            if view.shape != value.shape:
                self.interpreter.resize(index, value.shape)
                view = self.interpreter.view("input", index)
            view[...] = value
        self.interpreter.invoke()
        return [self.interpreter.view("output", index).copy() for index in self.order["output"]]


def run(model, case, arithmetic, threads=1):
    """The outputs of all steps, stacked as the stored ones are."""
    runner = Runner(model, case, arithmetic, threads)
    stacks = load(folder(model, case) / "inputs.npz")
    steps = [runner.step([s[k] for s in stacks]) for k in range(len(stacks[0]) if stacks else 1)]
    return [np.stack(output) for output in zip(*steps)]


def gap(ours, theirs):
    """Greatest absolute difference, and the share of elements that differ. NaN equals NaN."""
    if ours.dtype.kind in "SUOb" or theirs.dtype.kind in "SUOb":
        return (0.0 if np.array_equal(ours, theirs) else 1.0), float(np.mean(ours != theirs)) if ours.size else 0.0
    a, b = ours.astype(np.complex128), theirs.astype(np.complex128)
    with np.errstate(invalid="ignore"):
        distance = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
    distance = np.nan_to_num(distance, nan=np.inf)
    return (float(distance.max()), float(np.mean(distance > 0))) if ours.size else (0.0, 0.0)


def allowed(record, index, theirs, arithmetic):
    """How far output `index` may be from the stored one. The fast path, and every path where LiteRT's reference kernels
    lack an operator, may differ as much as LiteRT's own kernel sets do among themselves."""
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)) if theirs.dtype.kind in "fc" else 0.0
    tolerance = FLOAT_TOLERANCE * scale if theirs.dtype.kind in "fc" else 0.0
    if arithmetic == capi.REFERENCE and record["oracle"] == "ref":
        return tolerance
    peers = [d[index].get("max_abs") or 0.0 for d in record.get("diff", {}).values() if index < len(d)]
    steps = 1.0 if theirs.dtype.kind in "iu" else 0.0
    return max([tolerance, steps] + peers)


def compare(model, case, arithmetic, threads=1):
    """(agrees, sentence)."""
    if not (folder(model, case) / "case.json").exists():
        try:
            Runner(model, case, arithmetic)
        except capi.EdgeOptError as error:
            return True, f"refused, LiteRT aborts on it: {error}"
        return True, "compiles; LiteRT aborts on it"
    record = json.loads((folder(model, case) / "case.json").read_text())
    if record.get("litert_refuses"):
        try:
            run(model, case, arithmetic, threads) if (folder(model, case) / "inputs.npz").exists() else Runner(
                model, case, arithmetic)
        except capi.EdgeOptError as error:
            return True, f"refused, as by LiteRT: {error}"
        return True, "runs, though LiteRT refuses it"
    ours = run(model, case, arithmetic, threads)
    if not record.get("oracle"):
        return True, "runs; no stored outputs"
    theirs = load(folder(model, case) / "outputs.npz")
    if len(ours) != len(theirs):
        return False, f"{len(ours)} outputs, {len(theirs)} expected"
    worst = []
    for index, (mine, stored) in enumerate(zip(ours, theirs)):
        if list(mine.shape) != record["full_shapes"][index]:
            return False, f"output {index} has shape {list(mine.shape)}, not {record['full_shapes'][index]}"
        stride = record["stride"][index]
        mine = mine.ravel()[::stride] if stride > 1 else mine
        distance, share = gap(mine.reshape(stored.shape), stored)
        limit = allowed(record, index, stored, arithmetic)
        if distance > limit:
            return False, f"output {index} differs by {distance:.3g} (allowed {limit:.3g}) in {share:.2%} of the elements"
        worst.append(distance)
    return True, f"agrees, greatest difference {max(worst, default=0):.3g}"


def layers(model, case, arithmetic, limit=6):
    """Sentences about the first operators whose results differ from the stored ones."""
    path = folder(model, case) / "layers.npz"
    if not path.exists():
        return ["no stored layers"]
    runner = Runner(model, case, arithmetic, keep_all=True)
    stacks = load(folder(model, case) / "inputs.npz")
    for k in range(len(stacks[0])):
        runner.step([s[k] for s in stacks])
    found = []
    with np.load(path) as archive:
        for key in sorted(archive, key=lambda key: int(key.split("_op")[1])):
            tensor, op = int(key.split("_op")[0][1:]), int(key.split("_op")[1])
            mine, stored = runner.interpreter.view("tensor", tensor), archive[key]
            if mine is None or mine.size == 0:
                continue
            mine = mine.ravel()[:: 1 if mine.size <= 200 else -(-mine.size // 200) | 1]
            name = runner.interpreter.operator(op).name.decode()
            if mine.shape != stored.shape:
                found.append(f"operator {op} {name}, tensor {tensor}: {mine.size} values, {stored.size} stored")
                continue
            distance, share = gap(mine, stored)
            scale = float(np.abs(stored[np.isfinite(stored)]).max(initial=0)) if stored.dtype.kind == "f" else 0
            if distance > FLOAT_TOLERANCE * scale:
                found.append(f"operator {op} {name}, tensor {tensor}: differs by {distance:.3g} in {share:.1%}"
                             f" (largest value {np.abs(stored.astype(np.float64)).max():.3g})")
    return found[:limit] or ["all layers agree"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    modes = [("reference", capi.REFERENCE), ("fast", capi.FAST)]
    if arguments.fast != arguments.reference:
        modes = modes[1:] if arguments.fast else modes[:1]
    wanted = [model.removesuffix(".tflite") for model in arguments.models]
    good, all_models = {}, {}
    for model, case in cases(wanted):
        for name, mode in modes:
            try:
                agrees, sentence = compare(model, case, mode, arguments.threads)
            except capi.EdgeOptError as error:
                agrees, sentence = False, str(error)
            print(f"{'ok  ' if agrees else 'FAIL'} {model} {case.get('case', 'base')} {name}: {sentence}", flush=True)
            if arguments.layers and not agrees:
                try:
                    print("".join(f"       {line}\n" for line in layers(model, case, mode)), end="")
                except capi.EdgeOptError:
                    pass
            all_models.setdefault((name, model.startswith("ops/")), set()).add(model)
            if not agrees:
                good.setdefault((name, model.startswith("ops/")), set()).add(model)
    for (name, is_op), models in sorted(all_models.items()):
        bad = good.get((name, is_op), set())
        print(f"{name}: {len(models) - len(bad)} of {len(models)} {'operator models' if is_op else 'models'} as expected")
    return 0 if not good else 1


if __name__ == "__main__":
    sys.exit(main())
