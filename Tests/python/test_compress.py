import json
import pathlib

import numpy as np
import pytest

import edgeopt
from edgeopt import toolkit

litert = pytest.importorskip("ai_edge_litert.interpreter")
SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "models"


@pytest.fixture(scope="module")
def model(digits_path):
    return edgeopt.Model(digits_path)


def accuracy(model, images, labels, interpreter=litert.Interpreter):
    runner = interpreter(model_content=model.to_bytes()).get_signature_runner()
    half = len(images) // 2
    scores = runner(input=images[half:])["output"]
    return 100 * (scores.argmax(1) == labels[half:]).mean()


def run(model, image, interpreter=litert.Interpreter):
    """All outputs for one input of each interpreter."""
    runner = interpreter(model_content=model.to_bytes())
    runner.allocate_tensors()
    rng = np.random.default_rng(3)
    for details in runner.get_input_details():
        runner.set_tensor(details["index"], rng.random(details["shape"]).astype(details["dtype"]))
    runner.invoke()
    return [runner.get_tensor(details["index"]) for details in runner.get_output_details()]


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.95])
def test_the_target_is_met_exactly(sparsity, model, images):
    pruned = edgeopt.prune(model, sparsity, first=True)
    for found in edgeopt.weights(pruned):
        assert found.zeros == round(found.elements * sparsity)
    for ours, theirs in zip(run(pruned, images[0], edgeopt.Interpreter), run(pruned, images[0])):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_first_convolution_is_left_alone(model):
    before = edgeopt.weights(model)
    for settings in ({}, {"layers": {"*": 0.75}}):
        zeros = [found.zeros for found in edgeopt.weights(edgeopt.prune(model, 0.75, **settings))]
        assert zeros[0] == (round(0.75 * before[0].elements) if settings else before[0].zeros)
        assert zeros[1:] == [round(0.75 * found.elements) for found in before[1:]]


def test_a_few_zeros_cost_little(model, images, labels):
    assert accuracy(edgeopt.prune(model, 0.1), images, labels) >= accuracy(model, images, labels) - 3


def test_blocks_and_groups(model):
    weights = edgeopt.prune(model, zeros_of=(2, 4)).subgraphs[0].tensors
    found = [t for t in weights if t.data is not None and t.shape == (64, 3, 3, 32)][0]
    groups = np.asarray(found.data).view(np.float32).reshape(-1, 4)
    assert ((groups == 0).sum(1) == 2).all()
    weights = edgeopt.prune(model, 0.75, block=(4, 16)).subgraphs[0].tensors
    found = [t for t in weights if t.data is not None and t.shape == (64, 3, 3, 32)][0]
    blocks = np.asarray(found.data).view(np.float32).reshape(16, 4, 18, 16).transpose(0, 2, 1, 3).reshape(-1, 64)
    zeros = (blocks == 0).sum(1)
    assert set(zeros) == {0, 64} and (zeros == 64).sum() == 216


def test_sparse_files_are_smaller_and_the_same(model, images):
    pruned = edgeopt.prune(model, 0.75)
    sparse = edgeopt.store_sparse(pruned)
    assert len(sparse.to_bytes()) < 0.45 * len(pruned.to_bytes())
    for interpreter in (litert.Interpreter, edgeopt.Interpreter):
        for dense, stored in zip(run(pruned, images[0], interpreter), run(sparse, images[0], interpreter)):
            np.testing.assert_array_equal(dense, stored)
    assert sum(found.zeros for found in edgeopt.weights(sparse)) == sum(found.zeros for found in edgeopt.weights(pruned))


@pytest.mark.parametrize("start", list(edgeopt.CentroidInitialization))
def test_clusters(start, model, images, labels):
    clustered = edgeopt.cluster(model, 16, start=start, granularity="tensor")
    found = edgeopt.weights(clustered)
    # The first convolution keeps its own.
    assert sorted(weights.distinct for weights in found) == [16] * (len(found) - 1) + [144]
    assert accuracy(clustered, images, labels) >= accuracy(model, images, labels) - 2


def test_each_step_keeps_the_ones_before(model, images, labels):
    pruned = edgeopt.prune(model, 0.5)
    both = edgeopt.cluster(pruned, 16)
    samples = [image[np.newaxis] for image in images[:200:4]]
    small = edgeopt.quantize(both, "int8", samples)
    zeros = [weights.zeros for weights in edgeopt.weights(pruned)]
    assert [weights.zeros for weights in edgeopt.weights(both)] == zeros
    after = {weights.name: weights for weights in edgeopt.weights(small)}
    for before in edgeopt.weights(both):
        assert after[before.name].zeros >= before.zeros
    assert sorted(weights.distinct for weights in after.values())[-2] <= 16
    assert accuracy(small, images, labels) >= accuracy(both, images, labels) - 3


