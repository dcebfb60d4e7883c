import Kernels
import Model

/// DEQUANTIZE: scale * (q - zero point); half-precision numbers are only widened.
enum Dequantize {
    static var definition: OperatorDefinition {
        OperatorDefinition(.dequantize, maxVersion: 9, quantization: .floatOnly) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let (input, output) = (try op.input(0), try op.output())
            guard output.type == .float32 else { throw op.unsupportedTypes() }
            guard output.shape == input.shape else { throw op.invalid("\(output.described) for \(input.described)") }
            switch input.type {
            case .float16: return fromHalf
            case .bfloat16: return fromBfloat16
            case .float8e4m3fn: return table(SmallFloat.e4m3)
            case .float8e5m2: return table(SmallFloat.e5m2)
            case .int8: return kernel(try ChannelScales(op, input), Int8.self)
            case .uint8: return kernel(try ChannelScales(op, input), UInt8.self)
            case .int16: return kernel(try ChannelScales(op, input), Int16.self)
            case .int4, .uint4, .int2: return packed(try ChannelScales(op, input), input.type)
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            [try g.x.type == .float16 ? g.dy.apply(.cast, type: .float16) : nil]
        }
    }

    private static func kernel<T: QuantizedInteger>(_ scales: ChannelScales, _: T.Type) -> Kernel {
        if let (scale, zeroPoint) = scales.single(T.self) {
            return { io in
                var y = io.output(as: Float.self)
                Conversion.dequantize(io.input(0, as: T.self), &y, scale: scale, zeroPoint: zeroPoint, pool: io.pool)
            }
        }
        return { io in
            let x = io.input(0, as: T.self)
            var y = io.output(as: Float.self)
            for outer in 0..<scales.outer {
                for channel in 0..<scales.count {
                    let begin = (outer &* scales.count &+ channel) &* scales.inner
                    let (scale, zeroPoint) = (scales.scales[channel], scales.zeroPoints[channel])
                    for i in begin..<begin &+ scales.inner {
                        y[i] = Float(Int32(truncatingIfNeeded: x[i]) &- zeroPoint) * scale
                    }
                }
            }
        }
    }

    private static func packed(_ scales: ChannelScales, _ type: TensorType) -> Kernel {
        let elements = PackedElements(type)
        return { io in
            let x = io.input(0, as: UInt8.self)
            var y = io.output(as: Float.self)
            for i in 0..<y.count {
                let channel = i / scales.inner % scales.count
                y[i] = Float(elements.value(x, i) &- scales.zeroPoints[channel]) * scales.scales[channel]
            }
        }
    }

    private static var fromHalf: Kernel {
        return { io in
            var y = io.output(as: Float.self)
            Conversion.widen(io.input(0), &y, pool: io.pool)
        }
    }

    private static var fromBfloat16: Kernel {
        return { io in
            let x = io.input(0, as: UInt16.self)
            var y = io.output(as: Float.self)
            for i in 0..<y.count { y[i] = Float(bitPattern: UInt32(x[i]) << 16) }
        }
    }

    private static func table(_ values: [Float]) -> Kernel {
        return { io in
            let x = io.input(0, as: UInt8.self)
            var y = io.output(as: Float.self)
            for i in 0..<y.count { y[i] = values[Int(x[i])] }
        }
    }
}
