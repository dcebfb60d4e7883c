import CKernels
import Model
import Testing

@testable import Kernels

let depthwiseShapes: [ConvolutionShape] = [
    .init(5, 6, 7, outputs: 7, kernel: (3, 3), padding: 1),
    .init(9, 8, 150, outputs: 150, kernel: (3, 3), stride: 2, padding: 1),
    .init(7, 7, 32, outputs: 32, kernel: (5, 5), padding: 2, batch: 2),
    .init(1, 1, 65, outputs: 65, kernel: (3, 3), padding: 1),
    .init(2, 9, 17, outputs: 17, kernel: (4, 2), dilation: 2, padding: 4),
    .init(6, 3, 4, outputs: 4, kernel: (1, 7), stride: 3, padding: 5),
    .init(5, 5, 3, outputs: 6, kernel: (3, 3), padding: 1),
    .init(5, 5, 1, outputs: 8, kernel: (3, 3), stride: 2),
    .init(6, 6, 80, outputs: 80, kernel: (2, 2), stride: 2),
    .init(23, 40, 20, outputs: 20, kernel: (3, 3), padding: 1),
    .init(40, 21, 18, outputs: 18, kernel: (5, 5), stride: 2, padding: 2),
    .init(12, 11, 33, outputs: 33, kernel: (3, 3), dilation: 3, padding: 3, batch: 2),
    .init(30, 31, 16, outputs: 16, kernel: (5, 5), stride: 3, padding: 4),
    .init(75, 66, 65, outputs: 65, kernel: (3, 3), stride: 2, padding: 1),
]

extension ConvolutionShape {
    /// Calls `body(input index, weight index)` for each product of a depthwise output.
    func depthwiseProducts(_ b: Int, _ y: Int, _ x: Int, _ channel: Int, _ body: (Int, Int) -> Void) {
        grouped.products(b, y, x, channel) { input, weight in
            body(input, weight % taps * outputChannels + channel)
        }
    }
}

@Test(arguments: depthwiseShapes, [1, 3])
func floatDepthwiseIsItsDefinition(_ shape: ConvolutionShape, _ threads: Int) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let input = numbers.floats(shape.inputCount)
    let weights = numbers.floats(shape.outputChannels * shape.taps)
    let bias = numbers.floats(shape.outputChannels)
    let convolution = try FloatDepthwise(
        shape, weights: Bytes(copying: weights), bias: Bytes(copying: bias), minimum: -1, maximum: 1.25,
        cache: PackedWeightCache())
    let pool = try ThreadPool(threads: threads)
    var output = [Float](repeating: .nan, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: pool)
    shape.outputs { index, b, y, x, channel in
        var sum = Double(bias[channel])
        shape.depthwiseProducts(b, y, x, channel) { sum += Double(input[$0]) * Double(weights[$1]) }
        let expected = Float(min(max(sum, -1), 1.25))
        #expect(
            abs(output[index] - expected) <= 1e-6 * Float(shape.taps + 1),
            "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}