def test_channels(model, images):
    remarks = []
    smaller = edgeopt.prune_channels(model, 0.25, log=remarks.append)
    assert any("keeps its channels" in remark for remark in remarks)
    count = sum(found.elements for found in edgeopt.weights(model))
    assert sum(found.elements for found in edgeopt.weights(smaller)) < 0.62 * count
    for ours, theirs in zip(run(smaller, images[0], edgeopt.Interpreter), run(smaller, images[0])):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


REAL = [
    "mobilenet_v1_025_224_float32",
    "resnet_cifar10_float32",
    "deeplab_v3_257_float32",
    "edsr_f32b5_float32",
    "face_landmark_192_float32",
    "lstm_mnist_float32",
    "face_detection_full_sparse",
]


@pytest.mark.parametrize("name", REAL)
def test_real_models_run_in_litert(name):
    path = SHARED / f"{name}.tflite"
    if not path.exists():
        pytest.skip("the shared models are not here")
    source = edgeopt.Model(path)
    made = [edgeopt.prune(source, 0.75), edgeopt.cluster(source, 16)]
    made.append(edgeopt.store_sparse(made[0]))
    try:
        made.append(edgeopt.prune_channels(source, 0.3))
    except edgeopt.UnsupportedError:
        assert name == "lstm_mnist_float32"
    for model in made:
        for ours, theirs in zip(run(model, None, edgeopt.Interpreter), run(model, None)):
            np.testing.assert_allclose(ours, theirs, atol=2e-4 * max(1, np.abs(theirs).max()))


