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

    private func kernel(_ binary: Binary) throws(Failure) -> Kernel {
        switch binary.a.type {
        case .float32: return plain(Float.self, binary)
        case .int32: return plain(Int32.self, binary)
        case .int64: return plain(Int64.self, binary)
        case .bool where self == .equal:
            return binary.map { (a: UInt8, b: UInt8) in (a != 0) == (b != 0) ? 1 : 0 as UInt8 }
        case .bool where self == .notEqual:
            return binary.map { (a: UInt8, b: UInt8) in (a != 0) != (b != 0) ? 1 : 0 as UInt8 }
        case .int16 where binary.a.quantization == nil: return plain(Int16.self, binary)
        // The reference kernels order stored int16 values, whatever their scales.
        case .int16 where binary.op.arithmetic == .reference && self != .equal && self != .notEqual:
            return plain(Int16.self, binary)
        case .int8: return try quantized(Int8.self, binary)
        case .uint8: return try quantized(UInt8.self, binary)
        case .int16: return try quantized(Int16.self, binary)
        default: throw binary.op.unsupportedTypes()
        }
    }

    @inline(__always)
    private func holds<T: Comparable>(_ a: T, _ b: T) -> Bool {
        switch self {
        case .equal: a == b
        case .notEqual: a != b
        case .less: a < b
        case .lessEqual: a <= b
        case .greater: a > b
        case .greaterEqual: a >= b
        }
    }

    private func plain<T: Comparable & BitwiseCopyable>(_ type: T.Type, _ binary: Binary) -> Kernel {
        binary.map { (a: T, b: T) in holds(a, b) ? 1 : 0 as UInt8 }
    }

    /// Differences from the zero points, raised by 8 bits, times the scales.
    private func quantized<T: QuantizedInteger>(_ type: T.Type, _ binary: Binary) throws(Failure) -> Kernel {
        let (a, b) = (try binary.op.affine(binary.a), try binary.op.affine(binary.b))
        let (factorA, factorB) = (QuantizedMultiplier(Double(a.scale)), QuantizedMultiplier(Double(b.scale)))
        return binary.map { (x: T, y: T) in
            let left = factorA.scale((Int32(x) &- a.zero) << 8)
            let right = factorB.scale((Int32(y) &- b.zero) << 8)
            return holds(left, right) ? 1 : 0 as UInt8
        }
    }
}

/// LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT of booleans, one byte each.
enum Logical {
    static var and: OperatorDefinition {
        .binary(.logicalAnd, maxVersion: 1) { binary throws(Failure) in
            try binary.op.requireType(.bool, of: binary.a)
            return binary.map { (a: UInt8, b: UInt8) in a != 0 && b != 0 ? 1 : 0 as UInt8 }
        }
    }
    static var or: OperatorDefinition {
        .binary(.logicalOr, maxVersion: 1) { binary throws(Failure) in
            try binary.op.requireType(.bool, of: binary.a)
            return binary.map { (a: UInt8, b: UInt8) in a != 0 || b != 0 ? 1 : 0 as UInt8 }
        }
    }
    static var not: OperatorDefinition {
        .unary(.logicalNot, maxVersion: 1) { unary throws(Failure) in
            try unary.op.requireType(.bool, of: unary.input)
            return Unary.map { (x: UInt8) in x == 0 ? 1 : 0 }
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
            case .float32: return kernel(op.inputs.count) { (a: Float, b: Float) in a + b }
            case .int32: return kernel(op.inputs.count) { (a: Int32, b: Int32) in a &+ b }
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let dy = try g.dy
            return g.inputs.map { _ in dy }
        }
    }

    private static func kernel<T: BitwiseCopyable>(_ count: Int, _ add: @escaping (T, T) -> T) -> Kernel {
        { io in
            var y = io.output(as: T.self)
            for index in 0..<y.count { y[index] = io.input(0, as: T.self)[index] }
            for input in 1..<max(1, count) {
                let x = io.input(input, as: T.self)
                for index in 0..<y.count { y[index] = add(y[index], x[index]) }
            }
        }
    }
}
