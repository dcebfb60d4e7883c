import CPlatform
import Kernels
import Model

/// What follows the sum in a float layer: bias and fused activation.
struct FloatStage: Sendable {
    /// Index of the bias among the inputs.
    let bias: Int?
    let activation: FusedActivation
    private let minimum: Float
    private let maximum: Float

    init(bias: Int?, activation: FusedActivation) {
        self.bias = bias
        self.activation = activation
        (minimum, maximum) = activation.floatRange
    }

    @inline(never)
    func value(_ sum: Float, _ io: borrowing Invocation, channel: Int) -> Float {
        let biased = if let bias { sum + io.input(bias, as: Float.self)[channel] } else { sum }
        return activation.isClamp ? min(max(biased, minimum), maximum) : curve(biased)
    }

    private func curve(_ x: Float) -> Float {
        switch activation {
        case .tanh: tanhf(x)
        case .signBit: x.sign == .minus ? 1 : 0
        default: x
        }
    }
}

/// Float activations, with float or integer weights, by the definition.
extension LinearLayer {
    var floatStage: FloatStage { FloatStage(bias: bias == nil ? nil : roles.bias, activation: activation) }

    func floatKernel() throws(Failure) -> Kernel {
        let (windows, stage, roles) = (windows, floatStage, roles)
        return { io throws(Failure) in
            let x = io.input(roles.input, as: Float.self)
            let w = io.input(roles.filter, as: Float.self)
            var y = io.output(as: Float.self)
            for index in 0..<y.count {
                let at = windows.shape.position(index)
                let sum = windows.sum(at, x, w, from: 0 as Float) { sum, x, w in sum + x * w }
                y[index] = stage.value(sum, io, channel: at.channel)
            }
        }
    }

    /// Scales of integer weights that meet float activations.
    func hybridScales() throws(Failure) -> [Float] {
        let quantization = try weightQuantization()
        guard quantization.zeroPoint == 0 else {
            throw op.unsupported("weights \(filter.described) of a float layer must have zero point 0")
        }
        return quantization.scales
    }

    /// Dynamic range: each image's inputs are quantized on the fly.
    func hybridKernel() throws(Failure) -> Kernel {
        let scales = try hybridScales()
        let weights = try WeightSource(op, input: roles.filter, filter: filter)
        let quantized = op.scratch(bytes: shape.inputsPerImage)
        let (windows, stage, inputIndex) = (windows, floatStage, roles.input)
        let asymmetric = conventions.asymmetricInputs
        return { io throws(Failure) in
            let x = io.input(inputIndex, as: Float.self)
            let w = weights.span(io, as: Int8.self)
            var q = io.scratch(quantized, as: Int8.self)
            var y = io.output(as: Float.self)
            let (inputs, outputs) = (windows.shape.inputsPerImage, windows.shape.outputsPerImage)
            for image in 0..<windows.shape.batch {
                let grid = DynamicQuantization(
                    x, from: image * inputs, count: inputs, asymmetric: asymmetric, into: &q)
                for index in 0..<outputs {
                    let at = windows.shape.position(index)
                    let sum = windows.sum(at, q.span, w, from: 0 as Int32) { sum, x, w in
                        sum &+ (Int32(x) &- grid.zeroPoint) &* Int32(w)
                    }
                    y[image * outputs + index] = stage.value(
                        Float(sum) * scales[at.channel] * grid.scale, io, channel: at.channel)
                }
            }
        }
    }
}
