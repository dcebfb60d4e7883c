import Kernels
import Model

/// edgeopt.fake_quantize: y = scale * round(clamp(x / scale)). Inputs: values, scales (one, or one for each channel),
/// zero point (one; left out: 0). Outputs: y, and optionally the least and the largest value that came in, shape [2].
package enum FakeQuantize {
    package static let name = "edgeopt.fake_quantize"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, shapes: shapes) { op throws(Failure) in
            let inputs = try FakeQuantizationInputs(op)
            try op.require(1, count: inputs.layout.channels)
            let quantization = FakeQuantization(inputs.layout)
            let (settings, hasZeroPoint) = (inputs.settings, inputs.hasZeroPoint)
            let observes = op.outputs.count > 1
            return { io in
                let x = io.input(0, as: Float.self)
                if observes { observe(x, settings, io) }
                let (scales, zeroPoint) = (
                    io.input(1, as: Float.self), hasZeroPoint ? io.input(2, as: Float.self)[0] : 0
                )
                let bounds = settings.bounds(scale: scales[0], zeroPoint: zeroPoint)
                var y = io.output(as: Float.self)
                quantization.apply(x, &y, scales: scales, bounds: bounds, pool: io.pool)
            }
        }
        .gradient(FakeQuantizeGradient.emit)
    }

    static func shapes(_ op: borrowing ShapeInference) throws(Failure) -> [[Int]]? {
        let shape = try op.input(0).shape
        return op.outputCount > 1 ? [shape, [2]] : [shape]
    }

    static func observe(_ x: Span<Float>, _ settings: FakeQuantizationSettings, _ io: borrowing Invocation) {
        let (range, passing) = (extremes(x), settings.activation.floatRange)
        var observed = io.output(1, as: Float.self)
        observed[0] = min(max(range.least, passing.minimum), passing.maximum)
        observed[1] = min(max(range.most, passing.minimum), passing.maximum)
    }
}

/// edgeopt.fake_requantize: the same for the results of integer sums, whose rounding it repeats. Inputs: values, scale,
/// zero point, scale of what was summed or of the first factor, and optionally scales of the second factor: one, or one
/// for each element of the last dimension. Outputs as before.
package enum FakeRequantize {
    package static let name = "edgeopt.fake_requantize"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, shapes: FakeQuantize.shapes) { op throws(Failure) in
            let inputs = try FakeQuantizationInputs(op)
            let channels = try op.input(0).shape.last ?? 1
            try op.require(1, count: 1)
            try op.require(3, count: 1)
            let hasSecond = op.hasInput(4)
            if hasSecond { try op.require(4, count: 1, channels) }
            let (settings, hasZeroPoint, observes) = (inputs.settings, inputs.hasZeroPoint, op.outputs.count > 1)
            let rowBytes = 4 * FakeRequantization.rowLength(channels: channels)
            let (inverse, factor) = (op.scratch(bytes: rowBytes), op.scratch(bytes: rowBytes))
            return { io in
                let x = io.input(0, as: Float.self)
                if observes { FakeQuantize.observe(x, settings, io) }
                let zeroPoint = hasZeroPoint ? io.input(2, as: Float.self)[0] : 0
                var y = io.output(as: Float.self)
                var inverses = io.scratch(inverse, as: Float.self)
                var factors = io.scratch(factor, as: Float.self)
                let (first, scale) = (io.input(3, as: Float.self), io.input(1, as: Float.self)[0])
                // Means have no second factor, and do not look at it.
                FakeRequantization.apply(
                    settings.form, x, &y, channels: channels, input: first[0],
                    scales: io.input(hasSecond ? 4 : 3), output: scale, zeroPoint: zeroPoint,
                    bounds: settings.bounds(scale: scale, zeroPoint: zeroPoint), inverse: &inverses, factor: &factors)
            }
        }
        .gradient(FakeQuantizeGradient.emit)
    }
}

/// edgeopt.fake_quantize_bias: y = step * round(x / step), step = scale of the input * scale of the weights. Inputs:
/// bias, that scale, scales of the weights: one, or one for each channel.
package enum FakeQuantizeBias {
    package static let name = "edgeopt.fake_quantize_bias"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, shapes: FakeQuantize.shapes) { op throws(Failure) in
            try op.require(1, count: 1)
            let count = try op.input(0).count
            try op.require(2, count: 1, count)
            guard try op.input(0).type == .float32 else { throw op.unsupportedTypes() }
            let isPerChannel = try op.input(2).count == count
            return { io in
                let (x, first) = (io.input(0, as: Float.self), io.input(1, as: Float.self))
                let second = io.input(2, as: Float.self)
                var y = io.output(as: Float.self)
                for channel in 0..<y.count {
                    let step = Double(max(second[isPerChannel ? channel : 0] * first[0], .leastNormalMagnitude))
                    y[channel] = Float((Double(x[channel]) / step).rounded() * step)
                }
            }
        }
        .gradient { g throws(Failure) in [try g.dy] }
    }
}
