"""LSTM layers made at random against LiteRT: of integers bit for bit, in both arithmetics, and of float32."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import capi
import edgeopt
from operators import CODE, F32, I8, I16, I32, OPTIONS

INPUTS, CELLS, BATCH, STEPS = 11, 9, 2, 5
GATES = ("input", "forget", "cell", "output")


class Layer:
    """A model of one layer whose form the flags tell."""

    code = CODE.UNIDIRECTIONAL_SEQUENCE_LSTM
    inputs = INPUTS

    def __init__(self, seed, scheme, coupled=False, peepholes=False, projection=False, clip=0.0, time_major=False):
        self.random = np.random.default_rng(seed)
        self.scheme, self.buffers, self.tensors = scheme, [schema.BufferT()], []
        self.is_integer, weights = scheme == "int8", F32 if scheme == "float32" else I8
        self.outputs = 7 if projection else CELLS
        self.shape = (STEPS, BATCH) if time_major else (BATCH, STEPS)
        activation, state = (I8, I16) if self.is_integer else (F32, F32)
        x = self.tensor(activation, (*self.shape, INPUTS), (0.05, 3))
        h = self.tensor(activation, (BATCH, self.outputs), (0.01, -5), variable=True)
        c = self.tensor(state, (BATCH, CELLS), (2.0**-11, 0), variable=True)
        first = 1 if coupled else 0
        wide, bias = (I16, I32) if self.is_integer else (weights, F32)
        inputs = [x] + [-1] * first
        inputs += [self.weights(weights, (CELLS, INPUTS)) for _ in range(first, 4)] + [-1] * first
        inputs += [self.weights(weights, (CELLS, self.outputs)) for _ in range(first, 4)]
        inputs += [
            self.weights(wide, (CELLS,), 1e-4) if peepholes and (gate or not coupled) else -1 for gate in range(3)
        ]
        inputs += [-1] * first + [self.weights(bias, (CELLS,)) for _ in range(first, 4)]
        inputs += [self.weights(weights, (self.outputs, CELLS)), self.weights(bias, (self.outputs,))] if projection else [-1, -1]
        inputs += [h, c, -1, -1, -1, -1]
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.intermediates = 0, inputs, []
        if self.is_integer:
            operator.intermediates = [self.tensor(F32, (0,)) for _ in range(4)]
            hidden = (0.008, 0) if projection else (0.01, -5)
            operator.intermediates.append(self.tensor(I8, (0,), hidden))
        operator.outputs = [self.tensor(activation, (*self.shape, self.outputs), (0.01, -5))]
        operator.builtinOptionsType = OPTIONS.UnidirectionalSequenceLSTMOptions
        options = operator.builtinOptions = schema.UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction, options.timeMajor = schema.ActivationFunctionType.TANH, time_major
        options.cellClip, options.projClip = clip, clip / 10
        options.asymmetricQuantizeInputs = scheme == "hybrid asymmetric"
        self.operator, self.input, self.activation = operator, x, activation

    def tensor(self, type_, shape, quantization=None, variable=False):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = f"t{len(self.tensors)}", type_, list(shape), 0
        tensor.isVariable = variable
        if quantization and type_ in (I8, I16):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [quantization[0]], [quantization[1]]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def weights(self, type_, shape, scale=None):
        index = self.tensor(type_, shape, (scale or self.random.uniform(0.005, 0.02), 0))
        if type_ == F32:
            values = self.random.uniform(-1, 1, shape).astype(np.float32)
        else:
            dtype, limit = {I8: (np.int8, 127), I16: (np.int16, 32767), I32: (np.int32, 2000)}[type_]
            values = self.random.integers(-limit, limit, shape, endpoint=True).astype(dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.tensors[index].buffer = len(self.buffers) - 1
        return index

    def content(self):
        graph, model, code = schema.SubGraphT(), schema.ModelT(), schema.OperatorCodeT()
        graph.tensors, graph.inputs, graph.outputs = self.tensors, [self.input], self.operator.outputs
        graph.operators, model.version, model.buffers = [self.operator], 3, self.buffers
        code.builtinCode, code.version = self.code, 3
        code.deprecatedBuiltinCode = code.builtinCode
        model.operatorCodes, model.subgraphs = [code], [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def samples(self, count=3):
        """Several calls: the states go on from each to the next."""
        for _ in range(count):
            shape = (*self.shape, self.inputs)
            if self.activation == I8:
                yield self.random.integers(-128, 127, shape, endpoint=True).astype(np.int8)
            else:
                yield self.random.uniform(-2, 2, shape).astype(np.float32)


def litert(content):
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter, values):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


FORMS = {
    "plain": {}, "clipped": {"clip": 2.0}, "coupled": {"coupled": True}, "time major": {"time_major": True},
    "peepholes": {"peepholes": True}, "projection": {"projection": True, "clip": 8.0},
    "coupled peepholes": {"coupled": True, "peepholes": True},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", ["float32", "hybrid", "hybrid asymmetric", "int8"])
def test_layer(scheme, form, tmp_path):
    for seed in range(3):
        layer = Layer(seed, scheme, **FORMS[form])
        content = layer.content()
        path = tmp_path / "layer.tflite"
        path.write_bytes(content)
        theirs = litert(content)
        ours = [capi.Interpreter(path, arithmetic) for arithmetic in (capi.REFERENCE, capi.FAST)]
        for values in layer.samples():
            expected = run(theirs, values)
            for interpreter in ours:
                interpreter.view("input", 0)[...] = values
                interpreter.invoke()
                result = interpreter.view("output", 0)
                if layer.is_integer:
                    assert np.array_equal(result, expected), np.abs(result.astype(int) - expected).max()
                else:
                    limit = 1e-5
                    assert np.abs(result - expected).max() <= limit * max(1, np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("scheme", "far"), [("int8", 0.1), ("dynamic_range", 0.05)])
def test_quantized_layer(scheme, far, form):
    """What the quantizer makes of a float layer runs in LiteRT with the same result, near that of the float layer."""
    layer = Layer(5, "float32", **FORMS[form])
    content = layer.content()
    small = edgeopt.quantize(edgeopt.Model(content), scheme, layer.samples(20), min_weight_elements=0)
    ours, theirs = edgeopt.Interpreter(small), litert(small.to_bytes())
    ours.allocate_tensors()
    types = [detail["dtype"] for detail in ours.get_tensor_details()]
    assert np.int8 in types and (np.int16 in types) == (scheme == "int8")
    exact = litert(content)
    for values in layer.samples():
        result, expected = run(ours, values), run(theirs, values)
        assert np.abs(result - expected).max() <= (0 if scheme == "int8" else 1e-5)
        assert np.abs(result - run(exact, values)).mean() <= far


def test_quantization_aware_training():
    """The layer is simulated with its state rounded at each step, and exported as the integer layer."""
    graph = edgeopt.Graph(seed=2)
    graph.softmax(graph.dense(graph.last(graph.lstm(graph.input(6, 5), 8)), 3))
    values = np.random.default_rng(4)
    x = values.standard_normal((64, 6, 5)).astype(np.float32)
    y = np.argmax(x[:, :, :3].sum(axis=1), axis=1).astype(np.int32)
    calibration = [sample[None] for sample in x[:16]]
    trainer = edgeopt.Trainer(
        graph.model(), optimizer=edgeopt.optimizers.Adam(1e-2), batch_size=16,
        quantization=edgeopt.QuantizationAware(calibration))
    for step in range(24):
        trainer.step(x[step % 4 * 16:][:16], y[step % 4 * 16:][:16])
    report = trainer.check_export([sample[None] for sample in x])
    assert report.same_top1 >= 62 and report.equal + report.one_step >= 0.95 * report.elements
    small = trainer.export()
    ours, theirs = edgeopt.Interpreter(small), litert(small.to_bytes())
    ours.allocate_tensors()
    assert np.int16 in [detail["dtype"] for detail in ours.get_tensor_details()]
    for sample in x[:8]:
        for interpreter in (ours, theirs):
            interpreter.reset_all_variables()
        assert np.array_equal(run(ours, sample[None]), run(theirs, sample[None]))


class SVDF(Layer):
    """A model of one SVDF layer."""

    def __init__(self, seed, scheme, rank, bias, inputs, memory):
        self.random = np.random.default_rng(seed)
        self.scheme, self.buffers, self.tensors = scheme, [schema.BufferT()], []
        self.is_integer, self.shape, self.inputs = scheme == "int8", (BATCH,), inputs
        activation, features = (I8 if self.is_integer else F32), (F32 if scheme == "float32" else I8)
        time, state = (I16, I16) if self.is_integer else (features, F32)
        x = self.tensor(activation, (BATCH, inputs), (0.05, 3))
        inputs = [x, self.weights(features, (CELLS, inputs))]
        inputs.append(self.weights(time, (CELLS, memory), 1e-4 if self.is_integer else None))
        inputs.append(self.weights(I32 if self.is_integer else F32, (CELLS // rank,), 1e-7) if bias else -1)
        inputs.append(self.tensor(state, (BATCH, CELLS * memory), (1e-3, 0), variable=True))
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = 0, inputs
        operator.outputs = [self.tensor(activation, (BATCH, CELLS // rank), (0.02, -9))]
        operator.builtinOptionsType = OPTIONS.SVDFOptions
        options = operator.builtinOptions = schema.SVDFOptionsT()
        options.rank, options.fusedActivationFunction = rank, schema.ActivationFunctionType.RELU
        options.asymmetricQuantizeInputs = scheme == "hybrid asymmetric"
        self.operator, self.input, self.activation, self.code = operator, x, activation, CODE.SVDF


@pytest.mark.parametrize(
    ("rank", "bias", "inputs", "memory"), [(1, True, INPUTS, 6), (3, True, INPUTS, 37), (1, False, 513, 1)])
@pytest.mark.parametrize("scheme", ["float32", "hybrid", "hybrid asymmetric", "int8"])
def test_svdf(scheme, rank, bias, inputs, memory, tmp_path):
    for seed in range(3):
        layer = SVDF(seed, scheme, rank, bias, inputs, memory)
        content = layer.content()
        path = tmp_path / "layer.tflite"
        path.write_bytes(content)
        theirs, ours = litert(content), capi.Interpreter(path, capi.FAST)
        for values in layer.samples(10):
            expected = run(theirs, values)
            ours.view("input", 0)[...] = values
            ours.invoke()
            result = ours.view("output", 0)
            if layer.is_integer:
                assert np.array_equal(result, expected)
            else:
                assert np.abs(result - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
