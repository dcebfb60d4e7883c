import Kernels
import Model

/// FULLY_CONNECTED: y = x Wᵀ + b, W with a row for each output. A convolution of 1x1 images: each row of the input is
/// an image, so that dynamic range quantizes each row by itself.
enum FullyConnected {
    static var definition: OperatorDefinition {
        OperatorDefinition(.fullyConnected, maxVersion: 14, quantization: rule) { op throws(Failure) in
            let (input, filter) = (try op.input(0), try op.input(1))
            let shape = try geometry(op.options, input: input, filter: filter, name: op.name)
            guard op.options.bool(2) else { return [[shape.batch, shape.outputChannels]] }
            return [input.shape.dropLast() + [shape.outputChannels]]
        } prepare: { op throws(Failure) in
            let filter = try op.input(1)
            let shape = try geometry(op.options, input: op.input(0), filter: filter, name: op.name)
            let activation = try FusedActivation(option: op.options.int(0), operator: op.name)
            let conventions = LinearLayer.Conventions(
                requantizesInDouble: true, asymmetricInputs: op.options.bool(3),
                sumsInInt32: op.options.tensorType(4) == .int32)
            let layer = try LinearLayer(
                op, Windows(shape, .convolution), conventions: conventions, activation: activation)
            return try layer.kernel()
        }.gradient { g throws(Failure) in
            try ConvolutionGradient.emit(g, g.beforeActivation(0))
        }
    }

    private static var rule: QuantizationRule {
        QuantizationRule(
            activations: [0], weights: .init(input: 1, channelDimension: 0, bias: 2), output: .calibrated,
            dynamicRange: true)
    }

    static func geometry(
        _ options: Options, input: TensorInfo, filter: TensorInfo, name: String
    ) throws(Failure) -> ConvolutionShape {
        guard options.int(1) == 0 else {
            throw .unsupported("\(name): shuffled weights (format \(options.int(1))) are not supported")
        }
        try requireRank(2, filter, operator: name)
        let (units, depth) = (filter.shape[0], filter.shape[1])
        let rows = depth == 0 ? input.shape.dropLast().reduce(1, &*) : input.count / depth
        let keepsDimensions = options.bool(2)
        guard rows * depth == input.count, units > 0, !keepsDimensions || input.shape.last == depth else {
            throw .invalidModel(
                "\(name): filter \(filter.described) does not go with \(input.described): "
                    + "\(keepsDimensions ? "rows" : "a multiple") of \(depth) elements expected")
        }
        var shape = ConvolutionShape()
        (shape.batch, shape.inputChannels, shape.outputChannels) = (rows, depth, units)
        return shape
    }
}
