"""Pruning, clustering and quantization in training, and what each keeps of the ones before, on the example's digits."""

import numpy as np
import pytest

import edgeopt
from edgeopt import optimizers, toolkit


@pytest.fixture(scope="module")
def data(images, labels):
    """Half of the images to learn from, half to look at."""
    x, y = images.reshape(-1, 8, 8, 1).astype(np.float32), labels.astype(np.int32)
    return (x[::2][:320], y[::2][:320]), (x[1::2][:200], y[1::2][:200])


@pytest.fixture(scope="module")
def model(digits_path):
    return edgeopt.Model(digits_path)


def fit(model, data, epochs=3, **options):
    trainer = edgeopt.Trainer(model, **{"optimizer": optimizers.Adam(0.001), "batch_size": 32, **options})
    trainer.fit(*data[0], epochs=epochs)
    return trainer


def aware(data, **options):
    return edgeopt.QuantizationAware([image[None] for image in data[0][0][:64]], **options)


def accuracy(model, data, interpreter=edgeopt.Interpreter):
    runner = interpreter(model_content=model.to_bytes())
    runner.allocate_tensors()
    [source], [result] = runner.get_input_details(), runner.get_output_details()
    right = 0
    for image, label in zip(*data[1]):
        runner.set_tensor(source["index"], image[None])
        runner.invoke()
        right += int(runner.get_tensor(result["index"]).argmax() == label)
    return right / len(data[1][1])


def runs_everywhere(model, data, at_least=0.9):
    """Stock LiteRT runs the model, and it is still good."""
    ours = accuracy(model, data)
    assert ours >= at_least
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return
    assert accuracy(model, data, Interpreter) == pytest.approx(ours, abs=0.011)


def weights(model):
    """Of the large tensors, by name."""
    return {found.name: found for found in edgeopt.weights(model) if found.elements >= 64}


def pruned_zeros(found, sparsity):
    return round(sparsity * found.elements)


@pytest.fixture(scope="module")
def pruned(model, data):
    return fit(model, data, pruning=edgeopt.PolynomialDecay(0.2, 0.75, 0, 20, frequency=5)).export()


@pytest.fixture(scope="module")
def clustered(model, data):
    return fit(model, data, clustering=16).export()


@pytest.fixture(scope="module")
def both(pruned, data):
    return fit(pruned, data, clustering=16, preserve="zeros").export()


def changed(a, b):
    return [name for name, found in weights(a).items() if (found.mean, found.deviation) != tuple(
        (other.mean, other.deviation) for other in [weights(b)[name]])[0]]


def test_pruning_meets_its_target(model, pruned, data):
    targets = {found.name: found for found in edgeopt.weights(edgeopt.prune(model, 0.75))}
    for name, found in weights(pruned).items():
        assert found.zeros == targets[name].zeros, name
    assert any(found.zeros == pruned_zeros(found, 0.75) for found in weights(pruned).values())
    assert changed(model, pruned)
    runs_everywhere(pruned, data)


def test_clustering_meets_its_target(model, clustered, data):
    targets = weights(edgeopt.cluster(model, 16))
    before = weights(model)
    for name, found in weights(clustered).items():
        if targets[name].distinct != before[name].distinct:
            assert found.distinct <= targets[name].distinct, name
    quantized = edgeopt.quantize(clustered, "int8", [image[None] for image in data[0][0][:64]])
    distinct = {f.name: f.distinct for f in edgeopt.weights(quantized) if f.name in targets}
    assert any(count <= 16 for count in distinct.values())
    runs_everywhere(clustered, data)


def test_quantization_exports_what_it_simulates(model, data):
    trainer = fit(model, data, quantization=aware(data))
    report = trainer.check_export(image[None] for image in data[1][0])
    assert report.samples == 200 and report.top1_agreement >= 0.999 and report.within_one_step == 1
    exported = trainer.export()
    assert {found.type for found in weights(exported).values()} == {"INT8"}
    runs_everywhere(exported, data)


@pytest.mark.parametrize("options", [
    {"weight_bits": 4}, {"scheme": "int16x8"}, {"ranges": "learned", "learned_weights": True},
    {"ranges": "last_value", "freeze_step": 5}, {"input_type": "int8"}, {"float_layers": ["FULLY_CONNECTED"]},
])
def test_kinds_of_quantization(model, data, options):
    trainer = fit(model, data, epochs=1, quantization=aware(data, **options))
    report = trainer.check_export(image[None] for image in data[1][0][:50])
    assert report.samples == 50 and report.top1_agreement > 0.95
    exported = trainer.export()
    types = {found.type for found in weights(exported).values()}
    if options.get("weight_bits") == 4:
        assert "INT4" in types
    assert ("FLOAT32" in types) == ("float_layers" in options)
    graph = exported.subgraphs[0]
    assert graph.tensors[graph.inputs[0]].type == ("INT8" if "input_type" in options else "FLOAT32")


