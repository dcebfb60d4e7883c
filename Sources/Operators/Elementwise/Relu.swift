import Kernels
import Model

/// RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1: y = clamp(x). Quantized, input and output may have different scales.
enum Relu {
    static var relu: OperatorDefinition { definition(.relu, maxVersion: 3, .unary, 0, .infinity) }
    static var relu6: OperatorDefinition { definition(.relu6, maxVersion: 3, .unary, 0, 6) }
    static var reluN1To1: OperatorDefinition { definition(.reluN1To1, maxVersion: 1, .byteUnary, -1, 1) }
    static var relu0To1: OperatorDefinition { definition(.relu0To1, maxVersion: 1, .byteUnary, 0, 1) }

    private static func definition(
        _ code: BuiltinOperator, maxVersion: Int, _ rule: QuantizationRule, _ low: Float, _ high: Float
    ) -> OperatorDefinition {
        .unary(code, maxVersion: maxVersion, quantization: rule) { unary throws(Failure) in
            try unary.kernel(.clamp(low, high)) { x, y throws(Failure) in
                let factor = QuantizedMultiplier(Double(x.scale / y.scale))
                let minimum = y.stored(low) ?? Int32(y.minimum)
                let maximum = y.stored(high) ?? Int32(y.maximum)
                return { min(maximum, max(minimum, y.zero &+ factor.scale($0 &- x.zero))) }
            }
        }.gradient { g throws(Failure) in
            [try ClampGradient.emit(g.dy, g.y, (low, high))]
        }
    }
}

extension Affine {
    /// The stored value nearest to a real one, ties away from zero; nil for an infinite one.
    func stored(_ real: Float) -> Int32? {
        let steps = (real / scale).rounded(.toNearestOrAwayFromZero)
        return real.isFinite ? clamped(zero &+ Int32(max(-0x1p30, min(0x1p30, steps)))) : nil
    }
}

/// LEAKY_RELU: x if x > 0, else alpha x. Options: 0 alpha.
enum LeakyRelu {
    static var definition: OperatorDefinition {
        .unary(.leakyRelu, maxVersion: 2, quantization: .unary) { unary throws(Failure) in
            let alpha = unary.op.options.float(0)
            return try unary.kernel(.leakyRelu(alpha)) { x, y throws(Failure) in
                let identity = QuantizedMultiplier(Double(x.scale / y.scale))
                // A negative slope is multiplied as a positive one, then negated: rounding is symmetric about zero.
                let slope = QuantizedMultiplier(Double(abs(x.scale * alpha / y.scale)))
                return {
                    let value = $0 &- x.zero
                    if value >= 0 { return y.clamped(y.zero &+ identity.scale(value)) }
                    let scaled = slope.scale(value)
                    return y.clamped(alpha < 0 ? y.zero &- scaled : y.zero &+ scaled)
                }
            }
        }.gradient { g throws(Failure) in
            let dy = try g.dy
            return [try g.x.compare(.greater, g.x.scalar(0)).select(dy, g.options.float(0) * dy)]
        }
    }
}

/// HARD_SWISH: x relu6(x + 3) / 6.
enum HardSwish {
    static var definition: OperatorDefinition {
        .unary(.hardSwish, maxVersion: 1, quantization: .byteUnary) { unary throws(Failure) in
            try unary.kernel(.hardSwish) { x, y throws(Failure) in try reference(unary.op, x, y) }
        }.gradient { g throws(Failure) in
            // (x + 3) / 6 + x / 6 in between, 0 below -3, 1 above 3.
            let x = try g.x
            let inner = try (1 / 3 as Float) * x + 0.5
            let isHigh = try x.compare(.greater, x.scalar(3))
            let isLow = try x.compare(.less, x.scalar(-3))
            return [try g.dy * isLow.select(x.scalar(0), isHigh.select(x.scalar(1), inner))]
        }
    }

    /// 16-bit fixed point: x is raised by 7 bits; x / 3 saturates to [-1, 1] and becomes the factor in [0, 1].
    private static func reference(_ op: Preparation, _ x: Affine, _ y: Affine) throws(Failure) -> Unary.Reference {
        let raised = (1 / 128 as Float) * x.scale
        let output = QuantizedMultiplier(Double(raised / y.scale))
        let relu = QuantizedMultiplier(Double(raised / (3 / 32768 as Float)))
        guard output.shift <= 0 else {
            throw op.unsupported("reference arithmetic needs an input scale below 128 output scales")
        }
        let (outputFactor, reluFactor) = (halved(output.significand), halved(relu.significand))
        return {
            let value = Int16(truncatingIfNeeded: ($0 &- x.zero) &* 128)
            let scaled = saturatingRoundingDoublingHighMultiply(value, outputFactor)
            var factor = value
            if relu.shift > 0 { factor = shiftLeft(factor, relu.shift - 1) }
            factor = saturatingRoundingDoublingHighMultiply(factor, reluFactor)
            if relu.shift > 0 { factor = shiftLeft(factor, 1) }
            if relu.shift < 0 { factor = roundingDivideByPowerOfTwo(factor, min(15, -relu.shift)) }
            factor = Int16(truncatingIfNeeded: (Int32(factor) + 32768) >> 1)
            // Truncated, not rounded: it takes away the bias of the roundings above.
            let product =
                factor == .min && scaled == .min ? Int16.max : Int16(Int32(factor) * Int32(scaled) / 32768)
            let shifted = roundingDivideByPowerOfTwo(product, min(15, -output.shift))
            return y.clamped(Int32(shifted &+ Int16(truncatingIfNeeded: y.zeroPoint)))
        }
    }

    /// A 31-bit significand as a 15-bit one.
    private static func halved(_ significand: Int32) -> Int16 {
        significand >= Int32.max - (1 << 15) ? .max : Int16((significand + (1 << 15)) >> 16)
    }

    private static func shiftLeft(_ x: Int16, _ amount: Int) -> Int16 {
        Int16(max(-32768, min(32767, Int64(x) << Int64(min(40, amount)))))
    }
}
