import Model

/// A tensor of a graph under construction. Arithmetic on values emits operators (NumPy broadcasting).
package struct Value {
    package let graph: GraphEmitter
    /// Index in the subgraph.
    package let tensor: Int
    package let type: TensorType
    package let shape: [Int]

    package var rank: Int { shape.count }
    package var count: Int { shape.reduce(1, &*) }

    /// This value and further inputs through one operator with one result.
    package func apply(
        _ code: BuiltinOperator, _ others: Value?..., options: Options = .none, type: TensorType? = nil
    ) throws(Failure) -> Value {
        try graph.emit(OperatorCode(code), [self] + others, options, types: [type ?? self.type])[0]
    }

    /// The same for an operator of our own, whose result has the shape given.
    package func custom(
        _ name: String, _ others: Value?..., shape: [Int], options: Options = .none
    ) throws(Failure) -> Value {
        try graph.emit(
            OperatorCode(.custom, custom: name), ([self] + others).map { $0 }, options, types: [type], shapes: [shape])[
                0]
    }

    /// The number as a scalar constant of this graph.
    package func scalar(_ number: Float) throws(Failure) -> Value { try graph.constant([number], []) }

    package static func + (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.add, b) }
    package static func - (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.sub, b) }
    package static func * (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.mul, b) }
    package static func / (a: Value, b: Value) throws(Failure) -> Value { try a.apply(.div, b) }
    package static func + (a: Value, b: Float) throws(Failure) -> Value { try a + a.scalar(b) }
    package static func - (a: Float, b: Value) throws(Failure) -> Value { try b.scalar(a) - b }
    package static func * (a: Float, b: Value) throws(Failure) -> Value { try b * b.scalar(a) }
    package prefix static func - (a: Value) throws(Failure) -> Value { try a.apply(.neg) }

    package func compare(_ code: BuiltinOperator, _ other: Value) throws(Failure) -> Value {
        try apply(code, other, type: .bool)
    }

    /// Where this (a condition) holds, `a`, elsewhere `b`.
    package func select(_ a: Value, _ b: Value) throws(Failure) -> Value {
        try apply(.selectV2, a, b, type: a.type)
    }

    package func reshape(_ shape: [Int]) throws(Failure) -> Value {
        if shape == self.shape { return self }
        return try apply(.reshape, graph.indices(shape))
    }

    package func transpose(_ order: [Int]) throws(Failure) -> Value { try apply(.transpose, graph.indices(order)) }

    package func sum(_ axes: [Int], keep: Bool) throws(Failure) -> Value {
        if axes.isEmpty { return self }
        return try apply(.sum, graph.indices(axes), options: Options(.reducer, [.int(keep ? 1 : 0)]))
    }

    package func slice(_ begin: [Int], _ size: [Int]) throws(Failure) -> Value {
        if size == shape { return self }
        return try apply(.slice, graph.indices(begin), graph.indices(size))
    }

    /// Zeros before and after, in each dimension.
    package func pad(_ before: [Int], _ after: [Int]) throws(Failure) -> Value {
        if before.allSatisfy({ $0 == 0 }), after.allSatisfy({ $0 == 0 }) { return self }
        let numbers = zip(before, after).flatMap { [Int32(truncatingIfNeeded: $0.0), Int32(truncatingIfNeeded: $0.1)] }
        return try apply(.pad, graph.constant(.int32, [rank, 2], Bytes(copying: numbers)))
    }

    package func matmul(_ other: Value, _ transposeA: Bool, _ transposeB: Bool) throws(Failure) -> Value {
        try apply(
            .batchMatmul, other,
            options: Options(.batchMatMul, [.int(transposeA ? 1 : 0), .int(transposeB ? 1 : 0)]))
    }

    /// Repeats dimensions of one element.
    package func broadcast(to shape: [Int]) throws(Failure) -> Value {
        if shape == self.shape { return self }
        return try apply(.broadcastTo, graph.indices(shape))
    }

    /// The sum over what broadcasting to this shape repeats: its gradient.
    package func sum(to target: [Int]) throws(Failure) -> Value {
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
