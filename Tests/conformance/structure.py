"""Models whose structure is wrong: what a byte changed at random seldom makes, because it must still be a FlatBuffer."""

import random
import struct

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

INTEGERS = [
    0, 1, -1, 2, 3, 5, 8, 16, 31, 33, 127, 128, 255, 256, 46341, 65536, 1 << 20, 1 << 24, 1 << 30, 0x7FFFFFFF,
    -0x80000000, -2,
]  # fmt: skip
FLOATS = [0.0, -0.0, -1.0, 0.5, 2.0, 1e-45, 1e-10, 3.4e38, -3.4e38, 1e10, float("nan"), float("inf"), float("-inf")]
SIZES = [0, 1, 2, 3, 4, 5, 7, 9, 16, 33, 1000, 65536, 1 << 30, 0x7FFFFFFF, -1, -0x80000000]


def mutant(content: bytes, chance: random.Random) -> bytes | None:
    """The model with one to five things wrong; None if that cannot be written down."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 5])):
        chance.choice(CHANGES)(model, chance.choice(model.subgraphs), chance)
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except (struct.error, TypeError, ValueError, AttributeError, OverflowError, flatbuffers.builder.BuilderSizeError):
        return None
    return bytes(builder.Output())


def changed(values, value, chance):
    """A vector with another element, one more, one less, or other ones altogether."""
    values = [] if values is None else list(values)
    kind = chance.randrange(5)
    if kind < 2 and values:
        values[chance.randrange(len(values))] = value()
    elif kind == 2:
        values.insert(chance.randrange(len(values) + 1), value())
    elif kind == 3 and values:
        values.pop(chance.randrange(len(values)))
    else:
        values = [value() for _ in range(chance.choice([0, 1, 2, 3, 4, 8]))]
    return values


def change_shape(model, graph, chance):
    tensor = chance.choice(graph.tensors)
    tensor.shape = changed(tensor.shape, lambda: chance.choice(SIZES), chance)


def change_type(model, graph, chance):
    chance.choice(graph.tensors).type = chance.randrange(24)


def change_buffer(model, graph, chance):
    chance.choice(graph.tensors).buffer = chance.choice([0, chance.randrange(len(model.buffers)), len(model.buffers)])


def change_data(model, graph, chance):
    buffer = chance.choice(model.buffers)
    data = bytearray(b"" if buffer.data is None else bytes(np.asarray(buffer.data, np.uint8)))
    kind, place = chance.randrange(4), chance.randrange(len(data) // 4 + 1) * 4
    if kind == 0:
        del data[place:]
    elif kind == 1:
        data[place : place + 4] = struct.pack("<i", chance.choice(INTEGERS))
    elif kind == 2:
        data[place : place + 4] = struct.pack("<f", chance.choice(FLOATS))
    else:
        data += chance.randbytes(16)
    buffer.data = np.frombuffer(bytes(data), np.uint8)


def change_variable(model, graph, chance):
    tensor = chance.choice(graph.tensors)
    tensor.isVariable = not tensor.isVariable


def change_quantization(model, graph, chance):
    tensor = chance.choice(graph.tensors)
    if tensor.quantization is None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [0.1], [0]
    given, kind = tensor.quantization, chance.randrange(4)
    if kind == 0:
        given.scale = changed(given.scale, lambda: chance.choice(FLOATS), chance)
    elif kind == 1:
        given.zeroPoint = changed(given.zeroPoint, lambda: chance.choice([*INTEGERS, -(1 << 63)]), chance)
    elif kind == 2:
        given.quantizedDimension = chance.choice([1, 2, 3, -1, 0x7FFFFFFF])
    else:
        given.scale, given.zeroPoint = [abs(chance.choice(FLOATS))], [chance.choice(INTEGERS)]


def change_sparsity(model, graph, chance):
    for tensor in graph.tensors:
        sparsity = tensor.sparsity
        if sparsity is None or chance.random() < 0.5:
            continue
        sparsity.traversalOrder = changed(sparsity.traversalOrder, lambda: chance.choice(INTEGERS), chance)
        for dimension in sparsity.dimMetadata or []:
            dimension.denseSize = chance.choice([dimension.denseSize, chance.choice(INTEGERS)])
            for vector in (dimension.arraySegments, dimension.arrayIndices):
                if vector is not None and vector.values is not None and chance.random() < 0.5:
                    vector.values = changed(vector.values, lambda: chance.randrange(256), chance)


def change_ends(model, graph, chance):
    end = chance.choice(["inputs", "outputs"])
    place = chance.choice([graph, *(graph.operators or [])])
    setattr(place, end, changed(getattr(place, end), lambda: chance.randrange(-1, len(graph.tensors) + 1), chance))


def change_order(model, graph, chance):
    operators = graph.operators or []
    if operators and chance.random() < 0.5:
        operators.append(operators.pop(chance.randrange(len(operators))))
    elif operators:
        chance.choice(operators).opcodeIndex = chance.randrange(len(model.operatorCodes) + 1)


def change_code(model, graph, chance):
    code = chance.choice(model.operatorCodes)
    if chance.random() < 0.5:
        code.version = chance.choice([0, 1, 2, 3, 5, 99, -1])
    else:
        code.builtinCode = chance.randrange(210)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)


def change_options(model, graph, chance):
    if not graph.operators:
        return
    operator = chance.choice(graph.operators)
    if operator.customOptions is not None and len(operator.customOptions) > 0:
        operator.customOptions = np.frombuffer(custom(bytes(operator.customOptions), chance), np.uint8)
    fields = vars(operator.builtinOptions or object.__new__(Nothing))
    if not fields:
        return
    name = chance.choice(list(fields))
    value = fields[name]
    if isinstance(value, bool):
        fields[name] = not value
    elif isinstance(value, float):
        fields[name] = chance.choice(FLOATS)
    elif isinstance(value, (int, np.integer)):
        fields[name] = chance.choice(INTEGERS + list(range(8)))
    else:
        fields[name] = changed(value, lambda: chance.choice(INTEGERS), chance)


class Nothing:
    """What an operator without options has."""


def custom(data: bytes, chance: random.Random) -> bytes:
    """Options of a custom operator with another value in their map, if they are one, or bytes."""
    try:
        values = flexbuffers.Loads(data)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError):
        values = None
    if isinstance(values, dict) and values and chance.random() < 0.7:
        values[chance.choice(list(values))] = chance.choice([*INTEGERS, *FLOATS, True, 1 << 62])
        return flexbuffers.Dumps(values)
    place = chance.randrange(len(data))
    return data[:place] + chance.choice([b"", bytes([chance.randrange(256)]) + data[place + 1 :]])


CHANGES = [
    change_shape, change_shape, change_shape, change_type, change_buffer, change_data, change_variable,
    change_quantization, change_quantization, change_sparsity, change_ends, change_order, change_code, change_options,
    change_options, change_options, change_options,
]  # fmt: skip
