import Kernels
import Model

/// The gradients of CONV_2D, and of FULLY_CONNECTED, whose filter has two dimensions. Inputs are dz, the gradient of its
/// result, and the filter or the images; the options are its own, and the shape of the result is stated.
enum ConvolutionGradient {
    /// edgeopt.conv_2d_input_gradient(dz, filter), and the scales of a filter of whole numbers.
    static let input = "edgeopt.conv_2d_input_gradient"
    /// edgeopt.conv_2d_filter_gradient(dz, images), and the scale of images of whole numbers; a second output is the
    /// gradient of the bias.
    static let filter = "edgeopt.conv_2d_filter_gradient"

    /// Of input, filter and bias.
    static func emit(_ g: GradientContext, _ dz: Value) throws(Failure) -> [Value?] {
        let (x, w) = (try g.x, try g.b)
        let hasBias = g.needs(1) && g.needs(2)
        let scales = g.simulatedScales
        let ofWeights = try dz.graph.emit(
            OperatorCode(.custom, custom: filter), scales.map { [dz, x, $0.input] } ?? [dz, x], g.options,
            types: hasBias ? [.float32, .float32] : [.float32], shapes: [w.shape, [w.shape[0]]])
        return [
            try dz.custom(input, w, scales?.weights, shape: x.shape, options: g.options), ofWeights[0],
            hasBias ? ofWeights[1] : dz,
        ]
    }

    private static func shape(
        _ op: Preparation, input: TensorInfo, filter: TensorInfo
    ) throws(Failure) -> ConvolutionShape {
        guard filter.rank == 2 else {
            return try op.gradientShape(
                Conv2D.geometry(op.options, input: input, filter: filter, name: op.name).shape)
        }
        let shape = try FullyConnected.geometry(op.options, input: input, filter: filter, name: op.name)
        guard try op.input(0).count == shape.batch * shape.outputChannels else {
            throw op.invalid("\(try op.input(0).described) is no gradient of \(shape.output.listed)")
        }
        return shape
    }

    static var ofFilter: OperatorDefinition {
        .stated(filter) { op throws(Failure) in
            let shape = try shape(op, input: op.input(1), filter: op.output())
            let isWhole = op.hasInput(2)
            if isWhole { try op.require(2, count: 1) }
            let gradient = try FilterGradient(
                shape, roundsToBfloat: op.roundsToBfloat, wholeInput: isWhole, threads: op.threadCount)
            op.kernelName = gradient.kernelName
            let scratch = op.scratch(bytes: gradient.scratchByteCount)
            return { io in
                var dw = io.output(as: Float.self)
                var db = io.output(1, as: Float.self)
                var work = io.scratch(scratch, as: UInt8.self)
                let scale = isWhole ? io.input(2, as: Float.self)[0] : 1
                gradient.run(io.input(1), scale: scale, io.input(0), &dw, &db, scratch: &work, pool: io.pool)
            }
        }
    }

    static var ofInput: OperatorDefinition {
        .stated(input) { op throws(Failure) in
            var shape = try shape(op, input: op.output(), filter: op.input(1))
            let (taps, channels) = (shape.taps, shape.inputChannels / shape.groups)
            let strides = WeightStrides(
                group: shape.outputChannels / shape.groups * taps * channels, tap: channels, input: taps * channels,
                output: 1)
            let isWhole = op.hasInput(2)
            if isWhole { try op.require(2, count: 1, shape.outputChannels) }
            shape.turnAround()
            let convolution = try LiveConvolution(
                shape, strides, transposed: true, roundsToBfloat: op.roundsToBfloat,
                gradient: .init(wholeWeights: isWhole), threads: op.threadCount)
            op.kernelName = convolution.kernelName
            let scratch = op.scratch(bytes: convolution.scratchByteCount)
            return { io in
                var dx = io.output(as: Float.self)
                var work = io.scratch(scratch, as: UInt8.self)
                convolution.run(
                    io.input(0), weights: io.input(1), weightScales: isWhole ? io.input(2) : nil, bias: nil, &dx,
                    scratch: &work, pool: io.pool)
            }
        }
    }
}

/// The same for DEPTHWISE_CONV_2D.
enum DepthwiseGradient {
    static let input = "edgeopt.depthwise_conv_2d_input_gradient"
    static let filter = "edgeopt.depthwise_conv_2d_filter_gradient"

    static var ofFilter: OperatorDefinition {
        .stated(filter) { op throws(Failure) in
            let images = try op.input(1)
            let shape = try DepthwiseConv2D.geometry(
                op.options, input: images, filter: op.output(), name: op.name
            ).shape
            let gradients = try DepthwiseGradients(op.gradientShape(shape))
            let scratch = op.scratch(bytes: gradients.scratchByteCount)
            return { io in
                var dw = io.output(as: Float.self)
                var work = io.scratch(scratch, as: UInt8.self)
                gradients.filter(io.input(1), io.input(0), &dw, scratch: &work, pool: io.pool)
            }
        }
    }

    static var ofInput: OperatorDefinition {
        .stated(input) { op throws(Failure) in
            let filter = try op.input(1)
            let shape = try DepthwiseConv2D.geometry(
                op.options, input: op.output(), filter: filter, name: op.name
            ).shape
            let gradients = try DepthwiseGradients(op.gradientShape(shape))
            return { io in
                var dx = io.output(as: Float.self)
                gradients.input(io.input(1), io.input(0), &dx, pool: io.pool)
            }
        }
    }
}

extension OperatorDefinition {
    /// An internal float operator whose result has the shape that is stated. `second`: the type of its inputs but the
    /// first.
    static func stated(
        _ name: String, second: TensorType = .float32,
        _ prepare: @escaping @Sendable (Preparation) throws(Failure) -> Kernel
    ) -> OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            op.statedOutputShapes
        } prepare: { op throws(Failure) in
            for index in op.inputs.indices {
                guard try op.input(index).type == (index == 0 ? .float32 : second) else { throw op.unsupportedTypes() }
            }
            return try prepare(op)
        }
    }
}

extension Preparation {
    /// The shape of the operator whose gradient this is, if input 0 is a gradient of its result.
    func gradientShape(_ shape: ConvolutionShape) throws(Failure) -> ConvolutionShape {
        guard try input(0).shape == shape.output else {
            throw invalid("\(try input(0).described) is no gradient of a result of shape \(shape.output.listed)")
        }
        return shape
    }
}

extension ConvolutionShape {
    /// Exchanges input and output.
    mutating func turnAround() {
        swap(&inputHeight, &outputHeight)
        swap(&inputWidth, &outputWidth)
        swap(&inputChannels, &outputChannels)
    }
}
