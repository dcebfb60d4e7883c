import Kernels
import Model

/// QUANTIZE: real numbers to quantized ones, or quantized ones to another scale.
enum Quantize {
    static var definition: OperatorDefinition {
        OperatorDefinition(.quantize, maxVersion: 6, quantization: .floatOnly) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let (input, output) = (try op.input(0), try op.output())
            guard output.shape == input.shape else { throw op.invalid("\(output.described) for \(input.described)") }
            return try input.type == .float32 ? fromFloat(op) : requantize(op)
        }
    }

    private static func fromFloat(_ op: Preparation) throws(Failure) -> Kernel {
        let output = try op.output()
        switch output.type {
        case .int8: return try kernel(op, Int8.self)
        case .uint8: return try kernel(op, UInt8.self)
        case .int16: return try kernel(op, Int16.self)
        case .int4: return packed(try ChannelScales(op, output), minimum: -8)
        case .uint4: return packed(try ChannelScales(op, output), minimum: 0)
        default: throw op.unsupportedTypes()
        }
    }

    private static func kernel<T: QuantizedInteger>(_ op: Preparation, _: T.Type) throws(Failure) -> Kernel {
        let scales = try ChannelScales(op, op.output())
        if op.arithmetic == .fast, let (scale, zeroPoint) = scales.single(T.self), (1 / scale).isFinite {
            return { io in
                var y = io.output(as: T.self)
                Conversion.quantize(io.input(0), &y, scale: scale, zeroPoint: zeroPoint, pool: io.pool)
            }
        }
        let range = (Int32(T.min), Int32(T.max))
        return { io in
            let x = io.input(0, as: Float.self)
            var y = io.output(as: T.self)
            for outer in 0..<scales.outer {
                for channel in 0..<scales.count {
                    let begin = (outer &* scales.count &+ channel) &* scales.inner
                    let (scale, zeroPoint) = (scales.scales[channel], scales.zeroPoints[channel])
                    for i in begin..<begin &+ scales.inner {
                        y[i] = T(truncatingIfNeeded: nearest(x[i], scale, zeroPoint, range))
                    }
                }
            }
        }
    }

    /// Two 4-bit numbers a byte, the first in the low half.
    private static func packed(_ scales: ChannelScales, minimum: Int32) -> Kernel {
        return { io in
            let x = io.input(0, as: Float.self)
            var y = io.output(as: UInt8.self)
            for i in 0..<x.count {
                let channel = i / scales.inner % scales.count
                let value = nearest(
                    x[i], scales.scales[channel], scales.zeroPoints[channel], (minimum, minimum + 15))
                let bits = UInt8(truncatingIfNeeded: value) & 15
                if i & 1 == 0 { y[i >> 1] = bits } else { y[i >> 1] |= bits << 4 }
            }
        }
    }

    /// x / scale + zeroPoint, the quotient rounded to nearest with ties away from zero, saturated; NaN is the minimum.
    @inline(__always)
    private static func nearest(_ x: Float, _ scale: Float, _ zeroPoint: Int32, _ range: (Int32, Int32)) -> Int32 {
        let quotient = x / scale
        let (low, high) = (Float(range.0 &- zeroPoint), Float(range.1 &- zeroPoint))
        guard quotient > low else { return range.0 }
        guard quotient < high else { return range.1 }
        let whole = Int32(quotient)
        let rest = quotient - Float(whole)
        return whole &+ (rest >= 0.5 ? 1 : 0) &- (rest <= -0.5 ? 1 : 0) &+ zeroPoint
    }

    private static func requantize(_ op: Preparation) throws(Failure) -> Kernel {
        let change = try ScaleChange(op, from: op.input(0), to: op.output())
        switch (try op.input(0).type, try op.output().type) {
        case (.int8, .int8): return try bytes(op, change, Int8.self, Int8.self)
        case (.int8, .uint8): return try bytes(op, change, Int8.self, UInt8.self)
        case (.int8, .int16): return words(change, Int8.self)
        case (.uint8, .int8): return try bytes(op, change, UInt8.self, Int8.self)
        case (.uint8, .uint8): return try bytes(op, change, UInt8.self, UInt8.self)
        case (.uint8, .int16): return words(change, UInt8.self)
        case (.int16, .int8): return vector(change, Int16.self, Int8.self)
        case (.int16, .uint8): return vector(change, Int16.self, UInt8.self)
        case (.int16, .int16):
            op.finish = try change.finish()
            return vector(change, Int16.self, Int16.self)
        case (.int16, .int32): return direct(change, Int16.self, Int32.self)
        case (.int32, .int8): return vector(change, Int32.self, Int8.self)
        case (.int32, .int16): return vector(change, Int32.self, Int16.self)
        default: throw op.unsupportedTypes()
        }
    }

    private static func bytes<In: QuantizedInteger, Out: QuantizedInteger>(
        _ op: Preparation, _ change: ScaleChange, _: In.Type, _: Out.Type
    ) throws(Failure) -> Kernel {
        let table = results(change, In.self).map { UInt8(truncatingIfNeeded: Out(clamping: $0)) }
        op.finish = try .lookUp(table)
        return Unary.lookUp(table)
    }

    private static func words<In: QuantizedInteger>(_ change: ScaleChange, _: In.Type) -> Kernel {
        let table = results(change, In.self).map { Int16(clamping: $0) }
        return { io in
            let x = io.input(0, as: UInt8.self)
            var y = io.output(as: Int16.self)
            for i in 0..<y.count { y[i] = table[Int(x[i])] }
        }
    }

    /// Of the 256 numbers of 8 bits.
    private static func results<In: QuantizedInteger>(_ change: ScaleChange, _: In.Type) -> [Int] {
        (0..<256).map { change.apply(Int32(In(truncatingIfNeeded: $0))) }
    }

    private static func vector<In: FixedWidthInteger & BitwiseCopyable, Out: QuantizedInteger>(
        _ change: ScaleChange, _: In.Type, _: Out.Type
    ) -> Kernel {
        guard change.arithmetic == .fast else { return direct(change, In.self, Out.self) }
        return { io in
            var y = io.output(as: Out.self)
            change.run(io.input(0, as: In.self), &y, pool: io.pool)
        }
    }

    private static func direct<In: FixedWidthInteger & BitwiseCopyable, Out: FixedWidthInteger & BitwiseCopyable>(
        _ change: ScaleChange, _: In.Type, _: Out.Type
    ) -> Kernel {
        return { io in
            let x = io.input(0, as: In.self)
            var y = io.output(as: Out.self)
            for i in 0..<y.count { y[i] = Out(clamping: change.apply(Int32(x[i]))) }
        }
    }
}
