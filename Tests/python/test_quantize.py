import pathlib

import numpy as np
import pytest

import edgeopt

litert = pytest.importorskip("ai_edge_litert.interpreter")
SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "models"

# Shares of the float file's size that a scheme may have, and points of accuracy it may lose. The model is small: what
# is not weights (names, quantization parameters) is a few percent of it.
SCHEMES = {"float16": (0.53, 0.1), "dynamic_range": (0.30, 1.0), "int8": (0.30, 1.0), "int16x8": (0.30, 0.2)}


@pytest.fixture(scope="module")
def samples(images):
    return [image[np.newaxis] for image in images[: len(images) // 2 : 7]]


def accuracy(model, images, labels, interpreter=edgeopt.Interpreter):
    runner = interpreter(model_content=model.to_bytes()).get_signature_runner()
    half = len(images) // 2
    scores = runner(input=images[half:])["output"]
    return 100 * (scores.argmax(1) == labels[half:]).mean()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_is_small_and_right(scheme, digits_path, images, labels, samples):
    model = edgeopt.Model(digits_path)
    small = edgeopt.quantize(model, scheme, samples)
    share, points = SCHEMES[scheme]
    assert len(small.to_bytes()) <= share * digits_path.stat().st_size
    expected = accuracy(model, images, labels)
    assert accuracy(small, images, labels) >= expected - points - 0.12  # one image is 0.11 points
    assert accuracy(small, images, labels, litert.Interpreter) >= expected - points - 0.12


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_integer_inputs_and_outputs(type, digits_path, images, labels, samples):
    small = edgeopt.quantize(digits_path, "int8", samples, input_type=type, output_type=type)
    [source], [result] = small.inputs, small.outputs
    assert source.type == result.type == type.upper()
    interpreter = edgeopt.Interpreter(small)
    interpreter.allocate_tensors()
    scale, zero_point = interpreter.get_input_details()[0]["quantization"]
    right = 0
    for image, label in zip(images[-100:], labels[-100:]):
        limits = np.iinfo(source.dtype)
        stored = np.clip(np.round(image / scale) + zero_point, limits.min, limits.max).astype(source.dtype)
        interpreter.set_tensor(source.index, stored[np.newaxis])
        interpreter.invoke()
        right += interpreter.get_tensor(result.index)[0].argmax() == label
    assert right >= 90


def test_samples_in_every_form_give_the_same(digits_path, samples):
    name = edgeopt.Model(digits_path).inputs[0].name
    expected = edgeopt.quantize(digits_path, "int8", samples).to_bytes()
    forms = [(s for s in samples), ([s] for s in samples), ({name: s} for s in samples), np.concatenate(list(samples))]
    for form in forms:
        assert edgeopt.quantize(digits_path, "int8", form).to_bytes() == expected
    doubles = (sample.astype(np.float64) for sample in samples)
    assert edgeopt.quantize(digits_path, "int8", doubles).to_bytes() == expected


def test_options_change_the_model(digits_path, samples):
    default = edgeopt.quantize(digits_path, "int8", samples)
    per_tensor = edgeopt.quantize(digits_path, "int8", samples, per_channel=False)
    moving = edgeopt.quantize(digits_path, "int8", samples, calibration_method="moving_average")

    def scales(model):
        weight = model.subgraphs[0].operators[1].inputs[1]
        return len(model.subgraphs[0].tensors[weight].quantization.scales)

    assert scales(default) > 1 and scales(per_tensor) == 1
    assert moving.to_bytes() != default.to_bytes()


def test_wrong_calls(digits_path, samples):
    with pytest.raises(edgeopt.CalibrationError):
        edgeopt.quantize(digits_path, "int8")
    with pytest.raises(ValueError):
        edgeopt.quantize(digits_path, "int7")
    with pytest.raises(edgeopt.ArgumentError, match="shape"):
        edgeopt.quantize(digits_path, "int8", [np.zeros((8, 8), np.float32)])
    with pytest.raises(edgeopt.ArgumentError, match="inputs"):
        edgeopt.quantize(digits_path, "int8", [[samples[0], samples[0]]])
    with pytest.raises(edgeopt.Error):
        edgeopt.quantize(edgeopt.quantize(digits_path, "int8", samples), "int8", samples)
    with pytest.raises(edgeopt.ExecutionError):
        edgeopt.quantize(digits_path, "int8", [np.full((1, 8, 8, 1), np.nan, np.float32)])


def test_an_exception_of_the_samples_gets_out(digits_path, samples):
    def broken():
        yield samples[0]
        raise KeyError("the disk is full")

    with pytest.raises(KeyError, match="disk"):
        edgeopt.quantize(digits_path, "int8", broken())


@pytest.mark.skipif(not (SHARED / "mobilenet_v1_025_224_float32.tflite").exists(), reason="no shared models")
def test_layers_that_run_joined_are_calibrated():
    source = edgeopt.Model(SHARED / "mobilenet_v1_025_224_float32.tflite")
    sample = np.random.default_rng(0).random((1, 224, 224, 3)).astype(np.float32)
    assert {found.type for found in edgeopt.weights(edgeopt.quantize(source, "int8", [sample]))} == {"INT8"}
