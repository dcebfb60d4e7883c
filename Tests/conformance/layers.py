#!/usr/bin/env python3
"""Runs convolutions, fully connected layers, matrix products and pools one by one against LiteRT's reference kernels.

    layers.py [--count N] [--seed S] [name ...]

Each operator gets N layers of random geometry, in turn of every numeric scheme. Reference arithmetic must give equal
integers and floats within 1e-5 of the largest value; the fast arithmetic must be within one step (dynamic range: within
what one step of the inputs can do).
"""
import argparse
import sys
import tempfile
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import capi
from operators import CODE, OPTIONS, distance

TYPE = schema.TensorType
F32, I32, I64, U8, I8, I16, I4 = (
    TYPE.FLOAT32, TYPE.INT32, TYPE.INT64, TYPE.UINT8, TYPE.INT8, TYPE.INT16, TYPE.INT4)
DTYPE = {F32: np.float32, I32: np.int32, I64: np.int64, U8: np.uint8, I8: np.int8, I16: np.int16}
FLOAT_TOLERANCE = 1e-5


@dataclass
class Scheme:
    name: str
    activation: int
    weight: int
    bias: int
    per_channel: bool = False


SCHEMES = [
    Scheme("float32", F32, F32, F32), Scheme("hybrid", F32, I8, F32), Scheme("hybrid per channel", F32, I8, F32, True),
    Scheme("hybrid int4", F32, I4, F32, True), Scheme("int8", I8, I8, I32), Scheme("int8 per channel", I8, I8, I32, True),
    Scheme("int8 x int4", I8, I4, I32, True), Scheme("uint8", U8, U8, I32), Scheme("16x8", I16, I8, I64, True),
    Scheme("16x8 int32 bias", I16, I8, I32),
]
# What LiteRT's reference kernels cannot do.
MISSING = {
    "DEPTHWISE_CONV_2D": {"hybrid", "hybrid int4", "16x8 int32 bias"},
    "TRANSPOSE_CONV": {"hybrid", "hybrid int4", "int8 x int4"},
    "BATCH_MATMUL": {"hybrid int4", "int8 per channel", "int8 x int4", "uint8", "16x8", "16x8 int32 bias"},
    "L2_POOL_2D": {scheme.name for scheme in SCHEMES[1:]},
}


