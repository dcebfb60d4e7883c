"""What LiteRT's Interpreter says about the tensors of each model of ../shared/models, and what ours says."""

import pathlib

import numpy as np
import pytest

import edgeopt

litert = pytest.importorskip("ai_edge_litert.interpreter")

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "models"
MODELS = sorted(SHARED.glob("*.tflite")) + sorted(SHARED.glob("ops/*.tflite"))


def comparable(detail):
    """LiteRT has float16 scales for blockwise quantization, and tells int4 by int8 only; sparsity is by kind only."""
    parameters = detail["quantization_parameters"]
    blockwise = parameters["block_size"] > 0
    return {
        **{key: detail[key] for key in ("name", "index", "dtype", "quantization")},
        "shape": detail["shape"].tolist(),
        "shape_signature": detail["shape_signature"].tolist(),
        "scales": None if blockwise else np.asarray(parameters["scales"], np.float32).tolist(),
        "zero_points": None if blockwise else parameters["zero_points"].tolist(),
        "quantized_dimension": parameters["quantized_dimension"],
        "block_size": parameters["block_size"],
    }


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_details(path):
    try:
        theirs = litert.Interpreter(str(path))
    except ValueError as error:
        pytest.skip(f"LiteRT refuses: {error}")
    ours = edgeopt.Interpreter(path)
    assert ours.num_subgraphs() == theirs.num_subgraphs()
    assert ours.get_signature_list() == theirs.get_signature_list()
    for mine, yours in (
        (ours.get_input_details(), theirs.get_input_details()),
        (ours.get_output_details(), theirs.get_output_details()),
    ):
        assert [comparable(detail) for detail in mine] == [comparable(detail) for detail in yours]
    by_index = {detail["index"]: detail for detail in theirs.get_tensor_details()}
    for detail in ours.get_tensor_details():
        if detail["index"] in by_index:
            assert comparable(detail) == comparable(by_index[detail["index"]])
