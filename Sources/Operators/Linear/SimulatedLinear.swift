import Kernels
import Model

/// Layers whose quantization is simulated. Behind those of the layer they have these inputs: scale and zero point of the
/// activations, scales of the weights (one, or one for each channel), scale of the results. Activations and weights have
/// been rounded, the bias has not, and the results are in steps of their scale, neither rounded nor limited. Custom
/// options: those of what makes the activations.
extension LinearLayer {
    /// How many inputs there are behind those of the layer itself.
    fileprivate static let simulatedInputs = 4

    func simulatedKernel() throws(Failure) -> Kernel {
        let first = roles.count
        let settings = try FakeQuantizationSettings(op)
        guard activation == .none, windows.form != .transposed, op.inputs.count == first + Self.simulatedInputs else {
            throw op.unsupportedTypes()
        }
        for index in op.inputs.indices where index != roles.bias {
            guard try op.input(index).type == .float32 else { throw op.unsupportedTypes() }
        }
        for index in [first, first + 1, first + 3] { try op.require(index, count: 1) }
        try op.require(first + 2, count: 1, channels)
        let layer = try SimulatedLayer(
            shape, depthwise: windows.form == .depthwise, bits: settings.isSymmetric ? 16 : 8, threads: op.threadCount)
        op.kernelName = layer.kernelName
        let scratch = op.scratch(bytes: layer.scratchByteCount)
        let (roles, hasBias) = (roles, bias != nil)
        return { io throws(Failure) in
            let grids = SimulatedLayer.Grids(
                input: io.input(first, as: Float.self)[0], inputZero: io.input(first + 1, as: Float.self)[0],
                output: io.input(first + 3, as: Float.self)[0])
            var y = io.output(as: Float.self)
            var work = io.scratch(scratch, as: UInt8.self)
            layer.run(
                io.input(roles.input), weights: io.input(roles.filter), bias: hasBias ? io.input(roles.bias) : nil,
                grids, weightScales: io.input(first + 2), &y, scratch: &work, pool: io.pool)
        }
    }
}

extension GradientContext {
    /// Of a layer whose quantization is simulated with 8 bits: its images and its weights are whole numbers up to 256
    /// times these.
    var simulatedScales: (input: Value, weights: Value)? {
        let first = LinearLayer.Roles().count
        guard let settings = FakeQuantizationSettings(customOptions), !settings.isSymmetric,
            inputs.count == first + LinearLayer.simulatedInputs, let input = inputs[first],
            let weights = inputs[first + 2]
        else { return nil }
        return (input, weights)
    }
}
