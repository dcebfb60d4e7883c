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


def constants(model):
    """The large weight tensors as they are stored, by name."""
    tensors = model.subgraphs[0].tensors
    return {found.name: np.asarray(tensors[found.tensor].data) for found in weights(model).values()}


@pytest.fixture(scope="module")
def selected(model):
    """Names of the tensors that are clustered by default: not those of the first layer."""
    before, after = constants(model), constants(edgeopt.cluster(model, 16))
    names = [name for name in before if not np.array_equal(before[name], after[name])]
    assert len(names) >= 3
    return names


def values_of_channels(weights):
    """Most different values that a channel has, as shares of its largest magnitude, and so of all channels."""
    rows = weights.reshape(len(weights), -1)
    rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30)
    ordered = np.sort(rows.ravel())
    return 1 + int((np.diff(ordered) > 1e-4).sum())


@pytest.fixture(scope="module")
def pruned(model, data):
    schedule = edgeopt.PolynomialDecay(0.2, 0.75, 0, 60, frequency=5)
    return fit(model, data, epochs=12, optimizer=optimizers.Adam(0.003), pruning=schedule).export()


@pytest.fixture(scope="module")
def clustered(model, data):
    return fit(model, data, clustering=16).export()


@pytest.fixture(scope="module")
def both(pruned, data):
    return fit(pruned, data, clustering=16, preserve="zeros").export()


def zeros_stay(before, after):
    """Where weights were zero they are, and not all have become so."""
    old, new = constants(before), constants(after)
    assert set(old) == set(new)
    for name in old:
        assert not new[name][old[name] == 0].any() and new[name].any(), name


def test_pruning_meets_its_target(model, pruned, data):
    at_once = edgeopt.prune(model, 0.75)
    for name, values in list(constants(pruned).items())[1:]:  # the first convolution is left alone
        assert np.count_nonzero(values == 0) == round(0.75 * values.size), name
        assert not np.array_equal(values, constants(at_once)[name])
    runs_everywhere(pruned, data)


def test_clustering_meets_its_target(clustered, selected, data):
    for name in selected:
        assert values_of_channels(constants(clustered)[name]) <= 16, name
    quantized = edgeopt.quantize(clustered, "int8", [image[None] for image in data[0][0][:64]])
    for name in selected:
        assert len(np.unique(constants(quantized)[name])) <= 16, name
    runs_everywhere(clustered, data)


def test_quantization_exports_what_it_simulates(model, data):
    trainer = fit(model, data, quantization=aware(data))
    report = trainer.check_export(image[None] for image in data[1][0])
    assert report.samples == 200 and report.top1_agreement >= 0.999 and report.within_one_step == 1
    exported = trainer.export()
    assert {found.type for found in weights(exported).values()} == {"INT8"}
    runs_everywhere(exported, data)


@pytest.mark.parametrize(
    "options",
    [
        {"weight_bits": 4},
        {"weight_bits": 12},
        {"weight_bits_of": {"CONV_2D": 16}},
        {"scheme": "int16x8"},
        {"ranges": "learned", "learned_weights": True},
        {"ranges": "last_value", "freeze_step": 5},
        {"input_type": "int8"},
        {"float_layers": ["FULLY_CONNECTED"]},
    ],
)
def test_kinds_of_quantization(model, data, options):
    trainer = fit(model, data, epochs=1, quantization=aware(data, **options))
    report = trainer.check_export(image[None] for image in data[1][0][:50])
    assert report.samples == 50 and report.top1_agreement > 0.95
    exported = trainer.export()
    types = {found.type for found in weights(exported).values()}
    if options.get("weight_bits") == 4:
        assert "INT4" in types
    if options.get("weight_bits") == 12:
        assert types == {"INT16"}
        runs_everywhere(exported, data, at_least=0.5)
    assert ("FLOAT32" in types) == ("float_layers" in options)
    graph = exported.subgraphs[0]
    assert graph.tensors[graph.inputs[0]].type == ("INT8" if "input_type" in options else "FLOAT32")


def test_pqat(pruned, data):
    exported = fit(pruned, data, preserve="zeros", quantization=aware(data)).export()
    zeros_stay(pruned, exported)
    runs_everywhere(exported, data)


def test_cqat(clustered, selected, data):
    exported = fit(clustered, data, preserve="clusters", quantization=aware(data)).export()
    for name in selected:
        assert len(np.unique(constants(exported)[name])) <= 16, name
    runs_everywhere(exported, data)


def test_pcqat(pruned, both, selected, data):
    zeros_stay(pruned, both)
    exported = fit(both, data, preserve=("zeros", "clusters"), quantization=aware(data)).export()
    zeros_stay(pruned, exported)
    for name in selected:
        assert len(np.unique(constants(exported)[name])) <= 16, name
    runs_everywhere(exported, data)


