import Kernels
import Model

/// TRANSPOSE_CONV: the gradient of a convolution by its input. Inputs are the output's shape, the filter (OHWI), the
/// images, and a bias.
enum TransposeConv {
    static var definition: OperatorDefinition {
        OperatorDefinition(.transposeConv, maxVersion: 5, quantization: rule) { op throws(Failure) in
            guard let shape = try op.integers(0) else { return nil }
            _ = try geometry(op.options, output: shape, filter: op.input(1), input: op.input(2), name: op.name)
            return [shape]
        } prepare: { op throws(Failure) in
            let (shape, options) = try geometry(
                op.options, output: op.output().shape, filter: op.input(1), input: op.input(2), name: op.name)
            return try LinearLayer(
                op, Windows(shape, .transposed), roles: .init(input: 2, filter: 1, bias: 3),
                conventions: .init(sumsInInt32: options.biasType == .int32), activation: options.activation
            ).kernel()
        }.gradient { g throws(Failure) in
            let (w, x, dz) = (try g.b, try g.input(2), try g.beforeActivation(3))
            let convolution = Options(.conv2D, [g.options[0], g.options[1], g.options[2]])
            let (dx, dw) = try gradients(x, w, dz, convolution)
            return [nil, dw, dx, dz]
        }
    }

    /// Those of images and filter, for the options of the CONV_2D that leads the other way, whose filter has inputs and
    /// outputs exchanged.
    static func gradients(
        _ x: Value, _ w: Value, _ dz: Value, _ convolution: Options
    ) throws(Failure) -> (x: Value, w: Value) {
        let dw = try x.custom(
            ConvolutionGradient.filter, dz, shape: [w.shape[3], w.shape[1], w.shape[2], w.shape[0]],
            options: convolution)
        return (
            try dz.apply(.conv2D, w.transpose([3, 1, 2, 0]), options: convolution), try dw.transpose([3, 1, 2, 0])
        )
    }

    private static var rule: QuantizationRule {
        QuantizationRule(
            activations: [2], weights: .init(input: 1, channelDimension: 0, bias: 3), output: .calibrated,
            dynamicRange: true)
    }

    /// The padding is that of the convolution that leads back from the output to the input.
    private static func geometry(
        _ options: Options, output: [Int], filter: TensorInfo, input: TensorInfo, name: String
    ) throws(Failure) -> (shape: ConvolutionShape, options: ConvolutionOptions) {
        let options = try ConvolutionOptions(
            options, strideHeight: 2, strideWidth: 1, activation: 3, biasType: 4, operator: name)
        try requireRank(4, input, operator: name)
        try requireRank(4, filter, operator: name)
        let target = TensorInfo(name: "output", type: input.type, shape: output)
        guard output.count == 4, elementCount(output) != nil, output[0] == input.shape[0],
            output[3] == filter.shape[0], filter.shape[3] == input.shape[3], output[3] > 0
        else {
            throw .invalidModel(
                "\(name): output \(target.described), filter \(filter.described) and \(input.described) do not go together"
            )
        }
        let back = try options.shape(
            input: target, filter: filter, outputChannels: filter.shape[3], groups: 1, operator: name)
        var shape = back
        (shape.inputHeight, shape.inputWidth, shape.inputChannels) = (input.shape[1], input.shape[2], input.shape[3])
        (shape.outputHeight, shape.outputWidth, shape.outputChannels) = (output[1], output[2], output[3])
        return (shape, options)
    }
}
