import CKernels
import Model
import Testing

@testable import Kernels

/// Sums that need more than 32 bits: 9 * 96 products of the largest numbers, and a bias beyond them.
private let deep = ConvolutionShape(3, 3, 96, outputs: 33, kernel: (3, 3))
private let manyTaps = ConvolutionShape(18, 18, 40, outputs: 40, kernel: (18, 18))

private func requantization(_ channels: Int, _ numbers: inout Numbers, depth: Int) -> Requantization {
    Requantization(
        scales: numbers.integers(channels, 1...99).map { Float($0) / 4000 / Float(depth) }, inputZeroPoint: 0,
        outputZeroPoint: 0, outputMinimum: -30000, outputMaximum: 32767)
}

extension Requantization {
    fileprivate func applyShort(_ sum: Int, _ channel: Int) -> Int16 {
        let limited = min(max(Float(sum) * scales[channel], Float(outputMinimum)), Float(outputMaximum))
        return Int16(limited.rounded(.toNearestOrEven))
    }
}

@Test(arguments: convolutionShapes + [deep], [0...32767, -32768...32767])
func shortConvolutionIsItsDefinition(_ shape: ConvolutionShape, _ range: ClosedRange<Int>) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let large = range.lowerBound == 0
    let input = large ? [Int](repeating: 32767, count: shape.inputCount) : numbers.integers(shape.inputCount, range)
    let weights = numbers.integers(shape.outputChannels * shape.depth, large ? 127...127 : -128...127)
    let bias = numbers.integers(shape.outputChannels, -(1 << 40)...(1 << 33))
    let rules = requantization(shape.outputChannels, &numbers, depth: shape.depth)
    let convolution = try ShortConvolution(
        shape, weights: Bytes(copying: weights.map(byte)), bias: bias.map { Int64($0) }, requantization: rules,
        cache: PackedWeightCache())
    let shorts = input.map { Int16($0) }
    var output = [Int16](repeating: 77, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(shorts.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 2))
    shape.outputs { index, b, y, x, channel in
        var sum = bias[channel]
        shape.products(b, y, x, channel) { sum += input[$0] * weights[$1] }
        let expected = rules.applyShort(sum, channel)
        #expect(
            output[index] == expected,
            "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}

@Test(arguments: depthwiseShapes + [manyTaps], [0...32767, -32768...32767])
func shortDepthwiseIsItsDefinition(_ shape: ConvolutionShape, _ range: ClosedRange<Int>) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let large = range.lowerBound == 0
    let input = large ? [Int](repeating: 32767, count: shape.inputCount) : numbers.integers(shape.inputCount, range)
    let weights = numbers.integers(shape.outputChannels * shape.taps, large ? 127...127 : -128...127)
    let rules = requantization(shape.outputChannels, &numbers, depth: shape.taps)
    let convolution = try ShortDepthwise(
        shape, weights: Bytes(copying: weights.map(byte)), bias: nil, requantization: rules, cache: PackedWeightCache())
    let shorts = input.map { Int16($0) }
    var output = [Int16](repeating: 77, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(shorts.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 2))
    shape.outputs { index, b, y, x, channel in
        var sum = 0
        shape.depthwiseProducts(b, y, x, channel) { sum += input[$0] * weights[$1] }
        let expected = rules.applyShort(sum, channel)
        #expect(
            output[index] == expected,
            "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}
