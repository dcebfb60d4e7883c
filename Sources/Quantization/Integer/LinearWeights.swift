import Model

/// The integer weights and bias of one linear operator.
struct LinearWeights {
    let weights: QuantizedWeights
    let biasScales: [Float]
    /// Empty if the operator has no bias. int32, or int64 with int16 activations.
    private(set) var bias: [Int64] = []
    private let exactBias: [Double]
    private let largestBias: Double

    var biasQuantization: Quantization {
        biasScales.count == 1
            ? Quantization(scale: biasScales[0], zeroPoint: 0) : Quantization(scales: biasScales, dimension: 0)
    }

    /// A bias beyond this many accumulator steps would leave no room for the products: int32 accumulators with int8
    /// activations, and the 47 bits that requantization of int64 ones takes.
    private static func biasLimit(_ activations: TensorType) -> Double { activations == .int16 ? 0x1p46 : 0x1p30 }

    init(
        _ values: [Float], _ layout: WeightLayout, _ form: WeightForm, scales wanted: [Float], bias: [Float],
        input: Parameters, output: Parameters
    ) {
        var scales = wanted
        let inputScale = Double(input.scale)
        for index in scales.indices {
            // Below this the whole accumulator is less than one step of the output.
            var least = Double(output.scale) / inputScale * 0x1p-31
            let magnitudes = scales.count == 1 ? bias : bias.isEmpty ? [] : [bias[index]]
            for value in magnitudes {
                least = max(least, Double(value.magnitude) / (inputScale * Self.biasLimit(input.type)))
            }
            if Double(scales[index]) < least { scales[index] = Float(least).nextUp }
        }
        weights = QuantizedWeights(
            values: layout.quantize(values, scales: scales, steps: form.steps), scales: scales,
            channelDimension: form.channelDimension)
        biasScales = scales.map { max($0 * input.scale, .leastNormalMagnitude) }
        exactBias = bias.map { Double($0) }
        largestBias = input.type == .int16 ? 0x1p62 : 2_147_483_647
        correct(by: [Double](repeating: 0, count: bias.count))
    }

    /// Makes the bias such that results which the weights have moved by `shift`, channel by channel, are back in place.
    mutating func correct(by shift: [Double]) {
        bias = []
        for (channel, exact) in exactBias.enumerated() {
            let step = Double(biasScales[biasScales.count == 1 ? 0 : channel])
            let steps = ((exact - shift[channel]) / step).rounded()
            bias.append(Int64(min(max(steps, -largestBias), largestBias)))
        }
    }
}
