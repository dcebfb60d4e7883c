"""Small float networks written as .tflite graphs, without another framework, for a `Trainer` to begin with.

    graph = edgeopt.Graph(seed=1)
    x = graph.input(28, 28, 1)
    x = graph.conv(x, 16, 3, stride=2, activation="relu")
    x = graph.mean(x, (1, 2))
    graph.softmax(graph.dense(x, 10))
    trainer = edgeopt.Trainer(graph.model(), batch_normalization=True)

Weights are random and follow from the seed, biases are 0. The first dimension of every tensor is the batch, here 1;
`input` and `reshape` are told without it. The last tensor made is the output unless `model` is
told others. What has no method of its own is an `operator`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from ._errors import ArgumentError, Status
from ._model import Model

# Numbers of the .tflite schema: builtin operators; the tables of their options.
_OPERATORS = {
    "ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 9,
    "LOGISTIC": 14, "MAX_POOL_2D": 17, "MUL": 18, "RELU": 19, "RELU6": 21, "RESHAPE": 22, "SOFTMAX": 25, "TANH": 28,
    "TRANSPOSE": 39, "MEAN": 40, "SUB": 41, "UNIDIRECTIONAL_SEQUENCE_LSTM": 44, "SLICE": 65, "RSQRT": 76,
    "SQUARED_DIFFERENCE": 99, "BATCH_MATMUL": 126, "GELU": 150,
}  # fmt: skip
_OPTIONS = {
    "CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "AVERAGE_POOL_2D": 5, "MAX_POOL_2D": 5, "FULLY_CONNECTED": 8, "SOFTMAX": 9,
    "CONCATENATION": 10, "ADD": 11, "RESHAPE": 17, "MUL": 21, "TRANSPOSE": 26, "MEAN": 27, "SUB": 28, "SLICE": 48,
    "SQUARED_DIFFERENCE": 76, "UNIDIRECTIONAL_SEQUENCE_LSTM": 71, "BATCH_MATMUL": 101, "GELU": 116,
}  # fmt: skip
_ACTIVATIONS = {None: 0, "relu": 1, "relu6": 3, "tanh": 4}
_PADDINGS = {"same": 0, "valid": 1}
_TYPES = {np.dtype(np.float32): 0, np.dtype(np.int32): 2}


@dataclasses.dataclass(frozen=True)
class Node:
    """A tensor of a graph."""

    index: int
    shape: tuple[int, ...]


class Graph:
    """A network in the making."""

    def __init__(self, seed: int = 0):
        self._random = np.random.default_rng(seed)
        self._tensors: list[dict[int, Any]] = []
        self._buffers: list[dict[int, Any]] = [{}]
        self._operators: list[dict[int, Any]] = []
        self._codes: list[str] = []
        self._inputs: list[Node] = []
        self._last: Optional[Node] = None

    # Tensors

    def input(self, *shape: int, name: str = "") -> Node:
        """An input of one sample of this shape."""
        node = self._tensor((1, *shape), name or f"input{len(self._inputs) or ''}")
        self._inputs.append(node)
        return node

    def constant(self, values: Any, name: str) -> Node:
        """A tensor of float32 or int32 values. The trainer decides which of them are parameters."""
        array = np.asarray(values)
        array = np.ascontiguousarray(array, np.int32 if np.issubdtype(array.dtype, np.integer) else np.float32)
        self._buffers.append({0: array.tobytes()})
        return self._tensor(array.shape, name, array.dtype, len(self._buffers) - 1)

    def weights(self, *shape: int, fan_in: int, gain: float = 1.0, name: str) -> Node:
        """Normally distributed random weights of variance `gain` / `fan_in` (He et al., 2015: gain 2 before RELU)."""
        return self.constant(self._random.normal(0, math.sqrt(gain / fan_in), shape), name)

    def _tensor(
        self, shape: Sequence[int], name: str, dtype: np.dtype = np.dtype(np.float32), buffer: int = 0
    ) -> Node:
        table = {0: np.array(shape, np.int32), 1: np.int8(_TYPES[dtype]), 2: np.uint32(buffer), 3: name}
        if not buffer:  # whoever runs the model may choose the batch
            table[7] = np.array([-1, *shape[1:]], np.int32)
        self._tensors.append(table)
        return Node(len(self._tensors) - 1, tuple(int(size) for size in shape))

    # Operators

    def operator(
        self,
        kind: str,
        inputs: Sequence[Optional[Node]],
        shape: Sequence[int],
        options: Optional[Mapping[int, Any]] = None,
        name: str = "",
    ) -> Node:
        """Any operator with one output of this shape. `options`: NumPy scalars by the numbers of the fields in the
        operator's table of options."""
        if kind not in _OPERATORS:
            raise ArgumentError(f"operator {kind!r} is not one of {list(_OPERATORS)}", Status.INVALID_ARGUMENT)
        if kind not in self._codes:
            self._codes.append(kind)
        output = self._tensor(shape, name or f"{kind.lower()}{len(self._operators)}")
        table: dict[int, Any] = {
            0: np.uint32(self._codes.index(kind)),
            1: np.array([-1 if node is None else node.index for node in inputs], np.int32),
            2: np.array([output.index], np.int32),
        }
        if kind in _OPTIONS:
            table[3], table[4] = np.uint8(_OPTIONS[kind]), dict(options or {})
        self._operators.append(table)
        self._last = output
        return output

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self._operators)}"

    def conv(
        self,
        x: Node,
        filters: int,
        size: Union[int, tuple[int, int]],
        stride: Union[int, tuple[int, int]] = 1,
        padding: str = "same",
        activation: Optional[str] = None,
    ) -> Node:
        """CONV_2D with weights and biases of its own."""
        (height, width), strides, name = _pair(size), _pair(stride), self._name("conv")
        fan_in = height * width * x.shape[3]
        weights = self.weights(
            filters, height, width, x.shape[3], fan_in=fan_in, gain=_gain(activation), name=f"{name}/weights"
        )
        bias = self.constant(np.zeros(filters, np.float32), f"{name}/bias")
        shape = (*_windows(x, (height, width), strides, padding), filters)
        return self.operator("CONV_2D", [x, weights, bias], shape, _window(strides, padding, {3: activation}), name)

    def depthwise_conv(
        self,
        x: Node,
        size: Union[int, tuple[int, int]],
        stride: Union[int, tuple[int, int]] = 1,
        padding: str = "same",
        activation: Optional[str] = None,
    ) -> Node:
        """DEPTHWISE_CONV_2D, a filter for each channel."""
        (height, width), strides, channels = _pair(size), _pair(stride), x.shape[3]
        name = self._name("depthwise")
        weights = self.weights(
            1, height, width, channels, fan_in=height * width, gain=_gain(activation), name=f"{name}/weights"
        )
        bias = self.constant(np.zeros(channels, np.float32), f"{name}/bias")
        options = {**_window(strides, padding, {4: activation}), 3: np.int32(1)}
        shape = (*_windows(x, (height, width), strides, padding), channels)
        return self.operator("DEPTHWISE_CONV_2D", [x, weights, bias], shape, options, name)

    def dense(self, x: Node, units: int, activation: Optional[str] = None) -> Node:
        """FULLY_CONNECTED along the last dimension; the others stay."""
        name, width = self._name("dense"), x.shape[-1]
        weights = self.weights(units, width, fan_in=width, gain=_gain(activation), name=f"{name}/weights")
        bias = self.constant(np.zeros(units, np.float32), f"{name}/bias")
        return self.full(x, weights, bias, activation)

    def full(self, x: Node, weights: Node, bias: Optional[Node] = None, activation: Optional[str] = None) -> Node:
        """FULLY_CONNECTED with these weights, [units, width of x], which several operators may share."""
        options = {0: np.int8(_activation(activation)), 2: np.bool_(len(x.shape) > 2)}
        return self.operator("FULLY_CONNECTED", [x, weights, bias], (*x.shape[:-1], weights.shape[0]), options)

    def max_pool(self, x: Node, size: int, stride: Optional[int] = None, padding: str = "valid") -> Node:
        return self._pool("MAX_POOL_2D", x, size, stride, padding)

    def average_pool(self, x: Node, size: int, stride: Optional[int] = None, padding: str = "valid") -> Node:
        return self._pool("AVERAGE_POOL_2D", x, size, stride, padding)

    def _pool(self, kind: str, x: Node, size: int, stride: Optional[int], padding: str) -> Node:
        sizes, strides = _pair(size), _pair(stride or size)
        options = {**_window(strides, padding, {}), 3: np.int32(sizes[1]), 4: np.int32(sizes[0])}
        return self.operator(kind, [x], (*_windows(x, sizes, strides, padding), x.shape[3]), options)

    def mean(self, x: Node, axes: Sequence[int], keep: bool = False) -> Node:
        """MEAN over these dimensions, which go unless they are to be kept as 1."""
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes]
        return self.operator("MEAN", [x, self._integers(axes, "axes")], shape, {0: np.bool_(keep)})

    def reshape(self, x: Node, *shape: int) -> Node:
        """The same numbers of each sample in another shape."""
        return self.operator("RESHAPE", [x, self._integers((-1, *shape), "shape")], (1, *shape))

    def transpose(self, x: Node, *order: int) -> Node:
        shape = [x.shape[axis] for axis in order]
        return self.operator("TRANSPOSE", [x, self._integers(order, "order")], shape)

    def add(self, a: Node, b: Node, activation: Optional[str] = None) -> Node:
        return self._arithmetic("ADD", a, b, activation)

    def subtract(self, a: Node, b: Node) -> Node:
        return self._arithmetic("SUB", a, b)

    def multiply(self, a: Node, b: Node) -> Node:
        return self._arithmetic("MUL", a, b)

    def _arithmetic(self, kind: str, a: Node, b: Node, activation: Optional[str] = None) -> Node:
        options = {0: np.int8(_activation(activation))}
        return self.operator(kind, [a, b], np.broadcast_shapes(a.shape, b.shape), options)

    def softmax(self, x: Node) -> Node:
        return self.operator("SOFTMAX", [x], x.shape, {0: np.float32(1)})

    def unary(self, kind: str, x: Node) -> Node:
        """An operator of each number alone: LOGISTIC, TANH, RELU, RELU6, GELU, RSQRT."""
        return self.operator(kind, [x], x.shape)

    def slice(self, x: Node, begin: Sequence[int], size: Sequence[int]) -> Node:
        """A part of each dimension, -1 for all that is left; of the batch all."""
        shape = [extent - first if count < 0 else count for extent, first, count in zip(x.shape, begin, size)]
        inputs = [x, self._integers(begin, "begin"), self._integers(size, "size")]
        return self.operator("SLICE", inputs, shape)

    def matmul(self, a: Node, b: Node, transpose_b: bool = False) -> Node:
        """BATCH_MATMUL over the last two dimensions."""
        columns = b.shape[-2] if transpose_b else b.shape[-1]
        options = {0: np.bool_(False), 1: np.bool_(transpose_b)}
        return self.operator("BATCH_MATMUL", [a, b], (*a.shape[:-1], columns), options)

    def layer_normalization(self, x: Node, epsilon: float = 1e-5) -> Node:
        """Along the last dimension (Ba et al., 2016), with scale 1 and shift 0 to be trained."""
        last, name = (len(x.shape) - 1,), self._name("normalization")
        center = self.mean(x, last, keep=True)
        squares = self.operator("SQUARED_DIFFERENCE", [x, center], x.shape)
        variance = self.add(self.mean(squares, last, keep=True), self.constant(np.float32(epsilon), f"{name}/epsilon"))
        scale = self.constant(np.ones(x.shape[-1], np.float32), f"{name}/scale")
        shift = self.constant(np.zeros(x.shape[-1], np.float32), f"{name}/shift")
        normal = self.multiply(self.subtract(x, center), self.unary("RSQRT", variance))
        return self.add(self.multiply(normal, scale), shift)

    def attention(self, x: Node, heads: int) -> Node:
        """Self-attention of [1, time, features] with so many heads (Vaswani et al., 2017)."""
        _, time, width = x.shape
        size = width // heads

        def split(node: Node) -> Node:
            return self.transpose(self.reshape(node, time, heads, size), 0, 2, 1, 3)

        query, key, value = (split(self.dense(x, width)) for _ in range(3))
        scale = self.constant(np.float32(1 / math.sqrt(size)), f"{self._name('attention')}/scale")
        shares = self.softmax(self.multiply(self.matmul(query, key, transpose_b=True), scale))
        mixed = self.transpose(self.matmul(shares, value), 0, 2, 1, 3)
        return self.dense(self.reshape(mixed, time, width), width)

    def lstm(self, x: Node, units: int) -> Node:
        """UNIDIRECTIONAL_SEQUENCE_LSTM over [1, time, features]: all outputs, [1, time, units]. The forget gate's bias
        is 1."""
        name, (_, time, width) = self._name("lstm"), x.shape
        gates = ("input", "forget", "cell", "output")
        kernels: list[Optional[Node]] = [
            self.weights(units, width, fan_in=width, name=f"{name}/{gate}/weights") for gate in gates
        ]
        recurrent: list[Optional[Node]] = []
        for gate in gates:
            square, _ = np.linalg.qr(self._random.normal(size=(units, units)))
            recurrent.append(self.constant(square.astype(np.float32), f"{name}/{gate}/recurrent"))
        biases: list[Optional[Node]] = [
            self.constant(np.full(units, gate == "forget", np.float32), f"{name}/{gate}/bias") for gate in gates
        ]
        states: list[Optional[Node]] = [self._tensor((1, units), f"{name}/{state}") for state in ("output", "cell")]
        for state in self._tensors[-2:]:
            state[5] = np.bool_(True)
            del state[7]
        nothing: list[Optional[Node]] = [None] * 4
        inputs = [x, *kernels, *recurrent, *nothing[:3], *biases, *nothing[:2], *states, *nothing]
        options = {0: np.int8(_ACTIVATIONS["tanh"])}
        return self.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, (1, time, units), options, name)

    def last(self, x: Node) -> Node:
        """The last time step of [1, time, features]: [1, features]."""
        _, time, width = x.shape
        return self.reshape(self.slice(x, (0, time - 1, 0), (-1, 1, width)), width)

    def _integers(self, values: Sequence[int], what: str) -> Node:
        return self.constant(np.array(values, np.int32), f"{self._name(what)}/{what}")

    # The file

    def to_bytes(self, *outputs: Node) -> bytes:
        """The .tflite file."""
        ends = list(outputs) or ([] if self._last is None else [self._last])
        if not self._inputs or not ends:
            raise ArgumentError("a graph needs an input and an operator", Status.INVALID_ARGUMENT)
        codes = []
        for kind in self._codes:
            number = _OPERATORS[kind]
            codes.append({0: np.int8(min(number, 127)), 2: np.int32(1), 3: np.int32(number)})
        subgraph = {
            0: self._tensors,
            1: np.array([node.index for node in self._inputs], np.int32),
            2: np.array([end.index for end in ends], np.int32),
            3: self._operators,
            4: "main",
        }
        signature = {0: self._named("input", self._inputs), 1: self._named("output", ends), 2: "serving_default"}
        model = {0: np.uint32(3), 1: codes, 2: [subgraph], 3: "made by edgeopt.Graph", 4: self._buffers, 7: [signature]}
        return bytes(_Writer(model).bytes)

    def _named(self, word: str, nodes: Sequence[Node]) -> list[dict[int, Any]]:
        names = [word] if len(nodes) == 1 else [f"{word}_{index}" for index in range(len(nodes))]
        return [{0: name, 1: np.uint32(node.index)} for name, node in zip(names, nodes)]

    def model(self, *outputs: Node) -> Model:
        """The network as a model."""
        return Model(self.to_bytes(*outputs))


