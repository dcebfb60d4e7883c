import Kernels
import Model

/// SQRT. What has no root gives NaN, or where the output is quantized its least value.
enum Sqrt {
    static var definition: OperatorDefinition {
        .unary(.sqrt, maxVersion: 2, quantization: .unary) { unary throws(Failure) in
            try unary.kernel(.sqrt) { x, y throws(Failure) in
                {
                    let root = (x.scale * Float($0 &- x.zero)).squareRoot()
                    guard !root.isNaN else { return Int32(y.minimum) }
                    return y.clamped(Int32(min(0x1p30, root / y.scale)) &+ y.zero)
                }
            }
        }.gradient { g throws(Failure) in
            [try 0.5 * g.dy / g.y]
        }
    }
}

/// RSQRT: 1 / sqrt(x). Where the output is quantized, 0 gives its greatest value.
enum Rsqrt {
    static var definition: OperatorDefinition {
        .unary(.rsqrt, maxVersion: 3, quantization: .unary) { unary throws(Failure) in
            try unary.kernel(.rsqrt) { x, y throws(Failure) in
                if unary.input.type == .int16 {
                    return try unary.reference(x, y) { $0 <= 0 ? 32767 * y.scale : 1 / $0.squareRoot() }
                }
                return reference8(x, y)
            }
        }.gradient { g throws(Failure) in
            [try -0.5 * g.dy * g.y * g.y * g.y]
        }
    }

    /// The root by Newton's iteration, raised by 20 bits between its two scalings.
    private static func reference8(_ x: Affine, _ y: Affine) -> Unary.Reference {
        let factor = QuantizedMultiplier(Double(1 / (x.scale.squareRoot() * y.scale)))
        let lowered = QuantizedMultiplier(significand: factor.significand, shift: max(-31, factor.shift - 20))
        return {
            let value = $0 &- x.zero
            guard value > 0 else { return Int32(value == 0 ? y.maximum : y.minimum) }
            let root = FixedPointFunctions.inverseSquareRoot(value)
            let raised = QuantizedMultiplier(significand: root.significand, shift: root.shift + 20).scale(1 as Int32)
            return y.clamped(lowered.scale(raised) &+ y.zero)
        }
    }
}

/// SQUARE: x x.
enum Square {
    static var definition: OperatorDefinition {
        .unary(.square, maxVersion: 1) { unary throws(Failure) in try unary.kernel(.square) }.gradient {
            g throws(Failure) in
            [try 2 * g.dy * g.x]
        }
    }
}
