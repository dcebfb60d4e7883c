import Model

/// A tensor of a graph under construction. Arithmetic on values emits operators (NumPy broadcasting). A class, and its
/// functions are no closures' part: gradients are many calls of these, which copies would make large.
package final class Value {
    package let graph: GraphEmitter
    /// Index in the subgraph.
    package let tensor: Int
    package let type: TensorType
    package let shape: [Int]

    init(graph: GraphEmitter, tensor: Int, type: TensorType, shape: [Int]) {
        self.graph = graph
        self.tensor = tensor
        self.type = type
        self.shape = shape
    }

    package var rank: Int { shape.count }
    package var count: Int { shape.reduce(1, &*) }

    /// This value and further inputs through one operator with one result.
    @inline(never) package func apply(
        _ code: BuiltinOperator, options: Options = .none, type: TensorType? = nil
    ) throws(Failure) -> Value {
        try result(OperatorCode(code), [self], options, type)
    }

    @inline(never) package func apply(
        _ code: BuiltinOperator, _ second: Value?, options: Options = .none, type: TensorType? = nil
    ) throws(Failure) -> Value {
        try result(OperatorCode(code), [self, second], options, type)
    }

    @inline(never) package func apply(
        _ code: BuiltinOperator, _ second: Value?, _ third: Value?, options: Options = .none, type: TensorType? = nil
    ) throws(Failure) -> Value {
        try result(OperatorCode(code), [self, second, third], options, type)
    }

    /// The same for an operator of our own, whose result has the shape given.
    @inline(never) package func custom(
        _ name: String, _ second: Value? = nil, _ third: Value? = nil, shape: [Int], options: Options = .none
    ) throws(Failure) -> Value {
        var inputs: [Value?] = [self]
        if let second { inputs.append(second) }
        if let third { inputs.append(third) }
        return try result(OperatorCode(.custom, custom: name), inputs, options, nil, shape)
    }

    @inline(never) private func result(
        _ code: OperatorCode, _ inputs: [Value?], _ options: Options, _ type: TensorType?, _ shape: [Int]? = nil
    ) throws(Failure) -> Value {
        try graph.emit(code, inputs, options, types: [type ?? self.type], shapes: shape.map { [$0] })[0]
    }

    /// The number as a scalar constant of this graph.
    @inline(never) package func scalar(_ number: Float) throws(Failure) -> Value { try graph.constant([number], []) }

    @inline(never) package static func + (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.add, b) }
    @inline(never) package static func - (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.sub, b) }
    @inline(never) package static func * (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.mul, b) }
    @inline(never) package static func / (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.div, b) }
    @inline(never) package static func + (a: Value, b: Float) throws(Failure) -> Value { try a + a.scalar(b) }
    @inline(never) package static func - (a: Float, b: Value) throws(Failure) -> Value { try b.scalar(a) - b }
    @inline(never) package static func * (a: Float, b: Value) throws(Failure) -> Value { try b * b.scalar(a) }
    @inline(never) package prefix static func - (a: Value) throws(Failure) -> Value { try a.apply(.neg) }

    @inline(never) package func compare(_ code: BuiltinOperator, _ other: Value) throws(Failure) -> Value {
        try apply(code, other, type: .bool)
    }

    /// Where this (a condition) holds, `a`, elsewhere `b`.
    @inline(never) package func select(_ a: Value, _ b: Value) throws(Failure) -> Value {
        try apply(.selectV2, a, b, type: a.type)
    }

    @inline(never) package func reshape(_ shape: [Int]) throws(Failure) -> Value {
        if shape == self.shape { return self }
        return try apply(.reshape, graph.indices(shape))
    }

    @inline(never) package func transpose(_ order: [Int]) throws(Failure) -> Value {
        try apply(.transpose, graph.indices(order))
    }

    @inline(never) package func sum(_ axes: [Int], keep: Bool) throws(Failure) -> Value {
        if axes.isEmpty { return self }
        return try apply(.sum, graph.indices(axes), options: Options(.reducer, [.int(keep ? 1 : 0)]))
    }

    @inline(never) package func slice(_ begin: [Int], _ size: [Int]) throws(Failure) -> Value {
        if size == shape { return self }
        return try apply(.slice, graph.indices(begin), graph.indices(size))
    }

    /// Zeros before and after, in each dimension.
    @inline(never) package func pad(_ before: [Int], _ after: [Int]) throws(Failure) -> Value {
        if before.allSatisfy({ $0 == 0 }), after.allSatisfy({ $0 == 0 }) { return self }
        let numbers = zip(before, after).flatMap { [Int32(truncatingIfNeeded: $0.0), Int32(truncatingIfNeeded: $0.1)] }
        return try apply(.pad, graph.constant(.int32, [rank, 2], Bytes(copying: numbers)))
    }

    @inline(never) package func matmul(_ other: Value, _ transposeA: Bool, _ transposeB: Bool) throws(Failure) -> Value
    {
        try apply(
            .batchMatmul, other,
            options: Options(.batchMatMul, [.int(transposeA ? 1 : 0), .int(transposeB ? 1 : 0)]))
    }

    /// Repeats dimensions of one element.
    @inline(never) package func broadcast(to shape: [Int]) throws(Failure) -> Value {
        if shape == self.shape { return self }
        return try apply(.broadcastTo, graph.indices(shape))
    }

    /// The sum over what broadcasting to this shape repeats: its gradient.
    @inline(never) package func sum(to target: [Int]) throws(Failure) -> Value {
        if target == shape { return self }
        let added = rank - target.count
        guard added >= 0, Operators.broadcast(target, shape) == shape else {
            throw .invalidModel(
                "a gradient of shape \(shape.listed) does not belong to a value of shape \(target.listed)")
        }
        let axes = shape.indices.filter { $0 < added || target[$0 - added] != shape[$0] }
        return try (axes.isEmpty ? self : sum(axes, keep: false)).reshape(target)
    }
}
