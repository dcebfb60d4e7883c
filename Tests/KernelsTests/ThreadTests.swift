import CKernels
import Model
import Testing

@testable import Kernels

/// Large enough that the work is cut in several ways.
private let shapes: [ConvolutionShape] = [
    .init(20, 20, 16, outputs: 70, kernel: (3, 3), padding: 1),
    .init(30, 30, 24, outputs: 40),
    .init(1, 1, 600, outputs: 1001),
    .init(12, 12, 32, outputs: 64, kernel: (3, 3), groups: 2),
]

@Test(arguments: shapes)
func resultsDoNotDependOnThreads(_ shape: ConvolutionShape) throws {
    var numbers = Numbers(seed: shape.inputCount)
    let floats = numbers.floats(shape.inputCount)
    let bytes = numbers.integers(shape.inputCount, 0...255).map { UInt8($0) }
    let floatConvolution = try FloatConvolution(
        shape, weights: Bytes(copying: numbers.floats(shape.outputChannels * shape.depth)), bias: nil,
        minimum: -.infinity, maximum: .infinity, cache: PackedWeightCache(), threads: 5)
    let byteConvolution = try ByteConvolution(
        shape,
        weights: Bytes(copying: numbers.integers(shape.outputChannels * shape.depth, -127...127).map(byte)),
        weightsAreSigned: true, bias: nil,
        requantization: Requantization(
            scales: [0.0005], inputZeroPoint: -3, outputZeroPoint: 5, outputMinimum: -128, outputMaximum: 127),
        activationsAreSigned: true, cache: PackedWeightCache(), threads: 5)
    var results: [([Float], [UInt8])] = []
    for threads in [1, 2, 3, 5] {
        let pool = try ThreadPool(threads: threads)
        var floatOutput = [Float](repeating: .nan, count: shape.outputCount)
        var byteOutput = [UInt8](repeating: 1, count: shape.outputCount)
        var scratch = [UInt8](
            repeating: 0, count: max(floatConvolution.scratchByteCount, byteConvolution.scratchByteCount))
        var floatSpan = floatOutput.mutableSpan
        var byteSpan = byteOutput.mutableSpan
        var scratchSpan = scratch.mutableSpan
        floatConvolution.run(floats.span, &floatSpan, scratch: &scratchSpan, pool: pool)
        byteConvolution.run(bytes.span, &byteSpan, scratch: &scratchSpan, pool: pool)
        results.append((floatOutput, byteOutput))
    }
    for result in results {
        #expect(result.0 == results[0].0)
        #expect(result.1 == results[0].1)
    }
}

@Test func depthwiseResultsDoNotDependOnThreads() throws {
    let shape = ConvolutionShape(40, 40, 70, outputs: 70, kernel: (3, 3), padding: 1, batch: 2)
    var numbers = Numbers(seed: 3)
    let input = numbers.floats(shape.inputCount)
    let convolution = try FloatDepthwise(
        shape, weights: Bytes(copying: numbers.floats(70 * 9)), bias: nil, minimum: -1, maximum: 1,
        cache: PackedWeightCache(), threads: 5)
    var results: [[Float]] = []
    for threads in [1, 2, 5] {
        var output = [Float](repeating: .nan, count: shape.outputCount)
        var scratch = [UInt8](repeating: 0, count: convolution.scratchByteCount)
        var outputSpan = output.mutableSpan
        var scratchSpan = scratch.mutableSpan
        convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: threads))
        results.append(output)
    }
    #expect(results.allSatisfy { $0 == results[0] })
}
