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
            guard output.type == .int32 || output.type == .int64 else { throw op.unsupportedTypes() }
            let (count, inner) = (input.shape[axis], input.shape[(axis + 1)...].reduce(1, &*))
            let search = GreatestPlace(
                try element(op, input.type), least: !maximum, rows: input.shape[..<axis].reduce(1, &*), count: count,
                inner: inner, stride: count &* inner, wide: output.type == .int64)
            return { io in
                var places = io.output(as: UInt8.self)
                search.run(io.input(0), to: &places, pool: io.pool)
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

    private static func element(_ op: Preparation, _ type: TensorType) throws(Failure) -> GreatestPlace.Element {
        switch type {
        case .float32: return .float32
        case .float64: return .float64
        case .int8: return .int8
        case .uint8, .bool: return .uint8
        case .int16: return .int16
        case .int32: return .int32
        case .int64: return .int64
        default: throw op.unsupportedTypes()
        }
    }
}
