import Kernels
import Model

/// edgeopt.fake_quantize: y = scale * round(clamp(x / scale)). Inputs: values, scales (one, or one for each channel),
/// zero point (one; left out: 0), unit (left out: 1): scale / unit then takes the place of the factor scale. Outputs: y,
/// and optionally the least and the largest value that came in, or 0, float32 [2], and which gradients pass, uint8 with a bit for each element; both only with one scale.
package enum FakeQuantize {
    package static let name = "edgeopt.fake_quantize"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true, shapes: shapes) { op throws(Failure) in
            let inputs = try FakeQuantizationInputs(op)
            try op.require(1, count: inputs.layout.channels)
            let quantization = FakeQuantization(inputs.layout, isInSteps: inputs.settings.isInSteps)
            let (settings, hasZeroPoint, hasUnit) = (inputs.settings, inputs.hasZeroPoint, op.hasInput(3))
            if hasUnit { try op.require(3, count: 1) }
            let watched = try Watched(op, FakeQuantization.Watch(count: op.input(0).count))
            return { io in
                let (scales, zeroPoint) = (
                    io.input(1, as: Float.self), hasZeroPoint ? io.input(2, as: Float.self)[0] : 0
                )
                let bounds = settings.bounds(scale: scales[0], zeroPoint: zeroPoint)
                var y = io.output(as: Float.self)
                var passing = io.output(watched.passing, as: UInt8.self)
                var extremes = watched.extremes(io)
                quantization.apply(
                    io.input(0), &y, scales: scales, unit: hasUnit ? io.input(3, as: Float.self)[0] : 1, bounds: bounds,
                    watch: watched.watch(settings, scales[0], zeroPoint), passing: &passing, extremes: &extremes,
                    pool: io.pool)
                watched.observe(extremes.span, settings, io, unit: settings.isInSteps ? scales[0] : 1)
            }
        }
        .gradient(FakeQuantizeGradient.emit)
    }

    static func shapes(_ op: borrowing ShapeInference) throws(Failure) -> [[Int]]? {
        let x = try op.input(0)
        let stated = op.statedOutputShapes
        return (0..<op.outputCount).map { $0 == 0 ? x.shape : $0 < stated.count ? stated[$0] : [2] }
    }
}

/// The outputs beside the values, which somebody may have asked for.
private struct Watched {
    /// Number of the output with the bits, one that is not there if nobody has.
    let passing: Int
    private let range: Int
    private let scratch: Scratch?
    private let watch: FakeQuantization.Watch

    init(_ op: Preparation, _ watch: FakeQuantization.Watch) throws(Failure) {
        self.watch = watch
        passing = op.outputs.firstIndex { $0.type == .uint8 } ?? op.outputs.count
        range = op.outputs.indices.dropFirst().first { op.outputs[$0].type == .float32 } ?? op.outputs.count
        scratch = range < op.outputs.count ? op.scratch(bytes: 4 * watch.extremeCount) : nil
        if passing < op.outputs.count, try op.output(passing).count != watch.passingByteCount {
            throw op.invalid("\(try op.output(passing).described) must have \(watch.passingByteCount) elements")
        }
    }

    func watch(_ settings: FakeQuantizationSettings, _ scale: Float, _ zeroPoint: Float) -> FakeQuantization.Watch {
        var watch = watch
        watch.passes = settings.gradientBounds(scale: scale, zeroPoint: zeroPoint)
        return watch
    }

    @_lifetime(borrow io)
    func extremes(_ io: borrowing Invocation) -> MutableSpan<Float> {
        guard let scratch else { return MutableSpan() }
        return io.scratch(scratch, as: Float.self)
    }

    func observe(
        _ extremes: Span<Float>, _ settings: FakeQuantizationSettings, _ io: borrowing Invocation, unit: Float = 1
    ) {
        guard scratch != nil, extremes.count >= 2 else { return }
        let passing = settings.activation.floatRange
        var observed = io.output(range, as: Float.self)
        observed[0] = min(max(extremes[0] * unit, passing.minimum), passing.maximum)
        observed[1] = min(max(extremes[1] * unit, passing.minimum), passing.maximum)
    }
}

/// edgeopt.fake_requantize: the same for the results of integer sums, whose rounding it repeats. Inputs: values, scale,
/// zero point, scale of what was summed or of the first factor, and optionally scales of the second factor: one, or one
/// for each element of the last dimension. Outputs as before.
package enum FakeRequantize {
    package static let name = "edgeopt.fake_requantize"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true, shapes: FakeQuantize.shapes) {
            op throws(Failure) in
            let inputs = try FakeQuantizationInputs(op)
            let channels = try op.input(0).shape.last ?? 1
            try op.require(1, count: 1)
            try op.require(3, count: 1)
            let hasSecond = op.hasInput(4)
            if hasSecond { try op.require(4, count: 1, channels) }
            let (settings, hasZeroPoint) = (inputs.settings, inputs.hasZeroPoint)
            let length = FakeRequantization.rowLength(channels: channels)
            let (inverse, factor) = (op.scratch(bytes: 4 * length), op.scratch(bytes: 4 * length))
            let watched = try Watched(op, FakeQuantization.Watch(count: op.input(0).count, block: length))
            return { io in
                let zeroPoint = hasZeroPoint ? io.input(2, as: Float.self)[0] : 0
                var y = io.output(as: Float.self)
                var inverses = io.scratch(inverse, as: Float.self)
                var factors = io.scratch(factor, as: Float.self)
                let (first, scale) = (io.input(3, as: Float.self), io.input(1, as: Float.self)[0])
                var passing = io.output(watched.passing, as: UInt8.self)
                var extremes = watched.extremes(io)
                // Means have no second factor, and do not look at it.
                FakeRequantization.apply(
                    settings.form, io.input(0), &y, channels: channels, input: first[0],
                    scales: io.input(hasSecond ? 4 : 3), output: scale, zeroPoint: zeroPoint,
                    bounds: settings.bounds(scale: scale, zeroPoint: zeroPoint), inverse: &inverses, factor: &factors,
                    watch: watched.watch(settings, scale, zeroPoint), passing: &passing, extremes: &extremes,
                    pool: io.pool)
                watched.observe(extremes.span, settings, io)
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
