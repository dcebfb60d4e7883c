#!/usr/bin/env python3
"""Runs operators one by one, on models made here, against LiteRT's reference kernels.

    operators.py [name ...] [--verbose]

Integers must be equal bit for bit in reference arithmetic, floats within 1e-5 of the largest value. Where LiteRT has no
reference kernel, or a broken one, its optimized kernels are taken instead. The fast arithmetic's greatest distance is
printed with --verbose. Values come from one fixed random number generator.
"""
import argparse
import itertools
import sys
import tempfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import capi

CODE, TYPE, OPTIONS = schema.BuiltinOperator, schema.TensorType, schema.BuiltinOptions
F32, I8, U8, I16, I32, I64, BOOL = (
    TYPE.FLOAT32, TYPE.INT8, TYPE.UINT8, TYPE.INT16, TYPE.INT32, TYPE.INT64, TYPE.BOOL)
DTYPE = {F32: np.float32, I8: np.int8, U8: np.uint8, I16: np.int16, I32: np.int32, I64: np.int64, BOOL: np.bool_}
NAME = {value: name for name, value in vars(TYPE).items() if not name.startswith("_")}
QUANTIZED, NUMBERS = (I8, U8, I16), (F32, I32, I64, I8, U8, I16)
FLOAT_TOLERANCE = 1e-5
random = np.random.default_rng(7)


class Case:
    """One operator: inputs and outputs are (type, shape, quantization, values); values None means to be computed."""

    def __init__(self, name, inputs, output, options=None, fields=(), version=1, constants=(), steps=0, optimized=False):
        self.name, self.inputs, self.output, self.version = name, inputs, output, version
        self.options, self.fields, self.constants = options, dict(fields), constants
        self.steps, self.optimized = steps, optimized

    @property
    def label(self):
        return f"{self.name} {' '.join(NAME[t] for t, *_ in self.inputs[:1])}"

    def model(self):
        graph, model, operator = schema.SubGraphT(), schema.ModelT(), schema.OperatorT()
        graph.tensors, graph.inputs, graph.outputs = [], [], [len(self.inputs)]
        model.version, model.buffers = 3, [schema.BufferT()]
        for index, (type_, shape, quantization, values) in enumerate([*self.inputs, (*self.output, None)]):
            tensor = schema.TensorT()
            tensor.name, tensor.type, tensor.shape, tensor.buffer = f"t{index}", type_, list(shape), 0
            if quantization:
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.scale, tensor.quantization.zeroPoint = [quantization[0]], [quantization[1]]
            if index in self.constants:
                buffer = schema.BufferT()
                buffer.data = np.frombuffer(values.tobytes(), np.uint8)
                model.buffers.append(buffer)
                tensor.buffer = len(model.buffers) - 1
            elif index < len(self.inputs):
                graph.inputs.append(index)
            graph.tensors.append(tensor)
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = getattr(CODE, self.name), self.version
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(range(len(self.inputs))), graph.outputs
        if self.options:
            operator.builtinOptionsType = getattr(OPTIONS, self.options)
            operator.builtinOptions = getattr(schema, self.options + "T")()
            for field, value in self.fields.items():
                setattr(operator.builtinOptions, field, value)
        graph.operators, model.operatorCodes, model.subgraphs = [operator], [code], [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def feeds(self):
        return [values for index, (*_, values) in enumerate(self.inputs) if index not in self.constants]

    def litert(self, content):
        kernels = [] if self.optimized else [OpResolverType.BUILTIN_REF]
        for resolver in [*kernels, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES]:
            try:
                interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver, num_threads=1)
                interpreter.allocate_tensors()
                for details, values in zip(interpreter.get_input_details(), self.feeds()):
                    interpreter.set_tensor(details["index"], values)
                interpreter.invoke()
                return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            except (RuntimeError, ValueError):
                continue
        return None

    def ours(self, path, arithmetic):
        interpreter = capi.Interpreter(path, arithmetic)
        for index, values in enumerate(self.feeds()):
            interpreter.view("input", index)[...] = values
        interpreter.invoke()
        return interpreter.view("output", 0).copy()


def values(type_, shape, low=None, high=None):
    if type_ == F32:
        return random.uniform(-4 if low is None else low, 4 if high is None else high, shape).astype(np.float32)
    if type_ == BOOL:
        return random.integers(0, 2, shape).astype(np.bool_)
    limits = np.iinfo(DTYPE[type_])
    if type_ in (I32, I64):
        limits = np.iinfo(np.int8)
    return random.integers(
        limits.min if low is None else low, limits.max if high is None else high, shape, endpoint=True
    ).astype(DTYPE[type_])