class Layer:
    """A model of one operator under construction."""

    def __init__(self, random, scheme):
        self.random, self.scheme = random, scheme
        self.graph, self.model, self.feeds = schema.SubGraphT(), schema.ModelT(), []
        self.graph.tensors, self.graph.inputs, self.model.version = [], [], 3
        self.model.buffers = [schema.BufferT()]

    def tensor(self, type_, shape, scales=None, zero=0, dimension=0, constant=None):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = f"t{len(self.graph.tensors)}", type_, list(shape), 0
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(scales)
            tensor.quantization.scale, tensor.quantization.zeroPoint = list(scales), [zero] * len(scales)
            tensor.quantization.quantizedDimension = dimension
        if constant is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(constant.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def scales(self, index):
        return np.float32(self.graph.tensors[index].quantization.scale)

    def numbers(self, type_, shape):
        if type_ == F32:
            return self.random.normal(self.random.uniform(-1, 1), self.random.uniform(0.1, 5), shape).astype(np.float32)
        limits = np.iinfo(DTYPE[type_])
        return self.random.integers(limits.min, limits.max, shape, DTYPE[type_], endpoint=True)

    def zero(self, type_):
        return 0 if type_ == I16 else int(self.numbers(type_, ()))

    def activation(self, shape):
        type_ = self.scheme.activation
        scale = None if type_ == F32 else self.random.uniform(0.005, 0.1) / (300 if type_ == I16 else 1)
        index = self.tensor(type_, shape, scale, 0 if type_ == F32 else self.zero(type_))
        self.graph.inputs.append(index)
        self.feeds.append(self.numbers(type_, shape))
        return index

    def weights(self, shape, dimension):
        type_, random = self.scheme.weight, self.random
        if type_ == F32:
            return self.tensor(F32, shape, constant=self.numbers(F32, shape))
        scales = random.uniform(0.002, 0.02, shape[dimension] if self.scheme.per_channel else 1)
        if type_ == U8:
            return self.tensor(U8, shape, scales, self.zero(U8), constant=self.numbers(U8, shape))
        if type_ == I8:
            return self.tensor(
                I8, shape, scales, 0, dimension if self.scheme.per_channel else 0,
                constant=random.integers(-127, 127, shape, np.int8, endpoint=True))
        nibbles = np.append(random.integers(0, 16, np.prod(shape), np.uint8), [0])
        pairs = nibbles[: len(nibbles) // 2 * 2].reshape(-1, 2)
        return self.tensor(I4, shape, scales, 0, dimension, constant=pairs[:, 0] | pairs[:, 1] << 4)

    def bias(self, count, x, weights, optional=True):
        """Index of the bias; -1 in one layer of six."""
        left_out = self.random.random() < 1 / 6
        if left_out and optional:
            return -1
        if self.scheme.bias == F32:
            return self.tensor(F32, [count], constant=self.numbers(F32, [count]) * (not left_out))
        values = self.random.integers(-3000, 3000, count).astype(DTYPE[self.scheme.bias]) * (not left_out)
        return self.tensor(self.scheme.bias, [count], self.scales(x)[0] * self.scales(weights), constant=values)

    def output(self, shape, products, same_as=None):
        type_ = self.scheme.activation
        if type_ == F32:
            return self.tensor(F32, shape)
        if same_as is not None:
            quantization = self.graph.tensors[same_as].quantization
            return self.tensor(type_, shape, quantization.scale[0], quantization.zeroPoint[0])
        # So wide that most sums of this many products fit.
        inputs, steps = (18000, 32767) if type_ == I16 else (73, 127)
        spread = 0.05 / (300 if type_ == I16 else 1) * inputs * 0.01 * 73 * max(1, products) ** 0.5
        return self.tensor(type_, shape, spread * self.random.uniform(0.3, 1.5) / steps, self.zero(type_))

    def content(self, name, version, options, fields, inputs, output):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(CODE, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        while inputs[-1] < 0:
            inputs.pop()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, [output]
        operator.builtinOptionsType = getattr(OPTIONS, options)
        operator.builtinOptions = getattr(schema, options + "T")()
        for field, value in fields.items():
            setattr(operator.builtinOptions, field, value)
        self.graph.operators, self.graph.outputs = [operator], [output]
        self.model.operatorCodes, self.model.subgraphs = [code], [self.graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def integers(random, *limits):
    return [int(random.integers(1, limit, endpoint=True)) for limit in limits]


def window(random, dilated=True):
    """Options of a sliding window, its size, and (rows, columns) of input and output."""
    padding = int(random.integers(0, 2))
    sizes, inputs, outputs, steps, gaps = [], [], [], [], []
    for _ in range(2):
        size, stride, dilation, image = integers(random, 3, 3, 2 if dilated else 1, 8)
        extent = (size - 1) * dilation + 1
        image = max(image, extent) if padding else image
        sizes.append(size), steps.append(stride), gaps.append(dilation), inputs.append(image)
        outputs.append((image - extent) // stride + 1 if padding else -(-image // stride))
    fields = {"padding": padding, "strideH": steps[0], "strideW": steps[1], "fusedActivationFunction": int(random.integers(0, 4))}
    if dilated:
        fields |= {"dilationHFactor": gaps[0], "dilationWFactor": gaps[1]}
    return fields, sizes, inputs, outputs


def conv_2d(layer):
    random, (batch, groups, channels, filters) = layer.random, integers(layer.random, 2, 3, 5, 6)
    fields, size, image, result = window(random)
    if layer.scheme.name == "hybrid":
        groups = 1
    x = layer.activation([batch, *image, channels * groups])
    weights = layer.weights([filters * groups, *size, channels], 0)
    bias = layer.bias(filters * groups, x, weights, optional=False)
    y = layer.output([batch, *result, filters * groups], channels * size[0] * size[1])
    if layer.scheme.name == "16x8 int32 bias":
        fields["quantizedBiasType"] = I32
    return layer.content("CONV_2D", 8, "Conv2DOptions", fields, [x, weights, bias], y)


def depthwise_conv_2d(layer):
    batch, channels, multiplier = integers(layer.random, 2, 6, 3)
    fields, size, image, result = window(layer.random)
    x = layer.activation([batch, *image, channels])
    weights = layer.weights([1, *size, channels * multiplier], 3)
    bias = layer.bias(channels * multiplier, x, weights)
    y = layer.output([batch, *result, channels * multiplier], size[0] * size[1])
    fields["depthMultiplier"] = multiplier
    return layer.content("DEPTHWISE_CONV_2D", 6, "DepthwiseConv2DOptions", fields, [x, weights, bias], y)


def transpose_conv(layer):
    batch, channels, filters = integers(layer.random, 2, 5, 5)
    fields, size, result, image = window(layer.random, dilated=False)
    shape = layer.tensor(I32, [4], constant=np.array([batch, *result, filters], np.int32))
    x = layer.activation([batch, *image, channels])
    weights = layer.weights([filters, *size, channels], 0)
    bias = layer.bias(filters, x, weights)
    y = layer.output([batch, *result, filters], channels * 2)
    if layer.scheme.name == "16x8 int32 bias":
        fields["quantizedBiasType"] = I32
    return layer.content("TRANSPOSE_CONV", 5, "TransposeConvOptions", fields, [shape, weights, x, bias], y)


def fully_connected(layer):
    rows, depth, units, keep, asymmetric = integers(layer.random, 5, 40, 9, 2, 2)
    x, weights = layer.activation([rows, 2, depth]), layer.weights([units, depth], 0)
    bias = layer.bias(units, x, weights)
    y = layer.output([rows, 2, units] if keep == 2 else [rows * 2, units], depth)
    fields = {"keepNumDims": keep == 2, "asymmetricQuantizeInputs": asymmetric == 2,
              "fusedActivationFunction": int(layer.random.integers(0, 4))}
    if layer.scheme.name == "16x8 int32 bias":
        fields["quantizedBiasType"] = I32
    return layer.content("FULLY_CONNECTED", 11, "FullyConnectedOptions", fields, [x, weights, bias], y)


def batch_matmul(layer):
    rows, depth, columns, adj_x, adj_y, asymmetric, batch = integers(layer.random, 6, 6, 6, 2, 2, 2, 5)
    # More than one leading dimension is left to float and int8: LiteRT's dynamic range kernel mixes its row sums up.
    hybrid = layer.scheme.activation != layer.scheme.weight
    a, b = [([], []), ([2], [2]), ([3], [1]), ([4], []), ([5], [5]) if hybrid else ([2, 3], [2, 3])][batch - 1]
    x = layer.activation(a + ([depth, rows] if adj_x == 2 else [rows, depth]))
    shape = b + ([columns, depth] if adj_y == 2 else [depth, columns])
    weights = layer.weights(shape, len(shape) - (2 if adj_y == 2 else 1))
    y = layer.output(list(np.broadcast_shapes(tuple(a), tuple(b))) + [rows, columns], depth)
    fields = {"adjX": adj_x == 2, "adjY": adj_y == 2, "asymmetricQuantizeInputs": asymmetric == 2}
    return layer.content("BATCH_MATMUL", 4, "BatchMatMulOptions", fields, [x, weights], y)


def pool(name, version):
    def make(layer):
        batch, channels = integers(layer.random, 3, 9)
        fields, size, image, result = window(layer.random, dilated=False)
        x = layer.activation([batch, *image, channels])
        y = layer.output([batch, *result, channels], 1, same_as=x)
        fields |= {"filterHeight": size[0], "filterWidth": size[1]}
        return layer.content(name, version, "Pool2DOptions", fields, [x], y)
    return make


LAYERS = {
    "CONV_2D": conv_2d, "DEPTHWISE_CONV_2D": depthwise_conv_2d, "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected, "BATCH_MATMUL": batch_matmul, "AVERAGE_POOL_2D": pool("AVERAGE_POOL_2D", 2),
    "MAX_POOL_2D": pool("MAX_POOL_2D", 2), "L2_POOL_2D": pool("L2_POOL_2D", 1),
}


def litert(content, feeds):
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1)
    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), feeds):
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def ours(path, feeds, arithmetic):
    interpreter = capi.Interpreter(path, arithmetic)
    for index, values in enumerate(feeds):
        interpreter.view("input", index)[...] = values
    interpreter.invoke()
    return interpreter.view("output", 0).copy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(LAYERS))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failures = 0
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        for name in arguments.names or LAYERS:
            schemes = [scheme for scheme in SCHEMES if scheme.name not in MISSING.get(name, ())]
            agree = 0
            for number in range(arguments.count):
                layer = Layer(np.random.default_rng([arguments.seed, number]), schemes[number % len(schemes)])
                content = LAYERS[name](layer)
                theirs = litert(content, layer.feeds)
                file.seek(0), file.truncate(), file.write(content), file.flush()
                floats, hybrid = theirs.dtype.kind == "f", layer.scheme.activation != layer.scheme.weight
                limits = {
                    capi.REFERENCE: FLOAT_TOLERANCE if floats else 0,
                    capi.FAST: (0.02 if hybrid else FLOAT_TOLERANCE) if floats else 1,
                }
                worst = {mode: distance(ours(file.name, layer.feeds, mode), theirs) for mode in limits}
                if all(worst[mode] <= limits[mode] for mode in limits):
                    agree += 1
                else:
                    print(f"{name} {layer.scheme.name} number {number}: differs by {worst} (reference 1, fast 0)")
            print(f"{name}: {agree} of {arguments.count} agree")
            failures += arguments.count - agree
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
