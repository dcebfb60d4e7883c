import Kernels
import Model

/// EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL: booleans, one byte each. Quantized numbers are compared
/// on a common scale in fixed point, in both arithmetics.
enum Comparison: Sendable {
    case equal, notEqual, less, lessEqual, greater, greaterEqual

    var definition: OperatorDefinition {
        let (code, maxVersion): (BuiltinOperator, Int) =
            switch self {
            case .equal: (.equal, 5)
            case .notEqual: (.notEqual, 4)
            case .less: (.less, 3)
            case .lessEqual: (.lessEqual, 2)
            case .greater: (.greater, 2)
            case .greaterEqual: (.greaterEqual, 3)
            }
        let rule = QuantizationRule(activations: [0, 1], output: .unquantized, int16x8: false)
        return .binary(
            code, maxVersion: maxVersion, quantization: rule, inPlace: false, result: .bool
        ) { binary throws(Failure) in try kernel(binary) }
    }

    private var function: Combination.Function {
        switch self {
        case .equal: .equal
        case .notEqual: .notEqual
        case .less: .less
        case .lessEqual: .lessEqual
        case .greater: .greater
        case .greaterEqual: .greaterEqual
        }
    }

    private func kernel(_ binary: Binary) throws(Failure) -> Kernel {
        let isOrder = self != .equal && self != .notEqual
        switch binary.a.type {
        case .float32, .int32, .int64: return binary.combine(function)
        case .bool where !isOrder: return binary.combine(function)
        case .int16 where binary.a.quantization == nil: return binary.combine(function)
        // The reference kernels order stored int16 values, whatever their scales.
        case .int16 where binary.op.arithmetic == .reference && isOrder: return binary.combine(function)
        case .int8, .uint8, .int16: return try quantized(binary)
        default: throw binary.op.unsupportedTypes()
        }
    }

    /// Differences from the zero points, raised by 8 bits, times the scales.
    private func quantized(_ binary: Binary) throws(Failure) -> Kernel {
        let (a, b) = (try binary.op.affine(binary.a), try binary.op.affine(binary.b))
        let (factorA, factorB) = (QuantizedMultiplier(Double(a.scale)), QuantizedMultiplier(Double(b.scale)))
        if binary.a.type == .int16 {
            return binary.kernel(
                Combination(
                    function, a: (a.zero, factorA.significand, Int32(factorA.shift)),
                    b: (b.zero, factorB.significand, Int32(factorB.shift))))
        }
        let values = (0..<256).map { binary.a.type == .int8 ? Int32(Int8(truncatingIfNeeded: $0)) : Int32($0) }
        return binary.kernel(
            Combination(
                function, a: values.map { factorA.scale(($0 &- a.zero) << 8) },
                b: values.map { factorB.scale(($0 &- b.zero) << 8) }))
    }
}

/// LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT of booleans, one byte each.
enum Logical {
    static var and: OperatorDefinition { binary(.logicalAnd, .both) }
    static var or: OperatorDefinition { binary(.logicalOr, .either) }

    private static func binary(_ code: BuiltinOperator, _ function: Combination.Function) -> OperatorDefinition {
        .binary(code, maxVersion: 1) { binary throws(Failure) in
            try binary.op.requireType(.bool, of: binary.a)
            return binary.combine(function)
        }
    }

    static var not: OperatorDefinition {
        .unary(.logicalNot, maxVersion: 1) { unary throws(Failure) in
            try unary.op.requireType(.bool, of: unary.input)
            return Unary.lookUp([1] + [UInt8](repeating: 0, count: 255))
        }
    }
}

/// ADD_N: the sum of all inputs, which have one shape.
enum AddN {
    static var definition: OperatorDefinition {
        let rule = QuantizationRule(activations: [0], allInputs: true, output: .calibrated, int8: false, int16x8: false)
        return OperatorDefinition(.addN, maxVersion: 1, quantization: rule, shapes: Unary.shapes) {
            op throws(Failure) in
            let first = try op.input(0)
            for index in op.inputs.indices {
                let input = try op.input(index)
                try op.requireType(first.type, of: input, op.output())
                guard input.shape == first.shape else {
                    throw op.invalid("\(input.described) must have the shape of \(first.described)")
                }
            }
            switch first.type {
            case .float32, .int32: return kernel(op.inputs.count, first)
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let dy = try g.dy
            return g.inputs.map { _ in dy }
        }
    }

    private static func kernel(_ count: Int, _ first: TensorInfo) -> Kernel {
        let sum = Combination(.add, first.type)
        let shape = Broadcast(first.shape, first.shape, to: first.shape)
        return { io in
            var y = io.output(as: UInt8.self)
            guard count > 1 else {
                let x = io.input(0, as: UInt8.self)
                for index in 0..<y.count { y[index] = x[index] }
                return
            }
            Elementwise.apply(sum, shape, io.input(0), io.input(1), &y, pool: io.pool)
            for input in 2..<max(2, count) {
                let sumBefore = io.output(as: UInt8.self)
                Elementwise.apply(sum, shape, sumBefore.span, io.input(input), &y, pool: io.pool)
            }
        }
    }
}
