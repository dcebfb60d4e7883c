import Model
import Testing

@testable import Quantization

@Suite struct ParametersTests {
    /// By hand: scale = (max - min) / 255, zero point = round(-128 - min / scale).
    struct Case: Sendable {
        let range: ValueRange
        let width: Float
        let zeroPoint: Int
    }
    static let cases: [Case] = [
        Case(range: ValueRange(0, 255), width: 255, zeroPoint: -128),
        Case(range: ValueRange(-255, 0), width: 255, zeroPoint: 127),
        // The middle lies between two integers: away from zero.
        Case(range: ValueRange(-1, 1), width: 2, zeroPoint: -1),
        Case(range: ValueRange(-128, 127), width: 255, zeroPoint: 0),
        Case(range: ValueRange(-0.5, 2), width: 2.5, zeroPoint: -77),
        Case(range: ValueRange(0, 6), width: 6, zeroPoint: -128),
        Case(range: ValueRange(-1, 3), width: 4, zeroPoint: -64),
    ]

    @Test(arguments: cases) func asymmetric(_ example: Case) {
        let parameters = Parameters(example.range, type: .int8)
        #expect(parameters.scale == example.width / 255)
        #expect(parameters.zeroPoint == example.zeroPoint)
    }

    @Test func zeroIsAlwaysExact() {
        for seed in 1...200 {
            let ends = noise(2, seed: UInt32(seed))
            let range = ValueRange(min(ends[0], ends[1]) * 10, max(ends[0], ends[1]))
            let parameters = Parameters(range, type: .int8)
            #expect((-128...127).contains(parameters.zeroPoint))
            #expect(parameters.quantize(0) == parameters.zeroPoint)
            // Both ends lie within half a step of the stored numbers' ends.
            for (value, stored) in [(range.min, -128), (range.max, 127)] {
                let end = Float(stored - parameters.zeroPoint) * parameters.scale
                #expect(abs(end - value) <= 0.5001 * parameters.scale)
            }
        }
    }

    @Test func symmetric() {
        let parameters = Parameters(ValueRange(-2, 0.5), type: .int16)
        #expect(parameters.scale == Float(2) / 32767)
        #expect(parameters.zeroPoint == 0)
        #expect(parameters.quantize(-2) == -32767)
        #expect(parameters.quantize(-3) == -32768)
        #expect(parameters.quantize(3) == 32767)
    }

    @Test func zeroIsInEveryRange() {
        #expect(ValueRange(2, 5) == ValueRange(0, 5))
        #expect(ValueRange(-5, -2) == ValueRange(-5, 0))
        #expect(Parameters(ValueRange(5, 5), type: .int8) == Parameters(ValueRange(0, 5), type: .int8))
    }

    @Test func degenerateRangesGetASaneScale() {
        for type in [TensorType.int8, .int16] {
            for range in [ValueRange(0, 0), ValueRange(-1e-30, 1e-30)] {
                let parameters = Parameters(range, type: type)
                #expect(parameters.scale > 1e-6 && parameters.scale < 1)
                #expect(parameters.quantize(0) == parameters.zeroPoint)
            }
        }
    }

    @Test func hugeRangesDoNotOverflow() {
        let parameters = Parameters(ValueRange(-3e38, 3e38), type: .int8)
        #expect(parameters.scale.isFinite && parameters.zeroPoint == -1)
        #expect(parameters.quantize(3e38) == 127 && parameters.quantize(-3e38) == -128)
    }

    @Test func notANumberHasNoRange() {
        #expect(ValueRange(of: [1, .nan]) == nil)
        #expect(ValueRange(of: [1, -.infinity]) == nil)
        #expect(ValueRange(of: [1, -2, 3]) == ValueRange(-2, 3))
        for poison in [Float.nan, .infinity, -.infinity] {
            var values = noise(9)
            values[4] = poison
            #expect(ValueRange(of: values.span) == nil)
        }
        let values = noise(100)
        #expect(ValueRange(of: values.span) == ValueRange(values.min()!, values.max()!))
    }
}

@Suite struct WeightsTests {
    @Test func perChannel() {
        // [2, 2, 1] with channels in the last but one dimension.
        let layout = WeightLayout(shape: [2, 2, 1], channelDimension: 1)
        let values: [Float] = [1, -2, -0.5, 0.25]
        #expect(layout.largest(values) == [1, 2])
        let scales = symmetricScales(largest: [1, 2])
        #expect(scales == [1 / 127, 2 / 127])
        #expect(layout.quantize(values, scales: scales) == [127, -127, -64, 16])
    }

    @Test func perTensor() {
        let layout = WeightLayout.perTensor
        let values: [Float] = [1, -2, -0.5, 0.25]
        #expect(layout.largest(values) == [2])
        #expect(layout.quantize(values, scales: [2 / 127]) == [64, -127, -32, 16])
    }

    @Test func aChannelOfZerosTakesTheWidestScale() {
        #expect(symmetricScales(largest: [127, 0, 254]) == [1, 2, 2])
        #expect(symmetricScales(largest: [0, 0]) == [1, 1])
    }

    @Test func notFinite() { #expect(WeightLayout.perTensor.largest([1, .nan]) == nil) }

    private func linear(
        _ weights: [Float], _ bias: [Float], channels: Int, input: Parameters, output: Parameters
    ) -> LinearWeights {
        let layout = WeightLayout(shape: [channels, weights.count / channels], channelDimension: 0)
        let form = WeightForm(
            input: 1, tensor: 1, bias: 2, channelDimension: 0, isPerTensor: false, bits: 8, learnsScales: false,
            activations: input.type, code: .fullyConnected)
        return LinearWeights(
            weights, layout, form, scales: symmetricScales(largest: layout.largest(weights)!), bias: bias,
            input: input, output: output)
    }

    @Test func biasHasTheScaleOfTheProducts() {
        let input = Parameters(type: .int8, scale: 0.5, zeroPoint: 3)
        let output = Parameters(type: .int8, scale: 0.25, zeroPoint: 0)
        let result = linear([127, -63.5, 25.4, 12.7], [10, -0.26], channels: 2, input: input, output: output)
        #expect(result.weights.scales == [1, 25.4 / 127])
        #expect(result.weights.values == [127, -64, 127, 64])
        #expect(result.biasScales == [0.5, 0.5 * (25.4 / 127)])
        #expect(result.bias == [20, -3])
    }

    @Test func weightsWidenForABiasThatWouldOverflow() {
        // A dead channel: weights of 1e-12, bias 100. At its own scale the bias would be 100 / (0.01 * 1e-12 / 127).
        let input = Parameters(type: .int8, scale: 0.01, zeroPoint: 0)
        let output = Parameters(type: .int8, scale: 1, zeroPoint: 0)
        let result = linear([1e-12, 1], [100, 0.5], channels: 2, input: input, output: output)
        #expect(result.bias[0].magnitude <= 1 << 30)
        #expect(abs(Double(result.bias[0]) * Double(result.biasScales[0]) - 100) < 1e-4)
        #expect(result.weights.scales[1] == Float(1) / 127)
        #expect(result.bias[1] == Int64((0.5 / (0.01 * (1.0 / 127))).rounded()))
        // With int64 biases there is room.
        let wide = linear(
            [1e-12, 1], [100, 0.5], channels: 2, input: Parameters(type: .int16, scale: 0.01, zeroPoint: 0),
            output: Parameters(type: .int16, scale: 1, zeroPoint: 0))
        #expect(wide.bias[0] > 1 << 31 && wide.bias[0] < 1 << 47)
    }
}
