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
protocol Windows: Sendable {
    var shape: ConvolutionShape { get }
    var form: LinearForm { get }

    /// Folds `add(sum, input, weight)` over the pairs of one output element; places in the padding have no pair.
    func sum<X: BitwiseCopyable, W: BitwiseCopyable, Sum>(
        _ at: OutputPosition, _ input: Span<X>, _ weights: Span<W>, from start: Sum, add: (Sum, X, W) -> Sum
    ) -> Sum
}

/// A convolution: filters slide over the input.
struct ForwardWindows: Windows {
    let shape: ConvolutionShape
    let form: LinearForm
    /// Weights between two taps of a filter, and between two filters.
    private let tapStride: Int
    private let filterStride: Int
    private let groupInputs: Int
    private let groupOutputs: Int

    /// `channelsLast`: weights are 1HWC, one filter per channel (depthwise); else OHWI.
    init(_ shape: ConvolutionShape, channelsLast: Bool) {
        self.shape = shape
        form = channelsLast ? .depthwise : .convolution
        groupInputs = shape.inputChannels / shape.groups
        groupOutputs = shape.outputChannels / shape.groups
        tapStride = channelsLast ? shape.outputChannels : groupInputs
        filterStride = channelsLast ? 1 : shape.taps * groupInputs
    }

    @inline(__always)
    func sum<X: BitwiseCopyable, W: BitwiseCopyable, Sum>(
        _ at: OutputPosition, _ input: Span<X>, _ weights: Span<W>, from start: Sum, add: (Sum, X, W) -> Sum
    ) -> Sum {
        var sum = start
        let group = at.channel / groupOutputs
        for tapY in 0..<shape.kernelHeight {
            let y = at.y * shape.strideHeight - shape.paddingTop + tapY * shape.dilationHeight
            guard y >= 0 && y < shape.inputHeight else { continue }
            for tapX in 0..<shape.kernelWidth {
                let x = at.x * shape.strideWidth - shape.paddingLeft + tapX * shape.dilationWidth
                guard x >= 0 && x < shape.inputWidth else { continue }
                let pixel = (at.image * shape.inputHeight + y) * shape.inputWidth + x
                let inputStart = pixel * shape.inputChannels + group * groupInputs
                let weightStart = at.channel * filterStride + (tapY * shape.kernelWidth + tapX) * tapStride
                for index in 0..<groupInputs {
                    sum = add(sum, input[inputStart + index], weights[weightStart + index])
                }
            }
        }
        return sum
    }
}

/// A transposed convolution (the gradient of a convolution by its input): each input element adds its multiple of the
/// filter to the output. Read from the output's side: tap t reaches output o from input i where
/// i * stride - padding + t = o. Weights are OHWI.
struct TransposedWindows: Windows {
    let shape: ConvolutionShape
    var form: LinearForm { .transposed }

    /// Taps run backwards, so that inputs come in the order in which the defining scatter would add them.
    @inline(__always)
    func sum<X: BitwiseCopyable, W: BitwiseCopyable, Sum>(
        _ at: OutputPosition, _ input: Span<X>, _ weights: Span<W>, from start: Sum, add: (Sum, X, W) -> Sum
    ) -> Sum {
        var sum = start
        for tapY in stride(from: shape.kernelHeight - 1, through: 0, by: -1) {
            let (y, offY) = (at.y + shape.paddingTop - tapY).quotientAndRemainder(dividingBy: shape.strideHeight)
            guard offY == 0, y >= 0 && y < shape.inputHeight else { continue }
            for tapX in stride(from: shape.kernelWidth - 1, through: 0, by: -1) {
                let (x, offX) = (at.x + shape.paddingLeft - tapX).quotientAndRemainder(dividingBy: shape.strideWidth)
                guard offX == 0, x >= 0 && x < shape.inputWidth else { continue }
                let pixel = (at.image * shape.inputHeight + y) * shape.inputWidth + x
                let tap = (at.channel * shape.kernelHeight + tapY) * shape.kernelWidth + tapX
                for index in 0..<shape.inputChannels {
                    sum = add(
                        sum, input[pixel * shape.inputChannels + index], weights[tap * shape.inputChannels + index])
                }
            }
        }
        return sum
    }
}