def grid(type_, scale=None, zero=None):
    """A random scale and zero point; None for types that are not quantized."""
    if type_ not in QUANTIZED:
        return None
    limits = np.iinfo(DTYPE[type_])
    scale = scale or random.uniform(0.005, 0.1) / (256 if type_ == I16 else 1)
    zero = random.integers(limits.min, limits.max, endpoint=True) if zero is None else zero
    return float(np.float32(scale)), 0 if type_ == I16 else int(zero)


def tensor(type_, shape, quantization=None, low=None, high=None):
    return type_, shape, quantization, values(type_, shape, low, high)


def every_value(type_, quantization):
    limits = np.iinfo(DTYPE[type_])
    data = values(I16, (4096,)) if type_ == I16 else np.arange(limits.min, limits.max + 1).astype(DTYPE[type_])
    return type_, data.shape, quantization, data


PAIRS = [((7,), (7,)), ((2, 3, 5), (5,)), ((2, 3, 5), (2, 1, 5)), ((1,), (4, 3)), ((3, 1), (1, 4)),
         ((2, 3, 4, 5), (3, 1, 1)), ((1, 2, 3, 4, 2), (5, 1, 2, 1, 4, 1))]


def option_table(name):
    return "".join(word.capitalize() for word in name.split("_")) + "Options"


def arithmetic_cases():
    for (a, b), activation, t in itertools.product(PAIRS, range(4), NUMBERS):
        y = np.broadcast_shapes(a, b)
        fields = {"fusedActivationFunction": activation}
        for name in ("ADD", "SUB", "MUL"):
            qa, qb, qy = grid(t), grid(t), grid(t)
            if name == "MUL" and qy:
                qy = qa[0] * qb[0] * (9000 if t == I16 else 60), qy[1]
            extra = {} if name == "MUL" else {"potScaleInt16": False}
            yield Case(name, [tensor(t, a, qa), tensor(t, b, qb)], (t, y, qy), option_table(name), {**fields, **extra},
                       version=3)
        if t == I64:
            continue
        qa, qb = grid(t), grid(t)
        dividend, divisor = tensor(t, a, qa), tensor(t, b, qb)
        if qa:
            # LiteRT's division is undefined for small dividends.
            least, middle = (3000, 0) if t == I16 else (12, qa[1])
            small = np.abs(dividend[3].astype(int) - middle) < least
            dividend[3][small] = middle + (least if middle < (128 if t == U8 else 0) else -least)
        divisor[3][divisor[3] == (qb[1] if qb else 0)] += 1
        yield Case("DIV", [dividend, divisor], (t, y, (qa[0] / qb[0] / 20, grid(t)[1]) if qa else None), "DivOptions",
                   fields, version=2)
    for name, scales in itertools.product(("ADD", "SUB"), ((-12, -11, -11), (-12, -12, -12), (-10, -14, -10))):
        qa, qb, qy = ((2.0**scale, 0) for scale in scales)
        yield Case(name, [tensor(I16, (500,), qa), tensor(I16, (500,), qb)], (I16, (500,), qy), option_table(name),
                   {"potScaleInt16": True})


def comparison_cases():
    comparisons = "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL".split()
    for (a, b), t in itertools.product(PAIRS, NUMBERS):
        y, same = np.broadcast_shapes(a, b), grid(t)
        for name in ("MINIMUM", "MAXIMUM"):
            yield Case(name, [tensor(t, a, same), tensor(t, b, same)], (t, y, same), "MaximumMinimumOptions")
        for name in comparisons:
            bounds = () if t in QUANTIZED else (-3, 3)
            yield Case(name, [tensor(t, a, grid(t), *bounds), tensor(t, b, grid(t), *bounds)], (BOOL, y, None),
                       option_table(name), version=2 if t in QUANTIZED else 1)
        if t in (F32, I32, I8):
            yield Case("SQUARED_DIFFERENCE", [tensor(t, a, grid(t)), tensor(t, b, grid(t))],
                       (t, y, grid(t, 0.2)), "SquaredDifferenceOptions", version=2)
        if t in (F32, I32):
            yield Case("POW", [tensor(t, a, None, 0.1 if t == F32 else -5, 4),
                               tensor(t, b, None, -2 if t == F32 else 0, 3)], (t, y, None), "PowOptions")
        if t in (F32, I32, I64):
            divisor = tensor(t, b, None, -7, 7)
            divisor[3][np.abs(divisor[3]) < 0.2] = 3
            for name in ("FLOOR_DIV", "FLOOR_MOD"):
                yield Case(name, [tensor(t, a, None, -30, 30), divisor], (t, y, None), option_table(name), version=2)
    for a, b in PAIRS:
        for name in ("LOGICAL_AND", "LOGICAL_OR"):
            yield Case(name, [tensor(BOOL, a), tensor(BOOL, b)], (BOOL, np.broadcast_shapes(a, b), None),
                       option_table(name))
        yield Case("ATAN2", [tensor(F32, a), tensor(F32, a)], (F32, a, None))
    yield Case("LOGICAL_NOT", [tensor(BOOL, (9,))], (BOOL, (9,), None), "LogicalNotOptions")
    for t in (F32, I8, U8, I16):
        slope_type = I8 if t == I16 else t
        for shape, slopes in (((1, 3, 4, 5), (1, 1, 5)), ((2, 3), (2, 3))):
            yield Case("PRELU", [tensor(t, shape, grid(t)), tensor(slope_type, slopes, grid(slope_type))],
                       (t, shape, grid(t)), constants=(1,))


