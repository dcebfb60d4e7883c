"""Integer models give the same bits with every instruction set and number of threads (docs/arithmetic.md)."""
import json
import os
import pathlib
import platform
import subprocess
import sys

import pytest

import golden

LEVELS = {
    "x86_64": ["scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "amx"],
    "aarch64": ["scalar", "neon", "neondot", "i8mm"],
}.get(platform.machine(), ["scalar"])
# Scalar kernels take minutes for images of more than this.
LARGEST_SCALAR = 1 << 20


def digests(level, threads, largest):
    """Of a process of its own: the instruction set is looked up once. A level that the machine lacks is the next one
    below."""
    command = [sys.executable, str(pathlib.Path(__file__).parent / "same_bits.py"), "--largest", str(largest)]
    environment = {**os.environ, "EDGEOPT_ISA": level}
    process = subprocess.run(
        [*command, "--threads", *map(str, threads)], env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.fixture(scope="module")
def richest():
    if not (golden.MODELS / "cases.json").exists():
        pytest.skip(f"{golden.MODELS} is not there")
    found = digests(LEVELS[-1], [1], 1 << 62)
    assert len(found) > 20
    return found


def compare(found, richest):
    differing = [key for key, digest in found.items() if richest[f"{key.rsplit(' ', 1)[0]} 1"] != digest]
    assert found and not differing


def test_threads(richest):
    compare(digests(LEVELS[-1], [2, 3], 1 << 62), richest)


@pytest.mark.parametrize("level", LEVELS[:-1])
def test_levels(richest, level):
    is_scalar = level == "scalar"
    compare(digests(level, [1] if is_scalar else [1, 3], LARGEST_SCALAR if is_scalar else 1 << 62), richest)
