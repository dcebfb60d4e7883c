#!/usr/bin/env python3
"""Digests of the outputs of every integer model of the shared collection, as JSON, in the fast arithmetic.

    same_bits.py [--threads 1 2 3] [--largest BYTES]

An integer model computes on integers alone: floats are only what its QUANTIZE operators take and its DEQUANTIZE
operators give to the caller. --largest leaves out models with larger inputs. EDGEOPT_ISA caps the kernels, as always.
"""
import argparse
import ctypes
import hashlib
import json

import capi
import golden

FLOATS = (0, 1, 8, 10, 11)


def is_float(model, index):
    tensor = capi.Tensor()
    capi.check(capi.lib.eo_model_tensor(model, 0, index, ctypes.byref(tensor)))
    return tensor.type in FLOATS


def is_integer_model(interpreter):
    model = interpreter.model
    if capi.lib.eo_model_subgraph_count(model) != 1:
        return False
    operators = [interpreter.operator(i) for i in range(capi.lib.eo_model_operator_count(model, 0))]
    read = {op.inputs[i] for op in operators for i in range(op.input_count) if op.inputs[i] >= 0}
    for op in operators:
        inputs = [op.inputs[i] for i in range(op.input_count) if op.inputs[i] >= 0]
        outputs = [op.outputs[i] for i in range(op.output_count)]
        if op.name != b"QUANTIZE" and any(is_float(model, i) for i in inputs):
            return False
        if any(is_float(model, o) and (op.name != b"DEQUANTIZE" or o in read) for o in outputs):
            return False
    return bool(operators)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--largest", type=int, default=1 << 62)
    arguments = parser.parse_args()
    digests = {}
    for model, case in golden.cases():
        path = golden.folder(model, case) / "inputs.npz"
        if not path.exists() or sum(x.nbytes for x in golden.load(path)) > arguments.largest:
            continue
        try:
            if not is_integer_model(capi.Interpreter(golden.MODELS / f"{model}.tflite")):
                continue
            for threads in arguments.threads:
                digest = hashlib.sha256()
                for output in golden.run(model, case, capi.FAST, threads):
                    digest.update(output.tobytes())
                digests[f"{model} {case.get('case', 'base')} {threads}"] = digest.hexdigest()
        except capi.EdgeOptError:
            continue  # what cannot run is the goldens' affair
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
