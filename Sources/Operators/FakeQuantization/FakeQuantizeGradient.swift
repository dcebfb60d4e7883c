import Kernels
import Model

/// edgeopt.fake_quantize_gradient: inputs and options of edgeopt.fake_quantize, and as input 3 the gradient of its result.
/// Outputs: the gradient of the values, which passes where they are not clamped (Bengio et al., 2013), and optionally of
/// the scales (Esser et al., 2020).
enum FakeQuantizeGradient {
    static let name = "edgeopt.fake_quantize_gradient"

    /// The gradients of values and scales of edgeopt.fake_quantize and edgeopt.fake_requantize.
    static func emit(_ g: GradientContext) throws(Failure) -> [Value?] {
        let settings = FakeQuantizationSettings(g.customOptions)
        if settings?.isUnclamped == true { return [try g.dy] }
        if settings?.dimension == nil, !g.needs(1) {
            let bits = g.remember(.uint8, [(g.y.count + 7) / 8])
            return [try g.dy.custom(PassGradient.name, bits, shape: g.y.shape)]
        }
        let zeroPoint = g.inputs.count > 2 ? g.inputs[2] : nil
        let types: [TensorType] = g.needs(1) ? [.float32, .float32] : [.float32]
        let gradients = try g.y.graph.emit(
            OperatorCode(.custom, custom: name), [g.x, g.input(1), zeroPoint, g.dy], types: types,
            customOptions: g.customOptions)
        return gradients.map { Value?($0) }
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let shape = try op.input(0).shape
            return op.outputCount > 1 ? [shape, try op.input(1).shape] : [shape]
        } prepare: { op throws(Failure) in
            let inputs = try FakeQuantizationInputs(op)
            try op.require(1, count: inputs.layout.channels)
            try op.require(3, count: try op.input(0).count)
            let quantization = FakeQuantization(inputs.layout, isInSteps: inputs.settings.isInSteps)
            let (settings, hasZeroPoint, learnsScale) = (inputs.settings, inputs.hasZeroPoint, op.outputs.count > 1)
            let elements = Double(try op.input(0).count) / Double(max(1, inputs.layout.channels))
            let factor = Float(1 / max(1, elements * Double(settings.high)).squareRoot())
            return { io in
                let (x, dy) = (io.input(0, as: Float.self), io.input(3, as: Float.self))
                let scales = io.input(1, as: Float.self)
                let zeroPoint = hasZeroPoint ? io.input(2, as: Float.self)[0] : 0
                var dx = io.output(as: Float.self)
                quantization.gradient(
                    x, dy, &dx, scales: scales,
                    bounds: settings.gradientBounds(scale: scales[0], zeroPoint: zeroPoint), pool: io.pool)
                guard learnsScale else { return }
                var gradients = io.output(1, as: Float.self)
                quantization.scaleGradients(
                    x, dy, &gradients, scales: scales, bounds: settings.bounds(scale: scales[0], zeroPoint: zeroPoint),
                    factor: factor)
            }
        }
    }
}

/// edgeopt.pass_gradient: dx = dy where an element's bit is set, else 0. Inputs: dy, and the bits as edgeopt.fake_quantize
/// gives them: a 32nd of its values, which then need not be kept.
enum PassGradient {
    static let name = "edgeopt.pass_gradient"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            try op.require(1, count: (try op.input(0).count + 7) / 8)
            guard try op.input(0).type == .float32, try op.input(1).type == .uint8 else { throw op.unsupportedTypes() }
            return { io in
                var dx = io.output(as: Float.self)
                FakeQuantization.pass(io.input(0), io.input(1), &dx, pool: io.pool)
            }
        }
    }
}