def _pair(value: Union[int, tuple[int, int]]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _gain(activation: Optional[str]) -> float:
    return 2.0 if activation in ("relu", "relu6") else 1.0


def _activation(name: Optional[str]) -> int:
    if name not in _ACTIVATIONS:
        raise ArgumentError(f"activation {name!r} is not one of {list(_ACTIVATIONS)}", Status.INVALID_ARGUMENT)
    return _ACTIVATIONS[name]


def _windows(x: Node, size: tuple[int, int], stride: tuple[int, int], padding: str) -> tuple[int, int, int]:
    if padding not in _PADDINGS:
        raise ArgumentError(f"padding {padding!r} is not one of {list(_PADDINGS)}", Status.INVALID_ARGUMENT)
    rows, columns = (
        -(-extent // step) if padding == "same" else (extent - window) // step + 1
        for extent, window, step in zip(x.shape[1:3], size, stride)
    )
    return x.shape[0], rows, columns


def _window(stride: tuple[int, int], padding: str, activations: Mapping[int, Optional[str]]) -> dict[int, Any]:
    """The options that convolutions and pooling begin with, and an activation at its own place."""
    options: dict[int, Any] = {0: np.int8(_PADDINGS[padding]), 1: np.int32(stride[1]), 2: np.int32(stride[0])}
    return {**options, **{field: np.int8(_activation(name)) for field, name in activations.items()}}


class _Writer:
    """FlatBuffers, written from front to back: offsets point forward only, so what a table refers to follows it. Tables
    are dictionaries by field number, scalars NumPy's, `bytes` are aligned to 16."""

    def __init__(self, root: Mapping[int, Any]):
        self.bytes = bytearray(4) + b"TFL3"
        self._refer(0, root)

    def _refer(self, place: int, value: Any) -> None:
        """Writes a value behind everything else, and its distance from `place` there."""
        target = self._write(value)
        self.bytes[place : place + 4] = np.uint32(target - place).tobytes()

    def _align(self, size: int, ahead: int = 0) -> int:
        """Pads until a place `ahead` of the end is a multiple of `size`; gives the end."""
        self.bytes += bytes(-(len(self.bytes) + ahead) % size)
        return len(self.bytes)

    def _write(self, value: Any) -> int:
        if isinstance(value, Mapping):
            return self._table(value)
        if isinstance(value, str):
            content = value.encode()
            start = self._align(4)
            self.bytes += np.uint32(len(content)).tobytes() + content + b"\0"
            return start
        if isinstance(value, list):
            start = self._align(4)
            self.bytes += np.uint32(len(value)).tobytes() + bytes(4 * len(value))
            for index, element in enumerate(value):
                self._refer(start + 4 + 4 * index, element)
            return start
        start = self._align(16 if isinstance(value, bytes) else 4, ahead=4)
        content = value if isinstance(value, bytes) else value.tobytes()
        self.bytes += np.uint32(len(value)).tobytes() + content
        return start

    def _table(self, fields: Mapping[int, Any]) -> int:
        sizes = {number: value.nbytes if isinstance(value, np.generic) else 4 for number, value in fields.items()}
        places, end = {}, 4
        for number in sorted(fields, key=lambda number: -sizes[number]):
            places[number], end = end, end + sizes[number]
        entries = [places.get(number, 0) for number in range(max(fields, default=-1) + 1)]
        table = np.array([4 + 2 * len(entries), end, *entries], np.uint16).tobytes()
        start = self._align(4, ahead=len(table)) + len(table)
        self.bytes += table + np.int32(len(table)).tobytes() + bytes(end - 4)
        for number, value in fields.items():
            place = start + places[number]
            if isinstance(value, np.generic):
                self.bytes[place : place + sizes[number]] = value.tobytes()
            else:
                self._refer(place, value)
        return start
