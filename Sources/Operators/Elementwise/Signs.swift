import Kernels
import Model

/// ABS: |x|.
enum Abs {
    static var definition: OperatorDefinition {
        .unary(.abs, maxVersion: 5, quantization: .unary) { unary throws(Failure) in
            if unary.input.type == .int32 { return Unary.map { (x: Int32) in Int32(truncatingIfNeeded: x.magnitude) } }
            if unary.input.type == .int16, unary.input.quantization == nil {
                return Unary.map { (x: Int16) in Int16(truncatingIfNeeded: x.magnitude) }
            }
            return try unary.kernel(.abs) { x, y throws(Failure) in
                let factor = QuantizedMultiplier(Double(x.scale / y.scale))
                let rescales = x.scale != y.scale
                return {
                    let value = Int32(truncatingIfNeeded: ($0 &- x.zero).magnitude)
                    return y.clamped((rescales ? factor.scale(value) : value) &+ y.zero)
                }
            }
        }.gradient { g throws(Failure) in
            [try g.dy * g.x.apply(.sign)]
        }
    }
}

/// NEG: -x. The reference kernels negate stored values, whatever their zero point, so it stays float when a model is
/// quantized.
enum Neg {
    static var definition: OperatorDefinition {
        .unary(.neg, maxVersion: 1) { unary throws(Failure) in
            switch unary.input.type {
            case .int32: return Unary.map { (x: Int32) in 0 &- x }
            case .int64: return Unary.map { (x: Int64) in 0 &- x }
            case .int8 where unary.input.quantization == nil: return Unary.map { (x: Int8) in 0 &- x }
            case .int16 where unary.input.quantization == nil: return Unary.map { (x: Int16) in 0 &- x }
            default: return try unary.kernel(.negate) { _, _ throws(Failure) in { 0 &- $0 } }
            }
        }.gradient { g throws(Failure) in
            [try -g.dy]
        }
    }
}

/// SIGN: -1, 0 or 1; NaN stays NaN.
enum Sign {
    static var definition: OperatorDefinition {
        .unary(.sign, maxVersion: 2) { unary throws(Failure) in
            switch unary.input.type {
            case .int32: return Unary.map { (x: Int32) in x.signum() }
            case .float64: return Unary.map { (x: Double) in x > 0 ? 1 : (x < 0 ? -1 : x) }
            default: return try unary.kernel(.sign)
            }
        }.gradient { g throws(Failure) in
            [nil]
        }
    }
}

/// FLOOR, CEIL, ROUND (ties to even), SIN, COS: float32 only.
enum Rounding {
    static var floor: OperatorDefinition {
        .unary(.floor, maxVersion: 1) { unary throws(Failure) in try unary.kernel(.floor) }.gradient {
            g throws(Failure) in
            [nil]
        }
    }
    static var ceil: OperatorDefinition {
        .unary(.ceil, maxVersion: 1) { unary throws(Failure) in try unary.kernel(.ceil) }.gradient {
            g throws(Failure) in
            [nil]
        }
    }
    static var round: OperatorDefinition {
        .unary(.round, maxVersion: 1) { unary throws(Failure) in try unary.kernel(.round) }.gradient {
            g throws(Failure) in
            [nil]
        }
    }
}

enum Trigonometric {
    static var sin: OperatorDefinition {
        .unary(.sin, maxVersion: 2) { unary throws(Failure) in try unary.kernel(.sin) }.gradient { g throws(Failure) in
            [try g.dy * g.x.apply(.cos)]
        }
    }
    static var cos: OperatorDefinition {
        .unary(.cos, maxVersion: 2) { unary throws(Failure) in try unary.kernel(.cos) }.gradient { g throws(Failure) in
            [try -(g.dy * g.x.apply(.sin))]
        }
    }
}