def test_batch_normalization_with_quantization(model, data):
    options = {"quantization": aware(data), "batch_normalization": True, "batch_norm_momentum": 0.9}
    trainer = edgeopt.Trainer(model, optimizer=optimizers.Adam(0.001), **options)
    before = edgeopt.Trainer(model, quantization=aware(data)).evaluate(*data[1])["loss"]
    first = trainer.step(data[0][0][:32], data[0][1][:32])
    assert trainer.steps == 1 and np.isfinite(first.loss)
    trainer.fit(*data[0], epochs=3)
    assert trainer.evaluate(*data[1])["loss"] < before + 0.1
    report = trainer.check_export(image[None] for image in data[1][0])
    assert report.within_one_step == 1 and report.top1_agreement >= 0.999
    exported = trainer.export()
    runs_everywhere(exported, data)
    assert {found.type for found in weights(exported).values()} == {"INT8"}
    names = [operator.name for operator in exported.subgraphs[0].operators]
    plain = edgeopt.quantize(model, "int8", [data[0][0][:1]])
    assert names == [operator.name for operator in plain.subgraphs[0].operators]


@pytest.mark.parametrize("quantized", [False, True])
def test_prunes_and_clusters_in_one_training(model, selected, data, quantized):
    schedule = edgeopt.PolynomialDecay(0.2, 0.75, 0, 50, frequency=5)
    options = {"quantization": aware(data)} if quantized else {}
    trainer = fit(
        model, data, epochs=12, optimizer=optimizers.Adam(0.003), pruning=schedule, clustering=16, **options
    )
    made = trainer.export()
    for name, values in list(constants(made).items())[1:]:
        assert np.count_nonzero(values == 0) == round(0.75 * values.size), name
    for name in selected:
        values = constants(made)[name]
        assert (len(np.unique(values)) if quantized else values_of_channels(values)) <= 16, name
    if quantized:
        report = trainer.check_export(image[None] for image in data[1][0])
        assert report.within_one_step == 1 and report.top1_agreement >= 0.999
    runs_everywhere(made, data)


def test_prunes_and_clusters_after_an_interruption(model, data, tmp_path):
    options = {"pruning": edgeopt.PolynomialDecay(0.1, 0.6, 0, 14, frequency=3), "clustering": 8, "batch_size": 32}
    options["optimizer"] = optimizers.Adam(0.001, averaging=0.9)
    whole = edgeopt.Trainer(model, **options)
    whole.fit(*data[0], epochs=3)
    for epochs in 1, 2, 3:
        part = edgeopt.Trainer(model, **options)
        part.fit(*data[0], epochs=epochs, checkpoint=tmp_path / "c")
    assert whole.export().to_bytes() == part.export().to_bytes()


def test_one_target_for_all_tensors(model, data):
    pruning = edgeopt.Pruning(edgeopt.PolynomialDecay(0.1, 0.8, 0, 14, frequency=3), over_all=True)
    found = edgeopt.weights(fit(model, data, epochs=3, pruning=pruning).export())
    chosen = [weights for weights in found if weights.zeros]
    elements = sum(weights.elements for weights in chosen)
    assert sum(weights.zeros for weights in chosen) == round(0.8 * elements)
    assert max(weights.sparsity for weights in chosen) - min(weights.sparsity for weights in chosen) > 0.05


def test_names_of_the_toolkit(model, data):
    samples = [image[None] for image in data[0][0][:32]]
    prepared = toolkit.prune_low_magnitude(model, toolkit.ConstantSparsity(0.5, 0))
    stripped = toolkit.strip_pruning(fit(prepared, data, epochs=1))
    assert {n: f.zeros for n, f in weights(stripped).items()} == {n: f.zeros for n, f in weights(prepared).items()}
    assert stripped.to_bytes() != prepared.to_bytes()
    clustered = toolkit.strip_clustering(fit(toolkit.cluster_weights(model, 8), data, epochs=1))
    assert all(found.distinct <= 8 for found in weights(clustered).values())
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
        ({"clustering": 1}, edgeopt.ArgumentError, "clusters"),
        ({"preserve": "biases"}, edgeopt.ArgumentError, "biases"),
        ({"quantization": aware(data, scheme="float16")}, edgeopt.ArgumentError, "float16"),
        ({"quantization": aware(data, weight_bits=17)}, edgeopt.ArgumentError, "weight_bits"),
        (
            {"preserve": "clusters", "quantization": aware(data), "batch_normalization": True},
            edgeopt.ArgumentError,
            "batch normalization",
        ),
        ({"quantization": edgeopt.QuantizationAware([])}, edgeopt.CalibrationError, None),
        ({"quantization": edgeopt.QuantizationAware([np.zeros(3)])}, edgeopt.ArgumentError, "shape"),
        ({"quantization": edgeopt.QuantizationAware(broken())}, ZeroDivisionError, "mine"),
    ]:
        with pytest.raises(failure, match=words):
            edgeopt.Trainer(model, **options)
    with pytest.raises(edgeopt.StateError):
        edgeopt.Trainer(model).check_export([data[0][0][:1]])
