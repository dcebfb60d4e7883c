"""Models that are wrong in ways which once ended or stopped the process. Each is tried in a process of its own with little
memory, and must be refused with a sentence or run."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import edgeopt
from operators import F32, I16, I32
from test_control_flow import Maker, loop
from test_mutations import exit_status

MOST = 0x7FFFFFFF


def refused(sentence, work):
    def attempt():
        with pytest.raises(edgeopt.Error, match=sentence):
            work()

    assert exit_status(attempt) == 0


def run(content, *inputs):
    interpreter = edgeopt.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("name", ["NEG", "SUB", "EXP", "SOFTMAX"])
def test_operators_that_write_nothing(name):
    maker = Maker(1)
    x, y = maker.tensor(0, F32, [4]), maker.tensor(0, F32, [4])
    maker.add(0, name, [x, x], [])
    maker.add(0, "ABS", [x], [y])
    maker.ends(0, [x], [y])
    refused(f"{name}: (has 0 outputs|output 0 is missing)", lambda: run(maker.content(), np.ones(4, np.float32)))


@pytest.mark.parametrize("name", ["FLOOR_DIV", "FLOOR_MOD", "POW", "ADD", "MAXIMUM", "LESS"])
def test_results_of_another_type(name):
    maker = Maker(1)
    x, y = maker.tensor(0, I32, [7]), maker.tensor(0, I16, [7])
    maker.add(0, name, [x, x], [y])
    maker.ends(0, [x], [y])
    refused(f"{name}: .*INT16", lambda: run(maker.content(), np.ones(7, np.int32)))


@pytest.mark.parametrize("shape", [[MOST, 0, 3], [0, MOST, 3], [3, MOST, 0]])
def test_nothing_is_computed_for_no_elements(shape):
    maker = Maker(1)
    x, axis = maker.tensor(0, I32, shape), maker.tensor(0, I32, [], 1)
    outputs = [maker.tensor(0, I32, shape) for _ in range(3)]
    maker.add(0, "CUMSUM", [x, axis], outputs[:1], "CumsumOptions")
    maker.add(0, "REVERSE_V2", [x, maker.tensor(0, I32, [1], [1])], outputs[1:2])
    maker.add(0, "ADD", [x, x], outputs[2:], "AddOptions")
    maker.ends(0, [x], outputs)
    assert exit_status(lambda: run(maker.content())) == 0


def test_widths_beyond_memory_are_not_listed():
    maker = Maker(1)
    x, y = maker.tensor(0, F32, [1, 4, 4, MOST]), maker.tensor(0, F32, [1, 4, 4, 2])
    weights = maker.tensor(0, F32, [2, 1, 1, 8], np.ones(16))
    maker.add(0, "CONV_2D", [x, weights], [y], "Conv2DOptions", strideW=1, strideH=1)
    maker.ends(0, [x], [y])
    model = edgeopt.Model(maker.content())
    for work in (
        lambda: edgeopt.quantize(model, "dynamic_range", min_weight_elements=0),
        lambda: edgeopt.quantize(model, "int8", [np.ones(1, np.float32)]),
        lambda: edgeopt.prune_channels(model),
        lambda: edgeopt.Trainer(model, "mse"),
    ):

        def attempt(work=work):
            try:
                work()
            except edgeopt.Error as error:
                assert len(str(error)) > 20

        assert exit_status(attempt) == 0


def test_what_lies_in_buffer_0_is_no_constant():
    graph = edgeopt.Graph(seed=1)
    x = graph.max_pool(graph.conv(graph.conv(graph.input(8, 8, 3), 8, 3), 8, 3), 2)
    graph.dense(graph.mean(x, (1, 2)), 3)
    model = schema.ModelT.InitFromPackedBuf(graph.to_bytes(), 0)
    model.buffers[0].data = np.ones(16, np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    content = bytes(builder.Output())
    image = np.random.default_rng(1).standard_normal((1, 8, 8, 3)).astype(np.float32)

    def attempt():
        assert np.array_equal(run(content, image), run(graph.to_bytes(), image))
        smaller = edgeopt.prune_channels(edgeopt.Model(content))
        edgeopt.quantize(smaller, "int8", [image])
        edgeopt.Trainer(content, "mse").step(image, np.zeros((1, 3), np.float32))

    assert exit_status(attempt) == 0


def test_tables_are_not_made_for_any_size():
    maker = Maker(1)
    x, y = maker.tensor(0, F32, [1, 2, 4, 1 << 30]), maker.tensor(0, F32, [1, 4, 8, 1 << 30])
    size = maker.tensor(0, I32, [2], [4, 8])
    maker.add(0, "RESIZE_NEAREST_NEIGHBOR", [x, size], [y], "ResizeNearestNeighborOptions", halfPixelCenters=True)
    maker.ends(0, [x], [y])
    refused("RESIZE_NEAREST_NEIGHBOR: .*no dimension above", lambda: run(maker.content()))


def test_training_of_an_operator_that_writes_nothing():
    maker = Maker(1)
    x, y = maker.tensor(0, F32, [1, 4]), maker.tensor(0, F32, [1, 3])
    maker.add(0, "FULLY_CONNECTED", [x, maker.tensor(0, F32, [3, 4], np.ones(12))], [y], "FullyConnectedOptions")
    maker.add(0, "RESHAPE", [y, maker.tensor(0, I32, [2], [1, 3])], [], "ReshapeOptions")
    maker.ends(0, [x], [y])
    refused("RESHAPE", lambda: edgeopt.Trainer(maker.content(), "mse", batch_size=4))


def test_lists_of_more_steps_than_a_loop_may_have():
    model = schema.ModelT.InitFromPackedBuf(loop(), 0)
    model.subgraphs[0].tensors[5].shape = [MOST, 0, 3]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    refused("WHILE.*steps is too long", lambda: edgeopt.Trainer(bytes(builder.Output()), "mse"))
