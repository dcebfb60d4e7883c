import CKernels
import Model
import Testing

@testable import Kernels

/// A layer of whole numbers, and the floats that stand for them.
private struct Problem {
    let shape: ConvolutionShape
    let isDepthwise: Bool
    let bits: Int
    let zero: Int
    let input: [Int]
    let weights: [Int]
    let bias: [Int]
    let weightScales: [Float]
    let grids: SimulatedLayer.Grids
    let x: [Float]
    let w: [Float]
    let b: [Float]

    init(_ shape: ConvolutionShape, isDepthwise: Bool = false, bits: Int, perChannel: Bool) {
        var numbers = Numbers(seed: shape.inputCount + shape.outputCount + bits)
        (self.shape, self.isDepthwise, self.bits) = (shape, isDepthwise, bits)
        let zero = bits == 8 ? numbers.integers(1, -128...127)[0] : 0
        let most = bits == 8 ? 127 : 32767
        input = numbers.integers(shape.inputCount, (-most - 1)...most)
        let depth = isDepthwise ? shape.taps : shape.depth
        weights = numbers.integers(shape.outputChannels * depth, -127...127)
        bias = numbers.integers(shape.outputChannels, -9000...9000)
        let scales = numbers.integers(perChannel ? shape.outputChannels : 1, 1...99).map { Float($0) / 4000 }
        weightScales = scales
        grids = SimulatedLayer.Grids(input: 0.037, inputZero: Float(zero), output: 0.71)
        self.zero = zero
        x = input.map { Float($0 - zero) * 0.037 }
        func scale(_ channel: Int) -> Float { scales[scales.count == 1 ? 0 : channel] }
        w = weights.indices.map { [weights] in
            Float(weights[$0]) * scale(isDepthwise ? $0 % shape.outputChannels : $0 / depth)
        }
        b = bias.indices.map { [bias] in Float(Double(bias[$0]) * Double(scale($0) * 0.037)) }
    }

    func run(_ x: [Float], threads: Int = 2) throws -> [Float] {
        let layer = try SimulatedLayer(shape, depthwise: isDepthwise, bits: bits, threads: threads)
        var output = [Float](repeating: 77, count: shape.outputCount)
        var scratch = [UInt8](repeating: 0xff, count: layer.scratchByteCount + 63)
        var outputSpan = output.mutableSpan
        var scratchSpan = scratch.mutableSpan
        layer.run(
            x.span, weights: w.span, bias: b.span, grids, weightScales: weightScales.span, &outputSpan,
            scratch: &scratchSpan, pool: try ThreadPool(threads: threads))
        return output
    }

    /// What the integer kernels limit and round.
    func expected(_ sum: Int, _ channel: Int) -> Float {
        let scale = weightScales[weightScales.count == 1 ? 0 : channel]
        return Float(sum) * Float(Double(Float(0.037)) * Double(scale) / Double(Float(0.71)))
    }

    func check(_ products: (Int, Int, Int, Int, (Int, Int) -> Void) -> Void) throws {
        let output = try run(x)
        #expect(try output == run(x, threads: 1))
        shape.outputs { index, b, y, x, channel in
            var sum = bias[channel]
            products(b, y, x, channel) { sum += (input[$0] - zero) * weights[$1] }
            let expected = expected(sum, channel)
            #expect(output[index] == expected, "\(shape) at \(index): \(output[index]), expected \(expected)")
        }
    }
}

@Test(arguments: convolutionShapes, [8, 16]) func simulatedConvolutionIsThatOfIntegers(
    _ shape: ConvolutionShape, _ bits: Int
) throws {
    let problem = Problem(shape, bits: bits, perChannel: shape.outputCount % 2 == 0)
    try problem.check { shape.products($0, $1, $2, $3, $4) }
}

@Test(arguments: depthwiseShapes, [8, 16]) func simulatedDepthwiseIsThatOfIntegers(
    _ shape: ConvolutionShape, _ bits: Int
) throws {
    let problem = Problem(shape, isDepthwise: true, bits: bits, perChannel: true)
    try problem.check { shape.depthwiseProducts($0, $1, $2, $3, $4) }
}

/// What is not finite must not become a number that looks right.
@Test(arguments: [8, 16]) func simulatedLayersKeepWhatIsNotFinite(_ bits: Int) throws {
    let problem = Problem(ConvolutionShape(5, 5, 3, outputs: 6, kernel: (3, 3)), bits: bits, perChannel: true)
    for bad in [Float.nan, .infinity] {
        var x = problem.x
        x[x.count - 1] = bad
        #expect(try problem.run(x).contains { $0.isNaN })
    }
}
