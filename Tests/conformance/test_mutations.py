"""Damaged models, run for real: whatever is left of a model after its bytes were changed must be refused with a sentence
or run, in both arithmetics and with any input values. Each mutant runs in a process of its own, so that a crash is a
failed test with the number that repeats it, and a hang is one too.

EDGEOPT_MUTANTS: mutants for each model (default 4; half as many of those with a wrong structure, which are also made
smaller and trained). EDGEOPT_SEED: number of the first (default 0)."""

import os
import random
import resource
import signal
import struct

import numpy as np
import pytest

import edgeopt
import golden
import structure

LARGEST_FILE = 60_000
LARGEST_INPUT = 2_000_000
SECONDS = 20
MUTANTS = int(os.environ.get("EDGEOPT_MUTANTS", "4"))
SEED = int(os.environ.get("EDGEOPT_SEED", "0"))
FILES = sorted(
    path
    for path in golden.MODELS.rglob("*.tflite")
    if "malformed" not in path.parts and path.stat().st_size < LARGEST_FILE
)
INTEGERS = [0, 1, -1, 2, 3, 5, 127, 255, 65535, 0x7FFFFFFF, -0x80000000]
FLOATS = [0.0, -1.0, 0.5, 1e-38, 1e38, float("nan"), float("inf")]


def mutant(original: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, mostly near the ends, where the structure lies."""
    data = bytearray(original)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        edge = chance.randrange(min(len(data), 2500))
        at = chance.choice([edge, len(data) - 1 - edge, chance.randrange(len(data))])
        kind = chance.randrange(4)
        if kind == 0 or at + 4 > len(data):
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at : at + 4] = struct.pack("<i", chance.choice(INTEGERS))
        else:
            data[at : at + 4] = struct.pack("<f", chance.choice(FLOATS))
    return bytes(data)


def values(detail, chance: random.Random) -> np.ndarray:
    dtype, shape = np.dtype(detail["dtype"]), detail["shape"]
    random_numbers = np.random.default_rng(chance.randrange(1 << 30))
    if dtype.kind in "fc":
        return (random_numbers.standard_normal(shape) * chance.choice([1, 1e30, np.nan])).astype(dtype)
    if dtype.kind == "b" or chance.random() < 0.5:
        return random_numbers.integers(0, 2 if dtype.kind == "b" else 4, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random_numbers.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def run(content: bytes, chance: random.Random) -> None:
    resolver = edgeopt.OpResolverType.BUILTIN_REF if chance.random() < 0.5 else edgeopt.OpResolverType.AUTO
    try:
        interpreter = edgeopt.Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            if np.prod(detail["shape"], dtype=float) > LARGEST_INPUT or np.dtype(detail["dtype"]).kind not in "fcbiu":
                return
            interpreter.set_tensor(detail["index"], values(detail, chance))
        interpreter.invoke()
    except (edgeopt.Error, ValueError, RuntimeError, MemoryError):
        pass


def exit_status(work) -> int:
    """What a process that does `work` ends with; 0 is well."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(SECONDS)
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not FILES, reason="no ../shared/models")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mutants(path):
    original = path.read_bytes()
    for number in range(SEED, SEED + MUTANTS):
        chance = random.Random(number)
        content = mutant(original, chance)
        assert exit_status(lambda: run(content, chance)) == 0, f"EDGEOPT_SEED={number} EDGEOPT_MUTANTS=1 repeats it"


LARGEST_SAMPLE = 100_000


def sample(model, chance: random.Random) -> list[np.ndarray]:
    if any(np.prod(tensor.shape, dtype=float) > LARGEST_SAMPLE for tensor in model.inputs):
        raise ValueError("too large to be tried")
    return [values({"dtype": tensor.dtype, "shape": tensor.shape}, chance) for tensor in model.inputs]


def quantize(model, chance: random.Random):
    scheme = chance.choice(["float16", "dynamic_range", "int8", "int16x8"])
    return edgeopt.quantize(model, scheme, (sample(model, chance) for _ in range(2)), min_weight_elements=0)


def prune(model, chance: random.Random):
    pattern = chance.choice([{}, {"block": (4, 1)}, {"zeros_of": (2, 4)}, {"over_all": True}, {"for_latency": True}])
    return edgeopt.store_sparse(edgeopt.prune(model, 0.8, first=True, depthwise=True, **pattern), 0.1)


def prune_channels(model, chance: random.Random):
    return edgeopt.prune_channels(model, chance.choice([0.1, 0.5, 0.9]), norm=chance.choice(["l1", "l2"]))


def cluster(model, chance: random.Random):
    granularity = chance.choice(["tensor", "channel", "scaled_channels"])
    return edgeopt.cluster(model, chance.choice([2, 16]), granularity=granularity, first=True, depthwise=True)


def train(model, chance: random.Random):
    options = {"batch_normalization": chance.random() < 0.2, "recompute_activations": chance.random() < 0.2}
    if chance.random() < 0.3:
        options["quantization"] = edgeopt.QuantizationAware([sample(model, chance)])
    trainer = edgeopt.Trainer(model, chance.choice(["auto", "mse", "distillation"]), batch_size=3, **options)
    sample(model, chance)
    for _ in range(2):
        batch = [np.ones((2, *shape[1:]), dtype) for _, shape, dtype in trainer._inputs]
        trainer.step(batch, [np.zeros((2, *shape[1:]), dtype) for _, shape, dtype in trainer._labels])
    return trainer.export()


def work_on(content: bytes, chance: random.Random) -> None:
    run(content, chance)
    try:
        model = edgeopt.Model(content)
        run(chance.choice([quantize, prune, prune_channels, cluster, train, train])(model, chance).to_bytes(), chance)
    except (edgeopt.Error, ValueError, MemoryError):
        pass


@pytest.mark.skipif(not FILES, reason="no ../shared/models")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mutants_of_the_structure(path):
    original = path.read_bytes()
    for number in range(SEED, SEED + (MUTANTS + 1) // 2):
        chance = random.Random(number * 1000 + len(original))
        content = structure.mutant(original, chance)
        if content is not None:
            assert exit_status(lambda: work_on(content, chance)) == 0, f"EDGEOPT_SEED={number} EDGEOPT_MUTANTS=1 repeats it"