FIXED = {"LOGISTIC": {I8: (1 / 256, -128), U8: (1 / 256, 0), I16: (1 / 32768, 0)},
         "TANH": {I8: (1 / 128, 0), U8: (1 / 128, 128), I16: (1 / 32768, 0)},
         "SOFTMAX": {I8: (1 / 256, -128), U8: (1 / 256, 0), I16: (1 / 32768, 0)},
         "LOG_SOFTMAX": {I8: (16 / 256, 127), U8: (16 / 256, 255)},
         "L2_NORMALIZATION": {I8: (1 / 128, 0), U8: (1 / 128, 128)}}


def unary_cases():
    def unary(name, x, output=None, **more):
        return Case(name, [x], (x[0], x[1], output), **more)

    for repetition, t in itertools.product(range(6), QUANTIZED):
        for name, version in (("RELU", 2), ("RELU6", 2), ("RELU_N1_TO_1", 1), ("RELU_0_TO_1", 1), ("HARD_SWISH", 1),
                              ("ELU", 1), ("LOG", 2)):
            yield unary(name, every_value(t, grid(t)), grid(t), version=version)
        yield unary("LEAKY_RELU", every_value(t, grid(t)), grid(t), version=2, options="LeakyReluOptions",
                    fields={"alpha": float(np.float32(random.uniform(-0.5, 1.5)))})
        for name, power in (("LOGISTIC", 12), ("TANH", 11 + repetition)):
            exact = t == I16 and repetition < 2
            yield unary(name, every_value(t, (2.0**-power, 0) if exact else grid(t)), FIXED[name][t], version=2)
        for approximate in (False, True):
            yield unary("GELU", every_value(t, grid(t)), grid(t), version=2, options="GeluOptions",
                        fields={"approximate": approximate})
        yield unary("EXP", every_value(t, grid(t, 1e-4 if t == I16 else 0.02)), grid(t, 1e-3 if t == I16 else 0.05),
                    version=2, options="ExpOptions")
        for output in (grid(t), None):
            x = every_value(t, grid(t))
            yield unary("ABS", x, output or x[2], version=2, options="AbsOptions")
        for name, version in (("SQRT", 2), ("RSQRT", 3)):
            x = every_value(t, grid(t, zero=-128 if t == I8 else 0))
            if t == I16:
                x = *x[:3], np.maximum(x[3], 0)
            yield unary(name, x, grid(t), version=version)
        yield unary("NEG", every_value(t, grid(t)), grid(t))
    for name in ("RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 HARD_SWISH LOGISTIC TANH EXP ELU ABS NEG SQUARE SIN COS FLOOR "
                 "CEIL ROUND SIGN").split():
        yield unary(name, tensor(F32, (517,), None, -8, 8))
    for approximate in (False, True):
        yield unary("GELU", tensor(F32, (517,), None, -8, 8), options="GeluOptions", fields={"approximate": approximate})
    yield unary("LEAKY_RELU", tensor(F32, (517,)), options="LeakyReluOptions", fields={"alpha": 0.25})
    for name in ("LOG", "SQRT", "RSQRT"):
        yield unary(name, tensor(F32, (517,), None, 1e-3, 9))
    for name, t in (("NEG", I32), ("NEG", I64), ("ABS", I32), ("SIGN", I32)):
        yield unary(name, tensor(t, (33,)))


