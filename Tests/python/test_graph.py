"""Networks written by edgeopt.Graph: LiteRT reads them and gives the same, and they can be trained."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import edgeopt


def convolutional(graph):
    x = graph.input(12, 10, 2)
    x = graph.conv(x, 8, (5, 3), (2, 1), activation="relu6")
    x = graph.add(x, graph.depthwise_conv(x, 3, activation="relu"))
    x = graph.max_pool(x, 2)
    x = graph.average_pool(graph.conv(x, 6, 1, padding="valid"), 2, 1, "same")
    return graph.softmax(graph.dense(graph.reshape(x, 3 * 5 * 6), 4))


def attentive(graph):
    x = graph.dense(graph.input(6, 10), 8)
    x = graph.add(x, graph.weights(1, 6, 8, fan_in=8, name="positions"))
    x = graph.add(x, graph.attention(graph.layer_normalization(x), 2))
    x = graph.unary("GELU", graph.dense(graph.layer_normalization(x), 12))
    return graph.softmax(graph.dense(graph.mean(x, (1,)), 4))


def recurrent(graph):
    return graph.softmax(graph.dense(graph.last(graph.lstm(graph.input(6, 10), 8)), 4))


NETWORKS = [convolutional, attentive, recurrent]


def run(interpreter, x, is_resized=False):
    place = interpreter.get_input_details()[0]["index"]
    if is_resized:
        interpreter.resize_tensor_input(place, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("make", NETWORKS)
def test_litert_gives_the_same(make):
    graph = edgeopt.Graph(seed=3)
    make(graph)
    content = graph.to_bytes()
    shape = edgeopt.Model(content).inputs[0].shape
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    theirs = run(Interpreter(model_content=content), x)
    assert np.ptp(theirs) > 0.01
    np.testing.assert_allclose(run(edgeopt.Interpreter(model_content=content), x), theirs, atol=1e-6)


@pytest.mark.parametrize("make", NETWORKS[:2])
def test_the_batch_can_be_chosen(make):
    graph = edgeopt.Graph(seed=3)
    make(graph)
    model = graph.model()
    x = np.random.default_rng(0).normal(size=(3, *model.inputs[0].shape[1:])).astype(np.float32)
    together = run(edgeopt.Interpreter(model), x, is_resized=True)
    alone = [run(edgeopt.Interpreter(model), sample[None]) for sample in x]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_network_learns(make):
    graph = edgeopt.Graph(seed=3)
    make(graph)
    trainer = edgeopt.Trainer(graph.model(), optimizer=edgeopt.optimizers.Adam(0.02), batch_size=16)
    random = np.random.default_rng(0)
    y = np.arange(64) % 4
    x = random.normal(size=(64, *graph.model().inputs[0].shape[1:])).astype(np.float32)
    x += y.reshape(-1, *[1] * (x.ndim - 1)) - 1.5
    history = trainer.fit(x, y, epochs=15)
    assert history[-1]["accuracy"] > 0.9 > history[0]["accuracy"]


def test_the_seed_decides():
    contents = []
    for seed in (1, 1, 2):
        graph = edgeopt.Graph(seed)
        convolutional(graph)
        contents.append(graph.to_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_signature_and_outputs():
    graph = edgeopt.Graph()
    a, b = graph.input(4), graph.input(4, name="other")
    first, second = graph.add(a, b), graph.multiply(a, b)
    model = graph.model(first, second)
    assert list(model.signatures["serving_default"].inputs) == ["input_0", "input_1"]
    assert list(model.signatures["serving_default"].outputs) == ["output_0", "output_1"]
    assert [tensor.name for tensor in model.inputs] == ["input", "other"]


def test_wrong_calls():
    graph = edgeopt.Graph()
    with pytest.raises(edgeopt.ArgumentError, match="needs an input"):
        graph.to_bytes()
    x = graph.input(4, 4, 1)
    with pytest.raises(edgeopt.ArgumentError, match="activation 'swish'"):
        graph.conv(x, 2, 3, activation="swish")
    with pytest.raises(edgeopt.ArgumentError, match="padding 'full'"):
        graph.conv(x, 2, 3, padding="full")
    with pytest.raises(edgeopt.ArgumentError, match="operator 'EINSUM'"):
        graph.operator("EINSUM", [x], (1, 4))