@pytest.mark.skipif(not (SHARED / "mobilenet_v1_025_224_float32.tflite").exists(), reason="no shared models")
def test_pruned_for_latency_runs_sparse():
    source = edgeopt.Model(SHARED / "mobilenet_v1_025_224_float32.tflite")
    pruned = edgeopt.prune(source, 0.75, for_latency=True)

    def kernels(model):
        runner = edgeopt.Interpreter(model)
        runner.allocate_tensors()
        return [operator.kernel for operator in runner.operators() if "sparse" in operator.kernel]

    chosen = [found for found in edgeopt.weights(pruned) if found.zeros > 0.7 * found.elements]
    assert len(chosen) >= 10
    for found in chosen:
        values = np.asarray(pruned.subgraphs[0].tensors[found.tensor].data)
        rows = values.reshape(len(values), -1)[: len(values) // 16 * 16]
        zeros = (rows == 0).reshape(-1, 16, rows.shape[1]).sum(1)
        assert set(np.unique(zeros)) <= {0, 16}
    if "scalar" not in edgeopt.isa():
        # Layers that run in a cascade with their neighbours are not told apart.
        assert len(kernels(pruned)) >= len(chosen) - 3
    assert not kernels(source) and not kernels(edgeopt.prune(source, 0.3, for_latency=True))
    for ours, theirs in zip(run(pruned, None, edgeopt.Interpreter), run(pruned, None)):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_tree_of_all_leaves(model, images, labels, tmp_path):
    samples = [image[np.newaxis] for image in images[:200:4]]
    data = (images[900:1000], labels[900:1000])
    tree = edgeopt.optimize(model, samples, data, sparsity=0.2, clusters=16, granularity="tensor")
    assert len(tree) == 8 and tree["pruned 20% + clustered 16 + int8"].distinct <= 144
    sizes = [leaf.deflated_size for leaf in tree]
    assert sizes[3] < sizes[1] < sizes[0] and sizes[7] < sizes[5] < sizes[4]
    assert all(leaf.accuracy > 0.8 and leaf.latency > 0 for leaf in tree)
    assert len(str(tree).splitlines()) == 9
    for path in tree.save(tmp_path):
        litert.Interpreter(model_path=str(path)).allocate_tensors()
    assert len(json.loads((tmp_path / "summary.json").read_text())) == 8
    [first, *_] = json.loads(tree.to_json(bins=8))
    assert all(sum(histogram["counts"]) > 0 for histogram in first["histograms"])


def test_the_tree_of_all_trained_leaves(model, images, labels, tmp_path):
    x, y = images[:320].astype(np.float32), labels[:320]
    samples, data = [image[np.newaxis] for image in x[::5]], (images[900:1000], labels[900:1000])
    training = edgeopt.Training(x, y, epochs=6, optimizer=edgeopt.optimizers.Adam(0.001))
    tree = edgeopt.optimize(model, samples, data, sparsity=0.6, clusters=16, training=training)
    assert [leaf.name for leaf in tree][4:] == [
        prefix + how
        for prefix in ("", "pruned 60% + ", "clustered 16 + ", "pruned 60% + clustered 16 + ")
        for how in ("int8", "int8 QAT")
    ]
    for leaf in tree:
        assert leaf.accuracy > 0.85, leaf.name
        assert ("pruned" in leaf.name) == (leaf.sparsity > 0.59), leaf.name
    assert tree["pruned 60% + clustered 16 + int8 QAT"].deflated_size < tree["int8 QAT"].deflated_size / 2
    for path in tree.save(tmp_path):
        litert.Interpreter(model_path=str(path)).allocate_tensors()
    small = int(tree["clustered 16 + int8"].deflated_size * 1.1)
    leaf = edgeopt.optimize_until(
        model, samples, data, accuracy=0.85, deflated_size=small, training=training,
        levels=[edgeopt.Level("int8"), edgeopt.Level("int8", clusters=16)],
    )
    assert leaf.name in ("clustered 16 + int8", "clustered 16 + int8 QAT") and leaf.deflated_size <= small


def test_training_without_labels_distills(model, images):
    x = images[:64].astype(np.float32)
    made = edgeopt.Training(x, epochs=1).pruned(model, 0.5, None, 1)
    assert all(found.sparsity > 0.49 for found in edgeopt.weights(made)[1:])


def test_the_first_level_that_meets_the_wish(model, images, labels):
    samples = [image[np.newaxis] for image in images[:200:4]]
    data = (images[900:1000], labels[900:1000])
    assert edgeopt.optimize_until(model, samples, data, accuracy=0.9).name == "float32"
    half = len(model.to_bytes()) * 0.55
    assert edgeopt.optimize_until(model, samples, data, accuracy=0.9, size=int(half)).name == "float16"
    leaf = edgeopt.optimize_until(model, samples, data, deflated_size=int(len(model.to_bytes()) / 8))
    assert "clustered" in leaf.name and leaf.deflated_size <= len(model.to_bytes()) / 8
    with pytest.raises(edgeopt.ArgumentError, match="tried were"):
        edgeopt.optimize_until(model, samples, data, size=10)
    with pytest.raises(edgeopt.ArgumentError, match="evaluate"):
        edgeopt.optimize_until(model, accuracy=0.5)


def test_names_of_the_toolkit(model):
    schedule = toolkit.PolynomialDecay(0.2, 0.8, 0, 1000, frequency=10)
    assert schedule(500) == (True, pytest.approx(0.8 - 0.6 / 8)) and schedule(505)[0] is False
    pruned = toolkit.strip_pruning(toolkit.prune_low_magnitude(model, schedule))
    assert pruned.to_bytes() == edgeopt.prune(model, 0.8, first=True).to_bytes()
    constant = toolkit.ConstantSparsity(0.5, 10, 20)
    assert constant(10) == (True, 0.5) and constant(9) == (False, 0.5) and constant(21) == (False, 0.5)
    blocks = toolkit.prune_low_magnitude(model, constant, block_size=(16, 4), block_pooling_type="MAX")
    assert blocks.to_bytes() == edgeopt.prune(model, 0.5, block=(4, 16), block_pooling="maximum", first=True).to_bytes()
    clustered = toolkit.cluster_weights(pruned, 8, toolkit.CentroidInitialization.LINEAR, preserve_sparsity=True)
    assert max(found.distinct for found in edgeopt.weights(toolkit.strip_clustering(clustered))) in (7, 8)


def test_wrong_calls(model, digits_path):
    for wrong in (
        lambda: edgeopt.prune(model, 1),
        lambda: edgeopt.prune(model, float("nan")),
        lambda: edgeopt.prune(model, block=(0, 4)),
        lambda: edgeopt.prune(model, block=(1, 4), block_pooling="least"),
        lambda: edgeopt.prune(model, zeros_of=(4, 4)),
        lambda: edgeopt.cluster(model, 1),
        lambda: edgeopt.cluster(model, 1 << 40),
        lambda: edgeopt.prune_channels(model, 1),
        lambda: edgeopt.prune_channels(model, norm="l3"),
    ):
        with pytest.raises(edgeopt.ArgumentError):
            wrong()
    with pytest.raises(ValueError):
        edgeopt.cluster(model, start="best")
    small = edgeopt.quantize(digits_path, "dynamic_range")
    with pytest.raises(edgeopt.UnsupportedError, match="no float weights"):
        edgeopt.prune(small, layers={"*": 0})
