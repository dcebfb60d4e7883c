import Kernels
import Model

/// CONV_2D: filters (OHWI) slide over images (NHWC). With fewer filter channels than input channels the channels form
/// groups, each with its own filters.
enum Conv2D {
    static var definition: OperatorDefinition {
        OperatorDefinition(.conv2D, maxVersion: 8, quantization: rule) { op throws(Failure) in
            [try geometry(op.options, input: op.input(0), filter: op.input(1), name: op.name).shape.output]
        } prepare: { op throws(Failure) in
            let filter = try op.input(1)
            let (shape, options) = try geometry(op.options, input: op.input(0), filter: filter, name: op.name)
            let scales = filter.quantization?.scales ?? []
            let conventions = LinearLayer.Conventions(
                asymmetricInputs: shape.groups != 1 || scales.contains { $0 != scales[0] },
                sumsInInt32: options.biasType == .int32)
            return try LinearLayer(
                op, Windows(shape, .convolution), conventions: conventions,
                activation: options.activation
            ).kernel()
        }.gradient { g throws(Failure) in
            try ConvolutionGradient.emit(g, g.beforeActivation(3))
        }
    }

    private static var rule: QuantizationRule {
        QuantizationRule(
            activations: [0], weights: .init(input: 1, channelDimension: 0, bias: 2), output: .calibrated,
            dynamicRange: true)
    }

    static func geometry(
        _ options: Options, input: TensorInfo, filter: TensorInfo, name: String
    ) throws(Failure) -> (shape: ConvolutionShape, options: ConvolutionOptions) {
        let options = try ConvolutionOptions(
            options, strideHeight: 2, strideWidth: 1, activation: 3, dilationHeight: 5, dilationWidth: 4, biasType: 6,
            operator: name)
        try requireRank(4, input, operator: name)
        try requireRank(4, filter, operator: name)
        let (channels, filterChannels, filters) = (input.shape[3], filter.shape[3], filter.shape[0])
        guard channels > 0, filterChannels > 0, filters > 0, channels % filterChannels == 0,
            filters % (channels / filterChannels) == 0
        else {
            throw .invalidModel(
                "\(name): filter \(filter.described) does not go with the \(channels) channels of \(input.described)")
        }
        let shape = try options.shape(
            input: input, filter: filter, outputChannels: filters, groups: channels / filterChannels, operator: name)
        return (shape, options)
    }
}
