import Kernels
import Model

/// ARG_MAX and ARG_MIN: the place of the greatest or least element along a dimension; of several, the first.
enum ArgMax {
    static var definition: OperatorDefinition { definition(.argMax, maximum: true) }
    static var least: OperatorDefinition { definition(.argMin, maximum: false) }

    private static func definition(_ code: BuiltinOperator, maximum: Bool) -> OperatorDefinition {
        OperatorDefinition(
            code, maxVersion: 3, quantization: QuantizationRule(activations: [0], output: .unquantized).int8Only
        ) { op throws(Failure) in
            guard let axis = try axis(op) else { return nil }
            var shape = try op.input(0).shape
            shape.remove(at: axis)
            return [shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let axis = try op.known(axis(op.inference))
            var shape = input.shape
            shape.remove(at: axis)
            let output = try op.output()
            guard output.shape == shape else { throw op.invalid("\(output.described) must have shape \(text(shape))") }
            let search = Search(
                outer: input.shape[..<axis].reduce(1, &*), count: input.shape[axis],
                inner: input.shape[(axis + 1)...].reduce(1, &*), maximum: maximum)
            switch output.type {
            case .int32: return try kernel(op, search, Int32.self)
            case .int64: return try kernel(op, search, Int64.self)
            default: throw op.unsupportedTypes()
            }
        }
    }

    private static func axis(_ op: ShapeInference) throws(Failure) -> Int? {
        let input = try op.input(0)
        guard let axis = try op.number(1, "the axis") else { return nil }
        let dimension = try op.axis(axis, rank: input.rank)
        guard input.shape[dimension] > 0 else {
            throw op.invalid("dimension \(dimension) of \(input.described) is empty")
        }
        return dimension
    }

    private static func kernel<I: FixedWidthInteger & BitwiseCopyable>(
        _ op: Preparation, _ search: Search, _: I.Type
    ) throws(Failure) -> Kernel {
        switch try op.input(0).type {
        case .float32: return search.kernel(Float.self, I.self)
        case .float64: return search.kernel(Double.self, I.self)
        case .int8: return search.kernel(Int8.self, I.self)
        case .uint8, .bool: return search.kernel(UInt8.self, I.self)
        case .int16: return search.kernel(Int16.self, I.self)
        case .int32: return search.kernel(Int32.self, I.self)
        case .int64: return search.kernel(Int64.self, I.self)
        default: throw op.unsupportedTypes()
        }
    }

    /// The input as [outer][count][inner].
    private struct Search: Sendable {
        let outer: Int
        let count: Int
        let inner: Int
        let maximum: Bool

        func kernel<T: Comparable & BitwiseCopyable, I: FixedWidthInteger & BitwiseCopyable>(
            _: T.Type, _: I.Type
        ) -> Kernel {
            return { io in
                let x = io.input(0, as: T.self)
                var y = io.output(as: I.self)
                for o in 0..<outer {
                    for i in 0..<inner {
                        let start = o &* count &* inner &+ i
                        var best = x[start]
                        var index = 0
                        for k in 1..<max(1, count) {
                            let value = x[start &+ k &* inner]
                            // A NaN never wins, and loses to any number.
                            let isBetter = maximum ? value > best : value < best
                            if isBetter || (best != best && value == value) {
                                best = value
                                index = k
                            }
                        }
                        y[o &* inner &+ i] = I(truncatingIfNeeded: index)
                    }
                }
            }
        }
    }
}
