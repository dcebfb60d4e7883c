import Kernels
import Model

/// DEPTHWISE_CONV_2D: each channel of the input has its own filters, `outputs / inputs` of them (1HWC). The option
/// depth_multiplier is redundant, and ignored.
enum DepthwiseConv2D {
    static var definition: OperatorDefinition {
        OperatorDefinition(.depthwiseConv2D, maxVersion: 7, quantization: rule) { op throws(Failure) in
            [try geometry(op.options, input: op.input(0), filter: op.input(1), name: op.name).shape.output]
        } prepare: { op throws(Failure) in
            let (shape, options) = try geometry(op.options, input: op.input(0), filter: op.input(1), name: op.name)
            return try LinearLayer(
                op, Windows(shape, .depthwise), roles: .init(channelDimension: 3),
                activation: options.activation
            ).kernel()
        }.gradient { g throws(Failure) in
            let dz = try g.beforeActivation(4)
            return [
                try dz.custom(DepthwiseGradient.input, g.b, shape: g.x.shape, options: g.options),
                try dz.custom(DepthwiseGradient.filter, g.x, shape: g.b.shape, options: g.options), dz,
            ]
        }
    }

    private static var rule: QuantizationRule {
        QuantizationRule(
            activations: [0], weights: .init(input: 1, channelDimension: 3, bias: 2), output: .calibrated,
            dynamicRange: true)
    }

    static func geometry(
        _ options: Options, input: TensorInfo, filter: TensorInfo, name: String
    ) throws(Failure) -> (shape: ConvolutionShape, options: ConvolutionOptions) {
        let options = try ConvolutionOptions(
            options, strideHeight: 2, strideWidth: 1, activation: 4, dilationHeight: 6, dilationWidth: 5,
            operator: name)
        try requireRank(4, input, operator: name)
        try requireRank(4, filter, operator: name)
        let (channels, outputs) = (input.shape[3], filter.shape[3])
        guard filter.shape[0] == 1, channels > 0, outputs > 0, outputs % channels == 0 else {
            throw .invalidModel(
                "\(name): filter \(filter.described) does not go with the \(channels) channels of \(input.described)")
        }
        let shape = try options.shape(
            input: input, filter: filter, outputChannels: outputs, groups: channels, operator: name)
        return (shape, options)
    }
}
