import CKernels
import Model
import Testing

@testable import Kernels

/// Dynamic range quantization by its definition: what the integers stand for, for each image.
func dynamicallyRounded(_ x: [Float], images: Int, asymmetric: Bool) -> [Double] {
    let length = x.count / images
    return (0..<images).flatMap { image -> [Double] in
        let values = x[(image * length)..<((image + 1) * length)]
        let low = Double(min(0, values.min()!))
        let high = Double(max(0, values.max()!))
        if low == high { return [Double](repeating: 0, count: length) }
        let scale = Float(asymmetric ? (high - low) / 255 : max(-low, high) / 127)
        let fromLow = -128 - low * 255 / (high - low)
        let fromHigh = 127 - high * 255 / (high - low)
        let nearer = 128 + abs(low / (high - low)) * 255 < 127 + abs(high / (high - low)) * 255 ? fromLow : fromHigh
        let zero = asymmetric ? Float(min(127, max(-128, nearer.rounded(.toNearestOrAwayFromZero)))) : 0
        let inverse = asymmetric ? 1 / scale : 127 / Float(max(-low, high))
        return values.map {
            let q = (zero + $0 * inverse).rounded(.toNearestOrAwayFromZero)
            return Double(min(127, max(asymmetric ? -128 : -127, q)) - zero) * Double(scale)
        }
    }
}

@Test(arguments: convolutionShapes + [.init(1, 1, 37, outputs: 45, batch: 17)], [true, false])
func hybridConvolutionIsItsDefinition(_ shape: ConvolutionShape, _ asymmetric: Bool) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let input = numbers.floats(shape.inputCount).map { $0 + 0.25 }
    let weights = numbers.integers(shape.outputChannels * shape.depth, -127...127)
    let scales = numbers.integers(shape.outputChannels, 1...99).map { Float($0) / 9000 }
    let bias = numbers.floats(shape.outputChannels)
    let convolution = try HybridConvolution(
        shape, weights: HybridWeights(Bytes(copying: weights.map(byte)), scales: scales), bias: bias, minimum: -4,
        maximum: 4,
        asymmetric: asymmetric, cache: PackedWeightCache())
    var output = [Float](repeating: .nan, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 2))
    let rounded = dynamicallyRounded(input, images: shape.batch, asymmetric: asymmetric)
    shape.outputs { index, b, y, x, channel in
        var sum = Double(bias[channel])
        shape.products(b, y, x, channel) { sum += rounded[$0] * Double(weights[$1]) * Double(scales[channel]) }
        let expected = Float(min(max(sum, -4), 4))
        #expect(
            abs(output[index] - expected) <= 1e-5,
            "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}

/// Winograd's filtering in whole numbers leaves the same bits, whatever the threads.
@Test(
    arguments: [
        .init(9, 11, 3, outputs: 5, kernel: (3, 3), padding: 1), .init(13, 6, 35, outputs: 40, kernel: (3, 3)),
        .init(8, 8, 16, outputs: 16, kernel: (3, 3), padding: 1, batch: 2),
    ] as [ConvolutionShape], [true, false])
func filteredHybridConvolutionHasTheSameBits(_ shape: ConvolutionShape, _ asymmetric: Bool) throws {
    var numbers = Numbers(seed: shape.inputCount)
    let input = numbers.floats(shape.inputCount).map { $0 + 0.25 }
    let weights = HybridWeights(
        try Bytes(copying: numbers.integers(shape.outputChannels * shape.depth, -127...127).map(byte)),
        scales: numbers.floats(shape.outputChannels).map { abs($0) + 0.01 })
    let bias = numbers.floats(shape.outputChannels)
    func output(_ isFiltered: Bool, threads: Int) throws -> (name: String, bits: [UInt32]) {
        let convolution = try HybridConvolution(
            shape, weights: weights, bias: bias, minimum: -9, maximum: 11, asymmetric: asymmetric,
            cache: PackedWeightCache(), isFiltered: isFiltered)
        var output = [Float](repeating: .nan, count: shape.outputCount)
        var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
        var outputSpan = output.mutableSpan
        var scratchSpan = scratch.mutableSpan
        convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: threads))
        return (convolution.kernelName, output.map { $0.bitPattern })
    }
    let expected = try output(false, threads: 1)
    for threads in [1, 3] {
        let found = try output(true, threads: threads)
        #expect(found.name.contains("winograd") && !expected.name.contains("winograd"))
        #expect(found.bits == expected.bits)
    }
}

