import CKernels
import Model
import Testing

@testable import Kernels

/// A combination of types and zero points.
struct ByteCase: Sendable {
    var weightsAreSigned: Bool
    var activationsAreSigned: Bool
    var requantization: Requantization
    var hasBias = true
}

let byteCases: [ByteCase] = [
    ByteCase(
        weightsAreSigned: true, activationsAreSigned: true,
        requantization: Requantization(
            scales: [], inputZeroPoint: -128, outputZeroPoint: 3, outputMinimum: -128, outputMaximum: 127)),
    ByteCase(
        weightsAreSigned: true, activationsAreSigned: true,
        requantization: Requantization(
            scales: [0.011], inputZeroPoint: 127, outputZeroPoint: -128, outputMinimum: -128, outputMaximum: 60),
        hasBias: false),
    ByteCase(
        weightsAreSigned: false, activationsAreSigned: false,
        requantization: Requantization(
            scales: [0.004], inputZeroPoint: 128, weightZeroPoint: 121, outputZeroPoint: 0, outputMinimum: 0,
            outputMaximum: 255)),
    ByteCase(
        weightsAreSigned: false, activationsAreSigned: false,
        requantization: Requantization(
            scales: [0.002], inputZeroPoint: 0, weightZeroPoint: 255, outputZeroPoint: 255, outputMinimum: 10,
            outputMaximum: 250)),
    ByteCase(
        weightsAreSigned: true, activationsAreSigned: false,
        requantization: Requantization(
            scales: [], inputZeroPoint: 255, outputZeroPoint: 100, outputMinimum: 0, outputMaximum: 255)),
]

extension Requantization {
    /// The contract, with other means than the kernels.
    func apply(_ sum: Int, _ channel: Int) -> Int {
        let scale = scales.count == 1 ? scales[0] : scales[channel]
        let value = Float(Int32(truncatingIfNeeded: sum)) * scale
        let limited = min(max(value, Float(outputMinimum - outputZeroPoint)), Float(outputMaximum - outputZeroPoint))
        return Int(limited.rounded(.toNearestOrEven)) + outputZeroPoint
    }
}

func byte(_ value: Int) -> UInt8 { UInt8(truncatingIfNeeded: value) }

@Test(arguments: convolutionShapes, byteCases)
func byteConvolutionIsItsDefinition(_ shape: ConvolutionShape, _ byteCase: ByteCase) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let activations = byteCase.activationsAreSigned ? -128...127 : 0...255
    let input = numbers.integers(shape.inputCount, activations)
    let weights = numbers.integers(
        shape.outputChannels * shape.depth, byteCase.weightsAreSigned ? -127...127 : 0...255)
    let bias = byteCase.hasBias ? numbers.integers(shape.outputChannels, -2000...2000) : nil
    var requantization = byteCase.requantization
    if requantization.scales.isEmpty {
        requantization.scales = numbers.integers(shape.outputChannels, 1...99).map { Float($0) / 9000 }
    }
    let convolution = try ByteConvolution(
        shape, weights: Bytes(copying: weights.map(byte)), weightsAreSigned: byteCase.weightsAreSigned,
        bias: bias.map { $0.map { Int32($0) } }, requantization: requantization,
        activationsAreSigned: byteCase.activationsAreSigned, cache: PackedWeightCache())
    let pool = try ThreadPool(threads: 2)
    let bytes = input.map(byte)
    var output = [UInt8](repeating: 0x55, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(bytes.span, &outputSpan, scratch: &scratchSpan, pool: pool)
    shape.outputs { index, b, y, x, channel in
        var sum = bias?[channel] ?? 0
        shape.products(b, y, x, channel) {
            sum += (input[$0] - requantization.inputZeroPoint) * (weights[$1] - requantization.weightZeroPoint)
        }
        let expected = byte(requantization.apply(sum, channel))
        #expect(
            output[index] == expected,
            "\(convolution.kernelName) \(byteCase) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}

@Test(arguments: depthwiseShapes, byteCases)
func byteDepthwiseIsItsDefinition(_ shape: ConvolutionShape, _ byteCase: ByteCase) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let activations = byteCase.activationsAreSigned ? -128...127 : 0...255
    let input = numbers.integers(shape.inputCount, activations)
    let weights = numbers.integers(shape.outputChannels * shape.taps, byteCase.weightsAreSigned ? -128...127 : 0...255)
    let bias = byteCase.hasBias ? numbers.integers(shape.outputChannels, -2000...2000) : nil
    var requantization = byteCase.requantization
    if requantization.scales.isEmpty {
        requantization.scales = numbers.integers(shape.outputChannels, 1...99).map { Float($0) / 9000 }
    }
    let convolution = try ByteDepthwise(
        shape, weights: Bytes(copying: weights.map(byte)), weightsAreSigned: byteCase.weightsAreSigned,
        bias: bias.map { $0.map { Int32($0) } }, requantization: requantization,
        activationsAreSigned: byteCase.activationsAreSigned, cache: PackedWeightCache())
    let pool = try ThreadPool(threads: 2)
    let bytes = input.map(byte)
    var output = [UInt8](repeating: 0x55, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(bytes.span, &outputSpan, scratch: &scratchSpan, pool: pool)
    shape.outputs { index, b, y, x, channel in
        var sum = bias?[channel] ?? 0
        shape.depthwiseProducts(b, y, x, channel) {
            sum += (input[$0] - requantization.inputZeroPoint) * (weights[$1] - requantization.weightZeroPoint)
        }
        let expected = byte(requantization.apply(sum, channel))
        #expect(
            output[index] == expected,
            "\(convolution.kernelName) \(byteCase) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}
