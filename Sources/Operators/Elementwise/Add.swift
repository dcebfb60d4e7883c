import Kernels
import Model

/// ADD and SUB: y = clamp(a + b), clamp(a - b). Options: 0 fused activation, 1 int16 scales are powers of two.
///
/// Fast arithmetic: ((a - zeroA) sA + (b - zeroB) sB) with s = scale / output scale, float, rounded once
/// (`Elementwise.add`). Reference: both inputs raised by 20 bits (int16: 15) and brought to twice the larger scale.
enum Addition {
    static var add: OperatorDefinition {
        .binary(.add, maxVersion: 6, quantization: .binary, activationField: 0) { binary throws(Failure) in
            try kernel(binary, sign: 1)
        }.gradient { g throws(Failure) in
            let dz = try g.beforeActivation(0)
            return [dz, dz]
        }
    }
    static var subtract: OperatorDefinition {
        .binary(.sub, maxVersion: 5, quantization: .binary, activationField: 0) { binary throws(Failure) in
            try kernel(binary, sign: -1)
        }.gradient { g throws(Failure) in
            let dz = try g.beforeActivation(0)
            return [dz, try -dz]
        }
    }

    private static func kernel(_ binary: Binary, sign: Int) throws(Failure) -> Kernel {
        switch binary.a.type {
        case .float32: return try binary.float(sign > 0 ? .add : .subtract)
        case .int32, .int64: return binary.combine(sign > 0 ? .add : .subtract)
        case .int16 where binary.a.quantization == nil: return binary.combine(sign > 0 ? .add : .subtract)
        case .int8: return try quantized(Int8.self, binary, sign)
        case .uint8: return try quantized(UInt8.self, binary, sign)
        case .int16: return try quantized(Int16.self, binary, sign)
        default: throw binary.op.unsupportedTypes()
        }
    }

    private static func quantized<T: QuantizedInteger>(
        _ type: T.Type, _ binary: Binary, _ sign: Int
    ) throws(Failure) -> Kernel {
        let (a, b, y) = try binary.affines()
        let (minimum, maximum) = try binary.outputRange()
        if binary.op.arithmetic == .reference {
            let range = Int32(truncatingIfNeeded: minimum)...Int32(truncatingIfNeeded: maximum)
            if T.bitWidth == 16, binary.op.options.bool(1), let shifts = PowerOfTwoShifts(a, b, y) {
                return binary.reference(type, shifts.function(range, sign))
            }
            return binary.reference(type, RaisedSum(a, b, y, bits: T.bitWidth == 16 ? 15 : 20).function(range, sign))
        }
        let arithmetic = QuantizedArithmetic(
            scaleA: try binary.op.finite(a.scale / y.scale),
            scaleB: Float(sign) * (try binary.op.finite(b.scale / y.scale)),
            zeros: (a.zeroPoint, b.zeroPoint, y.zeroPoint), minimum: minimum, maximum: maximum)
        let shape = binary.shape
        if binary.a.shape == binary.b.shape { binary.op.finish = try .add(arithmetic, type) }
        return { io in
            var y = io.output(as: T.self)
            Elementwise.add(shape, io.input(0), io.input(1), &y, arithmetic, pool: io.pool)
        }
    }
}

/// Two quantized numbers on one scale: twice the larger of theirs, with `bits` more bits.
struct RaisedSum: Sendable {
    let a: Affine
    let b: Affine
    let y: Affine
    let bits: Int32
    let factorA: QuantizedMultiplier
    let factorB: QuantizedMultiplier
    let factorY: QuantizedMultiplier

    init(_ a: Affine, _ b: Affine, _ y: Affine, bits: Int) {
        (self.a, self.b, self.y, self.bits) = (a, b, y, Int32(bits))
        let common = Double(2 * max(a.scale, b.scale))
        factorA = QuantizedMultiplier(Double(a.scale) / common)
        factorB = QuantizedMultiplier(Double(b.scale) / common)
        factorY = QuantizedMultiplier(common / Double(Float(1 << bits) * y.scale))
    }

    @inline(__always)
    func raised(_ a: Int32, _ b: Int32) -> (a: Int32, b: Int32) {
        (factorA.scale((a &- self.a.zero) << bits), factorB.scale((b &- self.b.zero) << bits))
    }

    func function(_ range: ClosedRange<Int32>, _ sign: Int) -> (Int32, Int32) -> Int32 {
        { a, b in
            let (a, b) = raised(a, b)
            let sum = factorY.scale(sign > 0 ? a &+ b : a &- b) &+ y.zero
            return min(range.upperBound, max(range.lowerBound, sum))
        }
    }
}

/// int16 with scales that are powers of two, one input at the output's: a shift of the other and a saturating sum.
private struct PowerOfTwoShifts {
    let a: Int
    let b: Int

    init?(_ a: Affine, _ b: Affine, _ y: Affine) {
        guard let exponentA = powerOfTwoExponent(a.scale), let exponentB = powerOfTwoExponent(b.scale),
            let exponentY = powerOfTwoExponent(y.scale), a.zeroPoint == 0, b.zeroPoint == 0, y.zeroPoint == 0
        else { return nil }
        (self.a, self.b) = (exponentY - exponentA, exponentY - exponentB)
        guard self.a == 0 || self.b == 0, (0...15).contains(self.a), (0...15).contains(self.b) else { return nil }
    }

    func function(_ range: ClosedRange<Int32>, _ sign: Int) -> (Int32, Int32) -> Int32 {
        { a, b in
            let right = roundingDivideByPowerOfTwo(b, self.b)
            let sum = roundingDivideByPowerOfTwo(a, self.a) &+ (sign > 0 ? right : 0 &- right)
            return min(range.upperBound, max(range.lowerBound, min(32767, max(-32768, sum))))
        }
    }
}