/// Weights of 4 and 2 bits, multiplied in halves of bytes; with a scale for each channel and, where each row is a pixel,
/// for each block of 8, 40 or 256.
@Test(
    arguments: convolutionShapes + [.init(1, 1, 37, outputs: 45, batch: 17), .init(1, 1, 5120, outputs: 35, batch: 2)])
func weightsOfFewBitsAreMultipliedAsTheyAre(_ shape: ConvolutionShape) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let input = numbers.floats(shape.inputCount).map { $0 + 0.25 }
    let bias = numbers.floats(shape.outputChannels)
    let rounded = dynamicallyRounded(input, images: shape.batch, asymmetric: true)
    for (bits, blockSize) in [(4, nil), (2, nil), (4, 8), (2, 40), (4, 256)] as [(Int, Int?)] {
        if let blockSize, shape.groups > 1 || shape.depth % blockSize != 0 { continue }
        let weights = numbers.integers(shape.outputChannels * shape.depth, -(1 << (bits - 1))...(1 << (bits - 1) - 1))
        let block = blockSize ?? shape.depth
        let scales = numbers.integers(weights.count / block, 1...99).map { Float($0) / 8192 }
        let stored = try #require(PackedIntegers.pack(weights.map { Int8($0) }, type: bits == 4 ? .int4 : .int2))
        let convolution = try HybridConvolution(
            shape,
            weights: HybridWeights(Bytes(copying: stored), bits: bits, scales: scales, blockSize: blockSize),
            bias: bias, minimum: -4, maximum: 4, asymmetric: true, cache: PackedWeightCache())
        var output = [Float](repeating: .nan, count: shape.outputCount)
        var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
        var outputSpan = output.mutableSpan
        var scratchSpan = scratch.mutableSpan
        convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 2))
        shape.outputs { index, b, y, x, channel in
            var sum = Double(bias[channel])
            shape.products(b, y, x, channel) { sum += rounded[$0] * Double(weights[$1]) * Double(scales[$1 / block]) }
            let expected = Float(min(max(sum, -4), 4))
            #expect(
                abs(output[index] - expected) <= 1e-5 + Float(shape.depth) * 1e-8,
                "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
        }
    }
}

@Test(arguments: depthwiseShapes, [true, false])
func hybridDepthwiseIsItsDefinition(_ shape: ConvolutionShape, _ asymmetric: Bool) throws {
    var numbers = Numbers(seed: shape.inputCount + shape.outputCount)
    let input = numbers.floats(shape.inputCount)
    let weights = numbers.integers(shape.outputChannels * shape.taps, -127...127)
    let scales = numbers.integers(shape.outputChannels, 1...99).map { Float($0) / 9000 }
    let convolution = try HybridDepthwise(
        shape, weights: Bytes(copying: weights.map(byte)), weightScales: scales, bias: nil, minimum: -4, maximum: 4,
        asymmetric: asymmetric, cache: PackedWeightCache())
    var output = [Float](repeating: .nan, count: shape.outputCount)
    var scratch = [UInt8](repeating: 0xff, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 2))
    let rounded = dynamicallyRounded(input, images: shape.batch, asymmetric: asymmetric)
    shape.outputs { index, b, y, x, channel in
        var sum = 0.0
        shape.depthwiseProducts(b, y, x, channel) {
            sum += rounded[$0] * Double(weights[$1]) * Double(scales[channel])
        }
        let expected = Float(min(max(sum, -4), 4))
        #expect(
            abs(output[index] - expected) <= 1e-5,
            "\(convolution.kernelName) \(shape) at \(index): \(output[index]), expected \(expected)")
    }
}

@Test func activationsThatAreNotFiniteMakeTheirRowNaN() throws {
    let shape = ConvolutionShape(1, 1, 3, outputs: 2, batch: 3)
    let convolution = try HybridConvolution(
        shape, weights: HybridWeights(Bytes(copying: [Int8](repeating: 1, count: 6)), scales: [1]), bias: nil,
        minimum: -.infinity, maximum: .infinity, asymmetric: true, cache: PackedWeightCache())
    let input: [Float] = [0, 0, 0, 1, .infinity, 2, Float.leastNonzeroMagnitude, 0, 0]
    var output = [Float](repeating: 7, count: 6)
    var scratch = [UInt8](repeating: 0, count: convolution.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    convolution.run(input.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 1))
    #expect(output[0] == 0 && output[1] == 0)
    #expect(output[2].isNaN && output[3].isNaN)
    #expect(abs(output[4]) < 1e-37)
}
