import Kernels
import Model

/// SOFTMAX along the last dimension: exp(beta x) / sum. Options: 0 beta. Quantized output: 1/256 from -128 (uint8: from
/// 0), 16 bits 1/32768.
enum Softmax {
    static var definition: OperatorDefinition {
        .rows(
            .softmax, maxVersion: 4, quantization: .fixedOutput(int8: (1 / 256, -128), int16: 1 / 32768)
        ) { rows throws(Failure) in
            let function = RowFunction.softmax(beta: rows.op.options.float(0))
            switch (rows.input.type, rows.output.type) {
            case (.float32, .float32): return rows.float(function)
            case (.int8, .int8): return try quantized(Int8.self, Int8.self, function, rows)
            case (.int8, .int16): return try quantized(Int8.self, Int16.self, function, rows)
            case (.uint8, .uint8): return try quantized(UInt8.self, UInt8.self, function, rows)
            case (.uint8, .int16): return try quantized(UInt8.self, Int16.self, function, rows)
            case (.int16, .int16) where rows.op.arithmetic == .reference: return try reference16(rows)
            case (.int16, .int16): return try quantized(Int16.self, Int16.self, function, rows)
            default: throw rows.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            // (Bridle, 1990)
            let (y, dy) = (g.y, try g.dy)
            return [try g.options.float(0) * y * (dy - (dy * y).sum([y.rank - 1], keep: true))]
        }
    }

    private static func quantized<X: QuantizedInteger, Y: QuantizedInteger>(
        _ from: X.Type, _ to: Y.Type, _ function: RowFunction, _ rows: RowOperator
    ) throws(Failure) -> Kernel {
        guard rows.op.arithmetic == .reference else { return try rows.throughFloat(function, from, to) }
        let scaled = ScaledDifference(
            beta: Double(rows.op.options.float(0)), scale: try rows.op.affine(rows.input).scale)
        return rows.reference { (row, x: borrowing Span<X>, y: inout MutableSpan<Y>) in
            reference(row, x, &y, scaled)
        }
    }

    /// exp by fixed point (Q5.26 to Q0.31), the sum in Q12.19, the quotient by its reciprocal.
    private static func reference<X: QuantizedInteger, Y: QuantizedInteger>(
        _ row: Range<Int>, _ x: borrowing Span<X>, _ y: inout MutableSpan<Y>, _ scaled: ScaledDifference
    ) {
        var largest = X.min
        for index in row { largest = max(largest, x[index]) }
        let sum = scaled.exponentialSum(row, x, largest)
        let reciprocal = FixedPointFunctions.reciprocal(sum, integerBits: 12)
        let exponent = min(31, max(0, reciprocal.bits + 31 - Y.bitWidth))
        for index in row {
            guard let exponential = scaled.exponential(Int32(x[index]) - Int32(largest)) else {
                y[index] = .min
                continue
            }
            let product = saturatingRoundingDoublingHighMultiply(reciprocal.value, exponential)
            let quotient = roundingDivideByPowerOfTwo(product, exponent) &+ Int32(Y.min)
            y[index] = Y(truncatingIfNeeded: min(Int32(Y.max), max(Int32(Y.min), quotient)))
        }
    }

    /// exp and the reciprocal from interpolated tables; exp(x) counts as that of -10 below.
    private static func reference16(_ rows: RowOperator) throws(Failure) -> Kernel {
        let (x, y) = (try rows.op.affine(rows.input), try rows.op.affine(rows.output))
        try rows.op.requireSymmetric(x, y)
        let exponentials = ReferenceTables.Interpolated(
            input: (10.0 / 65535, 32767.0), output: (2.0 / 65535, 0), Real.exp)
        let reciprocals = ReferenceTables.Interpolated(
            input: (1.0 / 65535, -32768.0), output: (2.0 / 65535, 0)
        ) { 1 / (1 + $0) }
        let factor = QuantizedMultiplier(Double(x.scale * rows.op.options.float(0)) / (10.0 / 65535))
        return rows.reference { (row, x: borrowing Span<Int16>, y: inout MutableSpan<Int16>) in
            var largest = Int16.min
            for index in row { largest = max(largest, x[index]) }
            var sum: Int32 = 0
            for index in row {
                let difference = factor.scale(Int32(x[index]) - Int32(largest))
                let exponential = exponentials(min(32767, max(-32768, difference &+ 32767)))
                y[index] = Int16(truncatingIfNeeded: exponential)
                sum = sum &+ exponential
            }
            let headroom = sum.leadingZeroBitCount
            let normal = ((Int64(sum) << Int64(headroom - 1)) + (1 << 13)) >> 14
            let reciprocal = reciprocals(Int32(min(32767, max(-32768, normal - (1 << 15) - (1 << 16)))))
            let shift = Int64(31 - headroom)
            for index in row {
                let quotient = (Int64(y[index]) * Int64(reciprocal) + (1 << (shift - 1))) >> shift
                y[index] = Int16(min(32767, max(0, quotient)))
            }
        }
    }
}

/// Differences of quantized numbers from the greatest of a row, scaled to Q5.26, and their exponentials.
struct ScaledDifference: Sendable {
    let factor: QuantizedMultiplier
    /// Differences below count as minus infinity.
    let least: Int32

    init(beta: Double, scale: Float) {
        factor = QuantizedMultiplier(min(beta * Double(scale) * 0x1p26, 0x1p31 - 1))
        let radius = 31 * 0x1p26 / Double(sign: .plus, exponent: factor.shift, significand: 1)
        least = -Int32(min(0x1p30, radius.rounded(.down)))
    }

    /// In Q0.31; nil where it is zero.
    @inline(__always)
    func exponential(_ difference: Int32) -> Int32? {
        difference >= least ? FixedPointFunctions.exp(onNegative: factor.scale(difference)) : nil
    }

    /// In Q12.19.
    func exponentialSum<X: QuantizedInteger>(_ row: Range<Int>, _ x: borrowing Span<X>, _ largest: X) -> Int32 {
        var sum: Int32 = 0
        for index in row {
            guard let exponential = exponential(Int32(x[index]) - Int32(largest)) else { continue }
            sum = sum &+ roundingDivideByPowerOfTwo(exponential, 12)
        }
        return sum
    }
}
