import Kernels
import Model

/// AVERAGE_POOL_2D: mean of the window's elements; padding does not count. Integer means are rounded to nearest, ties
/// away from zero, in both arithmetics.
enum AveragePool2D {
    static var definition: OperatorDefinition {
        OperatorDefinition(.averagePool2D, maxVersion: 3, quantization: .sameScale) { op throws(Failure) in
            [try PoolingWindows(op.options, input: op.input(0), operator: op.name).shape.output]
        } prepare: { op throws(Failure) in
            let windows = try PoolingWindows(op.options, input: op.input(0), operator: op.name)
            try op.checkSameQuantization()
            switch try op.input(0).type {
            case .float32: return float(op, windows)
            case .bfloat16: return try windows.rounded(op, averages: true)
            case .int8: return try integer(op, windows, Int8.self)
            case .uint8: return try integer(op, windows, UInt8.self)
            case .int16: return try integer(op, windows, Int16.self)
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let dz = try g.beforeActivation(5)
            return [try dz.custom(PoolGradient.average, g.x, shape: g.x.shape, options: g.options)]
        }
    }

    private static func float(_ op: Preparation, _ windows: PoolingWindows) -> Kernel {
        if op.arithmetic == .fast, windows.activation.isClamp {
            let (shape, range) = (windows.poolShape, windows.activation.floatRange)
            return { io throws(Failure) in
                var y = io.output(as: Float.self)
                Pooling.average(shape, io.input(0, as: Float.self), &y, clamp: range, pool: io.pool)
            }
        }
        let stage = FloatStage(bias: nil, activation: windows.activation)
        return { io throws(Failure) in
            let x = io.input(0, as: Float.self)
            var y = io.output(as: Float.self)
            for index in 0..<y.count {
                let at = windows.shape.position(index)
                let (sum, count) = windows.fold(at, x, from: 0 as Float) { $0 + $1 }
                y[index] = stage.value(sum / Float(count), io, channel: at.channel)
            }
        }
    }

    private static func integer<T: QuantizedInteger>(
        _ op: Preparation, _ windows: PoolingWindows, _: T.Type
    ) throws(Failure) -> Kernel {
        let range = try op.range(of: windows.activation, as: T.self)
        if op.arithmetic == .fast, windows.shape.taps <= Pooling.longestAverage {
            let shape = windows.poolShape
            return { io throws(Failure) in
                var y = io.output(as: T.self)
                Pooling.average(shape, io.input(0, as: T.self), &y, clamp: range, pool: io.pool)
            }
        }
        return { io throws(Failure) in
            let x = io.input(0, as: T.self)
            var y = io.output(as: T.self)
            for index in 0..<y.count {
                let (sum, count) = windows.fold(windows.shape.position(index), x, from: 0) { $0 &+ Int($1) }
                let mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count
                y[index] = min(range.maximum, max(range.minimum, T(clamping: mean)))
            }
        }
    }
}
