import Kernels
import Model

/// MINIMUM and MAXIMUM. Quantized tensors share one scale and zero point, so stored values are compared.
enum Extremes {
    static var minimum: OperatorDefinition { definition(.minimum, isMinimum: true) }
    static var maximum: OperatorDefinition { definition(.maximum, isMinimum: false) }

    private static func definition(_ code: BuiltinOperator, isMinimum: Bool) -> OperatorDefinition {
        let rule = QuantizationRule(activations: [0, 1], output: .sameAsInput)
        return .binary(code, maxVersion: 4, quantization: rule) { binary throws(Failure) in
            switch binary.a.type {
            case .float32: return try binary.float(isMinimum ? .minimum : .maximum)
            case .int8, .uint8, .int16, .int32, .int64: return binary.combine(isMinimum ? .minimum : .maximum)
            default: throw binary.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let isFirst = try g.x.compare(isMinimum ? .lessEqual : .greaterEqual, g.b)
            let zero = try g.y.scalar(0)
            return [try isFirst.select(g.dy, zero), try isFirst.select(zero, g.dy)]
        }
    }
}

/// SQUARED_DIFFERENCE: (a - b)^2.
enum SquaredDifference {
    static var definition: OperatorDefinition {
        .binary(.squaredDifference, maxVersion: 2, quantization: .byteBinary) { binary throws(Failure) in
            switch binary.a.type {
            case .float32: return try binary.float(.squaredDifference)
            case .int32: return binary.combine(.squaredDifference)
            case .int8 where binary.op.arithmetic == .reference: return try reference(binary)
            case .int8: return try binary.throughFloat(.squaredDifference, Int8.self)
            case .uint8: return try binary.throughFloat(.squaredDifference, UInt8.self)
            case .int16: return try binary.throughFloat(.squaredDifference, Int16.self)
            default: throw binary.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let da = try 2 * g.dy * (g.x - g.b)
            return [da, try -da]
        }
    }

    /// Both inputs on twice the larger scale with 7 more bits.
    private static func reference(_ binary: Binary) throws(Failure) -> Kernel {
        let (a, b, y) = try binary.affines()
        let raised = RaisedSum(a, b, y, bits: 7)
        let common = Double(2 * max(a.scale, b.scale))
        let factor = QuantizedMultiplier(common * common / Double(Float(1 << 14) * y.scale))
        return binary.reference(Int8.self) {
            let (a, b) = raised.raised($0, $1)
            return y.clamped(factor.scale((a &- b) &* (a &- b)) &+ y.zero)
        }
    }
}

/// PRELU: x if x >= 0, else x times the slope of its channel. int16 takes int8 slopes.
enum Prelu {
    static var definition: OperatorDefinition {
        .binary(.prelu, maxVersion: 1, quantization: .byteBinary, mixesTypes: true) { binary throws(Failure) in
            guard binary.output.shape == binary.a.shape else {
                throw binary.op.invalid("\(binary.b.described) must broadcast to \(binary.a.described)")
            }
            switch (binary.a.type, binary.b.type) {
            case (.float32, .float32): return try binary.float(.prelu)
            case (.int8, .int8): return try quantized(Int8.self, Int8.self, binary)
            case (.uint8, .uint8): return try quantized(UInt8.self, UInt8.self, binary)
            case (.int16, .int8): return try quantized(Int16.self, Int8.self, binary)
            case (.int16, .int16): return try quantized(Int16.self, Int16.self, binary)
            default: throw binary.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let (zero, dy) = (try g.y.scalar(0), try g.dy)
            let isPositive = try g.x.compare(.greaterEqual, zero)
            return [try isPositive.select(dy, dy * g.b), try isPositive.select(zero, dy * g.x)]
        }
    }

    private static func quantized<T: QuantizedInteger, Slope: QuantizedInteger>(
        _ type: T.Type, _ slopeType: Slope.Type, _ binary: Binary
    ) throws(Failure) -> Kernel {
        guard binary.op.arithmetic == .reference else { return try binary.throughFloat(.prelu, type, slopeType) }
        let (x, slope, y) = try binary.affines()
        let identity = QuantizedMultiplier(Double(x.scale / y.scale))
        let product = QuantizedMultiplier(Double(x.scale * slope.scale / y.scale))
        return binary.map { (a: T, b: Slope) in
            let value = Int32(a) &- x.zero
            let scaled =
                value >= 0 ? identity.scale(value) : product.scale(value &* (Int32(b) &- slope.zero))
            return T(truncatingIfNeeded: y.clamped(scaled &+ y.zero))
        }
    }
}

/// POW: a to the power of b. Whole numbers wrap; a negative exponent of a whole number is an error.
enum Power {
    static var definition: OperatorDefinition {
        .binary(.pow, maxVersion: 1) { binary throws(Failure) in
            switch binary.a.type {
            case .float32: return binary.map { (a: Float, b: Float) in Real.pow(a, b) }
            case .int32: return integer(binary)
            default: throw binary.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let (a, b, dy) = (try g.x, try g.b, try g.dy)
            guard g.needs(1) else { return [try dy * b * a.apply(.pow, b + -1)] }
            return [try dy * b * a.apply(.pow, b + -1), try dy * g.y * a.apply(.log)]
        }
    }

    private static func integer(_ binary: Binary) -> Kernel {
        let kernel = binary.map { (a: Int32, b: Int32) in power(a, b) }
        let (name, exponents) = (binary.op.name, binary.b.described)
        return { io throws(Failure) in
            let b = io.input(1, as: Int32.self)
            for index in 0..<b.count where b[index] < 0 {
                throw .execution("\(name): element \(index) of \(exponents) is \(b[index]), expected 0 or more")
            }
            try kernel(io)
        }
    }

    /// By repeated squaring.
    private static func power(_ base: Int32, _ exponent: Int32) -> Int32 {
        var (result, factor, rest): (Int32, Int32, Int32) = (1, base, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result = result &* factor }
            factor = factor &* factor
            rest >>= 1
        }
        return result
    }
}

/// ATAN2: the angle of the point (b, a).
enum Atan2 {
    static var definition: OperatorDefinition {
        .binary(.atan2, maxVersion: 1) { binary throws(Failure) in
            guard binary.a.type == .float32 else { throw binary.op.unsupportedTypes() }
            return binary.map { (a: Float, b: Float) in Real.atan2(a, b) }
        }.gradient { g throws(Failure) in
            let (a, b) = (try g.x, try g.b)
            let factor = try g.dy / (a * a + b * b)
            return [try factor * b, try -(factor * a)]
        }
    }
}
