"""Loops, branches and variables against LiteRT, on models made here, and the same models damaged."""

import random
import threading

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import capi
import edgeopt
from operators import BOOL, CODE, DTYPE, F32, I32, OPTIONS
from test_mutations import MUTANTS, SEED, exit_status, mutant

RESOURCE = schema.TensorType.RESOURCE


class Maker:
    """A model of several subgraphs under construction."""

    def __init__(self, subgraphs):
        self.model = schema.ModelT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.model.subgraphs = [schema.SubGraphT() for _ in range(subgraphs)]
        for graph in self.model.subgraphs:
            graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []

    def tensor(self, graph, type_, shape, values=None, signature=None):
        tensors = self.model.subgraphs[graph].tensors
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = f"t{graph}_{len(tensors)}", type_, list(shape), 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(values, DTYPE[type_]).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        tensor.shapeSignature = signature
        tensors.append(tensor)
        return len(tensors) - 1

    def add(self, graph, name, inputs, outputs, options=None, **fields):
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = getattr(CODE, name), 1
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.model.operatorCodes), inputs, outputs
        self.model.operatorCodes.append(code)
        if options:
            operator.builtinOptionsType = getattr(OPTIONS, options)
            operator.builtinOptions = getattr(schema, options + "T")()
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
        self.model.subgraphs[graph].operators.append(operator)
        return outputs[0] if outputs else None

    def ends(self, graph, inputs, outputs):
        self.model.subgraphs[graph].inputs, self.model.subgraphs[graph].outputs = inputs, outputs

    def content(self):
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def loop():
    """A recurrence over the rows of x whose states are collected, as a converter writes it: (i, list, state, x)."""
    steps, size, maker = 5, 3, Maker(3)
    types = [(I32, []), (F32, [steps, 1, size]), (F32, [1, size]), (F32, [steps, 1, size])]
    states = [[maker.tensor(graph, *form) for form in types] for graph in range(3)]
    first = [
        maker.tensor(0, I32, [], 0), maker.tensor(0, F32, [steps, 1, size], np.zeros((steps, 1, size))),
        maker.tensor(0, F32, [1, size], np.zeros((1, size))),
    ]
    x = maker.tensor(0, F32, [steps, 1, size])
    maker.add(0, "WHILE", [*first, x], states[0], "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    maker.ends(0, [x], states[0][1:3])
    limit = maker.tensor(1, I32, [], steps)
    maker.ends(1, states[1], [maker.add(1, "LESS", [states[1][0], limit], [maker.tensor(1, BOOL, [])], "LessOptions")])
    i, collected, state, rows = states[2]
    one = maker.tensor(2, I32, [], 1)
    after = maker.add(2, "ADD", [i, one], [maker.tensor(2, I32, [])], "AddOptions")
    row = maker.add(2, "GATHER", [rows, i], [maker.tensor(2, F32, [1, size])], "GatherOptions", axis=0)
    total = maker.add(2, "ADD", [row, state], [maker.tensor(2, F32, [1, size])], "AddOptions")
    new = maker.add(2, "TANH", [total], [maker.tensor(2, F32, [1, size])])

    def index(scalar, rest):
        wide = maker.add(
            2, "RESHAPE", [scalar, maker.tensor(2, I32, [1], [1])], [maker.tensor(2, I32, [1])], "ReshapeOptions")
        return maker.add(
            2, "CONCATENATION", [wide, maker.tensor(2, I32, [2], rest)], [maker.tensor(2, I32, [3])],
            "ConcatenationOptions", axis=0)

    begin, everything = maker.tensor(2, I32, [3], [0, 0, 0]), maker.tensor(2, I32, [3], [-1, -1, -1])
    parts = [maker.tensor(2, F32, [1, 1, size], signature=[-1, 1, size]) for _ in range(2)]
    before = maker.add(2, "SLICE", [collected, begin, index(i, [-1, -1])], parts[:1])
    behind = maker.add(2, "SLICE", [collected, index(after, [0, 0]), everything], parts[1:])
    shape = maker.tensor(2, I32, [3], [1, 1, size])
    item = maker.add(2, "RESHAPE", [new, shape], [maker.tensor(2, F32, [1, 1, size])], "ReshapeOptions")
    whole = maker.add(
        2, "CONCATENATION", [before, item, behind], [maker.tensor(2, F32, [steps, 1, size])],
        "ConcatenationOptions", axis=0)
    maker.ends(2, states[2], [after, whole, new, rows])
    return maker.content()


def branch():
    """x + x where the sum of x is positive, else x itself."""
    maker = Maker(3)
    x, axis, zero = maker.tensor(0, F32, [4]), maker.tensor(0, I32, [1], [0]), maker.tensor(0, F32, [], 0)
    total = maker.add(0, "SUM", [x, axis], [maker.tensor(0, F32, [])], "ReducerOptions")
    positive = maker.add(0, "GREATER", [total, zero], [maker.tensor(0, BOOL, [])], "GreaterOptions")
    chosen = maker.add(
        0, "IF", [positive, x], [maker.tensor(0, F32, [4])], "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2)
    maker.ends(0, [x], [chosen])
    for graph in (1, 2):
        given = maker.tensor(graph, F32, [4])
        twice = maker.add(graph, "ADD", [given, given], [maker.tensor(graph, F32, [4])], "AddOptions")
        maker.ends(graph, [given], [twice if graph == 1 else given])
    return maker.content()


def variable():
    """The running sum of x, which begins with 10; the output is the sum before."""
    maker = Maker(2)
    maker.add(0, "CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
    handles = [
        maker.add(graph, "VAR_HANDLE", [], [maker.tensor(graph, RESOURCE, [])], "VarHandleOptions", sharedName="sum")
        for graph in (0, 1)
    ]
    x = maker.tensor(0, F32, [4])
    before = maker.add(0, "READ_VARIABLE", [handles[0]], [maker.tensor(0, F32, [4])], "ReadVariableOptions")
    after = maker.add(0, "ADD", [before, x], [maker.tensor(0, F32, [4])], "AddOptions")
    maker.add(0, "ASSIGN_VARIABLE", [handles[0], after], [], "AssignVariableOptions")
    maker.ends(0, [x], [before])
    start = maker.tensor(1, F32, [4], [10, 10, 10, 10])
    maker.add(1, "ASSIGN_VARIABLE", [handles[1], start], [], "AssignVariableOptions")
    return maker.content()


MODELS = {"loop": loop, "branch": branch, "variable": variable}


@pytest.mark.parametrize("name", MODELS)
def test_same_results(name, tmp_path):
    content = MODELS[name]()
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    theirs = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    theirs.allocate_tensors()
    ours = [capi.Interpreter(path, arithmetic) for arithmetic in (capi.REFERENCE, capi.FAST)]
    values = np.random.default_rng(3)
    for _ in range(6):
        x = values.standard_normal(theirs.get_input_details()[0]["shape"]).astype(np.float32)
        theirs.set_tensor(theirs.get_input_details()[0]["index"], x)
        theirs.invoke()
        for interpreter in ours:
            interpreter.view("input", 0)[...] = x
            interpreter.invoke()
            for place, detail in enumerate(theirs.get_output_details()):
                expected = theirs.get_tensor(detail["index"])
                assert np.abs(interpreter.view("output", place) - expected).max() <= 1e-6 * max(1, np.abs(expected).max())


def run(content):
    """A damaged loop may have no end: then it is stopped."""
    try:
        interpreter = edgeopt.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        timer = threading.Timer(0.2, interpreter.cancel)
        timer.start()
        try:
            interpreter.invoke()
        finally:
            timer.cancel()
    except (edgeopt.Error, ValueError, RuntimeError, MemoryError, TypeError):
        pass


@pytest.mark.parametrize("name", MODELS)
def test_mutants(name):
    original = MODELS[name]()
    for number in range(SEED, SEED + 10 * MUTANTS):
        content = mutant(original, random.Random(number))
        assert exit_status(lambda: run(content)) == 0, f"mutant {number}"
