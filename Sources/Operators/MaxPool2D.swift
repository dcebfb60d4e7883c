import Kernels
import Model

/// MAX_POOL_2D: greatest of the window's elements.
enum MaxPool2D {
    static var definition: OperatorDefinition {
        OperatorDefinition(.maxPool2D, maxVersion: 3, quantization: .sameScale) { op throws(Failure) in
            let shape = try PoolingWindows(op.options, input: op.input(0), operator: op.name).shape.output
            return op.outputCount > 1 ? [shape, shape] : [shape]
        } prepare: { op throws(Failure) in
            let windows = try PoolingWindows(op.options, input: op.input(0), operator: op.name)
            try op.checkSameQuantization()
            switch try op.input(0).type {
            case .float32 where op.outputs.count > 1: return try remembering(op, windows)
            case .float32: return float(op, windows)
            case .bfloat16: return try windows.rounded(op, averages: false)
            case .int8: return try integer(op, windows, Int8.self)
            case .uint8: return try integer(op, windows, UInt8.self)
            case .int16: return try integer(op, windows, Int16.self)
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let dz = try g.beforeActivation(5)
            let places = g.remember(.uint16, g.y.shape)
            return [try dz.custom(PoolGradient.maximum, places, shape: g.x.shape, options: g.options)]
        }
    }

    /// With the places of the maxima, for the gradient.
    private static func remembering(_ op: Preparation, _ windows: PoolingWindows) throws(Failure) -> Kernel {
        let (shape, range) = (windows.poolShape, windows.activation.floatRange)
        guard windows.activation.isClamp, shape.filterHeight <= Int(UInt16.max) / max(1, shape.filterWidth) else {
            throw op.unsupported("windows of more than 65535 pixels cannot be trained")
        }
        return { io throws(Failure) in
            var y = io.output(as: Float.self)
            var places = io.output(1, as: UInt16.self)
            Pooling.maximum(shape, io.input(0), &y, places: &places, clamp: range, pool: io.pool)
        }
    }

    private static func float(_ op: Preparation, _ windows: PoolingWindows) -> Kernel {
        if op.arithmetic == .fast, windows.activation.isClamp {
            let (shape, range) = (windows.poolShape, windows.activation.floatRange)
            let margin = windows.countsPadding ? 0 as Float : nil
            return { io throws(Failure) in
                var y = io.output(as: Float.self)
                Pooling.maximum(
                    shape, io.input(0, as: Float.self), &y, clamp: range, margin: margin, pool: io.pool)
            }
        }
        let stage = FloatStage(bias: nil, activation: windows.activation)
        return { io throws(Failure) in
            let x = io.input(0, as: Float.self)
            var y = io.output(as: Float.self)
            for index in 0..<y.count {
                let at = windows.shape.position(index)
                var (greatest, count) = windows.fold(at, x, from: -Float.infinity) { max($0, $1) }
                if windows.reachesMargin(count) { greatest = max(greatest, 0) }
                y[index] = stage.value(greatest, io, channel: at.channel)
            }
        }
    }

    private static func integer<T: QuantizedInteger>(
        _ op: Preparation, _ windows: PoolingWindows, _: T.Type
    ) throws(Failure) -> Kernel {
        let range = try op.range(of: windows.activation, as: T.self)
        let zero = T(clamping: try op.input(0).zeroPoint)
        if op.arithmetic == .fast {
            let shape = windows.poolShape
            let margin = windows.countsPadding ? zero : nil
            return { io throws(Failure) in
                var y = io.output(as: T.self)
                Pooling.maximum(shape, io.input(0, as: T.self), &y, clamp: range, margin: margin, pool: io.pool)
            }
        }
        return { io throws(Failure) in
            let x = io.input(0, as: T.self)
            var y = io.output(as: T.self)
            for index in 0..<y.count {
                var (greatest, count) = windows.fold(windows.shape.position(index), x, from: T.min) { max($0, $1) }
                if windows.reachesMargin(count) { greatest = max(greatest, zero) }
                y[index] = min(range.maximum, max(range.minimum, greatest))
            }
        }
    }
}
