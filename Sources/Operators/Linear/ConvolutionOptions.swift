import Kernels
import Model

/// Options that the convolutions share, and the geometry they give with tensor shapes.
struct ConvolutionOptions {
    var padding: Padding
    var strideHeight: Int
    var strideWidth: Int
    var dilationHeight = 1
    var dilationWidth = 1
    var activation: FusedActivation
    /// 16-bit activations: type of bias and sums, int64 unless the file says int32.
    var biasType = TensorType.float32
    /// Of a PAD that the compiler has joined with the layer.
    var margins: Margins

    /// Fields by their schema ids; an absent dilation or bias type is not in that operator's table.
    init(
        _ options: Options, strideHeight: Int, strideWidth: Int, activation: Int, dilationHeight: Int? = nil,
        dilationWidth: Int? = nil, biasType: Int? = nil, operator name: String
    ) throws(Failure) {
        padding = try Padding(option: options.int(0), operator: name)
        self.strideHeight = options.int(strideHeight)
        self.strideWidth = options.int(strideWidth)
        self.activation = try FusedActivation(option: options.int(activation), operator: name)
        if let dilationHeight { self.dilationHeight = options.int(dilationHeight) }
        if let dilationWidth { self.dilationWidth = options.int(dilationWidth) }
        if let biasType { self.biasType = options.tensorType(biasType) }
        margins = Margins(options)
    }

    /// A convolution of `input` (NHWC) with `filter`, whose height and width are dimensions 1 and 2.
    func shape(
        input: TensorInfo, filter: TensorInfo, outputChannels: Int, groups: Int, operator name: String
    ) throws(Failure) -> ConvolutionShape {
        let rows = try SlidingWindow(
            padding, input: margins.top + input.shape[1] + margins.bottom, filter: filter.shape[1],
            stride: strideHeight, dilation: dilationHeight,
            what: "height", operator: name)
        let columns = try SlidingWindow(
            padding, input: margins.left + input.shape[2] + margins.right, filter: filter.shape[2],
            stride: strideWidth, dilation: dilationWidth,
            what: "width", operator: name)
        var shape = ConvolutionShape()
        shape.batch = input.shape[0]
        (shape.inputHeight, shape.inputWidth, shape.inputChannels) = (input.shape[1], input.shape[2], input.shape[3])
        (shape.outputHeight, shape.outputWidth) = (rows.outputSize, columns.outputSize)
        shape.outputChannels = outputChannels
        (shape.kernelHeight, shape.kernelWidth) = (filter.shape[1], filter.shape[2])
        (shape.strideHeight, shape.strideWidth) = (strideHeight, strideWidth)
        (shape.dilationHeight, shape.dilationWidth) = (dilationHeight, dilationWidth)
        (shape.paddingTop, shape.paddingLeft) = (
            margins.top + rows.paddingBefore, margins.left + columns.paddingBefore
        )
        shape.groups = groups
        return shape
    }
}

extension ConvolutionShape {
    var output: [Int] { [batch, outputHeight, outputWidth, outputChannels] }
}

/// Throws unless the tensor has `rank` dimensions.
func requireRank(_ rank: Int, _ tensor: TensorInfo, operator name: String) throws(Failure) {
    guard tensor.rank == rank else {
        throw .invalidModel("\(name): \(tensor.described) has rank \(tensor.rank), expected \(rank)")
    }
}
