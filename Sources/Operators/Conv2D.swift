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
            if let kernel = try depthwiseKernel(op, shape, filter, options.activation) { return kernel }
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

    /// Filters of one channel each are those of a depthwise layer in another order, and its kernels are made for them.
    /// nil: they are none, or no kernel is.
    private static func depthwiseKernel(
        _ op: Preparation, _ shape: ConvolutionShape, _ filter: TensorInfo, _ activation: FusedActivation
    ) throws(Failure) -> Kernel? {
        guard op.arithmetic == .fast, op.customOptions == nil, shape.groups > 1, shape.groups == shape.inputChannels,
            let weights = filter.constant, filter.type == .float32 || filter.type == .int8 || filter.type == .uint8,
            (filter.quantization?.dimension ?? 0) == 0
        else { return nil }
        var filter = filter
        filter.shape = [1, shape.kernelHeight, shape.kernelWidth, shape.outputChannels]
        filter.quantization?.dimension = 3
        filter.constant = try op.weights.transposed(
            weights, rows: shape.outputChannels, columns: shape.kernelHeight * shape.kernelWidth,
            elementSize: filter.type == .float32 ? 4 : 1)
        var inputs = op.inputs
        inputs[1] = filter
        let inner = Preparation(
            name: op.name, version: op.version, options: op.options, inputs: inputs, outputs: op.outputs,
            precision: op.precision, threadCount: op.threadCount, autotune: op.autotune, weights: op.weights)
        op.pass(to: inner)
        let layer = try LinearLayer(
            inner, Windows(shape, .depthwise), roles: .init(channelDimension: 3), activation: activation)
        guard let kernel = try layer.fastKernel() else { return nil }
        op.adopt(inner)
        return kernel
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