def row_cases():
    shapes = ((3, 10), (1, 1001), (2, 3, 4), (5, 1), (2, 2, 3, 17))
    for shape, beta, t in itertools.product(shapes, (1.0, 0.5, 2.25), (F32, *QUANTIZED)):
        x = tensor(t, shape, grid(t))
        softmax = {"options": "SoftmaxOptions", "fields": {"beta": beta}, "version": 3}
        yield Case("SOFTMAX", [x], (t, shape, FIXED["SOFTMAX"].get(t)), **softmax)
        if t in (I8, U8):
            yield Case("SOFTMAX", [x], (I16, shape, (1 / 65536, -32768)), **softmax)
        for name, options in (("LOG_SOFTMAX", "LogSoftmaxOptions"), ("L2_NORMALIZATION", "L2NormOptions")):
            if t != I16:
                yield Case(name, [x], (t, shape, FIXED[name].get(t)), options=options, version=2)


def reduction_cases():
    shapes = (((3, 4, 5), [1]), ((3, 4, 5), [-1]), ((3, 4, 5), [0, 2]), ((2, 3, 4, 5), [1, 2]),
              ((2, 3, 4, 5), [0, 1, 2, 3]), ((2, 7, 7, 33), [1, 2]), ((4, 6), [0, 0, -2]), ((2, 3, 2, 3, 2), [0, 2, 4]),
              ((5,), [0]), ((2, 3), []))
    for (shape, axes), keep in itertools.product(shapes, (False, True)):
        unique = tuple({axis % len(shape) for axis in axes})
        y = np.zeros(shape).sum(axis=unique, keepdims=keep).shape if axes else shape
        axis = (I32, (len(axes),), None, np.array(axes, np.int32))
        common = {"options": "ReducerOptions", "fields": {"keepDims": keep}, "constants": (1,), "version": 2}
        for name, t in itertools.product(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), NUMBERS):
            if (name, t) == ("REDUCE_PROD", U8):
                continue
            bounds = (-2, 2) if name == "REDUCE_PROD" and t not in QUANTIZED else ()
            x, qy = tensor(t, shape, grid(t), *bounds), grid(t)
            if qy and name in ("REDUCE_MAX", "REDUCE_MIN"):
                qy = x[2]
            if qy and name == "SUM":
                qy = x[2][0] * 4, qy[1]
            # LiteRT's reference SUM reads signed numbers as bytes.
            broken = name == "SUM" and t in (I8, I16)
            yield Case(name, [x, axis], (t, y, qy), **common, steps=int(broken), optimized=broken)
        for name in ("REDUCE_ANY", "REDUCE_ALL"):
            yield Case(name, [tensor(BOOL, shape), axis], (BOOL, y, None), **{**common, "version": 1})
    for t, exclusive, reverse, axis in itertools.product((F32, I32, I64), (False, True), (False, True), (0, 1, -1)):
        yield Case("CUMSUM", [tensor(t, (3, 4, 5)), (I32, (), None, np.array(axis, np.int32))], (t, (3, 4, 5), None),
                   "CumsumOptions", {"exclusive": exclusive, "reverse": reverse}, constants=(1,))
    for t in (F32, I32):
        yield Case("ADD_N", [tensor(t, (3, 5)) for _ in range(3)], (t, (3, 5), None), "AddNOptions")


def distance(ours, theirs):
    """In steps for integers, as a share of the largest value for floats."""
    if ours.shape != theirs.shape:
        return np.inf
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b)).max(initial=0)
    largest = np.abs(b[np.isfinite(b)]).max(initial=0) if theirs.dtype.kind == "f" else 1
    return gap / (largest or 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    count, failures, fast = 0, [], {}
    generators = (arithmetic_cases, comparison_cases, unary_cases, row_cases, reduction_cases)
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        for case in itertools.chain.from_iterable(generator() for generator in generators):
            if arguments.names and case.name not in arguments.names:
                continue
            content = case.model()
            theirs = case.litert(content)
            if theirs is None:
                continue
            file.seek(0)
            file.truncate()
            file.write(content)
            file.flush()
            count += 1
            try:
                gap = distance(case.ours(file.name, capi.REFERENCE), theirs)
                fast[case.label] = max(fast.get(case.label, 0), distance(case.ours(file.name, capi.FAST), theirs))
            except capi.EdgeOptError as error:
                failures.append(f"{case.label}: {error}")
                continue
            if gap > (FLOAT_TOLERANCE if theirs.dtype.kind == "f" else case.steps):
                failures.append(f"{case.label} {[list(x[1]) for x in case.inputs]}: differs by {gap:.3g}")
    for label, gap in sorted(fast.items()) if arguments.verbose else ():
        print(f"{label}: fast arithmetic within {gap:.3g}")
    print("\n".join(failures) or "no differences", f"\n{count - len(failures)} of {count} cases agree")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
