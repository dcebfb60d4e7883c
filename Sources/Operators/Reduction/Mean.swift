import Kernels
import Model

/// MEAN and SUM over axes. Quantized: an exact sum of stored values, less the zero points, scaled once. The reference
/// scale of a mean has the count in its fixed-point multiplier. Float sums of the reference arithmetic go through the
/// elements in their order.
enum Sums {
    static var mean: OperatorDefinition {
        .reduction(.mean, maxVersion: 3, quantization: .unary) { reducer throws(Failure) in
            switch reducer.input.type {
            case .float32 where reducer.op.arithmetic == .reference:
                let count = Float(reducer.shape.factor)
                return reducer.fold(from: 0 as Float, { $0 + $1 }) { $0 / count }
            case .float32:
                return reducer.float(.mean)
            case .int32, .int64: return integerMean(reducer)
            default: return try quantized(reducer, isMean: true)
            }
        }.gradient { g throws(Failure) in
            let share = Float(g.y.count) / Float(max(1, try g.x.count))
            return [try (share * g.dy).reshape(g.reducedShape()).broadcast(to: g.x.shape)]
        }
    }

    static var sum: OperatorDefinition {
        .reduction(.sum, maxVersion: 2, quantization: .unary.int8Only) { reducer throws(Failure) in
            switch reducer.input.type {
            case .float32 where reducer.op.arithmetic == .reference: return reducer.fold(0 as Float) { $0 + $1 }
            case .float32:
                return reducer.float(.sum)
            case .int32, .int64: return reducer.integer(.sum)
            default: return try quantized(reducer, isMean: false)
            }
        }.gradient { g throws(Failure) in
            [try g.dy.reshape(g.reducedShape()).broadcast(to: g.x.shape)]
        }
    }

    /// Rounded toward zero; 0 of no elements.
    private static func integerMean(_ reducer: Reducer) -> Kernel {
        let (shape, type) = (reducer.shape, reducer.input.type)
        let count = Int64(max(1, shape.factor))
        let sums = reducer.op.scratch(bytes: reducer.output.count * MemoryLayout<Int64>.stride)
        let parts = reducer.scratch(long: true)
        return { io in
            var bytes = io.scratch(sums, as: UInt8.self)
            var scratch = io.scratch(parts, as: UInt8.self)
            Reduction.longSum.run(shape, type, io.input(0), &bytes, scratch: &scratch, pool: io.pool)
            let totals = io.written(sums, as: Int64.self)
            var y = io.output(as: Int32.self)
            let words = type == .int32 ? 1 : 2
            for index in 0..<min(totals.count, y.count / words) {
                let mean = totals[index] / count
                y[words * index] = Int32(truncatingIfNeeded: mean)
                if words == 2 { y[2 * index + 1] = Int32(truncatingIfNeeded: mean >> 32) }
            }
        }
    }

    private static func quantized(_ reducer: Reducer, isMean: Bool) throws(Failure) -> Kernel {
        switch reducer.input.type {
        case .int8: return try quantized(Int8.self, reducer, isMean)
        case .uint8: return try quantized(UInt8.self, reducer, isMean)
        case .int16: return try quantized(Int16.self, reducer, isMean)
        default: throw reducer.op.unsupportedTypes()
        }
    }

    private static func quantized<T: QuantizedInteger>(
        _ type: T.Type, _ reducer: Reducer, _ isMean: Bool
    ) throws(Failure) -> Kernel {
        let (x, y) = (try reducer.op.affine(reducer.input), try reducer.op.affine(reducer.output))
        let shape = reducer.shape
        let count = shape.factor
        guard count > 0 else { return Unary.map { (_: T) in 0 } }
        let offset = Int32(truncatingIfNeeded: x.zeroPoint &* count)
        let sums = reducer.op.scratch(bytes: reducer.output.count * MemoryLayout<Int32>.stride)
        let parts = reducer.scratch()
        if reducer.op.arithmetic == .reference {
            let scale = QuantizedMultiplier(Double(x.scale) / Double(y.scale))
            let factor = isMean ? scale.divided(by: count) : scale
            return { io in
                var totals = io.scratch(sums, as: Int32.self)
                var scratch = io.scratch(parts, as: Int32.self)
                Reduction.sum(shape, io.input(0, as: T.self), &totals, scratch: &scratch, pool: io.pool)
                var output = io.output(as: T.self)
                for index in 0..<output.count {
                    let scaled = factor.scale(totals[index] &- offset) &+ y.zero
                    output[index] = T(truncatingIfNeeded: y.clamped(scaled))
                }
            }
        }
        let factor = try reducer.op.finite(x.scale / y.scale) / (isMean ? Float(count) : 1)
        return { io in
            var totals = io.scratch(sums, as: Int32.self)
            var scratch = io.scratch(parts, as: Int32.self)
            Reduction.sum(shape, io.input(0, as: T.self), &totals, scratch: &scratch, pool: io.pool)
            var output = io.output(as: T.self)
            Conversion.requantize(
                totals.span, &output, offset: offset, factor: factor, zeroPoint: y.zeroPoint, pool: io.pool)
        }
    }
}

extension QuantizedMultiplier {
    /// The factor over a count, truncated, with as many bits as it leaves room for.
    func divided(by count: Int) -> QuantizedMultiplier {
        let bits = max(0, min(63 - count.leadingZeroBitCount, 32, 31 + shift))
        return QuantizedMultiplier(
            significand: Int32(truncatingIfNeeded: (Int64(significand) << Int64(bits)) / Int64(count)),
            shift: shift - bits)
    }
}
