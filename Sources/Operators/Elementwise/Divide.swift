import Kernels
import Model

/// DIV: y = clamp(a / b). Options: 0 fused activation. An integer divisor of zero is an error; float division gives
/// infinities and NaN. It stays float when a model is quantized: LiteRT's integer kernels are undefined for dividends
/// near zero.
enum Divide {
    static var definition: OperatorDefinition {
        .binary(.div, maxVersion: 2, activationField: 0) { binary throws(Failure) in
            switch binary.a.type {
            case .float32: return try binary.float(.divide)
            case .int32:
                return binary.dividing(Int32.self, binary.integer { (a: Int32, b: Int32) in a.dividedFully(by: b) })
            case .int8: return try quantized(Int8.self, binary)
            case .uint8: return try quantized(UInt8.self, binary)
            case .int16: return try quantized(Int16.self, binary)
            default: throw binary.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let quotient = try g.beforeActivation(0) / g.b
            return [quotient, try -(quotient * (g.x / g.b))]
        }
    }

    private static func quantized<T: QuantizedInteger>(_ type: T.Type, _ binary: Binary) throws(Failure) -> Kernel {
        let (a, b, y) = try binary.affines()
        let kernel =
            binary.op.arithmetic == .fast
            ? try binary.throughFloat(.divide, type)
            : binary.reference(type, reference(a, b, y, try binary.outputRange()))
        return binary.dividing(type, zero: T(truncatingIfNeeded: b.zeroPoint), kernel)
    }

    /// The divisor's reciprocal, times the dividend raised as far as it goes.
    private static func reference(
        _ a: Affine, _ b: Affine, _ y: Affine, _ range: (minimum: Int, maximum: Int)
    ) -> (Int32, Int32) -> Int32 {
        let factor = QuantizedMultiplier(Double(a.scale / (b.scale * y.scale)))
        let (low, high) = (Int32(truncatingIfNeeded: range.minimum), Int32(truncatingIfNeeded: range.maximum))
        return {
            var (dividend, divisor) = ($0 &- a.zero, $1 &- b.zero)
            if divisor < 0 { (dividend, divisor) = (0 &- dividend, 0 &- divisor) }
            let inverse = FixedPointFunctions.reciprocal(divisor, integerBits: 31)
            let headroom = (dividend < 0 ? ~dividend : dividend).leadingZeroBitCount - 1
            let quotient = QuantizedMultiplier(significand: inverse.value, shift: headroom).scale(dividend)
            // The reference kernels are undefined beyond -31...0: tiny quotients, and ones beyond all steps.
            let shift = max(-31, factor.shift - inverse.bits - headroom)
            let product = saturatingRoundingDoublingHighMultiply(quotient, factor.significand)
            let scaled = saturatingRoundingMultiplyByPowerOfTwo(product, min(31, shift))
            return min(high, max(low, scaled.addingReportingOverflow(y.zero).overflow ? scaled : scaled &+ y.zero))
        }
    }
}

extension FixedWidthInteger {
    /// The quotient rounded toward zero; the one that does not fit wraps; by zero it is zero.
    func dividedFully(by divisor: Self) -> Self {
        divisor == 0 ? 0 : dividedReportingOverflow(by: divisor).partialValue
    }

}

extension Binary {
    /// `kernel`, after a look at all divisors: one that stands for zero is an error.
    func dividing<T: Equatable & BitwiseCopyable>(_ type: T.Type, zero: T, _ kernel: @escaping Kernel) -> Kernel {
        let (name, divisors) = (op.name, b.described)
        return { io throws(Failure) in
            let b = io.input(1, as: T.self)
            for index in 0..<b.count where b[index] == zero {
                throw .execution("\(name): element \(index) of \(divisors) divides by zero")
            }
            try kernel(io)
        }
    }

    func dividing<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, _ kernel: @escaping Kernel) -> Kernel {
        dividing(type, zero: 0, kernel)
    }
}

/// FLOOR_DIV and FLOOR_MOD: the quotient rounded down, and the remainder that goes with it, which has the divisor's
/// sign.
enum FloorDivision {
    static var divide: OperatorDefinition {
        .binary(.floorDiv, maxVersion: 3) { binary throws(Failure) in
            switch binary.a.type {
            case .float32:
                // In double, as the exact quotient may be rounded up to a whole number in float.
                return binary.map { (a: Float, b: Float) in Float((Double(a) / Double(b)).rounded(.down)) }
            case .int8: return integerQuotient(Int8.self, binary)
            case .int16: return integerQuotient(Int16.self, binary)
            case .int32: return integerQuotient(Int32.self, binary)
            case .int64: return integerQuotient(Int64.self, binary)
            default: throw binary.op.unsupportedTypes()
            }
        }
    }

    static var remainder: OperatorDefinition {
        .binary(.floorMod, maxVersion: 2) { binary throws(Failure) in
            switch binary.a.type {
            case .float32:
                return binary.map { (a: Float, b: Float) in
                    let rest = Real.remainder(a, b)
                    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest
                }
            case .int8: return integerRemainder(Int8.self, binary)
            case .int16: return integerRemainder(Int16.self, binary)
            case .int32: return integerRemainder(Int32.self, binary)
            case .int64: return integerRemainder(Int64.self, binary)
            default: throw binary.op.unsupportedTypes()
            }
        }
    }

    private static func integerQuotient<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type, _ binary: Binary
    ) -> Kernel {
        binary.dividing(
            type,
            binary.map { (a: T, b: T) -> T in
                let quotient = a.dividedFully(by: b)
                return b != 0 && quotient &* b != a && (a < 0) != (b < 0) ? quotient &- 1 : quotient
            })
    }

    private static func integerRemainder<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type, _ binary: Binary
    ) -> Kernel {
        binary.dividing(
            type,
            binary.map { (a: T, b: T) -> T in
                guard b != 0 else { return 0 }
                let rest = a.remainderReportingOverflow(dividingBy: b).partialValue
                return rest != 0 && (rest < 0) != (b < 0) ? rest &+ b : rest
            })
    }
}
