import CKernels
import Model
import Testing

@testable import Kernels

/// What was chosen before is taken without trying, whatever it was; results agree but for rounding.
@Test(arguments: [(0, "f32_gemm"), (1, "bf16x3_gemm"), (2, "eo_winograd_2x2"), (4, "eo_winograd_4x4")])
func knownChoicesAreTaken(_ method: Int, _ kernel: String) throws {
    if method == 1, eo_bf16x3_gemm_best().pointee.isa == ISA_SCALAR { return }
    let shape = ConvolutionShape(12, 11, 16, outputs: 40, kernel: (3, 3), padding: 1)
    let cache = try PackedWeightCache()
    try cache.choose(method, for: Autotune.question("f32_gemm", shape, threads: 1))
    let plain = try tuned(shape, cache: PackedWeightCache(), autotunes: false)
    let chosen = try tuned(shape, cache: cache, autotunes: true)
    #expect(chosen.name.contains(kernel))
    #expect(zip(plain.output, chosen.output).allSatisfy { abs($0 - $1) < 1e-4 })
}

@Test func choicesAreRemembered() throws {
    let shape = ConvolutionShape(6, 6, 4, outputs: 5, kernel: (3, 3), padding: 1)
    let cache = try PackedWeightCache()
    let question = Autotune.question("f32_gemm", shape, threads: 1)
    #expect(cache.choice(question) == nil)
    let first = try tuned(shape, cache: cache, autotunes: true)
    let choice = try #require(cache.choice(question))
    #expect(FloatConvolution.Method(rawValue: choice) != nil)
    #expect(try tuned(shape, cache: cache, autotunes: true).name == first.name)
}

/// Where one kernel serves there is nothing to choose.
@Test func otherShapesAreNotTried() throws {
    let shape = ConvolutionShape(6, 6, 4, outputs: 5)
    let cache = try PackedWeightCache()
    _ = try tuned(shape, cache: cache, autotunes: true)
    #expect(cache.choice(Autotune.question("f32_gemm", shape, threads: 1)) == nil)
}

/// Whichever form of an integer layer is taken, the bits are the same.
@Test func formsOfBytesAgree() throws {
    let shape = ConvolutionShape(12, 11, 16, outputs: 20, kernel: (3, 3), padding: 1)
    var numbers = Numbers(seed: 5)
    let input = numbers.integers(shape.inputCount, -128...127).map { UInt8(truncatingIfNeeded: $0) }
    let weights = try Bytes(
        copying: numbers.integers(shape.outputChannels * shape.depth, -127...127).map { Int8(truncatingIfNeeded: $0) })
    let requantization = Requantization(
        scales: [Float](repeating: 1e-3, count: shape.outputChannels), inputZeroPoint: 3, weightZeroPoint: 0,
        outputZeroPoint: -5, outputMinimum: -128, outputMaximum: 127)
    var results: Set<[UInt8]> = []
    var names: Set<String> = []
    for form in ByteConvolution.forms(shape) {
        let cache = try PackedWeightCache()
        try cache.choose(form, for: Autotune.question("u8_gemm", shape, threads: 1))
        let layer = try ByteConvolution.tuned(
            shape, weights: weights, weightsAreSigned: true, bias: nil, requantization: requantization,
            activationsAreSigned: true, cache: cache, threads: 1)
        var output = [UInt8](repeating: 0x55, count: shape.outputCount)
        var scratch = [UInt8](repeating: 0xff, count: layer.scratchByteCount)
        var outputSpan = output.mutableSpan
        var scratchSpan = scratch.mutableSpan
        layer.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 1))
        results.insert(output)
        names.insert(layer.kernelName)
    }
    #expect(results.count == 1 && names.count == ByteConvolution.forms(shape).count)
}

/// Winograd's filtering has 26 bits for a sum. A cache knows afterwards which way a layer went.
@Test(arguments: [(Int8(127), false), (64, true)]) func sumsThatFitAreFiltered(weight: Int8, fits: Bool) throws {
    let shape = ConvolutionShape(6, 6, 128, outputs: 16, kernel: (3, 3), padding: 1)
    let weights = try Bytes(copying: [Int8](repeating: weight, count: shape.outputChannels * shape.depth))
    let requantization = Requantization(
        scales: [Float](repeating: 1e-5, count: shape.outputChannels), inputZeroPoint: 0, weightZeroPoint: 0,
        outputZeroPoint: 0, outputMinimum: -128, outputMaximum: 127)
    let cache = try PackedWeightCache()
    for _ in 0..<2 {
        let layer = try ByteConvolution(
            shape, weights: weights, weightsAreSigned: true, bias: nil, requantization: requantization,
            activationsAreSigned: true, cache: cache, form: ByteConvolution.filtered)
        #expect(layer.kernelName.hasPrefix("eo_u8_winograd") == fits)
    }
}

private func tuned(
    _ shape: ConvolutionShape, cache: PackedWeightCache, autotunes: Bool
) throws -> (name: String, output: [Float]) {
    var numbers = Numbers(seed: 3)
    let input = numbers.floats(shape.inputCount)
    let weights = try Bytes(copying: numbers.floats(shape.outputChannels * shape.depth))
    let layer =
        autotunes
        ? try FloatConvolution.tuned(
            shape, weights: weights, bias: nil, minimum: -9, maximum: 9, cache: cache, threads: 1)
        : try FloatConvolution(
            shape, weights: weights, bias: nil, minimum: -9, maximum: 9, cache: cache, threads: 1,
            method: .floats)
    var output = [Float](repeating: .nan, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: layer.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    layer.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 1))
    return (layer.kernelName, output)
}