def kept(before, after, zeros, clusters):
    """No weight tensor of `after` has fewer zeros, or more values, than it had before quantization."""
    old, new = weights(before), weights(after)
    assert set(old) == set(new)
    for name, found in new.items():
        if zeros:
            assert found.zeros >= old[name].zeros, name
        if clusters and old[name].distinct * 2 <= old[name].elements:
            assert found.distinct <= max(old[name].distinct, 16), name
        assert found.zeros < found.elements, f"{name} became zeros"


def test_pqat(pruned, data):
    exported = fit(pruned, data, preserve="zeros", quantization=aware(data)).export()
    kept(pruned, exported, zeros=True, clusters=False)
    runs_everywhere(exported, data)


def test_cqat(model, clustered, data):
    exported = fit(clustered, data, preserve="clusters", quantization=aware(data)).export()
    names = [n for n, f in weights(edgeopt.cluster(model, 16)).items() if f.distinct != weights(model)[n].distinct]
    assert names and all(weights(exported)[name].distinct <= 16 for name in names)
    runs_everywhere(exported, data)


def test_pcqat(model, pruned, both, data):
    assert all(found.zeros >= weights(pruned)[name].zeros for name, found in weights(both).items())
    exported = fit(both, data, preserve=("zeros", "clusters"), quantization=aware(data)).export()
    kept(both, exported, zeros=True, clusters=False)
    names = [n for n, f in weights(edgeopt.cluster(model, 16)).items() if f.distinct != weights(model)[n].distinct]
    assert names and all(weights(exported)[name].distinct <= 16 for name in names)
    runs_everywhere(exported, data)


def test_names_of_the_toolkit(model, data):
    samples = [image[None] for image in data[0][0][:32]]
    prepared = toolkit.prune_low_magnitude(model, toolkit.ConstantSparsity(0.5, 0))
    stripped = toolkit.strip_pruning(fit(prepared, data, epochs=1))
    assert {n: f.zeros for n, f in weights(stripped).items()} == {n: f.zeros for n, f in weights(prepared).items()}
    assert changed(stripped, prepared)
    clustered = toolkit.strip_clustering(fit(toolkit.cluster_weights(model, 8), data, epochs=1))
    assert all(f.distinct <= 8 for n, f in weights(clustered).items() if f.distinct != weights(model)[n].distinct)
    exported = fit(toolkit.quantize_model(model, samples), data, epochs=1).export()
    assert {found.type for found in weights(exported).values()} == {"INT8"}
    annotated = toolkit.quantize_annotate_layer(model, "FULLY_CONNECTED", toolkit.QuantizeConfig(weight_bits=4))
    exported = fit(toolkit.quantize_apply(annotated, samples), data, epochs=1).export()
    assert {found.type for found in weights(exported).values()} == {"INT4", "FLOAT32"}


def test_interrupted_training_goes_on_with_the_same_masks(model, data, tmp_path):
    options = {"pruning": edgeopt.PolynomialDecay(0.1, 0.6, 0, 14, frequency=3), "batch_size": 32}
    whole = edgeopt.Trainer(model, **options)
    whole.fit(*data[0], epochs=2)
    first = edgeopt.Trainer(model, **options)
    first.fit(*data[0], epochs=1, checkpoint=tmp_path / "c")
    second = edgeopt.Trainer(model, **options)
    second.fit(*data[0], epochs=2, checkpoint=tmp_path / "c")
    assert whole.export().to_bytes() == second.export().to_bytes()


def test_wrong_use(model, data):
    def broken():
        yield data[0][0][:1]
        raise ZeroDivisionError("mine")

    for options, failure, words in [
        ({"pruning": 1.0}, edgeopt.ArgumentError, "sparsity"),
        ({"pruning": 0.5, "clustering": 8}, edgeopt.ArgumentError, "prunes or clusters"),
        ({"clustering": 1}, edgeopt.ArgumentError, "clusters"),
        ({"preserve": "biases"}, edgeopt.ArgumentError, "biases"),
        ({"quantization": aware(data, scheme="float16")}, edgeopt.ArgumentError, "float16"),
        ({"quantization": aware(data, weight_bits=9)}, edgeopt.ArgumentError, "weight_bits"),
        ({"quantization": aware(data), "batch_normalization": True}, edgeopt.ArgumentError, "batch normalization"),
        ({"quantization": edgeopt.QuantizationAware([])}, edgeopt.CalibrationError, ""),
        ({"quantization": edgeopt.QuantizationAware([np.zeros(3)])}, edgeopt.ArgumentError, "shape"),
        ({"quantization": edgeopt.QuantizationAware(broken())}, ZeroDivisionError, "mine"),
    ]:
        with pytest.raises(failure, match=words):
            edgeopt.Trainer(model, **options)
    with pytest.raises(edgeopt.StateError):
        edgeopt.Trainer(model).check_export([data[0][0][:1]])
