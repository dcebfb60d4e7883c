import Kernels
import Model

/// LOG_SOFTMAX along the last dimension: x - log(sum(exp x)). Quantized output: 16/256 below 127 (uint8: below 255).
enum LogSoftmax {
    static var definition: OperatorDefinition {
        .rows(
            .logSoftmax, maxVersion: 2, quantization: .fixedOutput(int8: (16 / 256, 127), int16: nil)
        ) { rows throws(Failure) in
            try rows.op.requireType(rows.input.type, of: rows.output)
            switch rows.input.type {
            case .float32: return rows.float(.logSoftmax)
            case .int8: return try quantized(Int8.self, rows)
            case .uint8: return try quantized(UInt8.self, rows)
            default: throw rows.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let dy = try g.dy
            return [try dy - g.y.apply(.exp) * dy.sum([g.y.rank - 1], keep: true)]
        }
    }

    private static func quantized<T: QuantizedInteger>(_ type: T.Type, _ rows: RowOperator) throws(Failure) -> Kernel {
        guard rows.op.arithmetic == .reference else { return try rows.throughFloat(.logSoftmax, type, type) }
        let output = try rows.op.affine(rows.output)
        guard output.scale == 16 / 256, output.zeroPoint == Int(T.max) else {
            throw rows.op.invalid("\(rows.output.described) must have scale 1/16 and zero point \(T.max)")
        }
        let scaled = ScaledDifference(beta: 1, scale: try rows.op.affine(rows.input).scale)
        let inverse = QuantizedMultiplier(
            Double(sign: .plus, exponent: 31 - scaled.factor.shift, significand: 1) / Double(scaled.factor.significand))
        return rows.reference { (row, x: borrowing Span<T>, y: inout MutableSpan<T>) in
            var largest = T.min
            for index in row { largest = max(largest, x[index]) }
            let logarithm = FixedPointFunctions.log(scaled.exponentialSum(row, x, largest))
            // Where the difference less the logarithm would leave Q5.26.
            let least = max(scaled.least - 1, inverse.scale(logarithm &+ Int32.min))
            for index in row {
                let difference = Int32(x[index]) - Int32(largest)
                guard difference > least else {
                    y[index] = .min
                    continue
                }
                let value = roundingDivideByPowerOfTwo(scaled.factor.scale(difference) &- logarithm, 31 - 5 - 4)
                y[index] = T(truncatingIfNeeded: min(Int32(T.max), max(Int32(T.min), value &+ Int32(T.max))))
            }
        }
    }
}

/// L2_NORMALIZATION along the last dimension: x / |x|. Quantized output: 1/128 around 0 (uint8: around 128).
enum L2Normalization {
    static var definition: OperatorDefinition {
        .rows(
            .l2Normalization, maxVersion: 2, quantization: .fixedOutput(int8: (1 / 128, 0), int16: nil)
        ) { rows throws(Failure) in
            try rows.op.requireType(rows.input.type, of: rows.output)
            guard rows.op.options.int(0) == 0 else { throw rows.op.unsupported("fused activations are not supported") }
            switch rows.input.type {
            case .float32: return rows.float(.normalize)
            case .int8: return try quantized(Int8.self, rows)
            case .uint8: return try quantized(UInt8.self, rows)
            case .int16: return try rows.throughFloat(.normalize, Int16.self, Int16.self)
            default: throw rows.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let (x, y, dy, last) = (try g.x, g.y, try g.dy, [g.y.rank - 1])
            let square = try (x * x).sum(last, keep: true).apply(.maximum, x.scalar(1e-12))
            return [try (dy - y * (dy * y).sum(last, keep: true)) * square.apply(.rsqrt)]
        }
    }

    private static func quantized<T: QuantizedInteger>(_ type: T.Type, _ rows: RowOperator) throws(Failure) -> Kernel {
        guard rows.op.arithmetic == .reference else { return try rows.throughFloat(.normalize, type, type) }
        let (input, output) = (try rows.op.affine(rows.input), try rows.op.affine(rows.output))
        guard output.scale == 1 / 128, output.zeroPoint == (T.isSigned ? 0 : 128) else {
            throw rows.op.invalid(
                "\(rows.output.described) must have scale 1/128 and zero point \(T.isSigned ? 0 : 128)")
        }
        return rows.reference { (row, x: borrowing Span<T>, y: inout MutableSpan<T>) in
            var squares: Int32 = 0
            for index in row {
                let value = Int32(x[index]) &- input.zero
                squares = squares &+ value &* value
            }
            let root = FixedPointFunctions.inverseSquareRoot(squares)
            // 128 steps to 1: for int8 in the multiplier's shift, for uint8 in the number.
            let factor = QuantizedMultiplier(
                significand: root.significand, shift: root.shift + (T.isSigned ? 7 : 0))
            for index in row {
                let value = (Int32(x[index]) &- input.zero) &* (T.isSigned ? 1 : 128)
                y[index] = T(truncatingIfNeeded: output.clamped(factor.scale(value) &+ output.zero))
            }
        }
    }
}
