import Kernels

/// An output element of a convolution.
struct OutputPosition {
    let image: Int
    let y: Int
    let x: Int
    let channel: Int
}

extension ConvolutionShape {
    /// Position of element `index` of an NHWC output.
    @inline(__always)
    func position(_ index: Int) -> OutputPosition {
        let (pixel, channel) = index.quotientAndRemainder(dividingBy: outputChannels)
        let (row, x) = pixel.quotientAndRemainder(dividingBy: outputWidth)
        let (image, y) = row.quotientAndRemainder(dividingBy: outputHeight)
        return OutputPosition(image: image, y: y, x: x, channel: channel)
    }

    var inputsPerImage: Int { inputHeight * inputWidth * inputChannels }
    var outputsPerImage: Int { outputHeight * outputWidth * outputChannels }
}

/// Kinds of linear layers that differ in geometry or order of weights.
enum LinearForm: Sendable { case convolution, depthwise, transposed }

/// Which inputs meet which weights in an output element. The plain definition of a layer: no blocking, no packing.
///
/// A convolution slides filters over the input. A transposed one is the gradient of a convolution by its input: each
/// input element adds its multiple of the filter to the output. Read from the output's side: tap t reaches output o
/// from input i where i * stride - padding + t = o.
struct Windows: Sendable {
    let shape: ConvolutionShape
    let form: LinearForm
    /// Weights between two taps of a filter, and between two filters.
    private let tapStride: Int
    private let filterStride: Int
    private let groupInputs: Int
    private let groupOutputs: Int

    /// Depthwise weights are 1HWC, one filter per channel; others OHWI.
    init(_ shape: ConvolutionShape, _ form: LinearForm) {
        self.shape = shape
        self.form = form
        groupInputs = shape.inputChannels / shape.groups
        groupOutputs = shape.outputChannels / shape.groups
        tapStride = form == .depthwise ? shape.outputChannels : groupInputs
        filterStride = form == .depthwise ? 1 : shape.taps * groupInputs
    }

    /// Folds `add(sum, input, weight)` over the pairs of one output element; places in the padding have no pair.
    @inline(__always)
    func sum<X: BitwiseCopyable, W: BitwiseCopyable, Sum>(
        _ at: OutputPosition, _ input: Span<X>, _ weights: Span<W>, from start: Sum, add: (Sum, X, W) -> Sum
    ) -> Sum {
        var sum = start
        for step in 0..<shape.taps {
            guard let run = run(at, step) else { continue }
            for index in 0..<groupInputs {
                sum = add(sum, input[run.input + index], weights[run.weight + index])
            }
        }
        return sum
    }

    /// Where the pairs of a tap begin, one for each channel of a group; nil in the padding. Taps of transposed
    /// convolutions run backwards, so that inputs come in the order in which the defining scatter would add them.
    /// Never inlined: every type of input and weight would have its copy.
    @inline(never)
    private func run(_ at: OutputPosition, _ step: Int) -> (input: Int, weight: Int)? {
        let tap = form == .transposed ? shape.taps - 1 - step : step
        let (tapY, tapX) = tap.quotientAndRemainder(dividingBy: shape.kernelWidth)
        guard
            let y = place(
                at.y, tapY, stride: shape.strideHeight, padding: shape.paddingTop, dilation: shape.dilationHeight,
                size: shape.inputHeight),
            let x = place(
                at.x, tapX, stride: shape.strideWidth, padding: shape.paddingLeft, dilation: shape.dilationWidth,
                size: shape.inputWidth)
        else { return nil }
        let pixel = (at.image * shape.inputHeight + y) * shape.inputWidth + x
        let group = at.channel / groupOutputs
        return (pixel * shape.inputChannels + group * groupInputs, at.channel * filterStride + tap * tapStride)
    }

    /// The input along one dimension that a tap of output `at` meets.
    private func place(_ at: Int, _ tap: Int, stride: Int, padding: Int, dilation: Int, size: Int) -> Int? {
        var place = at * stride - padding + tap * dilation
        if form == .transposed {
            let (quotient, remainder) = (at + padding - tap).quotientAndRemainder(dividingBy: stride)
            guard remainder == 0 else { return nil }
            place = quotient
        }
        return place >= 0 && place < size ? place : nil
    }
}
