"""The ctypes declarations against edgeopt.h, which gcc reads."""

import ctypes
import pathlib
import re
import shutil
import subprocess

import pytest

from edgeopt import Status, _library

HEADER = pathlib.Path(__file__).resolve().parents[2] / "include" / "edgeopt.h"
STRUCTS = {
    "eo_tensor": _library.Tensor,
    "eo_operator": _library.Operator,
    "eo_signature": _library.Signature,
    "eo_interpreter_options": _library.InterpreterOptions,
    "eo_operator_report": _library.OperatorReport,
    "eo_quantizer_options": _library.QuantizerOptions,
    "eo_loss_term": _library.LossTerm,
    "eo_trainer_options": _library.TrainerOptions,
    "eo_pruning_schedule": _library.PruningScheduleOptions,
    "eo_training_quantization": _library.TrainingQuantization,
    "eo_export_report": _library.ExportReport,
    "eo_thread_pool_options": _library.ThreadPoolOptions,
    "eo_batch": _library.Batch,
    "eo_batch_result": _library.BatchResult,
    "eo_layer_rule": _library.LayerRule,
    "eo_pruning_options": _library.PruningOptions,
    "eo_channel_pruning_options": _library.ChannelPruningOptions,
    "eo_clustering_options": _library.ClusteringOptions,
    "eo_weight_statistics": _library.WeightStatistics,
}


def declared() -> set[str]:
    return set(re.findall(r"^EO_API .*\b(eo_\w+)\(", HEADER.read_text(), re.MULTILINE))


def test_every_function_is_declared():
    assert set(_library._FUNCTIONS) == declared()


def test_statuses_are_the_headers():
    rows = re.findall(r"X\(EO_(\w+), (0x\w+),", HEADER.read_text())
    assert {name: int(number, 16) for name, number in rows} == {s.name: s.value for s in Status}


def test_structs_have_the_headers_layout(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here")
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        lines += [f'printf("{name}.{field[0]} %zu\\n", offsetof({name}, {field[0]}));' for field in struct._fields_]
    source = tmp_path / "layout.c"
    source.write_text("#include <edgeopt.h>\n#include <stdio.h>\nint main(void) {\n" + "\n".join(lines) + "\n}\n")
    program = tmp_path / "layout"
    subprocess.run(["gcc", f"-I{HEADER.parent}", source, "-o", program], check=True)
    output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    expected = dict(line.split() for line in output.splitlines())
    for name, struct in STRUCTS.items():
        assert ctypes.sizeof(struct) == int(expected[name]), name
        for field in struct._fields_:
            assert getattr(struct, field[0]).offset == int(expected[f"{name}.{field[0]}"]), f"{name}.{field[0]}"
