import CKernels
import Model
import Testing

@testable import Kernels

/// Deterministic numbers in -1...1.
struct Numbers {
    private var state: UInt64
    init(seed: Int) { state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
    mutating func float() -> Float { Float(Int64(next() % 2001) - 1000) / 1000 }
    mutating func integer(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }
    mutating func floats(_ count: Int) -> [Float] { (0..<count).map { _ in float() } }
    mutating func integers(_ count: Int, _ range: ClosedRange<Int>) -> [Int] { (0..<count).map { _ in integer(range) } }
}

extension ConvolutionShape {
    /// VALID-like geometry with the output size that follows from it.
    init(
        _ height: Int, _ width: Int, _ channels: Int, outputs: Int, kernel: (Int, Int) = (1, 1), stride: Int = 1,
        dilation: Int = 1, padding: Int = 0, batch: Int = 1, groups: Int = 1
    ) {
        self.init()
        self.batch = batch
        inputHeight = height
        inputWidth = width
        inputChannels = channels
        outputChannels = outputs
        (kernelHeight, kernelWidth) = kernel
        (strideHeight, strideWidth) = (stride, stride)
        (dilationHeight, dilationWidth) = (dilation, dilation)
        (paddingTop, paddingLeft) = (padding, padding)
        self.groups = groups
        outputHeight = (height + 2 * padding - (kernelHeight - 1) * dilation - 1) / stride + 1
        outputWidth = (width + 2 * padding - (kernelWidth - 1) * dilation - 1) / stride + 1
    }

    /// Calls `body(input index, weight index)` for each product of output (b, y, x, channel) inside the image.
    func products(_ b: Int, _ y: Int, _ x: Int, _ channel: Int, _ body: (Int, Int) -> Void) {
        let inputs = inputChannels / groups
        let group = channel / (outputChannels / groups)
        for ky in 0..<kernelHeight {
            for kx in 0..<kernelWidth {
                let iy = y * strideHeight - paddingTop + ky * dilationHeight
                let ix = x * strideWidth - paddingLeft + kx * dilationWidth
                guard (0..<inputHeight).contains(iy), (0..<inputWidth).contains(ix) else { continue }
                for c in 0..<inputs {
                    body(
                        ((b * inputHeight + iy) * inputWidth + ix) * inputChannels + group * inputs + c,
                        ((channel * kernelHeight + ky) * kernelWidth + kx) * inputs + c)
                }
            }
        }
    }

    /// body(output index, b, y, x, channel)
    func outputs(_ body: (Int, Int, Int, Int, Int) -> Void) {
        var index = 0
        for b in 0..<batch {
            for y in 0..<outputHeight {
                for x in 0..<outputWidth {
                    for channel in 0..<outputChannels {
                        body(index, b, y, x, channel)
                        index += 1
                    }
                }
            }
        }
    }
}

let convolutionShapes: [ConvolutionShape] = [
    .init(1, 1, 7, outputs: 3),
    .init(5, 6, 3, outputs: 33, kernel: (3, 3), padding: 1),
    .init(9, 9, 3, outputs: 8, kernel: (3, 3), stride: 2, padding: 1),
    .init(7, 7, 16, outputs: 40),
    .init(7, 5, 6, outputs: 10, kernel: (3, 2), stride: 2, dilation: 2, padding: 2, batch: 2),
    .init(6, 6, 8, outputs: 12, kernel: (3, 3), padding: 1, groups: 4),
    .init(6, 4, 8, outputs: 66, stride: 2, groups: 2),
    .init(4, 4, 6, outputs: 4, groups: 2),
    .init(24, 25, 32, outputs: 32, kernel: (3, 3), padding: 1, groups: 4),
    .init(3, 3, 5, outputs: 9, kernel: (5, 5), padding: 3, batch: 3),
    .init(7, 9, 64, outputs: 40, kernel: (3, 2), stride: 2, padding: 1, batch: 2),
    .init(19, 30, 40, outputs: 72),
    .init(8, 8, 3, outputs: 5, kernel: (3, 3), dilation: 1 << 30, padding: 1 << 30),
]

/// Small images, copied with their padding.
private let framedShapes: [ConvolutionShape] = [
    .init(28, 28, 1, outputs: 8, kernel: (3, 3), padding: 1),
    .init(2, 3, 3, outputs: 5, kernel: (3, 3), padding: 20),
]

@Test(arguments: convolutionShapes + framedShapes, [1, 3])
func floatConvolutionIsItsDefinition(_ shape: ConvolutionShape, _ threads: Int) throws {
    try expectDefinition(shape, threads: threads, method: nil)
    try expectDefinition(shape, threads: threads, method: .parts)
}

private func expectDefinition(
    _ shape: ConvolutionShape, threads: Int, method: FloatConvolution.Method?
) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let input = numbers.floats(shape.inputCount)
    let weights = numbers.floats(shape.outputChannels * shape.depth)
    let bias = numbers.floats(shape.outputChannels)
    let convolution = try FloatConvolution(
        shape, weights: Bytes(copying: weights), bias: Bytes(copying: bias), minimum: -1.5, maximum: 2,
        cache: PackedWeightCache(), method: method)
    let pool = try ThreadPool(threads: threads)
    var output = [Float](repeating: .nan, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: pool)
    shape.outputs { index, b, y, x, channel in
        var sum = Double(bias[channel])
        shape.products(b, y, x, channel) { sum += Double(input[$0]) * Double(weights[$1]) }
        let expected = Float(min(max(sum, -1.5), 2))
        #expect(
            abs(output[index] - expected) <= 1e-6 * Float(shape.depth + 1),
            "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}
