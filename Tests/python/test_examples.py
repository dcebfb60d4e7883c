"""The examples, run as their first lines say."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name, expected", [("classify", "of 899 right"), ("quantize", "bytes became"), ("zero_copy", "the last score")]
)
def test_example(name, expected, tmp_path):
    arguments = [str(tmp_path / "small.tflite")] if name == "quantize" else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python")}
    program = ROOT / "examples" / "python" / f"{name}.py"
    done = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
